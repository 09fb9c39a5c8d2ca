//! The ROCm SMI source against a real shared library that stands in for AMD's, built with the system's C compiler.
//! Without a compiler these tests say so and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod common;
#[path = "common/run.rs"]
mod run;

use std::path::Path;
use std::process::Command;

use ai_energy_core::energy::{Domain, SourceDiscovery};
use ai_energy_metrics::{Options, Roots, SourceSelection, SummaryOptions, discover, summarize};
use tempfile::TempDir;

/// Builds the library with switches; `None` where there is no compiler.
fn library(switches: &[&str]) -> Option<(TempDir, Roots)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("librocm_smi64.so");
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_rocm/rocm.c");
    let flags = switches.iter().map(|switch| format!("-D{switch}"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).args(flags).arg(code).output();
    let Ok(built) = built else {
        println!("skipped: there is no C compiler to build the stand-in for ROCm SMI with");
        return None;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let roots = Roots {
        rocm_library: Some(path.into_os_string()),
        sys: dir.path().join("sys"),
        visible_gpus: None,
        visible_rocr: None,
        visible_hip: None,
        ..Roots::default()
    };
    Some((dir, roots))
}

fn options() -> Options {
    Options { sources: SourceSelection::Named(vec!["rocm".into()]), ..Options::default() }
}

fn names(found: &SourceDiscovery) -> Vec<(&str, &str, bool)> {
    let channels = found.sources.iter().flat_map(|source| source.channels());
    channels.map(|channel| (channel.name.as_str(), channel.device_id.as_str(), channel.counts)).collect()
}

#[test]
fn gpus_come_by_address_with_their_counter_and_the_powers_beside_it() {
    let Some((_dir, roots)) = library(&[]) else { return };
    let found = discover(&options(), &roots);
    let expected = [
        ("rocm:gpu0:energy", "0000:43:00.0", true),
        ("rocm:gpu0:power", "0000:43:00.0", false),
        ("rocm:gpu1:energy", "0000:83:00.0", true),
        ("rocm:gpu1:power", "0000:83:00.0", false),
    ];
    assert_eq!(names(&found), expected);
    assert_eq!(found.sources[0].channels()[0].device, "AMD Instinct MI300X");
    let record = run::run(found, 6);
    let summary = summarize(&record, &SummaryOptions::default());
    let watts = summary.domain(Domain::Gpu).unwrap().mean_power.value.unwrap();
    assert!((watts - 1001.0).abs() < 1.0, "500 and 501 W: {watts}");
    assert!(!summary.warnings.iter().any(|warning| warning.id == "cross_check"), "{:?}", summary.warnings);
    let one = discover(
        &Options { gpu_ids: Some(vec![ai_energy_metrics::GpuChoice::Index(1)]), ..options() },
        &roots,
    );
    assert_eq!(names(&one), expected[2..].to_vec());
}

#[test]
fn an_older_library_gives_powers_alone_and_they_count() {
    let Some((_dir, roots)) = library(&["OLD", "GPUS=1"]) else { return };
    assert_eq!(names(&discover(&options(), &roots)), [("rocm:gpu0:power", "0000:83:00.0", true)]);
}

#[test]
fn the_second_die_of_a_module_is_in_the_firsts_figure_and_any_other_zero_is_refused() {
    let Some((_dir, roots)) = library(&["SILENT=0", "NAME=\"AMD Instinct MI250X\""]) else { return };
    let found = discover(&options(), &roots);
    let ids: Vec<&str> = names(&found).iter().map(|name| name.1).collect();
    assert_eq!(ids, ["0000:43:00.0", "0000:43:00.0"]);
    assert!(found.warnings[0].contains("second die"), "{:?}", found.warnings);
    let Some((_dir, roots)) = library(&["SILENT=1"]) else { return };
    let found = discover(&options(), &roots);
    assert!(found.sources.is_empty(), "the other GPU alone would pass for both");
    let missing = found.unavailable.iter().find(|missing| missing.source == "rocm").unwrap();
    assert!(missing.reason.contains("tells 0"), "{missing:?}");
}

#[test]
fn a_library_that_refuses_is_said_and_a_missing_one_is_not() {
    let Some((dir, mut roots)) = library(&["INIT_STATUS=4"]) else { return };
    let found = discover(&options(), &roots);
    let missing = found.unavailable.iter().find(|missing| missing.source == "rocm").unwrap();
    assert!(missing.reason.contains("no permission") && missing.remedy.contains("render"), "{missing:?}");
    roots.rocm_library = Some(dir.path().join("absent.so").into_os_string());
    let found = discover(&options(), &roots);
    assert!(!found.unavailable.iter().any(|missing| missing.source == "rocm"));
}

#[test]
fn gpus_that_hip_does_not_see_or_that_sleep_are_not_asked() {
    let Some((dir, roots)) = library(&[]) else { return };
    let seen = Roots { visible_rocr: Some("1".into()), ..roots.clone() };
    let ids = |found: &SourceDiscovery| names(found).iter().map(|name| name.1.to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&discover(&options(), &seen)), ["0000:83:00.0"; 2]);
    let status = dir.path().join("sys/bus/pci/devices/0000:43:00.0/power/runtime_status");
    std::fs::create_dir_all(status.parent().unwrap()).unwrap();
    std::fs::write(&status, "suspended\n").unwrap();
    assert_eq!(ids(&discover(&options(), &seen)), ["0000:83:00.0"; 2], "the one that sleeps is not meant");
    let found = discover(&options(), &roots);
    let missing = found.unavailable.iter().find(|missing| missing.source == "rocm").unwrap();
    assert!(found.sources.is_empty() && missing.reason.starts_with("GPU 0: sleeps"), "{missing:?}");
    std::fs::write(&status, "active\n").unwrap();
    let mut awake = discover(&options(), &roots);
    std::fs::write(&status, "suspended\n").unwrap();
    let mut read = Vec::new();
    let fault = awake.sources[0].read(&mut |position, _| read.push(position)).unwrap_err();
    assert!(fault.to_string().contains("sleeps"), "{fault}");
    assert_eq!(read, [2, 3], "the other GPU is read on");
}
