//! Which GPUs are read, and what is said where they cannot be.

use ai_energy_core::energy::Domain;
use ai_energy_fake_nvml::{FakeNvml, Fault, code};
use ai_energy_metrics::{Options, Roots, SummaryOptions, discover, environment, summarize};

use crate::support::{changed, faulty, gpus, indexed, library, named, names, options, run, with_roots};

#[test]
fn a_missing_permission_is_a_reason_with_a_remedy_and_never_0_joules() {
    let refused = |call: &str, code| Fault { call: call.into(), code, ..Fault::default() };
    let (_fake, roots) = library(&faulty(gpus(1), refused("nvmlInit_v2", code::DRIVER_NOT_LOADED)));
    let found = discover(&options(), &roots);
    assert_eq!(found.unavailable[0].reason, "the NVIDIA driver is not loaded");
    let (_fake, roots) =
        library(&faulty(gpus(1), refused("nvmlDeviceGetHandleByIndex_v2", code::NO_PERMISSION)));
    let record = run(discover(&options(), &roots));
    assert!(record.unavailable_sources[0].reason.contains("no permission"));
    let summary = summarize(&record, &SummaryOptions::default());
    assert_eq!(summary.domain(Domain::Gpu).unwrap().energy.value, None);
}

#[test]
fn mig_instances_are_named_and_their_parent_counts_once() {
    let parts = ["MIG-aaaa".to_owned(), "MIG-bbbb".to_owned()];
    let script = changed(gpus(2), |gpu| {
        gpu.mig = Some(if gpu.uuid.contains("00000001") { parts.to_vec() } else { Vec::new() });
    });
    let (_fake, roots) = library(&script);
    let found = discover(&options(), &roots);
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("GPU 1 is split by MIG (MIG-aaaa, MIG-bbbb)"), "{:?}", found.warnings);
    let both = ["nvml:gpu0:energy", "nvml:gpu0:power", "nvml:gpu1:energy", "nvml:gpu1:power"];
    assert_eq!(names(&found), both, "no instances");
    let parent = ["nvml:gpu1:energy", "nvml:gpu1:power"];
    assert_eq!(
        names(&discover(&named(&["MIG-aaaa", "MIG-bbbb"]), &roots)),
        parent,
        "two instances, one parent"
    );
    let seen = Roots { visible_gpus: Some("MIG-bbbb,MIG-aaaa".into()), ..roots };
    assert_eq!(names(&discover(&options(), &seen)), parent);
}

#[test]
fn gpus_are_chosen_by_index_uuid_and_pci_bus_id() {
    let (_fake, roots) = library(&gpus(3));
    let one = |index: u32| vec![format!("nvml:gpu{index}:energy"), format!("nvml:gpu{index}:power")];
    let found = |options: &Options| names(&discover(options, &roots));
    assert_eq!(found(&indexed(&[1])), one(1));
    for word in ["2", "GPU-00000002-fake", "GPU-00000002", "00000000:3D:00.0", "0000:3d:00.0", "3d:00"] {
        assert_eq!(found(&named(&[word])), one(2), "{word}");
    }
    for (word, reason) in
        [("GPU-0000", "names 3 GPUs"), ("GPU-9", "no GPU is called"), ("77:00.0", "no GPU is called")]
    {
        let found = discover(&named(&[word]), &roots);
        assert!(
            found.sources.is_empty() && found.unavailable[0].reason.contains(reason),
            "{:?}",
            found.unavailable
        );
        assert!(found.unavailable[0].remedy.contains("2 (GPU-00000002-fake)"), "{:?}", found.unavailable);
    }
    let found = discover(&indexed(&[0, 7]), &roots);
    assert!(found.sources.is_empty(), "GPU 0 alone is not what was asked for");
    assert!(found.unavailable[0].reason.contains("GPU 7 is not there; NVML sees 3"));
    assert!(found.unavailable[0].remedy.contains("metrics.gpu_ids"));
}

#[test]
fn what_cuda_sees_is_what_is_measured() {
    let (_fake, roots) = library(&gpus(3));
    let one = |index: u32| vec![format!("nvml:gpu{index}:energy"), format!("nvml:gpu{index}:power")];
    let seen = |value: &str| {
        names(&discover(&options(), &Roots { visible_gpus: Some(value.into()), ..roots.clone() }))
    };
    assert_eq!(seen("2"), one(2));
    assert_eq!(seen("GPU-00000001"), one(1));
    assert_eq!(seen("0,9,1"), one(0), "CUDA stops at the first that names no GPU");
    assert_eq!(seen("-1"), Vec::<String>::new());
    let hidden = discover(&options(), &Roots { visible_gpus: Some(String::new()), ..roots.clone() });
    assert!(hidden.unavailable[0].reason.contains("CUDA_VISIBLE_DEVICES"), "{:?}", hidden.unavailable);
}

#[test]
fn a_gpu_that_cannot_be_read_leaves_no_part_of_the_gpu_energy() {
    let shut = Fault {
        call: "nvmlDeviceGetHandleByIndex_v2".into(),
        device: Some(1),
        code: code::NO_PERMISSION,
        ..Fault::default()
    };
    let (_fake, roots) = library(&faulty(gpus(3), shut));
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let gpu = &summary.domain(Domain::Gpu).unwrap().energy;
    assert_eq!((gpu.value, gpu.reason.as_deref()), (None, Some("nvml: GPU 1: no permission to use NVML")));
    let remedy = &record.unavailable_sources[0].remedy;
    assert_eq!(remedy, "set metrics.gpu_ids to [0, 2] to measure without GPU 1");
    assert_eq!(names(&discover(&indexed(&[0, 2]), &roots)).len(), 4, "the remedy helps");
    let seen =
        |value: &str| discover(&options(), &Roots { visible_gpus: Some(value.into()), ..roots.clone() });
    let last = ["nvml:gpu2:energy", "nvml:gpu2:power"];
    assert_eq!(names(&seen("GPU-00000002")), last, "a shut GPU does not shift the others");
    let unknown = seen("GPU-00000002,GPU-00000001");
    assert!(unknown.sources.is_empty() && unknown.unavailable[0].reason.contains("GPU-00000001"));
}

#[test]
fn the_environment_names_the_gpus_and_the_driver() {
    let (_fake, roots) = library(&gpus(2));
    let found = environment(&roots);
    assert_eq!((&found["gpu_count"], &found["gpu_driver"]), (&2.into(), &"999.01".into()));
    assert_eq!(found["gpus"][1]["uuid"], "GPU-00000001-fake");
}

#[test]
fn a_driver_whose_initialisation_hangs_is_given_up_and_not_asked_again() {
    let hang = Fault { call: "nvmlInit_v2".into(), hang_s: 60.0, ..Fault::default() };
    let (_fake, roots) = with_roots(FakeNvml::new(&faulty(gpus(1), hang)).unwrap());
    let found = discover(&Options { discovery_seconds: 0.5, ..options() }, &roots);
    assert!(found.sources.is_empty());
    let missing = &found.unavailable[0];
    assert_eq!(missing.reason, "the look for it did not end within 0.5 s: its driver hangs");
    assert!(missing.remedy.contains("dmesg") && missing.remedy.contains("metrics.discovery_seconds"));
    // With the usual limit: only what is known to hang answers at once.
    let again = discover(&options(), &roots);
    assert_eq!(again.unavailable[0].reason, "its driver hangs since an earlier look");
    assert!(environment(&roots)["gpu_driver"].is_null());
}
