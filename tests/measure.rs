//! `measure`: the energy of other programs, and `prompts`: what would be sent. Both through the real program.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/gpu.rs"]
mod gpu;
mod support;

use std::io::Write;
use std::process::Stdio;

use gpu::{FakeNvml, command, gpus, of_gpu};
use serde_json::Value;
use support::{Bench, done};

/// A hundred watts for as long as the figure says that it took.
fn holds(report: &Value) {
    let seconds = report["figures"]["duration"]["value"].as_f64().unwrap();
    let gpu = &of_gpu(&report["figures"]["energy"]["domains"])["energy"];
    let (joules, ci95) = (gpu["value"].as_f64().unwrap(), gpu["ci95"].as_f64().unwrap());
    assert!((joules - 100.0 * seconds).abs() <= ci95.max(1e-6), "{joules} ± {ci95} J in {seconds} s");
    assert_eq!(gpu["provenance"], "measured");
    assert_eq!(report["summary"]["total_prompts"], 0);
}

#[test]
fn a_programs_energy_is_that_of_its_time_and_its_output_stays_apart() {
    let (bench, fake) = (Bench::new(), FakeNvml::new(&gpus(1)).unwrap());
    let arguments =
        ["measure", "--format", "json", "metrics.sources=[nvml]", "--", "sh", "-c", "sleep 0.5; echo said"];
    let done = done(command(&bench, &fake, &arguments).output().unwrap()).expect(0);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    holds(&report);
    assert!(report["summary"]["total_duration_seconds"].as_f64().unwrap() >= 0.5);
    assert!(done.err.contains("said"), "{}", done.err);
    assert!(bench.folder.path().read_dir().unwrap().next().is_none(), "nothing is written");
}

#[test]
fn a_program_that_fails_is_measured_and_said() {
    let bench = Bench::new();
    let done = bench.run(&["measure", "--", "sh", "-c", "exit 7"]).expect(5);
    assert!(done.err.contains("exit status: 7") && done.out.contains("total"), "{}{}", done.out, done.err);
    bench.run(&["measure", "--", "/nowhere/program"]).expect(2);
}

#[test]
fn measuring_ends_with_standard_input() {
    let (bench, fake) = (Bench::new(), FakeNvml::new(&gpus(1)).unwrap());
    let arguments = ["measure", "--format", "json", "--until-stdin-ends", "metrics.sources=[nvml]"];
    let mut child = command(&bench, &fake, &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    child.stdin.take().unwrap().write_all(b"whatever comes\n").unwrap();
    let done = done(child.wait_with_output().unwrap()).expect(0);
    holds(&serde_json::from_str(&done.out).unwrap());
}

#[test]
fn prompts_are_printed_as_they_would_be_sent() {
    let bench = Bench::new();
    bench.file("p.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    let asked = ["--model", "HuggingFaceTB/SmolLM3-3B", "--dataset", "p.jsonl", "scenario.reasoning=true"];
    let text = bench.run(&[&["prompts"], &asked[..]].concat()).expect(0).out;
    assert!(text.contains("\n#1\nsystem: /think\nuser: two\n"), "{text}");
    let answer = bench.run(&[&["prompts", "--format", "json", "-n", "1"], &asked[..]].concat()).expect(0).out;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["prompts"].as_array().unwrap().len(), 1);
    assert_eq!(answer["dataset"]["name"], "p.jsonl");
    bench.run(&["prompts", "--dataset", "nowhere.csv"]).expect(2);
}
