//! `record.json`: what a run's folder needs beside the journal's lines so that every figure can be computed anew.
//!
//! Written when the load begins, so that a run that is killed can be summarised, and again at the end. Keeps the options
//! of the figures as they were given without knowing them.

use std::path::Path;
use std::sync::Arc;

use ai_energy_core::energy::last_states;
use ai_energy_core::record::{Ending, Phase, PhaseKind};
use ai_energy_core::store::Bound;
use ai_energy_core::{Fault, FaultKind, RunRecord, Stamp, Written};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::read::read_bounded;
use super::segments::{join, segment_folders};
use super::spill::Spill;
use super::{GPU_STATES_FILE_NAME, READINGS_FILE_NAME, REQUESTS_FILE_NAME};
use super::{read_gpu_states, read_readings};
use crate::files::write_whole;

/// The record without its long lists.
pub const RECORD_FILE_NAME: &str = "record.json";

/// The shape of the file and of those beside it: 2 since `requests.jsonl` has gaps instead of a list a token. One more than
/// the program knows is refused; older ones are read.
const RECORD_SCHEMA_VERSION: u32 = 2;

/// Bytes of token times that are held in memory; those of further requests go to a file without a name.
const IN_MEMORY: usize = 256 << 20;

/// What belongs to a run and is no observation: the config that reports quote, and what the figures were computed with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The resolved config, without secrets.
    pub config: Map<String, Value>,
    /// Who set each key of the config, in words; a key that nobody set is missing.
    pub origins: Map<String, Value>,
    /// Options of the figures, such as the grid's location.
    pub figures: Value,
    /// Reports that the config switched off, by name.
    pub without_reports: Vec<String>,
    /// What the config says about reports.
    pub reporter: crate::Options,
}

#[derive(Serialize)]
struct FileOut<'a> {
    schema_version: u32,
    #[serde(flatten)]
    context: &'a Context,
    record: &'a RunRecord,
}

#[derive(Deserialize)]
struct FileIn {
    #[serde(flatten)]
    context: Context,
    record: RunRecord,
}

/// A run read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// What was observed.
    pub record: RunRecord,
    /// What belongs to it.
    pub context: Context,
    /// `true` where the run did not come to its end.
    pub cut: bool,
}

/// Writes `record.json` into `dir`; `record` may hold its lists, which are left out.
///
/// # Errors
/// The file cannot be written; an older one stays.
pub fn write_record(dir: &Path, record: &RunRecord, context: &Context) -> Result<Written, Fault> {
    let path = dir.join(RECORD_FILE_NAME);
    let head = record.head();
    let file = FileOut { schema_version: RECORD_SCHEMA_VERSION, context, record: &head };
    let mut bytes = serde_json::to_vec_pretty(&file).map_err(|error| {
        let cause = format!("the record cannot be put into JSON: {error}");
        Fault::new(FaultKind::Internal, path.display().to_string(), cause)
    })?;
    bytes.push(b'\n');
    write_whole(&path, &bytes)?;
    Ok(Written::at(&path))
}

/// Reads a run's folder back, whether its run came to an end or not, with the segments of a run that was resumed.
///
/// # Errors
/// A file is missing or cannot be read, is damaged, or was written by a newer version; the fault names it.
pub fn read_run(dir: &Path) -> Result<StoredRun, Fault> {
    let StoredRun { record, context, cut } = read_part(dir)?;
    let mut parts = vec![record];
    for folder in segment_folders(dir)? {
        // A resumption that was killed before its load has measured nothing and left no record.
        if folder.join(RECORD_FILE_NAME).exists() {
            parts.push(read_part(&folder)?.record);
        }
    }
    if parts.len() == 1 {
        return Ok(StoredRun { record: parts.swap_remove(0), context, cut });
    }
    let record = join(parts).ok_or_else(|| {
        Fault::new(FaultKind::Internal, dir.display().to_string(), "its segments cannot be joined")
    })?;
    let cut = record.ending == Ending::Unfinished;
    Ok(StoredRun { record, context, cut })
}

/// Reads what one process wrote.
fn read_part(dir: &Path) -> Result<StoredRun, Fault> {
    let path = dir.join(RECORD_FILE_NAME);
    let FileIn { context, mut record, .. } = read_file(&path)?;
    // Not in the run's folder: that may be somebody else's to write in.
    let bound = Bound::new(IN_MEMORY, Some(Arc::new(Spill::within(&std::env::temp_dir()))));
    (record.requests, record.unmeasured) = read_bounded(&dir.join(REQUESTS_FILE_NAME), bound)?;
    (record.channels, record.readings) = read_readings(&dir.join(READINGS_FILE_NAME))?;
    record.gpu_samples = read_gpu_states(&dir.join(GPU_STATES_FILE_NAME))?;
    let cut = record.ending == Ending::Unfinished;
    if cut {
        let load = load_of(&record);
        record.phases.extend(load);
        if let Some(load) = load {
            record.gpu_states = last_states(&record.gpu_samples, load.start, load.end);
        }
    }
    Ok(StoredRun { record, context, cut })
}

fn read_file(path: &Path) -> Result<FileIn, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = std::fs::read(path)
        .map_err(|error| wrong(format!("cannot be read: {error}"), "name the folder of a run"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        wrong(format!("is no JSON: {error}"), "restore the file from a copy of the folder")
    })?;
    let version = value.get("schema_version").and_then(Value::as_u64).unwrap_or(0);
    if version > u64::from(RECORD_SCHEMA_VERSION) {
        let cause = format!("is of version {version}, and this program reads up to {RECORD_SCHEMA_VERSION}");
        return Err(wrong(cause, "use the program that wrote it, or a newer one"));
    }
    serde_json::from_value(value)
        .map_err(|error| wrong(format!("is no record of a run: {error}"), "name the folder of a run"))
}

/// The load of a run that was cut, as far as it came: from the first planned request to the last end, or to the last
/// reading where that was written earlier, since energy after it is not known.
fn load_of(record: &RunRecord) -> Option<Phase> {
    let start: Stamp = record.requests.iter().map(|request| request.scheduled).min()?;
    let end = record.requests.iter().map(|request| request.generation.end).max()?;
    let last_read = record.readings.iter().map(|reading| reading.at).max().filter(|at| *at > start);
    Some(Phase { kind: PhaseKind::Load, start, end: last_read.map_or(end, |at| end.min(at)) })
}
