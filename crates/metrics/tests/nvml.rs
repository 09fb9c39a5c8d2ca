//! The NVML source against a real shared library that stands in for NVIDIA's, built with the system's C compiler.
//! Without a compiler these tests say so and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ai_energy_core::backend::Tally;
use ai_energy_core::energy::{ChannelKind, Domain, SourceDiscovery};
use ai_energy_core::fakes::FakeBackend;
use ai_energy_core::prompt::{FormattedPrompt, PromptContent};
use ai_energy_core::{Clock, Parts, ReadFault, RunRecord, Stop, runner};
use ai_energy_metrics::{Options, Roots, SourceSelection, SummaryOptions, discover, environment, summarize};
use serde_json::Map;
use std::time::Duration;
use tempfile::TempDir;

/// Builds the library with switches; `None` where there is no compiler.
fn library(switches: &[&str]) -> Option<(TempDir, Roots)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("libnvidia-ml.so.1");
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_nvml/nvml.c");
    let flags = switches.iter().map(|switch| format!("-D{switch}"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).args(flags).arg(code).output();
    let Ok(built) = built else {
        println!("skipped: there is no C compiler to build the stand-in for NVML with");
        return None;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let roots = Roots { nvml_library: Some(path.into_os_string()), visible_gpus: None, ..Roots::default() };
    Some((dir, roots))
}

fn options() -> Options {
    Options { sources: SourceSelection::Named(vec!["nvml".into()]), ..Options::default() }
}

fn names(found: &SourceDiscovery) -> Vec<String> {
    found.sources.iter().flat_map(|source| source.channels().to_vec()).map(|channel| channel.name).collect()
}

/// A whole run through core's runner and sampler, with a backend that sleeps.
fn run(found: SourceDiscovery) -> RunRecord {
    let prompts = (0..6)
        .map(|index| {
            Arc::new(FormattedPrompt {
                index,
                content: PromptContent::Text("x".to_owned()),
                params: Map::new(),
                chat_template_kwargs: Map::new(),
                target_output_tokens: Some(20),
            })
        })
        .collect();
    let parts = Parts {
        backend: Arc::new(FakeBackend {
            first_token: Duration::from_millis(20),
            inter_token: Duration::from_millis(5),
        }),
        prompts,
        dataset: common::dataset(),
        checks: Vec::new(),
        sources: found,
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::new(Tally::default()),
        started_at: String::new(),
        grid: None,
        environment: Map::new(),
        warnings: Vec::new(),
    };
    let plan = ai_energy_core::Plan { sampling_interval_ms: 20, ..common::plan() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runner::run(plan, parts))
}

#[test]
fn a_run_measures_the_power_of_both_gpus_within_its_interval() {
    let Some((_dir, roots)) = library(&["GPUS=2", "WATTS=250", "TICK_MS=20"]) else {
        return;
    };
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let seconds = summary.duration.value.unwrap();
    let gpu = summary.domain(Domain::Gpu).unwrap();
    let (joules, ci95) = (gpu.energy.value.unwrap(), gpu.energy.ci95.unwrap());
    assert!(
        (joules - 750.0 * seconds).abs() <= ci95,
        "{joules} ± {ci95} J in {seconds} s of 250 W and 500 W"
    );
    let energy_readings = record.readings.iter().filter(|reading| reading.channel == 0).count() as u64;
    assert!(energy_readings > record.sampler.rounds + 3, "the burst before the load is in the record");
    assert_eq!(gpu.energy.source, "NVML total-energy counter of 2 devices");
    let power = summary.energy.channels.iter().find(|channel| channel.channel == "nvml:gpu1:power").unwrap();
    assert!(!power.counts);
    assert!((power.energy.value.unwrap() - 500.0 * seconds).abs() < 1e-3 * seconds, "{power:?}");
    let state = &record.gpu_states[1];
    assert_eq!((state.index, state.utilization_percent, state.temperature_c), (1, Some(87.0), Some(61.0)));
    assert_eq!((state.memory_used_mib, state.memory_total_mib), (Some(6144.0), Some(24576.0)));
    assert_eq!(state.power_draw_w, Some(500.0));
}

#[test]
fn the_channel_states_what_the_power_averages_over() {
    let cases = [
        ("9", "0", Some(1000)),
        ("8", "6", Some(1000)),
        ("8", "0", Some(25)),
        ("7", "5", Some(100)),
        ("7", "0", Some(10)),
    ];
    for (major, minor, expected) in cases {
        let switches = [format!("MAJOR={major}"), format!("MINOR={minor}")];
        let Some((_dir, roots)) = library(&switches.each_ref().map(String::as_str)) else {
            return;
        };
        let found = discover(&options(), &roots);
        let channels = found.sources[0].channels();
        assert_eq!(channels[0].kind, ChannelKind::Counter { wrap_microjoules: None });
        assert_eq!(channels[1].kind, ChannelKind::Power { averaging_ms: expected }, "{major}.{minor}");
        assert_eq!(
            (channels[0].device_id.as_str(), channels[0].counts, channels[1].counts),
            ("GPU-00000000-fake", true, false)
        );
    }
}

#[test]
fn power_counts_where_there_is_no_counter_and_neither_is_a_reason() {
    let Some((_dir, roots)) = library(&["NO_COUNTER"]) else {
        return;
    };
    let found = discover(&options(), &roots);
    let channels = found.sources[0].channels();
    assert_eq!((channels.len(), channels[0].name.as_str(), channels[0].counts), (1, "nvml:gpu0:power", true));
    let Some((_dir, roots)) = library(&["NO_COUNTER", "NO_POWER"]) else {
        return;
    };
    let found = discover(&options(), &roots);
    assert!(found.sources.is_empty());
    assert!(found.unavailable[0].reason.contains("neither energy"), "{:?}", found.unavailable);
}

#[test]
fn a_gpu_that_falls_off_the_bus_leaves_the_other_and_no_domain_energy() {
    let Some((_dir, roots)) = library(&["GPUS=2", "TICK_MS=1", "LOST_AFTER=8"]) else {
        return;
    };
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let gpu = summary.domain(Domain::Gpu).unwrap();
    assert_eq!(gpu.energy.value, None);
    let reason = gpu.energy.reason.clone().unwrap();
    assert!(
        reason.contains("nvml:gpu0:energy was lost at") && reason.contains("GPU 0: device fell off"),
        "{reason}"
    );
    let other = summary.energy.channels.iter().find(|channel| channel.channel == "nvml:gpu1:energy").unwrap();
    assert!(other.energy.value.is_some(), "{other:?}");
    assert!(summary.warnings.iter().any(|warning| warning.id == "source_lost"));
    let Some((_dir, roots)) = library(&["TICK_MS=1", "LOST_AFTER=3"]) else {
        return;
    };
    let mut only = discover(&options(), &roots).sources.remove(0);
    assert!(matches!(only.read(&mut |_, _| {}), Err(ReadFault::Gone(_))), "the only GPU is gone for good");
}

#[test]
fn drivers_permissions_and_mig_are_said() {
    let Some((_dir, roots)) = library(&["NO_DRIVER"]) else {
        return;
    };
    let found = discover(&options(), &roots);
    assert_eq!(found.unavailable[0].reason, "the NVIDIA driver is not loaded");
    let Some((_dir, roots)) = library(&["NO_PERMISSION"]) else {
        return;
    };
    let found = discover(&options(), &roots);
    assert!(found.sources.is_empty() && found.unavailable[0].reason.contains("no permission"));
    let Some((_dir, roots)) = library(&["MIG"]) else {
        return;
    };
    let found = discover(&options(), &roots);
    assert!(found.warnings[0].contains("MIG"), "{:?}", found.warnings);
    assert_eq!(names(&found).len(), 2, "the parent once, no instances");
}

#[test]
fn gpus_are_selected_by_option_and_by_what_cuda_sees() {
    let Some((_dir, roots)) = library(&["GPUS=3"]) else {
        return;
    };
    let one = |index: u32| vec![format!("nvml:gpu{index}:energy"), format!("nvml:gpu{index}:power")];
    let by_option = Options { gpu_ids: Some(vec![1]), ..options() };
    assert_eq!(names(&discover(&by_option, &roots)), one(1));
    let seen = |value: &str| {
        names(&discover(&options(), &Roots { visible_gpus: Some(value.into()), ..roots.clone() }))
    };
    assert_eq!(seen("2"), one(2));
    assert_eq!(seen("GPU-00000001"), one(1));
    assert_eq!(seen("0,9,1"), one(0), "CUDA stops at the first that names no GPU");
    assert_eq!(seen("-1"), Vec::<String>::new());
    let hidden = discover(&options(), &Roots { visible_gpus: Some(String::new()), ..roots.clone() });
    assert!(hidden.unavailable[0].reason.contains("CUDA_VISIBLE_DEVICES"), "{:?}", hidden.unavailable);
    let both = Options { gpu_ids: Some(vec![0, 7]), ..options() };
    let found = discover(&both, &roots);
    assert!(found.sources.is_empty(), "GPU 0 alone is not what was asked for");
    assert!(found.unavailable[0].reason.contains("GPU 7 is not there; NVML sees 3"));
    assert!(found.unavailable[0].remedy.contains("metrics.gpu_ids"));
}

#[test]
fn a_gpu_that_cannot_be_read_leaves_no_part_of_the_gpu_energy() {
    let Some((_dir, roots)) = library(&["GPUS=3", "SHUT=1"]) else {
        return;
    };
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let gpu = &summary.domain(Domain::Gpu).unwrap().energy;
    assert_eq!((gpu.value, gpu.reason.as_deref()), (None, Some("nvml: GPU 1: no permission to use NVML")));
    let remedy = &record.unavailable_sources[0].remedy;
    assert_eq!(remedy, "set metrics.gpu_ids to [0, 2] to measure without GPU 1");
    let others = Options { gpu_ids: Some(vec![0, 2]), ..options() };
    assert_eq!(names(&discover(&others, &roots)).len(), 4, "the remedy helps");
    let seen =
        |value: &str| discover(&options(), &Roots { visible_gpus: Some(value.into()), ..roots.clone() });
    let last = ["nvml:gpu2:energy", "nvml:gpu2:power"];
    assert_eq!(names(&seen("GPU-00000002")), last, "a shut GPU does not shift the others");
    let unknown = seen("GPU-00000002,GPU-00000001");
    assert!(unknown.sources.is_empty() && unknown.unavailable[0].reason.contains("GPU-00000001"));
}

#[test]
fn the_environment_names_the_gpus_and_the_driver() {
    let Some((_dir, roots)) = library(&["GPUS=2"]) else {
        return;
    };
    let found = environment(&roots);
    assert_eq!((&found["gpu_count"], &found["gpu_driver"]), (&2.into(), &"999.01".into()));
    assert_eq!(found["gpus"][1]["uuid"], "GPU-00000001-fake");
}
