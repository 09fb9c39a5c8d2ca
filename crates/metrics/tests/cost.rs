//! What reading costs: no allocation in the steady state, and CPU time at the usual pace.
//!
//! Eight GPUs of a fake library and two packages with memory of a fake powercap tree, through the shipped sources.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![allow(clippy::print_stdout, reason = "a cost is worth more than that it was measured")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::time::Duration;

use ai_energy_core::energy::EnergySource;
use ai_energy_fake_nvml::{Device, FakeNvml, Script};
use ai_energy_metrics::{Options, Roots, SourceSelection, discover};
use tempfile::TempDir;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and nobody asks for it.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is the system allocator's, with a number added to a counter that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const GPUS: u32 = 8;

/// Zones of two sockets: the folder below powercap and the name the kernel gives.
const ZONES: [(&str, &str); 4] = [
    ("intel-rapl:0", "package-0"),
    ("intel-rapl:0:0", "dram"),
    ("intel-rapl:1", "package-1"),
    ("intel-rapl:1:0", "dram"),
];

/// The sources, each read once so that the search for ticks is over, and what they live on.
fn machine() -> (Vec<Box<dyn EnergySource>>, FakeNvml, TempDir) {
    let devices = (0..GPUS).map(|index| Device::new(index, 300.0)).collect();
    let fake = FakeNvml::new(&Script { devices, ..Script::default() }).unwrap();
    let tree = tempfile::tempdir().unwrap();
    for (index, (zone, name)) in ZONES.iter().enumerate() {
        let folder = tree.path().join(zone);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "262143328850\n").unwrap();
        fs::write(folder.join("energy_uj"), format!("{}\n", 1_000_000 * (index + 1))).unwrap();
    }
    let roots = Roots {
        nvml_library: Some(fake.library().into_os_string()),
        visible_gpus: None,
        powercap: tree.path().to_owned(),
        ..Roots::default()
    };
    let named = SourceSelection::Named(vec!["nvml".into(), "rapl".into()]);
    let found = discover(&Options { sources: named, ..Options::default() }, &roots);
    assert_eq!(found.sources.len(), 2, "{:?}", found.unavailable);
    let mut sources = found.sources;
    for source in &mut sources {
        source.read(&mut |_, _| {}).unwrap();
    }
    (sources, fake, tree)
}

#[test]
fn a_reading_in_the_steady_state_allocates_nothing() {
    let (mut sources, _fake, _tree) = machine();
    for source in &mut sources {
        let mut values = 0_usize;
        let name = source.channels()[0].name.clone();
        let found = allocations(|| {
            for _ in 0..10 {
                source.read(&mut |_, _| values += 1).unwrap();
            }
        });
        assert_eq!(values, 10 * source.channels().len(), "{name}");
        assert_eq!(found, 0, "10 readings of {name} made {found} allocations");
    }
    assert!(allocations(|| drop(vec![1_u8; 100])) == 1, "the allocator does count");
}

/// How often this thread gave up its processor by itself, as every sleep and wait does.
#[cfg(target_os = "linux")]
fn waits() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn no_reading_holds_a_blocking_cpu_load_call_of_half_a_second_or_any_other_wait() {
    const READINGS: u64 = 100;
    let (mut sources, _fake, _tree) = machine();
    let models = SourceSelection::Named(vec!["cpu_model".into(), "ram_model".into()]);
    let models = discover(&Options { sources: models, ..Options::default() }, &Roots::default());
    assert_eq!(models.sources.len(), 2, "{:?}", models.unavailable);
    sources.extend(models.sources);
    for source in &mut sources {
        let before = waits();
        for _ in 0..READINGS {
            source.read(&mut |_, _| {}).unwrap();
        }
        let found = waits() - before;
        // A lock of the kernel may be taken now and then; a call that waits does so in every reading.
        assert!(
            found < READINGS / 2,
            "{found} waits in {READINGS} readings of {}",
            source.channels()[0].name
        );
    }
    let before = waits();
    std::thread::sleep(Duration::from_millis(1));
    assert!(waits() > before, "the kernel does count");
}

fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[test]
#[ignore = "ten seconds, and a figure of the machine: cargo xtask bench energy"]
fn cost() {
    const ROUNDS: u32 = 100;
    let (mut sources, _fake, _tree) = machine();
    for source in &mut sources {
        let (calls, mut spent) = (source.calls(), 0.0);
        for _ in 0..ROUNDS {
            std::thread::sleep(Duration::from_millis(100));
            let before = thread_seconds();
            source.read(&mut |_, _| {}).unwrap();
            spent += thread_seconds() - before;
        }
        let round = spent / f64::from(ROUNDS);
        let calls = source.calls().zip(calls).map(|(after, before)| (after - before) / u64::from(ROUNDS));
        println!(
            "cost of {}: {} channels, {:.1} µs of CPU a reading, {:.4} % of one core at 10 Hz; calls a reading: {}",
            source.channels()[0].name,
            source.channels().len(),
            round * 1e6,
            round * 10.0 * 100.0,
            calls.map_or("files".to_owned(), |calls| calls.to_string())
        );
    }
}
