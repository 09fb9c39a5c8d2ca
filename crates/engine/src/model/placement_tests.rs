//! Tests of the placement of layers onto devices.

use super::*;
use proptest::prelude::*;

fn gpus(free: &[u64]) -> Vec<DeviceMemory> {
    let device = |(at, free): (usize, &u64)| DeviceMemory {
        name: format!("cuda:{at}"),
        key: at.to_string(),
        free: *free,
    };
    free.iter().enumerate().map(device).collect()
}

fn with_cpu(free: &[u64], cpu: u64) -> Vec<DeviceMemory> {
    let mut devices = gpus(free);
    devices.push(DeviceMemory { name: "cpu".to_owned(), key: "cpu".to_owned(), free: cpu });
    devices
}

fn model(layers: usize, size: u64) -> Sizes {
    Sizes { embedding: 20, layers: vec![size; layers], head: 20, tied: false }
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// Layers by device.
fn counts(placement: &Placement, devices: usize) -> Vec<usize> {
    (0..devices).map(|at| placement.layers.iter().filter(|layer| **layer == at).count()).collect()
}

#[test]
fn sizes_are_read_in_both_kinds_of_units() {
    assert_eq!(parse_memory("0", "20GB").unwrap(), 20_000_000_000);
    assert_eq!(parse_memory("0", "20 GiB").unwrap(), 20 << 30);
    assert_eq!(parse_memory("0", "1.5mb").unwrap(), 1_500_000);
    assert_eq!(parse_memory("0", "4096").unwrap(), 4096);
    for wrong in ["", "GB", "20 apples", "-1GB", "1.2.3GB"] {
        let error = parse_memory("cpu", wrong).unwrap_err();
        assert_eq!(error.object, "backend.max_memory.cpu", "{wrong}");
        assert!(error.remedy.contains("20GB"));
    }
}

#[test]
fn sequential_fills_a_device_before_the_next() {
    let placed = place(DeviceMap::Sequential, &model(10, 10), &gpus(&[75, 200]), &none()).unwrap();
    assert_eq!((placed.embedding, placed.head), (0, 1));
    assert_eq!(counts(&placed, 2), [5, 5]);
    let all = place(DeviceMap::Sequential, &model(10, 10), &gpus(&[500, 500]), &none()).unwrap();
    assert_eq!(counts(&all, 2), [10, 0]);
}

#[test]
fn balanced_spreads_evenly_and_auto_is_balanced() {
    let devices = with_cpu(&[1000, 1000, 1000, 1000], 100_000);
    let model = Sizes { embedding: 40, layers: vec![10; 80], head: 40, tied: false };
    let placed = place(DeviceMap::Balanced, &model, &devices, &none()).unwrap();
    assert_eq!(placed, place(DeviceMap::Auto, &model, &devices, &none()).unwrap());
    // A share is 880 / 4 = 220 bytes and 12 to spare: 19 layers beside the embedding, then 23 each, and the rest.
    assert_eq!(counts(&placed, 5), [19, 23, 23, 15, 0]);
}

#[test]
fn the_first_device_gets_only_what_the_others_leave() {
    let model = Sizes { embedding: 10, layers: vec![10; 40], head: 10, tied: false };
    let placed = place(DeviceMap::BalancedLow0, &model, &gpus(&[1000, 1000, 1000]), &none()).unwrap();
    assert_eq!(counts(&placed, 3)[0], 0);
    let tight = place(DeviceMap::BalancedLow0, &model, &gpus(&[1000, 150, 150]), &none()).unwrap();
    assert_eq!(counts(&tight, 3), [11, 15, 14]);
}

#[test]
fn max_memory_names_the_devices_that_are_used() {
    let only = BTreeMap::from([("1".to_owned(), "150".to_owned()), ("cpu".to_owned(), "1KB".to_owned())]);
    let placed = place(DeviceMap::Auto, &model(20, 10), &with_cpu(&[500, 500], 9999), &only).unwrap();
    assert_eq!(counts(&placed, 3), [0, 13, 7]);
    let unknown = BTreeMap::from([("7".to_owned(), "1GB".to_owned())]);
    let error = place(DeviceMap::Auto, &model(2, 1), &gpus(&[500]), &unknown).unwrap_err();
    assert_eq!(error.object, "backend.max_memory.7");
}

#[test]
fn a_tied_head_stays_with_the_embedding() {
    let model = Sizes { embedding: 20, layers: vec![10; 6], head: 1, tied: true };
    let placed = place(DeviceMap::Sequential, &model, &gpus(&[50, 50]), &none()).unwrap();
    assert_eq!((placed.embedding, placed.head), (0, 0));
    assert_eq!(counts(&placed, 2), [2, 4]);
}

#[test]
fn what_does_not_fit_is_named_with_what_is_missing() {
    let gb = 1_000_000_000;
    let model = Sizes { embedding: gb, layers: vec![gb; 4], head: gb, tied: false };
    let error = place(DeviceMap::Auto, &model, &gpus(&[2 * gb, 2 * gb]), &none()).unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::OutOfMemory);
    assert!(error.cause.contains("layer 4 of 4 (1.00 GB) does not fit"), "{}", error.cause);
    assert!(error.cause.contains("2.00 GB are missing"), "{}", error.cause);
    let crumbs = place(DeviceMap::Auto, &model, &gpus(&[gb * 3 / 2; 5]), &none()).unwrap_err();
    assert!(crumbs.cause.contains("smaller than it"), "{}", crumbs.cause);
    assert!(place(DeviceMap::Auto, &model, &[], &none()).unwrap_err().cause.contains("no devices"));
}

