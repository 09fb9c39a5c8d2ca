//! `requests.csv` and `requests.parquet`: one row a request with everything that is known of it, for data frames.
//!
//! Both come from one list of columns whose names carry their units. What is not known is an empty cell, or null. Refuses
//! to compute: times and shares of the energy are the summary's.

use ai_energy_core::record::{FinishReason, RequestRecord, TokenCount};
use ai_energy_core::summary::{RequestShare, RequestTimes};
use ai_energy_core::{ErrorClass, Fault, FaultKind, Place, Report, Reporter, Stamp, Written};
use serde_json::Value;

use crate::csv::lines;
use crate::files::write_whole;
use crate::frame::{Values, parquet};

/// The registry's name of the CSV file.
pub const CSV_NAME: &str = "requests_csv";
/// The registry's name of the parquet file.
pub const PARQUET_NAME: &str = "parquet";
/// The CSV file's name within the run's folder.
pub const CSV_FILE_NAME: &str = "requests.csv";
/// The parquet file's name within the run's folder.
pub const PARQUET_FILE_NAME: &str = "requests.parquet";

/// Writes `requests.csv`.
#[derive(Debug, Clone, Copy)]
pub struct RequestsCsv;

impl Reporter for RequestsCsv {
    fn name(&self) -> &'static str {
        CSV_NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(CSV_FILE_NAME);
        let columns = columns(report);
        let rows: Vec<Vec<String>> = (0..report.record.requests.len())
            .map(|row| columns.iter().map(|(_, values)| values.cell(row)).collect())
            .collect();
        let mut table: Vec<Vec<&str>> = vec![columns.iter().map(|(name, _)| *name).collect()];
        table.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
        write_whole(&path, &lines(&path, &table)?)?;
        Ok(vec![Written::at(&path)])
    }
}

/// Writes `requests.parquet`.
#[derive(Debug, Clone, Copy)]
pub struct Parquet;

impl Reporter for Parquet {
    fn name(&self) -> &'static str {
        PARQUET_NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(PARQUET_FILE_NAME);
        let bytes = parquet(report.record.requests.len(), columns(report)).map_err(|error| {
            let cause = format!("cannot be put into parquet: {error}");
            Fault::new(FaultKind::Internal, path.display().to_string(), cause)
        })?;
        write_whole(&path, &bytes)?;
        Ok(vec![Written::at(&path)])
    }
}

/// The columns in their order.
fn columns(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let mut all = identity(report);
    all.extend(stamps(report));
    all.extend(times(report));
    all.extend(tokens(report));
    all.extend(energy(report));
    all.extend(endings(report));
    all
}

fn each<T>(report: Report<'_>, of: impl Fn(&RequestRecord) -> T) -> Vec<T> {
    report.record.requests.iter().map(of).collect()
}

fn identity(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let run = report.record;
    vec![
        ("run_id", Values::Text(each(report, |_| Some(run.plan.run_id.clone())))),
        ("synthetic", Values::Flag(each(report, |_| run.synthetic))),
        ("id", Values::Text(each(report, |request| Some(request.id.clone())))),
        ("prompt_index", Values::Whole(each(report, |request| Some(request.prompt_index as u64)))),
        ("step", Values::Whole(each(report, |request| Some(u64::from(request.offer.step))))),
        ("server", Values::Whole(each(report, |request| request.generation.server.map(u64::from)))),
    ]
}

/// Moments, s since the run's origin.
fn stamps(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let seconds = |of: fn(&RequestRecord) -> Option<Stamp>| {
        Values::Real(each(report, |request| of(request).map(Stamp::seconds)))
    };
    vec![
        ("scheduled_at_seconds", seconds(|request| Some(request.scheduled))),
        ("sent_at_seconds", seconds(|request| request.generation.sent)),
        ("first_token_at_seconds", seconds(|request| request.generation.first_token)),
        ("end_at_seconds", seconds(|request| Some(request.generation.end))),
    ]
}

fn times(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let known = &report.summary.curves.requests;
    let column = |of: fn(&RequestTimes) -> Option<f64>| {
        let rows = 0..report.record.requests.len();
        Values::Real(rows.map(|row| known.get(row).and_then(of)).collect())
    };
    vec![
        ("time_to_first_token_seconds", column(|times| times.time_to_first_token)),
        ("mean_inter_token_seconds", column(|times| times.mean_inter_token)),
        ("time_per_output_token_seconds", column(|times| times.time_per_output_token)),
        ("end_to_end_seconds", column(|times| times.end_to_end)),
        ("queueing_seconds", column(|times| times.queueing)),
        ("schedule_lag_seconds", column(|times| times.schedule_lag)),
    ]
}

fn tokens(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let count = |of: fn(&RequestRecord) -> Option<TokenCount>| {
        Values::Whole(each(report, |request| of(request).map(|count| u64::from(count.tokens))))
    };
    let whole = |of: fn(&RequestRecord) -> Option<u32>| {
        Values::Whole(each(report, |request| of(request).map(u64::from)))
    };
    let source =
        |request: &RequestRecord| request.generation.completion_tokens.and_then(|count| word(&count.source));
    vec![
        ("prompt_tokens", count(|request| request.generation.prompt_tokens)),
        ("cached_prompt_tokens", whole(|request| request.generation.cached_prompt_tokens)),
        ("completion_tokens", count(|request| request.generation.completion_tokens)),
        ("reasoning_tokens", whole(|request| request.generation.reasoning_tokens)),
        ("completion_tokens_source", Values::Text(each(report, source))),
        ("chunks", Values::Whole(each(report, |request| Some(request.generation.chunks.len() as u64)))),
        ("received_bytes", Values::Whole(each(report, |request| Some(request.generation.bytes_received)))),
    ]
}

/// A word as the journal writes it.
fn word<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_value(value).ok().as_ref().and_then(Value::as_str).map(str::to_owned)
}

/// Shares of the load's energy. They are in the record's order; where a summary has none, no energy is known.
fn energy(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let shares = &report.summary.energy.requests.shares;
    let column = |of: fn(&RequestShare) -> Option<f64>| {
        let share = |(row, request): (usize, &RequestRecord)| {
            shares.get(row).filter(|share| share.id == request.id).and_then(of)
        };
        Values::Real(report.record.requests.iter().enumerate().map(share).collect())
    };
    vec![
        ("gpu_energy_joules", column(|share| share.gpu_joules)),
        ("cpu_energy_joules", column(|share| share.cpu_joules)),
        ("ram_energy_joules", column(|share| share.ram_joules)),
        ("total_energy_joules", column(|share| share.total_joules)),
    ]
}

fn endings(report: Report<'_>) -> Vec<(&'static str, Values)> {
    let reason = |request: &RequestRecord| match request.generation.finish_reason.as_ref()? {
        FinishReason::Other(word) => Some(word.clone()),
        known => word(known),
    };
    let class = |request: &RequestRecord| {
        request.generation.error.as_ref().and_then(|error| word::<ErrorClass>(&error.class))
    };
    let status = |request: &RequestRecord| request.generation.error.as_ref()?.status.map(u64::from);
    let message =
        |request: &RequestRecord| request.generation.error.as_ref().map(|error| error.message.clone());
    vec![
        ("succeeded", Values::Flag(each(report, RequestRecord::succeeded))),
        ("finish_reason", Values::Text(each(report, reason))),
        ("error_class", Values::Text(each(report, class))),
        ("error_status", Values::Whole(each(report, status))),
        ("error_message", Values::Text(each(report, message))),
    ]
}
