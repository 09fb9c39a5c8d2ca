//! Energy of GPUs through the real program, from the driver's library to every report: the library is a scripted one,
//! loaded as NVIDIA's is. What goes wrong with it is in `gpu_trouble.rs`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/gpu.rs"]
mod gpu;
mod support;

use gpu::{Curve, FakeNvml, Script, State, arguments, check, command, gpus, of_gpu, row, steady};
use serde_json::Value;
use support::{Bench, done, json, lines};

/// What the GPU draws, by the library's time: idle, at work, idle.
fn power() -> Curve {
    Curve::steps(&[(0.0, 100.0), (3.0, 300.0), (4.5, 100.0)])
}

/// The energy that left through the scripted GPU in the load, and whether all work lay within it. The library's clock
/// is found from the counter's own values.
fn truth(record: &Value, readings: &[Value]) -> (f64, bool) {
    let curve = power();
    let since_start = |reading: &&Value| reading["c"] == 0;
    let ticks = readings.iter().filter(since_start).map(|reading| {
        let joules = reading["v"].as_f64().unwrap() * 1e-6 - 1000.0;
        let (mut low, mut high) = (0.0, 3600.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if curve.joules(middle) < joules { low = middle } else { high = middle }
        }
        reading["t_ns"].as_f64().unwrap() * 1e-9 - low
    });
    // A value is as old as its tick at most; the youngest tells the offset of the two clocks.
    let offset = ticks.fold(f64::INFINITY, f64::min);
    let phases = record["record"]["phases"].as_array().unwrap();
    let load = phases.iter().find(|phase| phase["kind"] == "load").unwrap();
    let at = |key: &str| load[key].as_f64().unwrap() * 1e-9 - offset;
    let (start, end) = (at("start_ns"), at("end_ns"));
    (curve.joules(end) - curve.joules(start), start < 3.0 && end > 4.5)
}

#[test]
fn every_report_carries_the_joules_that_left_the_gpu() {
    let mut script = gpus(1);
    script.devices[0].power = power();
    script.devices[0].states = vec![State { throttle: 4, ..State::default() }];
    let fake = FakeNvml::new(&script).unwrap();
    let (bench, (_server, address)) = (Bench::new(), steady());
    let run = [arguments(&address), vec!["metrics.idle_seconds=1", "metrics.pue=1"]].concat();
    let done = done(command(&bench, &fake, &run).output().unwrap()).expect(0);
    let (folder, report) = (bench.run_folder(), bench.report());
    let (joules, work_within) =
        truth(&json(&folder.join("record.json")), &lines(&folder.join("readings.jsonl"))[1..]);
    let gross = &of_gpu(&report["figures"]["energy"]["domains"])["energy"];
    let (value, ci95) = (gross["value"].as_f64().unwrap(), gross["ci95"].as_f64().unwrap());
    assert!((value - joules).abs() <= ci95, "{value} ± {ci95} J, and {joules} J left");
    assert_eq!(
        (&gross["provenance"], &gross["source"]),
        (&"measured".into(), &"NVML total-energy counter".into())
    );
    let phases = report["figures"]["energy"]["phases"].as_array().unwrap();
    let load = phases.iter().find(|phase| phase["phase"] == "load").unwrap();
    let parts = |part: &str| of_gpu(&load["domains"])[part]["value"].as_f64().unwrap();
    assert!((parts("idle") + parts("net") - value).abs() < 1e-6 * value, "idle and net make the whole");
    if work_within {
        // 200 W above idle for 1.5 s.
        let net = &of_gpu(&load["domains"])["net"];
        let ci95 = net["ci95"].as_f64().unwrap();
        assert!((parts("net") - 300.0).abs() <= ci95, "{net}");
    } else {
        println!("net energy was not compared: this machine is so slow that the work lay beside the load");
    }
    let wh = value / 3600.0;
    same(&report["energy"]["gpu_energy_wh"], wh);
    same(&report["energy"]["gpu_net_energy_wh"], parts("net") / 3600.0);
    let stats = &report["gpu_stats"]["gpu_0"];
    assert_eq!((&stats["utilization_percent"], &stats["temperature_c"]), (&87.0.into(), &61.0.into()));
    let throttling = check(&report, "throttling");
    assert!(throttling.0 == "warning" && throttling.1.contains("software_power_cap"), "{throttling:?}");
    assert_eq!(check(&report, "counter_against_power").0, "ok");
    assert!(
        done.out.contains("NVML total-energy counter") && done.out.contains("above idle"),
        "{}",
        done.out
    );
    in_the_other_files(&bench, &report, wh);
    let again = bench.run(&["summarize", folder.to_str().unwrap(), "--format", "json"]).expect(0);
    let first = std::fs::read(folder.join("benchmark_report.json")).unwrap();
    assert_eq!(again.out.as_bytes(), first, "the folder alone gives the same bytes");
    assert!(lines(&folder.join("gpu_states.jsonl")).len() >= 3, "the GPU was looked at once a second");
}

