//! `benchmark_report.json` and AI Energy Score's files.

use std::collections::BTreeSet;
use std::fs;

use ai_energy_core::{FaultKind, Reporter};
use ai_energy_reporters::ai_energy_score::AiEnergyScore;
use ai_energy_reporters::json::{Json, report_value};
use serde_json::Value;

use crate::support::{self, place};

const SUMMARY_KEYS: &str = "total_prompts successful_prompts failed_prompts total_duration_seconds \
    avg_latency_seconds avg_time_to_first_token total_tokens total_prompt_tokens total_completion_tokens \
    throughput_tokens_per_second";
const ENERGY_KEYS: &str = "emissions_kg_co2eq emissions_g_co2eq energy_kwh energy_wh gpu_energy_kwh gpu_energy_wh \
    cpu_energy_kwh cpu_energy_wh ram_energy_kwh ram_energy_wh total_energy_kwh total_energy_wh total_covers \
    total_is_partial duration_seconds carbon_intensity_g_per_kwh project_name country region \
    gpu_idle_energy_wh gpu_net_energy_wh total_idle_energy_wh total_net_energy_wh gpu_prefill_energy_wh \
    gpu_decode_energy_wh water_liters validity";

fn keys(value: &Value) -> String {
    value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_sections_of_the_python_package_keep_their_keys_whatever_is_known() {
    for run in [support::complete(), support::nothing_measurable(), support::all_failed()] {
        let report = report_value(run.report());
        assert_eq!(keys(&report["config"]), "name backend model dataset num_samples device_ids");
        assert_eq!(keys(&report["summary"]), SUMMARY_KEYS);
        assert_eq!(keys(&report["energy"]), ENERGY_KEYS);
        assert!(keys(&report["backend_info"]).starts_with("backend model endpoint device device_ids"));
        assert!(keys(&report["metrics_metadata"]).starts_with("name version capabilities"));
    }
}

#[test]
fn a_complete_report() {
    let mut report = report_value(support::complete().report());
    // Written out whole elsewhere: the snapshot shows the shape that programs read first.
    for key in ["figures", "plan", "channels", "phases"] {
        assert!(report.as_object_mut().unwrap().remove(key).is_some());
    }
    report["metrics_metadata"]["version"] = "[version]".into();
    insta::assert_json_snapshot!(report);
}

#[test]
fn the_gpu_alone_is_energy_wh_and_parts_sum_to_the_total() {
    let report = report_value(support::complete().report());
    let energy = |key: &str| report["energy"][key].as_f64().unwrap();
    assert!((energy("energy_wh") - 2560.0 / 3600.0).abs() < 1e-12);
    assert_eq!(energy("energy_wh"), energy("gpu_energy_wh"));
    let parts = energy("gpu_energy_wh") + energy("cpu_energy_wh") + energy("ram_energy_wh");
    assert!((energy("total_energy_wh") - parts).abs() < 1e-12);
    assert!((energy("total_energy_kwh") * 1000.0 - energy("total_energy_wh")).abs() < 1e-12);
    assert!((energy("emissions_kg_co2eq") * 1000.0 - energy("emissions_g_co2eq")).abs() < 1e-12);
}

#[test]
fn what_was_not_measured_is_null_and_has_its_reason() {
    let report = report_value(support::cpu_estimate_only().report());
    for key in ["energy_kwh", "energy_wh", "gpu_energy_wh", "ram_energy_kwh"] {
        assert_eq!(report["energy"][key], Value::Null, "{key}");
    }
    assert!(report["energy"]["cpu_energy_wh"].as_f64().unwrap() > 0.0);
    assert!(report["unknown"]["energy.energy_wh"].as_str().unwrap().contains("libnvidia-ml"));
    assert_eq!(report["gpu_stats"], Value::Object(serde_json::Map::new()));
    let failed = report_value(support::all_failed().report());
    assert_eq!(failed["summary"]["avg_latency_seconds"], Value::Null);
    assert_eq!(failed["summary"]["total_tokens"], Value::Null);
}

#[test]
fn every_null_of_summary_and_energy_has_its_reason() {
    let mut unstreamed = support::complete();
    unstreamed.summary.latency.time_to_first_token = None;
    unstreamed.config.clear();
    let mut uncounted = support::complete();
    uncounted.summary.tokens.prompt = None;
    let runs = [
        support::complete(),
        support::gpu_lost(),
        support::cpu_estimate_only(),
        support::nothing_measurable(),
        support::all_failed(),
        unstreamed,
        uncounted,
    ];
    let mut explained = BTreeSet::new();
    for run in &runs {
        let report = report_value(run.report());
        let unknown = report["unknown"].as_object().unwrap();
        for section in ["summary", "energy"] {
            for (key, value) in report[section].as_object().unwrap() {
                let key = format!("{section}.{key}");
                let reason = unknown.get(&key).map(|reason| reason.as_str().unwrap());
                let total = key.contains("total_energy") || key.contains("emissions");
                assert!(
                    !value.is_null() || reason.is_some_and(|reason| reason.len() > 8),
                    "{key}: {reason:?}"
                );
                assert!(value.is_null() || reason.is_none() || total, "{key} is known: {reason:?}");
                explained.extend(value.is_null().then_some(key));
            }
        }
        for (key, reason) in unknown {
            let (section, name) = key.split_once('.').unwrap();
            assert!(report[section].get(name).is_some(), "{key}: {reason}");
            for vague in ["not observed", "no reason was given", "no source looked"] {
                assert!(!reason.as_str().unwrap().contains(vague), "{key}: {reason}");
            }
        }
    }
    for key in [
        "summary.avg_time_to_first_token",
        "summary.total_tokens",
        "energy.energy_kwh",
        "energy.project_name",
    ] {
        assert!(explained.contains(key), "{key} was never null here");
    }
}

#[test]
fn the_first_token_of_an_unstreamed_run_is_unknown_for_want_of_streaming() {
    let mut run = support::complete();
    run.summary.latency.time_to_first_token = None;
    let reason =
        |run: &support::Run| report_value(run.report())["unknown"]["summary.avg_time_to_first_token"].clone();
    assert!(reason(&run).as_str().unwrap().contains("without streaming"));
    assert_eq!(reason(&support::all_failed()), "no request succeeded");
}

#[test]
fn a_partial_total_says_what_it_covers_and_what_not() {
    let whole = report_value(support::complete().report());
    assert_eq!(whole["energy"]["total_covers"], serde_json::json!(["gpu", "cpu", "ram"]));
    assert_eq!(whole["energy"]["total_is_partial"], Value::Bool(false));
    assert_eq!(whole["unknown"].get("energy.total_energy_wh"), None);

    let partial = report_value(support::cpu_estimate_only().report());
    assert!(partial["energy"]["total_energy_wh"].is_number());
    assert_eq!(partial["energy"]["total_covers"], serde_json::json!(["cpu"]));
    assert_eq!(partial["energy"]["total_is_partial"], Value::Bool(true));
    let remark = partial["unknown"]["energy.total_energy_wh"].as_str().unwrap();
    assert!(remark.starts_with("does not include gpu (no NVIDIA driver"), "{remark}");
    assert!(remark.ends_with("ram (no memory information)"), "{remark}");

    let none = report_value(support::gpu_lost().report());
    assert_eq!(
        (&none["energy"]["total_covers"], &none["energy"]["total_is_partial"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn the_summary_reads_back_from_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let run = support::complete();
    let written = Json.write(run.report(), &place(folder.path())).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(&written[0].path).unwrap()).unwrap();
    let figures: ai_energy_core::Summary = serde_json::from_value(report["figures"].clone()).unwrap();
    assert_eq!(figures, run.summary);
    assert_eq!(report["synthetic"], Value::Bool(false));
    let synthetic = report_value(support::synthetic().report());
    assert_eq!(synthetic["synthetic"], Value::Bool(true));
}

#[test]
fn a_folder_that_is_gone_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let fault = Json.write(support::complete().report(), &place(&absent)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Output);
    assert!(fault.object.ends_with("absent/benchmark_report.json"), "{fault}");
    assert!(fault.cause.contains("no such file or directory") && !fault.remedy.is_empty(), "{fault}");
}

#[test]
fn ai_energy_score_reads_the_gpu_energy_or_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    AiEnergyScore.write(support::complete().report(), &place(folder.path())).unwrap();
    assert_eq!(read("GPU_ENERGY_WH.txt"), "0.71\n");
    let summary: Value = serde_json::from_str(&read("GPU_ENERGY_SUMMARY.json")).unwrap();
    assert_eq!((&summary["units"], &summary["format"]), (&"Wh".into(), &"ai_energy_benchmarks".into()));
    assert!((summary["total"].as_f64().unwrap() - 2560.0 / 3600.0).abs() < 1e-12);
    assert!(keys(&summary).starts_with("units total format preprocess_wh prefill_wh decode_wh"));

    let written = AiEnergyScore.write(support::cpu_estimate_only().report(), &place(folder.path())).unwrap();
    assert!(read("GPU_ENERGY_WH.txt").trim().parse::<f64>().unwrap().is_nan());
    assert!(written[0].note.is_some());
    let summary: Value = serde_json::from_str(&read("GPU_ENERGY_SUMMARY.json")).unwrap();
    assert_eq!(summary["total"], Value::Null);
    assert!(summary["reason"].as_str().unwrap().contains("libnvidia-ml"));
    assert_eq!(summary["synthetic"], Value::Bool(false));

    let written = AiEnergyScore.write(support::synthetic().report(), &place(folder.path())).unwrap();
    let note = written[0].note.as_deref().unwrap();
    assert!(note.contains("synthetic") && note.contains("two decimals"), "both remarks stand: {note}");
    let summary: Value = serde_json::from_str(&read("GPU_ENERGY_SUMMARY.json")).unwrap();
    assert_eq!(summary["synthetic"], Value::Bool(true));
}
