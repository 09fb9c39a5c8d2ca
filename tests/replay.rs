//! A run's folder alone gives the run's figures again, also where the run was killed.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Bench, endpoint, json, lines, quick, serve, signalled};

fn summarize(bench: &Bench, folder: &Path, more: &[&str]) -> support::Done {
    bench.run(&[&["summarize", folder.to_str().unwrap()], more].concat())
}

#[test]
fn a_finished_runs_figures_come_back_bit_for_bit() {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    bench
        .run(&[
            "run",
            "--endpoint",
            &address,
            "-n",
            "7",
            "-c",
            "2",
            "--max-tokens",
            "9",
            "metrics.country_iso_code=SWE",
        ])
        .expect(0);
    let folder = bench.run_folder();
    let first = std::fs::read(folder.join("benchmark_report.json")).unwrap();
    let again = summarize(&bench, &folder, &["--format", "json"]).expect(0);
    assert_eq!(again.out.as_bytes(), first, "the same bytes, and the folder was not touched");
    std::fs::remove_file(folder.join("benchmark_report.json")).unwrap();
    summarize(&bench, &folder, &["--write"]).expect(0);
    assert_eq!(std::fs::read(folder.join("benchmark_report.json")).unwrap(), first);
    // What a figure rests on is what a figure follows.
    let path = folder.join("requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let fewer: Value =
        serde_json::from_str(&summarize(&bench, &folder, &["--format", "json"]).expect(0).out).unwrap();
    assert_eq!(fewer["summary"]["successful_prompts"], 6);
}

#[test]
fn a_killed_run_is_summarised_from_what_it_had_written() {
    let (bench, _) = signalled("-KILL", 40);
    let folder = bench.run_folder();
    assert!(!folder.join("benchmark_report.json").exists());
    assert_eq!(json(&folder.join("record.json"))["record"]["ending"]["kind"], "unfinished");
    let done = summarize(&bench, &folder, &[]).expect(4).says(&["did not come to its end"]);
    assert!(done.out.contains("CUT"), "{}", done.out);
    let report = json(&folder.join("benchmark_report.json"));
    let ended = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    let ended = ended.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(ended >= 20, "{ended}");
    assert_eq!(report["summary"]["successful_prompts"].as_u64(), Some(ended as u64));
    assert_eq!(report["summary"]["total_completion_tokens"].as_u64(), Some(ended as u64 * 20));
    let warnings = report["figures"]["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["id"] == "ended_early"), "{warnings:?}");
}

#[test]
fn a_folder_that_is_no_run_or_is_damaged_is_named() {
    let bench = Bench::new();
    summarize(&bench, &bench.path("nowhere"), &[])
        .expect(2)
        .says(&["record.json", "name the folder of a run"]);
    let server = serve(quick());
    bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "3", "--max-tokens", "4"]).expect(0);
    let folder = bench.run_folder();
    let whole = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    std::fs::write(folder.join("requests.jsonl"), whole.replacen("\"id\"", "\"ix\"", 1)).unwrap();
    summarize(&bench, &folder, &[]).expect(2).says(&["requests.jsonl", "line 1"]);
    std::fs::write(folder.join("requests.jsonl"), &whole).unwrap();
    let record = std::fs::read_to_string(folder.join("record.json")).unwrap();
    let newer = record.replacen("\"schema_version\": 2", "\"schema_version\": 99", 1);
    assert_ne!(newer, record);
    std::fs::write(folder.join("record.json"), newer).unwrap();
    summarize(&bench, &folder, &[]).expect(2).says(&["version 99", "newer"]);
    std::fs::write(folder.join("record.json"), &record[..record.len() / 2]).unwrap();
    summarize(&bench, &folder, &[]).expect(2).says(&["record.json", "no JSON"]);
}

#[test]
fn generated_texts_and_secrets_are_in_no_file_of_the_folder() {
    let server = serve(quick());
    let bench = Bench::new();
    let mut command =
        bench.command(&["run", "--endpoint", &endpoint(&server), "-n", "3", "--max-tokens", "4"]);
    command.env("OPENAI_API_KEY", "sk-secret-of-this-test");
    support::done(command.output().unwrap()).expect(0);
    for request in lines(&bench.run_folder().join("requests.jsonl")) {
        assert!(request["text"].is_null());
    }
    for entry in std::fs::read_dir(bench.run_folder()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("sk-secret-of-this-test"));
    }
}
