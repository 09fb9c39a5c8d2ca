//! `doctor`: what it says of a machine is what a run gets there.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{Bench, endpoint, quick, serve};

#[test]
fn the_channels_it_lists_are_those_of_a_run() {
    let bench = Bench::new();
    let found = bench.run(&["doctor", "--seconds", "0.3", "--format", "json"]).expect(0);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    let listed: Vec<&str> = found["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["channel"]["name"].as_str().unwrap())
        .collect();
    for entry in found["channels"].as_array().unwrap() {
        let power = &entry["power"];
        assert_eq!(power["unit"], "W");
        assert!(power["value"].is_f64() || power["reason"].is_string(), "a value or a reason: {power}");
        assert!(entry["readings"].as_u64().unwrap() >= 2);
    }
    let server = serve(quick());
    bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "2", "--max-tokens", "4"]).expect(0);
    let first = std::fs::read_to_string(bench.run_folder().join("readings.jsonl")).unwrap();
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let ran: Vec<&str> = first["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| channel["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ran);
}

#[test]
fn the_page_names_what_is_missing_with_its_remedy() {
    let bench = Bench::new();
    let done = bench.run(&["doctor", "--seconds", "0.2"]).expect(0);
    for section in ["machine", "measured here", "reading cost", "PyTorch engine"] {
        assert!(done.out.contains(section), "{section}:\n{}", done.out);
    }
    let off = bench.run(&["doctor", "--seconds", "0.2", "metrics.enabled=false"]).expect(0);
    assert!(off.out.contains("nothing: a run would report times and tokens, and no energy"), "{}", off.out);
    assert!(off.out.contains("hint: set metrics.enabled: true"), "{}", off.out);
    bench.run(&["doctor", "--seconds", "0"]).expect(2).says(&["0.1 to 3600"]);
    bench.run(&["doctor", "metrics.intervall_ms=5"]).expect(2).says(&["metrics.intervall_ms"]);
}

#[test]
fn watching_prints_powers_until_it_is_stopped() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["doctor", "--watch", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert!(first["power"].is_object(), "{first}");
    line.clear();
    output.read_line(&mut line).unwrap();
    let second: Value = serde_json::from_str(&line).unwrap();
    assert!(second["seconds"].as_f64() > first["seconds"].as_f64());
    let stopped =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "stopping is how watching ends");
}

#[test]
fn watching_ends_when_nobody_reads_any_more() {
    let bench = Bench::new();
    let mut child =
        bench.command(&["doctor", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if std::time::Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("it goes on for ever");
            }
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    assert_eq!(ended.code(), Some(0));
}
