//! Idle and net energy, prefill and decode, shares, validity and water in every format that shows them.

use std::fs;

use ai_energy_core::energy::Domain;
use ai_energy_core::summary::{
    DomainSplit, EnergySplit, IdlePower, PhaseEnergy, PrefillDecode, RequestShare, RequestShares, Stretch,
    Validity, ValidityCheck, Verdict,
};
use ai_energy_core::{Figure, Provenance, Reporter};
use ai_energy_reporters::ai_energy_score::AiEnergyScore;
use ai_energy_reporters::emissions::{COLUMNS, Emissions};
use ai_energy_reporters::json::report_value;
use ai_energy_reporters::request_energy::RequestEnergy;
use ai_energy_reporters::{TerminalOptions, render};
use serde_json::Value;

use crate::support::{self, Run, complete, place};

fn figure(value: f64, unit: &str, ci95: f64) -> Figure {
    Figure::new(value, unit, Provenance::Derived, "test").with_ci95(ci95)
}

fn split(gross: f64, idle: f64) -> EnergySplit {
    EnergySplit {
        gross: figure(gross, "J", 10.0),
        idle: figure(idle, "J", 4.0),
        net: figure(gross - idle, "J", 11.0),
        mean_power: figure(gross / 74.25, "W", 0.2),
        peak_power: figure(gross / 60.0, "W", 0.3),
    }
}

/// [`complete`] with idling measured, the GPU's energy split, shares and checks.
fn with_parts() -> Run {
    let mut run = complete();
    let energy = &mut run.summary.energy;
    let gpu = DomainSplit { domain: Domain::Gpu, split: split(2560.0, 1000.0) };
    let cpu = DomainSplit { domain: Domain::Cpu, split: split(1220.0, 500.0) };
    energy.phases = vec![PhaseEnergy {
        phase: Stretch::Load,
        start_seconds: 1.0,
        duration: figure(74.25, "s", 0.0),
        domains: vec![gpu, cpu],
        total: split(3780.0, 1500.0),
    }];
    energy.idle = vec![IdlePower {
        domain: Domain::Gpu,
        before: figure(13.4, "W", 0.2),
        after: figure(13.6, "W", 0.2),
        drift: figure(0.2, "W", 0.3),
    }];
    energy.efficiency.net_per_request = energy.phases[0].total.net.per(200.0, "J/request");
    energy.prefill_decode = PrefillDecode {
        domain: Some(Domain::Gpu),
        method: "least squares".to_owned(),
        prefill: figure(360.0, "J", 20.0),
        decode: figure(1200.0, "J", 60.0),
        other: figure(1000.0, "J", 50.0),
        per_prefill_token: figure(0.042, "J/token", 0.002),
        per_decode_token: figure(0.094, "J/token", 0.005),
        ..PrefillDecode::default()
    };
    let share =
        RequestShare { id: "request-0".to_owned(), gpu_joules: Some(12.5), ..RequestShare::default() };
    energy.requests = RequestShares { shares: vec![share], ..RequestShares::default() };
    run.summary.carbon.wue = Some(1.8);
    run.summary.carbon.water = figure(0.00195, "L", 0.0001);
    let check = |name: &str, verdict, detail: &str, remedy: &str| ValidityCheck {
        name: name.to_owned(),
        verdict,
        detail: detail.to_owned(),
        remedy: remedy.to_owned(),
    };
    run.summary.validity = Validity {
        verdict: Verdict::Warning,
        checks: vec![
            check("requests", Verdict::Ok, "all 200 requests succeeded", ""),
            check(
                "throttling",
                Verdict::Warning,
                "clocks were held down in 40 % of the looks",
                "cool the machine",
            ),
            check("power_limit", Verdict::Unknown, "no GPU told its state", ""),
        ],
    };
    run
}

fn text(run: &Run) -> String {
    render(run.report(), &TerminalOptions::default())
}

#[test]
fn the_terminal_shows_what_the_load_added_and_what_it_was_spent_on() {
    insta::assert_snapshot!(text(&with_parts()));
}

#[test]
fn an_invalid_check_takes_the_verdict_and_is_said_once() {
    let mut run = with_parts();
    run.summary.validity.checks[1].verdict = Verdict::Invalid;
    let text = text(&run);
    assert!(text.contains("VALID  no energy figure is: clocks were held down"), "{text}");
}

#[test]
fn the_report_holds_the_split_the_validity_and_no_null_without_its_reason() {
    let run = with_parts();
    let report = report_value(run.report());
    assert_eq!(report["validity"]["verdict"], "warning");
    assert_eq!(report["energy"]["validity"], "warning");
    let number = |key: &str| report["energy"][key].as_f64().unwrap();
    assert!((number("gpu_net_energy_wh") - 1560.0 / 3600.0).abs() < 1e-12);
    assert!((number("gpu_prefill_energy_wh") - 0.1).abs() < 1e-12);
    assert!((number("water_liters") - 0.00195).abs() < 1e-12);
    assert_eq!(report["figures"]["energy"]["prefill_decode"]["domain"], "gpu");
    let none = report_value(complete().report());
    for key in ["gpu_net_energy_wh", "gpu_decode_energy_wh", "water_liters"] {
        assert_eq!(none["energy"][key], Value::Null, "{key}");
        assert!(
            none["unknown"][format!("energy.{key}")].as_str().is_some_and(|why| !why.is_empty()),
            "{key}"
        );
    }
}

#[test]
fn ai_energy_scores_file_has_the_parts_of_gpu_energy_alone() {
    let folder = tempfile::tempdir().unwrap();
    let read = |run: &Run| -> Value {
        AiEnergyScore.write(run.report(), &place(folder.path())).unwrap();
        serde_json::from_slice(&fs::read(folder.path().join("GPU_ENERGY_SUMMARY.json")).unwrap()).unwrap()
    };
    let found = read(&with_parts());
    let sum: f64 =
        ["prefill_wh", "decode_wh", "other_wh"].iter().map(|key| found[key].as_f64().unwrap()).sum();
    assert!((sum - found["total"].as_f64().unwrap()).abs() < 1e-9);
    let mut of_the_processors = with_parts();
    of_the_processors.summary.energy.prefill_decode.domain = Some(Domain::Cpu);
    assert_eq!(read(&of_the_processors)["prefill_wh"], Value::Null);
    assert_eq!(read(&complete())["decode_wh"], Value::Null);
}

#[test]
fn each_requests_share_stands_in_a_file_of_its_own_where_any_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let written = RequestEnergy.write(with_parts().report(), &place(folder.path())).unwrap();
    let text = fs::read_to_string(&written[0].path).unwrap();
    assert_eq!(text, "id,gpu_joules,cpu_joules,ram_joules,total_joules\nrequest-0,12.5,,,\n");
    let none = support::nothing_measurable();
    assert!(RequestEnergy.write(none.report(), &place(folder.path())).unwrap().is_empty());
}

#[test]
fn water_and_its_effectiveness_stand_in_codecarbons_columns() {
    let folder = tempfile::tempdir().unwrap();
    let cell = |run: &Run, column: &str| {
        Emissions.write(run.report(), &place(folder.path())).unwrap();
        let mut reader = csv::Reader::from_path(folder.path().join("emissions.csv")).unwrap();
        let row = reader.records().next().unwrap().unwrap();
        row[COLUMNS.iter().position(|name| *name == column).unwrap()].to_owned()
    };
    assert_eq!(cell(&with_parts(), "water_consumed"), "0.00195");
    assert_eq!(cell(&with_parts(), "wue"), "1.8");
    assert_eq!(cell(&complete(), "water_consumed"), "", "not 0");
}
