//! Folders of runs as they are found: of an earlier version, damaged, hostile.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use ai_energy_metrics::{SummaryOptions, summarize};
use ai_energy_reporters::journal;
use serde_json::Value;
use support::{Bench, endpoint, json, quick, serve};

/// A folder that version 1 wrote: an open loop with a warm-up, thinking, two tokens a chunk, and failed requests.
fn old_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/old_folder")
}

/// Every number below `old` is below `new` too, to all but the last digits: sums go in another order since.
fn same_figures(old: &Value, new: &Value, path: &str) {
    match (old, new) {
        (Value::Object(old), _) => {
            for (key, old) in old {
                same_figures(old, &new[key], &format!("{path}.{key}"));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{path}");
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                same_figures(old, new, &format!("{path}[{place}]"));
            }
        }
        (Value::Number(old), Value::Number(new)) => {
            let (old, new) = (old.as_f64().unwrap(), new.as_f64().unwrap());
            assert!((old - new).abs() <= 1e-11 * old.abs(), "{path}: {old} was {new}");
        }
        // Sources and reasons are words that may be put better.
        (Value::String(_), Value::String(_)) => {}
        _ => assert_eq!(old, new, "{path}"),
    }
}

#[test]
fn a_folder_of_an_earlier_version_gives_the_figures_it_gave() {
    let bench = Bench::new();
    let done = bench.run(&["summarize", old_folder().to_str().unwrap(), "--format", "json"]).expect(4);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let expected = json(&old_folder().join("expected_figures.json"));
    assert!(expected["latency"]["inter_token"]["p99"].as_f64().unwrap() > 0.0);
    same_figures(&expected, &report["figures"], "figures");
}

#[test]
fn an_old_folder_in_the_new_form_gives_the_same_bits() {
    let run = journal::read_run(&old_folder()).unwrap();
    let options = SummaryOptions::default();
    let folder = tempfile::tempdir().unwrap();
    for name in ["readings.jsonl", "record.json"] {
        std::fs::copy(old_folder().join(name), folder.path().join(name)).unwrap();
    }
    let requests = run.record.unmeasured.iter().chain(&run.record.requests);
    let written = journal::replace_requests(folder.path(), requests).unwrap().path;
    let (old, new) = (old_folder().join("requests.jsonl"), std::fs::read_to_string(&written).unwrap());
    assert!(new.contains("\"gaps_ns\":[") && new.len() < std::fs::read(old).unwrap().len());
    let again = journal::read_run(folder.path()).unwrap();
    assert_eq!(again.record.requests, run.record.requests);
    let (first, second) = (summarize(&run.record, &options), summarize(&again.record, &options));
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
}

/// Numbers that follow from a seed (Knuth's constants).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len());
        match self.below(6) {
            0 => bytes.truncate(place),
            1 => bytes[place] = self.below(256) as u8,
            2 => drop(bytes.drain(place..(place + self.below(300)).min(bytes.len()))),
            3 => drop(bytes.splice(place..place, [0xff, 0xfe, b'\n'])),
            4 => self.absurd(bytes, place),
            _ => {
                let lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let again = lines[self.below(lines.len())].clone();
                bytes.splice(0..0, again);
            }
        }
    }

    /// Another number in the place of the next one.
    fn absurd(&mut self, bytes: &mut Vec<u8>, place: usize) {
        const NUMBERS: [&str; 7] = [
            "0",
            "18446744073709551615",
            "9223372036854775807",
            "-1",
            "1e308",
            "4294967295",
            "18446744073709551616",
        ];
        let Some(from) = bytes[place..].iter().position(u8::is_ascii_digit).map(|from| from + place) else {
            return;
        };
        let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = NUMBERS[self.below(NUMBERS.len())];
        bytes.splice(from..from + digits, number.bytes());
    }
}

fn copy_with_gpu_states(to: &Path) {
    for name in ["requests.jsonl", "readings.jsonl", "record.json"] {
        std::fs::copy(old_folder().join(name), to.join(name)).unwrap();
    }
    let look = |number: u64| {
        format!(
            "{{\"t_ns\":{},\"index\":0,\"utilization_percent\":50.5,\"temperature_c\":40}}\n",
            number * 1_000_000_000
        )
    };
    std::fs::write(to.join("gpu_states.jsonl"), (1..4).map(look).collect::<String>()).unwrap();
}

#[test]
fn a_damaged_folder_gets_a_message_or_a_summary_and_never_a_panic() {
    let options = SummaryOptions::default();
    let (mut refused, mut summarised) = (0, 0);
    for name in ["requests.jsonl", "readings.jsonl", "record.json", "gpu_states.jsonl"] {
        let folder = tempfile::tempdir().unwrap();
        copy_with_gpu_states(folder.path());
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for seed in 0..120 {
            let mut draw = Draw(seed);
            let mut bytes = whole.clone();
            for _ in 0..=draw.below(2) {
                draw.damage(&mut bytes);
            }
            std::fs::write(&path, &bytes).unwrap();
            match journal::read_run(folder.path()) {
                Ok(run) => {
                    summarize(&run.record, &options);
                    summarised += 1;
                }
                Err(fault) => {
                    assert!(fault.object.ends_with(name), "seed {seed}: {fault}");
                    assert!(!fault.cause.is_empty() && !fault.remedy.is_empty(), "seed {seed}: {fault}");
                    let line = name.ends_with("l") && !fault.cause.starts_with("line ");
                    assert!(!line, "seed {seed}: {fault}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100 && summarised > 50, "{refused} refused, {summarised} summarised");
}

#[test]
fn a_hostile_line_is_named_with_its_file_and_what_to_do() {
    let bench = Bench::new();
    let folder = bench.path("run");
    std::fs::create_dir(&folder).unwrap();
    for (name, line, said) in [
        ("requests.jsonl", &b"{\"id\": 3}"[..], "line 3"),
        ("requests.jsonl", b"\xff\xfe", "not UTF-8"),
        ("readings.jsonl", b"{\"c\":77,\"t_ns\":1,\"v\":2}", "channel 77"),
        ("readings.jsonl", b"{\"c\":0,\"t_ns\":-1,\"v\":2}", "line 3"),
        ("gpu_states.jsonl", b"{\"t_ns\":5,", "no JSON"),
    ] {
        copy_with_gpu_states(&folder);
        let path = folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let wrong = [line, b"\n"].concat();
        lines.insert(2, &wrong);
        std::fs::write(&path, lines.concat()).unwrap();
        let done = bench.run(&["summarize", folder.to_str().unwrap()]).expect(2);
        done.says(&[name, "line 3", said, "remove that line"]);
    }
}

#[test]
fn a_run_in_the_new_form_reads_the_same_from_its_folder() {
    let server = serve(quick());
    let bench = Bench::new();
    let load = ["--dataset", "synthetic", "-n", "12", "-c", "4", "--max-tokens", "30"];
    let done =
        bench.run(&[&["run", "--endpoint", &endpoint(&server), "--format", "json"], &load[..]].concat());
    let ran: Value = serde_json::from_str(&done.expect(0).out).unwrap();
    let folder = bench.run_folder();
    assert_eq!(json(&folder.join("record.json"))["schema_version"], 2);
    let lines = support::lines(&folder.join("requests.jsonl"));
    assert!(lines.iter().all(|line| line["chunks"]["gaps_ns"].as_array().unwrap().len() == 29));
    let again = bench.run(&["summarize", folder.to_str().unwrap(), "--format", "json"]).expect(0);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["figures"], ran["figures"]);
    assert!(ran["figures"]["latency"]["inter_token"]["count"].as_u64().unwrap() >= 12 * 29);
}
