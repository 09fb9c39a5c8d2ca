//! `benchmark_report.json`: everything a program may want to know about a run, nulls where nothing is known.
//!
//! The sections that the Python package wrote come first and keep their keys ([`compat`]); the summary follows under
//! `figures` with provenance, interval and reason for each figure.

mod compat;

use ai_energy_core::{Fault, FaultKind, Place, Report, Reporter, Written};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use compat::{config_text, number_or_null};

use crate::files::write_whole;

/// The registry's name.
pub const NAME: &str = "json";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "benchmark_report.json";

/// Writes `benchmark_report.json`.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Reporter for Json {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(FILE_NAME);
        write_whole(
            &path,
            &pretty(&path.display().to_string(), &report_value(report)?)?,
        )?;
        Ok(vec![Written::at(&path)])
    }
}

/// The whole report as a JSON value: what the file holds and what `--format json` prints.
///
/// # Errors
/// A part of the record cannot be put into JSON.
pub fn report_value(report: Report<'_>) -> Result<Value, Fault> {
    let record = report.record;
    let mut root = Map::new();
    root.insert("schema_version".to_owned(), json!(report.summary.schema_version));
    root.insert("run_id".to_owned(), json!(record.plan.run_id));
    root.insert("started_at".to_owned(), json!(record.started_at));
    root.insert("synthetic".to_owned(), json!(record.synthetic));
    root.insert("ending".to_owned(), value("ending", &record.ending)?);
    root.extend(compat::sections(report));
    root.insert("unknown".to_owned(), Value::Object(compat::reasons(report)));
    root.insert("figures".to_owned(), value("figures", report.summary)?);
    root.insert("warnings".to_owned(), value("warnings", &warnings(report))?);
    root.insert("dataset".to_owned(), value("dataset", &record.dataset)?);
    root.insert("plan".to_owned(), value("plan", &record.plan)?);
    root.insert("checks".to_owned(), value("checks", &record.checks)?);
    root.insert("phases".to_owned(), value("phases", &record.phases)?);
    root.insert("channels".to_owned(), value("channels", &record.channels)?);
    root.insert(
        "unavailable_sources".to_owned(),
        value("unavailable_sources", &record.unavailable_sources)?,
    );
    root.insert("sampler".to_owned(), value("sampler", &record.sampler)?);
    root.insert(
        "environment".to_owned(),
        Value::Object(record.environment.clone()),
    );
    root.insert("resolved_config".to_owned(), Value::Object(report.config.clone()));
    Ok(Value::Object(root))
}

/// The summary's warnings, then those that were seen before and during the run, in one shape.
fn warnings(report: Report<'_>) -> Vec<Value> {
    let judged = report
        .summary
        .warnings
        .iter()
        .map(|warning| json!({ "id": warning.id, "message": warning.message, "remedy": warning.remedy }));
    let seen = report
        .record
        .warnings
        .iter()
        .map(|text| json!({ "id": "run", "message": text, "remedy": "" }));
    judged.chain(seen).collect()
}

pub(crate) fn value<T: Serialize>(what: &str, part: &T) -> Result<Value, Fault> {
    serde_json::to_value(part).map_err(|error| not_json(what, &error))
}

pub(crate) fn pretty(what: &str, value: &Value) -> Result<Vec<u8>, Fault> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| not_json(what, &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn not_json(what: &str, error: &serde_json::Error) -> Fault {
    Fault::new(
        FaultKind::Internal,
        what,
        format!("cannot be put into JSON: {error}"),
    )
}