proptest! {
    /// Layers stay in order, no device takes more than it has, and what sequential can place the others can.
    #[test]
    fn a_placement_keeps_its_promises(
        layers in prop::collection::vec(1u64..50, 0..30),
        embedding in 0u64..100,
        head in 0u64..100,
        tied: bool,
        free in prop::collection::vec(0u64..600, 1..5),
        cpu in prop::option::of(0u64..600),
        map in prop::sample::select(vec![
            DeviceMap::Auto, DeviceMap::Balanced, DeviceMap::BalancedLow0, DeviceMap::Sequential,
        ]),
    ) {
        let sizes = Sizes { embedding, layers, head, tied };
        let devices = cpu.map_or_else(|| gpus(&free), |cpu| with_cpu(&free, cpu));
        let placed = place(map, &sizes, &devices, &none());
        let sequential = place(DeviceMap::Sequential, &sizes, &devices, &none());
        prop_assert!(placed.is_ok() || sequential.is_err());
        if let Ok(placed) = placed {
            let mut used = vec![0; devices.len()];
            used[placed.embedding] += sizes.embedding;
            used[placed.head] += sizes.head;
            placed.layers.iter().zip(&sizes.layers).for_each(|(at, size)| used[*at] += size);
            for (used, device) in used.iter().zip(&devices) {
                prop_assert!(*used <= device.free);
            }
            prop_assert_eq!(placed.layers.len(), sizes.layers.len());
            prop_assert!(placed.layers.is_sorted());
            if tied { prop_assert_eq!(placed.head, placed.embedding); }
        }
    }

    /// With equal devices and room enough, no device but the last has more than its share and one layer and a quarter.
    #[test]
    fn balanced_is_balanced(count in 2usize..6, layers in 1usize..60, size in 1u64..50) {
        let sizes = model(layers, size);
        let placed = place(DeviceMap::Balanced, &sizes, &gpus(&vec![100_000; count]), &none()).unwrap();
        for (at, held) in counts(&placed, count).iter().enumerate().take(count - 1) {
            let bytes = *held as u64 * size + if at == placed.embedding { 20 } else { 0 };
            prop_assert!(bytes <= sizes.total() / count as u64 + size + size / 4);
        }
    }
}