/// The same figure in CSV, CodeCarbon's and AI Energy Score's files.
fn in_the_other_files(bench: &Bench, report: &Value, wh: f64) {
    let number = |text: &str| Value::from(text.parse::<f64>().unwrap_or_else(|_| panic!("`{text}`")));
    let results = row(bench, "benchmark_results.csv");
    same(&number(&results["energy_gpu_energy_wh"]), wh);
    same(
        &number(&results["energy_gpu_net_energy_wh"]),
        report["energy"]["gpu_net_energy_wh"].as_f64().unwrap(),
    );
    same(
        &number(&results["gpu_stats_gpu_0_power_draw_w"]),
        report["gpu_stats"]["gpu_0"]["power_draw_w"].as_f64().unwrap(),
    );
    let emissions = row(bench, "emissions.csv");
    same(&number(&emissions["gpu_energy"]), wh / 1000.0);
    assert_eq!((emissions["gpu_count"].as_str(), emissions["gpu_model"].as_str()), ("1", "1 x Fake GPU 0"));
    let score = json(&bench.run_folder().join("GPU_ENERGY_SUMMARY.json"));
    same(&score["total"], wh);
    let text = std::fs::read_to_string(bench.run_folder().join("GPU_ENERGY_WH.txt")).unwrap();
    assert_eq!(text.trim(), format!("{wh:.2}"));
}

#[track_caller]
fn same(found: &Value, expected: f64) {
    let number = found.as_f64().unwrap_or_else(|| panic!("{found}"));
    assert!((number - expected).abs() <= 1e-9 * expected.abs(), "{number} and {expected}");
}

/// What `doctor` finds with these GPUs, this environment and these settings: the GPUs' indices, and everything.
fn found(fake: &FakeNvml, visible: Option<&str>, settings: &[&str]) -> (Vec<String>, Value) {
    let bench = Bench::new();
    let look = ["doctor", "--seconds", "0.2", "--format", "json", "metrics.sources=[nvml]"];
    let mut command = command(&bench, fake, &[&look[..], settings].concat());
    command.envs(visible.map(|value| ("CUDA_VISIBLE_DEVICES", value)));
    let found: Value = serde_json::from_str(&done(command.output().unwrap()).expect(0).out).unwrap();
    let names =
        found["channels"].as_array().unwrap().iter().map(|entry| entry["channel"]["name"].as_str().unwrap());
    let counters = names.filter_map(|name| name.strip_prefix("nvml:gpu")?.strip_suffix(":energy"));
    (counters.map(str::to_owned).collect(), found)
}

/// Three GPUs, the last one split by MIG.
fn split() -> Script {
    let mut script = gpus(3);
    script.devices[2].mig = Some(vec!["MIG-aaaa".to_owned(), "MIG-bbbb".to_owned()]);
    script
}

#[test]
fn gpus_are_those_that_cuda_shows_by_index_uuid_and_mig_instance() {
    let fake = FakeNvml::new(&split()).unwrap();
    for (visible, expected) in [
        (None, vec!["0", "1", "2"]),
        (Some("1"), vec!["1"]),
        (Some("GPU-00000001-fake,0"), vec!["0", "1"]),
        (Some("MIG-bbbb,MIG-aaaa"), vec!["2"]),
    ] {
        assert_eq!(found(&fake, visible, &[]).0, expected, "{visible:?}");
    }
    let (none, said) = found(&fake, Some("-1"), &[]);
    assert!(
        none.is_empty()
            && said["unavailable"][0]["reason"].as_str().unwrap().contains("CUDA_VISIBLE_DEVICES")
    );
}

#[test]
fn gpus_are_those_that_the_settings_name_by_pci_address_and_a_split_one_counts_once() {
    let fake = FakeNvml::new(&split()).unwrap();
    assert_eq!(found(&fake, Some("0"), &["metrics.gpu_ids=[\"00000000:3C:00.0\"]"]).0, ["1"]);
    assert_eq!(found(&fake, None, &["metrics.gpu_ids=[\"3d:00.0\", 0]"]).0, ["0", "2"]);
    let (parent, said) = found(&fake, None, &["metrics.gpu_ids=[MIG-aaaa, MIG-bbbb]"]);
    assert_eq!(parent, ["2"]);
    let watts = said["channels"][0]["power"]["value"].as_f64().unwrap();
    assert!((watts - 300.0).abs() < 30.0, "the whole GPU's power once: {watts}");
    assert!(
        said["warnings"][0].as_str().unwrap().contains("GPU 2 is split by MIG (MIG-aaaa, MIG-bbbb)"),
        "{said}"
    );
    let (none, said) = found(&fake, None, &["metrics.gpu_ids=[\"77:00.0\"]"]);
    assert!(none.is_empty());
    assert!(said["unavailable"][0]["remedy"].as_str().unwrap().contains("2 (GPU-00000002-fake)"), "{said}");
}
