//! `sweep.json`, `sweep.csv` and `sweep.html`: one row a level, from runs that each have a folder of their own.
//!
//! Refuses to compute a figure and to choose a level.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Figure, Written};
use serde::Serialize;

use crate::files::{make_folder, write_whole};
use crate::html::Page;
use crate::html::sweep::FILE_NAME;

/// A level of a sweep.
#[derive(Debug, Clone, Serialize)]
pub struct SweepRow<P> {
    /// What the run showed.
    #[serde(flatten)]
    pub point: P,
    /// The run's folder.
    pub run_dir: PathBuf,
}

/// A sweep or a search.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep<P> {
    /// What the levels are: `requests/s` or `requests in flight`.
    pub unit: &'static str,
    /// What was searched for; `None` for a plain sweep.
    pub goal: Option<String>,
    /// Place of the answer among the rows; `None` where no level reaches the goal.
    pub best: Option<usize>,
    /// The levels in the order they were tried.
    pub rows: Vec<SweepRow<P>>,
}

/// Writes the three files into `dir`; `cells` gives a row's columns by name, `page` shows the same to people.
///
/// # Errors
/// A file cannot be written.
pub fn write_sweep<P: Serialize>(
    dir: &Path,
    sweep: &Sweep<P>,
    cells: impl Fn(&P) -> Vec<(&'static str, Option<f64>)>,
    page: &Page,
) -> Result<Vec<Written>, Fault> {
    make_folder(dir)?;
    let fault = |path: &Path, cause: String| Fault::new(FaultKind::Output, path.display().to_string(), cause);
    let path = dir.join("sweep.json");
    let json = serde_json::to_vec_pretty(sweep).map_err(|error| fault(&path, error.to_string()))?;
    write_whole(&path, &json)?;
    let table = dir.join("sweep.csv");
    let mut lines = csv::Writer::from_writer(Vec::new());
    for (number, row) in sweep.rows.iter().enumerate() {
        let cells = cells(&row.point);
        if number == 0 {
            let names = cells.iter().map(|(name, _)| *name).chain(["run_dir"]);
            lines.write_record(names).map_err(|error| fault(&table, error.to_string()))?;
        }
        // What is not known stays an empty cell.
        let values = cells.iter().map(|(_, value)| value.map_or(String::new(), |value| value.to_string()));
        let values = values.chain([row.run_dir.display().to_string()]);
        lines.write_record(values).map_err(|error| fault(&table, error.to_string()))?;
    }
    let bytes = lines.into_inner().map_err(|error| fault(&table, error.to_string()))?;
    write_whole(&table, &bytes)?;
    let shown = dir.join(FILE_NAME);
    write_whole(&shown, page.render()?.as_bytes())?;
    Ok(vec![Written::at(&path), Written::at(&table), Written::at(&shown)])
}

/// A value with its interval, for a table of levels.
pub fn sweep_cell(figure: &Figure, factor: f64) -> String {
    let glyphs = crate::terminal::text::Glyphs::new(true);
    match figure.value {
        Some(value) => crate::terminal::units::with_interval(
            value * factor,
            figure.ci95.map(|ci95| ci95 * factor),
            &glyphs,
        ),
        None => glyphs.none.to_owned(),
    }
}
