//! `benchmark_report.json`: everything a program may want to know about a run, nulls where nothing is known.
//!
//! The sections that the Python package wrote come first and keep their keys (module `compat`); the summary follows under
//! `figures` with provenance, interval and reason for each figure.

mod compat;
mod shape;
mod unknown;

use ai_energy_core::{Fault, FaultKind, Place, Report, Reporter, Segment, Written};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use shape::{ReportFile, read_report, schema};

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
        write_whole(&path, &pretty(&path.display().to_string(), &report_value(report))?)?;
        Ok(vec![Written::at(&path)])
    }
}

/// The whole report as a JSON value: what the file holds and what `--format json` prints.
pub fn report_value(report: Report<'_>) -> Value {
    let record = report.record;
    let mut root = Map::new();
    let mut put = |key: &str, part: Value| root.insert(key.to_owned(), part);
    put("schema_version", json!(report.summary.schema_version));
    put("run_id", json!(record.plan.run_id));
    put("started_at", json!(record.started_at));
    put("synthetic", json!(record.synthetic));
    put("ending", value(&record.ending));
    let sections = compat::sections(report);
    let unknown = unknown::reasons(report, &sections);
    for (name, section) in sections {
        put(&name, section);
    }
    put("unknown", Value::Object(unknown));
    put("validity", value(&report.summary.validity));
    put("figures", figures(report));
    put("warnings", Value::Array(warnings(report)));
    put("dataset", value(&record.dataset));
    put("plan", value(&record.plan));
    put("checks", value(&record.checks));
    put("phases", value(&record.phases));
    if !record.segments.is_empty() {
        put("segments", Value::Array(record.segments.iter().map(segment).collect()));
    }
    put("channels", value(&record.channels));
    put("unavailable_sources", value(&record.unavailable_sources));
    put("sampler", value(&record.sampler));
    put("environment", Value::Object(record.environment.clone()));
    put("resolved_config", Value::Object(report.config.clone()));
    Value::Object(root)
}

/// The summary; its verdict on validity and its warnings stand at the top of the report.
fn figures(report: Report<'_>) -> Value {
    let mut figures = value(report.summary);
    if let Some(figures) = figures.as_object_mut() {
        figures.shift_remove("validity");
    }
    figures
}

/// One stretch between two breaks of a resumed run.
fn segment(segment: &Segment) -> Value {
    let stretch = segment.stretch();
    json!({
        "started_at": segment.record.started_at,
        "start_ns": stretch.map(|(start, _)| start),
        "end_ns": stretch.map(|(_, end)| end),
        "break_before_seconds": segment.break_seconds,
        "requests": segment.requests,
        "ending": segment.record.ending,
    })
}

/// The summary's warnings, then those that were seen before and during the run, in one shape.
fn warnings(report: Report<'_>) -> Vec<Value> {
    let judged = report
        .summary
        .warnings
        .iter()
        .map(|warning| json!({ "id": warning.id, "message": warning.message, "remedy": warning.remedy }));
    let seen =
        report.record.warnings.iter().map(|text| json!({ "id": "run", "message": text, "remedy": "" }));
    judged.chain(seen).collect()
}

/// A part as JSON. Parts are plain data with text keys, which always can be; should one ever not, its place says why.
fn value<T: Serialize>(part: &T) -> Value {
    serde_json::to_value(part).unwrap_or_else(|error| json!({ "not_json": error.to_string() }))
}

/// A value as the text of a file.
pub(crate) fn pretty(what: &str, value: &Value) -> Result<Vec<u8>, Fault> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| {
        Fault::new(FaultKind::Internal, what, format!("cannot be put into JSON: {error}"))
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}
