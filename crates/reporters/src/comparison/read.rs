//! A run from its `benchmark_report.json`: ours with all figures, the Python package's with those that it had.
//!
//! Refuses to read the journal: a folder that has one is computed anew by who compares.

use std::collections::BTreeMap;
use std::path::Path;

use ai_energy_core::comparison::{ComparedRun, RunIdentity};
use ai_energy_core::{Fault, FaultKind, Summary};
use serde_json::{Map, Value};

use super::rows::{flat_row, kept_figures};

/// Reads a report.
///
/// # Errors
/// The file cannot be read, is no JSON, or is no report of a run.
pub fn read_report(path: &Path) -> Result<ComparedRun, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = std::fs::read(path).map_err(|error| {
        wrong(format!("cannot be read: {error}"), "name a run's folder, a report or a table")
    })?;
    let report: Value = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("is no JSON: {error}"), "restore the file from a copy"))?;
    if !report["summary"].is_object() {
        let cause = "is no report of a run: it has no `summary`".to_owned();
        return Err(wrong(cause, "name a benchmark_report.json"));
    }
    let label = path.display().to_string();
    let mut run = ComparedRun { label, identity: identity(&report), ..ComparedRun::default() };
    if let Some(figures) = report.get("figures").filter(|figures| figures.is_object()) {
        let mut summary: Summary = serde_json::from_value(figures.clone()).map_err(|error| {
            wrong(
                format!("`figures` are not what a run writes: {error}"),
                "write the report anew with `summarize --write`",
            )
        })?;
        summary.validity = serde_json::from_value(report["validity"].clone()).unwrap_or_default();
        run.summary = Some(Box::new(summary));
        run.channels = serde_json::from_value(report["channels"].clone()).unwrap_or_default();
    } else {
        run.figures = kept_figures(&flat_row(&report));
    }
    let empty = Map::new();
    let part = |key: &str| report[key].as_object().unwrap_or(&empty);
    run.settings = flat_settings(part("resolved_config"), part("environment"));
    Ok(run)
}

fn identity(report: &Value) -> RunIdentity {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    RunIdentity {
        backend: text(&report["config"]["backend"]),
        model: text(&report["config"]["model"]),
        server: text(&report["backend_info"]["server"]),
        dataset: text(&report["config"]["dataset"]),
        dataset_sha256: text(&report["dataset"]["sha256"]),
        host: text(&report["environment"]["hostname"]),
        ending: text(&report["ending"]["kind"]),
        synthetic: report["synthetic"].as_bool().unwrap_or(false),
    }
}

/// A resolved config and a machine as flat texts, nulls left out: `load.concurrency`, `environment.gpus.0.uuid`.
pub fn flat_settings(
    config: &Map<String, Value>,
    environment: &Map<String, Value>,
) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (key, value) in config {
        flatten(key, value, &mut flat);
    }
    for (key, value) in environment {
        flatten(&format!("environment.{key}"), value, &mut flat);
    }
    flat
}

fn flatten(key: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(inner) => {
            inner.iter().for_each(|(name, value)| flatten(&format!("{key}.{name}"), value, flat))
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(number, value)| flatten(&format!("{key}.{number}"), value, flat));
        }
        Value::String(text) => {
            flat.insert(key.to_owned(), text.clone());
        }
        other => {
            flat.insert(key.to_owned(), other.to_string());
        }
    }
}
