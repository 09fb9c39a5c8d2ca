//! CodeCarbon's method beside the figures: its own arithmetic, and why it differs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::energy::Domain;
use ai_energy_core::summary::CodeCarbonMethod;
use ai_energy_core::{Provenance, RunRecord};
use ai_energy_metrics::{SummaryOptions, summarize};
use common::{add, constant, counter, measured, record};
use serde_json::json;

fn method(record: &RunRecord) -> CodeCarbonMethod {
    let options = SummaryOptions {
        country_iso_code: Some("EST".to_owned()),
        codecarbon: true,
        cpu_tdp_watts: Some(100.0),
        ..SummaryOptions::default()
    };
    summarize(record, &options).codecarbon.unwrap()
}

fn machine(mut record: RunRecord) -> RunRecord {
    record.environment.insert("ram_total_gib".to_owned(), json!(62.0));
    record.environment.insert("architecture".to_owned(), json!("x86_64"));
    record
}

#[test]
fn counters_are_the_same_and_memory_is_always_its_model() {
    let found = method(&machine(measured()));
    assert!((found.gpu.value.unwrap() - 3000.0).abs() < 1e-6);
    assert!((found.cpu.value.unwrap() - 500.0).abs() < 1e-6);
    assert!((found.ram.value.unwrap() - 200.0).abs() < 1e-6, "4 modules, 20 W, 10 s");
    assert!((found.total.value.unwrap() - 3700.0).abs() < 1e-6);
    let grams = 3700.0 / 3_600_000.0 * 416.7;
    assert!((found.emissions.value.unwrap() - grams).abs() < 1e-9);
    assert_eq!(found.total.ci95, None, "the method states no interval");
    assert_eq!(found.differences.len(), 1, "{:?}", found.differences);
    assert!(found.differences[0].starts_with("RAM: 100.0 ± 50.0 J here, 200.0 J"), "{:?}", found.differences);
}

#[test]
fn a_load_of_a_half_is_an_eighth_on_its_curve() {
    let mut record = record();
    let mut model = counter("cpu_model:load", Domain::Cpu);
    (model.provenance, model.gain_ci95) = (Provenance::Estimated, Some(0.5));
    // A linear model of 100 W at half load draws 55 W.
    add(&mut record, model, constant(55.0));
    let found = method(&machine(record));
    assert!(
        (found.cpu.value.unwrap() - 212.5).abs() < 1e-3,
        "100 W × (0.1 + 0.9 / 8) × 10 s: {:?}",
        found.cpu
    );
    assert!(
        found.differences.iter().any(|said| said.starts_with("CPU:") && said.contains("cube")),
        "{found:?}"
    );
    assert_eq!(found.gpu.value, None);
}

#[test]
fn nothing_is_computed_unless_it_is_asked_for() {
    assert_eq!(summarize(&measured(), &SummaryOptions::default()).codecarbon, None);
}
