//! The seam for reporters: one result format each.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::record::RunRecord;
use crate::summary::Summary;

/// What a reporter renders. It computes nothing: a figure that a report needs belongs in the summary.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was observed.
    pub record: &'a RunRecord,
    /// What follows from it.
    pub summary: &'a Summary,
    /// The resolved config as nested keys, for reports that quote it. Never holds a secret.
    pub config: &'a Map<String, Value>,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The run's folder; it exists.
    pub run_dir: PathBuf,
    /// The file that collects runs, one row each (`reporter.output_file`), where the config sets one.
    pub collected_file: Option<PathBuf>,
    /// The folder of `emissions.csv` (`metrics.output_dir`), where the config sets one.
    pub emissions_dir: Option<PathBuf>,
}

/// A file that a reporter wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// A remark for the user, for example that an older file of another shape was kept under another name.
    pub note: Option<String>,
}

impl Written {
    /// A file without a remark.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), note: None }
    }
}

/// Writes one format.
pub trait Reporter: Send + Sync {
    /// The name in the registry, for example `csv`.
    fn name(&self) -> &'static str;

    /// Writes the report and says which files it wrote.
    ///
    /// # Errors
    /// A file could not be written; the fault names it. Files written before stay.
    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault>;
}
