//! Real reports against the schema that is checked in, and a report that an earlier build wrote.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use ai_energy_reporters::json::{read_report, schema};
use serde_json::{Value, json};
use support::{Bench, endpoint, json as read_json, quick, serve};

/// A file of this repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// What a report breaks of the schema that is checked in.
fn breaches(report: &Value) -> Vec<String> {
    let schema = read_json(&file("docs/schema/benchmark_report.schema.json"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path)).collect()
}

/// A run against a server that answers every fourth request with an error where the exit code says so.
fn run(arguments: &[&str], code: i32) -> Bench {
    let mut options = quick();
    if code == 4 {
        options.faults = vec!["500@4".parse().unwrap()];
    }
    let server = serve(options);
    let bench = Bench::new();
    let address = endpoint(&server);
    bench.run(&[&["run", "--endpoint", &address, "--max-tokens", "5"], arguments].concat()).expect(code);
    bench
}

#[test]
fn reports_of_every_kind_of_run_hold_to_the_schema() {
    for (arguments, code) in [
        (&["-n", "4", "-c", "2", "metrics.idle_seconds=0.2"][..], 0),
        (&["-n", "2", "metrics.enabled=false"], 0),
        (&["-n", "6", "--rate", "200", "--slo", "ttft=500", "metrics.type=native", "metrics.wue=1.8"], 0),
        (&["-n", "8"], 4),
    ] {
        let bench = run(arguments, code);
        let report = bench.report();
        assert_eq!(breaches(&report), Vec::<String>::new(), "{arguments:?}");
        let read = read_report(&bench.run_folder().join("benchmark_report.json")).unwrap();
        assert_eq!(read.run_id, report["run_id"].as_str().unwrap());
        assert_eq!(read.figures.energy.total.value, report["figures"]["energy"]["total"]["value"].as_f64());
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let report = run(&["-n", "2"], 0).report();
    let changed = |pointer: &str, value: Value| {
        let mut report = report.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        breaches(&report)
    };
    for (pointer, value) in [
        ("/energy/total_energy_wh", json!("12")),
        ("/figures/energy/total/provenance", json!("guessed")),
        ("/summary/total_prompts", Value::Null),
        ("/phases/0/kind", json!("lunch")),
    ] {
        assert!(!changed(pointer, value).is_empty(), "{pointer}");
    }
    let mut more = report.clone();
    more["energy"]["misspelt_wh"] = json!(1.0);
    assert!(!breaches(&more).is_empty(), "a key that is not described is refused");
}

/// Every property in a schema, by its place.
fn properties<'a>(schema: &'a Value, place: &str, found: &mut Vec<(String, &'a Value)>) {
    match schema {
        Value::Object(object) => {
            for (key, part) in object {
                let place = format!("{place}/{key}");
                if key == "properties"
                    && let Some(all) = part.as_object()
                {
                    found.extend(all.iter().map(|(name, property)| (format!("{place}/{name}"), property)));
                }
                properties(part, &place, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, place, found)),
        _ => {}
    }
}

#[test]
fn every_key_says_what_it_means() {
    let schema = schema();
    let mut found = Vec::new();
    properties(&schema, "", &mut found);
    assert!(found.len() > 150, "{} keys", found.len());
    for (place, property) in found {
        // A tag's word is explained by the alternative that it names.
        let said = property["description"].as_str().is_some_and(|text| text.len() >= 8);
        assert!(said || property["const"].is_string(), "{place} is not described");
    }
}

#[test]
fn a_report_of_version_1_reads_and_a_newer_one_is_refused_by_name() {
    let kept = file("tests/reports/benchmark_report.v1.json");
    let report = read_report(&kept).unwrap();
    assert_eq!((report.schema_version, report.config.model.as_str()), (1, "simulated"));
    assert_eq!(report.figures.counts.successful as u64, report.summary.successful_prompts);
    assert!(report.figures.energy.total.value.is_some());
    let bench = Bench::new();
    let mut newer = read_json(&kept);
    newer["schema_version"] = json!(99);
    for (name, content, cause) in [
        ("newer.json", newer.to_string(), "is of version 99"),
        ("cut.json", "{\"schema_version\": 1, \"run".to_owned(), "is no JSON"),
        ("other.json", "{\"schema_version\": 1}".to_owned(), "is no report of a run"),
    ] {
        let name = bench.file(name, content);
        let fault = read_report(&bench.path(&name)).unwrap_err();
        assert!(fault.cause.contains(cause) && !fault.remedy.is_empty(), "{fault}");
    }
}
