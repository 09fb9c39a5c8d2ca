//! A driver that fails the real program: a GPU is lost, a reading hangs, the initialisation hangs. The run goes on,
//! and no report has 0 J for what was not measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/gpu.rs"]
mod gpu;
mod support;

use gpu::{
    FakeNvml, Fault, Script, State, arguments, check, code, command, faulty, gpus, of_gpu, row, steady,
};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Bench, done, json};

/// Longer than a run here takes, and than the fake library may: what hangs never answers.
const FOR_EVER: f64 = 60.0;

/// A run on these GPUs that ends well without their energy; the report and what was printed.
fn without_gpu_energy(script: &Script, settings: &[&str]) -> (Bench, Value, String) {
    let fake = FakeNvml::new(script).unwrap();
    let (bench, (_server, address)) = (Bench::new(), steady());
    let run = [&arguments(&address)[..], &["metrics.idle_seconds=0"], settings].concat();
    let printed = done(command(&bench, &fake, &run).output().unwrap()).expect(0).out;
    let report = bench.report();
    assert_eq!(report["summary"]["successful_prompts"], 10, "the load is none the worse for it");
    assert!(
        report["energy"]["gpu_energy_wh"].is_null() && report["energy"]["total_energy_wh"].is_null(),
        "not 0"
    );
    assert_eq!(row(&bench, "benchmark_results.csv")["energy_gpu_energy_wh"], "");
    let emissions = row(&bench, "emissions.csv");
    assert_eq!((emissions["gpu_energy"].as_str(), emissions["emissions"].as_str()), ("", ""));
    let text = std::fs::read_to_string(bench.run_folder().join("GPU_ENERGY_WH.txt")).unwrap();
    assert_eq!(text.trim(), "nan");
    assert!(json(&bench.run_folder().join("GPU_ENERGY_SUMMARY.json"))["total"].is_null());
    (bench, report, printed)
}

fn reason(report: &Value) -> String {
    of_gpu(&report["figures"]["energy"]["domains"])["energy"]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_gpu_that_is_lost_under_load() {
    let lost = Fault { device: Some(0), from_s: 2.0, code: code::GPU_IS_LOST, ..Fault::default() };
    let (_bench, report, printed) = without_gpu_energy(&faulty(gpus(2), lost), &[]);
    let said = reason(&report);
    assert!(said.contains("nvml:gpu0:energy was lost") && said.contains("fell off"), "{said}");
    assert!(printed.contains("fell off"), "{printed}");
    let warnings = report["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning.to_string().contains("nvml:gpu0")), "{warnings:?}");
}

#[test]
fn a_reading_that_hangs_under_load() {
    let call = "nvmlDeviceGetTotalEnergyConsumption".to_owned();
    let hang = Fault { call, from_s: 2.0, hang_s: FOR_EVER, ..Fault::default() };
    let (_bench, report, printed) = without_gpu_energy(&faulty(gpus(1), hang), &[]);
    assert!(reason(&report).contains("hangs"), "{}", reason(&report));
    assert!(printed.contains("hangs"), "{printed}");
}

#[test]
fn a_killed_run_keeps_what_its_gpus_told() {
    let mut script = gpus(1);
    script.devices[0].states = vec![State { throttle: 4, ..State::default() }];
    let (bench, fake, (_server, address)) = (Bench::new(), FakeNvml::new(&script).unwrap(), steady());
    let load = ["--dataset", "synthetic", "-n", "600", "--max-tokens", "40", "metrics.sources=[nvml]"];
    let run = [&["run", "--endpoint", &address, "metrics.idle_seconds=0"][..], &load].concat();
    let mut child = command(&bench, &fake, &run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let written = |name: &str| {
        let folder = std::fs::read_dir(bench.path("benchmark_output")).ok()?.next()?.ok()?.path();
        Some(std::fs::read_to_string(folder.join(name)).ok()?.lines().count())
    };
    // Looks come once a second, so the third lies within the load's first requests or after them.
    while written("requests.jsonl").unwrap_or(0) < 3 || written("gpu_states.jsonl").unwrap_or(0) < 3 {
        assert!(
            Instant::now() < deadline && child.try_wait().unwrap().is_none(),
            "the run does not come to its load"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let folder = bench.run_folder();
    let again = || bench.run(&["summarize", folder.to_str().unwrap(), "--format", "json"]).expect(4).out;
    let first = again();
    assert_eq!(first, again(), "the same bytes");
    let report: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(report["gpu_stats"]["gpu_0"]["temperature_c"], 61.0);
    assert_eq!(check(&report, "temperature").0, "ok");
    let throttling = check(&report, "throttling");
    assert!(throttling.0 == "warning" && throttling.1.contains("software_power_cap"), "{throttling:?}");
    assert!(of_gpu(&report["figures"]["energy"]["domains"])["energy"]["value"].is_f64());
}

#[test]
fn an_initialisation_that_hangs_costs_the_gpus_alone_and_only_once() {
    let script = faulty(gpus(1), Fault { call: "nvmlInit_v2".into(), hang_s: FOR_EVER, ..Fault::default() });
    let (_bench, report, printed) = without_gpu_energy(&script, &["metrics.discovery_seconds=1"]);
    assert_eq!(reason(&report), "nvml: the look for it did not end within 1 s: its driver hangs");
    assert!(printed.contains("metrics.discovery_seconds"), "the remedy is on the page: {printed}");
    assert!(report["environment"]["gpu_driver"].is_null(), "and nobody waits for the driver again");
    let (bench, fake) = (Bench::new(), FakeNvml::new(&script).unwrap());
    let look = ["doctor", "--seconds", "0.2", "metrics.discovery_seconds=0.5"];
    let page = done(command(&bench, &fake, &look).output().unwrap()).expect(0).out;
    assert!(page.contains("did not end within 0.5 s") && page.contains("dmesg"), "{page}");
}
