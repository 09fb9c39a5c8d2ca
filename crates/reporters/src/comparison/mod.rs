//! Comparisons of runs: read from reports and tables, and written as text, Markdown and JSON.
//!
//! Refuses to compute a difference and to judge one.

mod cells;
mod html;
mod markdown;
mod read;
mod rows;

use std::path::Path;

use ai_energy_core::comparison::{Comparison, Repeats};
use ai_energy_core::{Fault, FaultKind, Written};
use serde::Serialize;

pub(crate) use cells::{Outcome, cells, quantity};
pub use html::comparison_html;
pub use markdown::comparison_markdown;
pub(crate) use markdown::safe as safe_markdown;
pub use read::{flat_settings, read_report};
pub use rows::{TableRow, read_rows};

use crate::files::{make_folder, write_whole};

/// What a folder of repeats keeps of them.
pub const REPEATS_FILE_NAME: &str = "repeats.json";
/// What a folder of several configs keeps of their comparison.
pub const COMPARISON_FILE_NAME: &str = "comparison.json";

/// Writes a comparison that is text already into a file.
///
/// # Errors
/// The file cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<(), Fault> {
    write_whole(path, text.as_bytes())
}

/// Writes `repeats.json` into `dir`.
///
/// # Errors
/// The file cannot be written.
pub fn write_repeats(dir: &Path, repeats: &Repeats) -> Result<Written, Fault> {
    write_json(dir, REPEATS_FILE_NAME, repeats)
}

/// Writes `comparison.json` into `dir`.
///
/// # Errors
/// The file cannot be written.
pub fn write_comparison(dir: &Path, comparison: &Comparison) -> Result<Written, Fault> {
    write_json(dir, COMPARISON_FILE_NAME, comparison)
}

fn write_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<Written, Fault> {
    make_folder(dir)?;
    let path = dir.join(name);
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| {
        Fault::new(
            FaultKind::Internal,
            path.display().to_string(),
            format!("cannot be put into JSON: {error}"),
        )
    })?;
    bytes.push(b'\n');
    write_whole(&path, &bytes)?;
    Ok(Written::at(&path))
}

/// Reads the `repeats.json` of a folder; `None` where there is none.
///
/// # Errors
/// The file cannot be read or is no such file.
pub fn read_repeats(dir: &Path) -> Result<Option<Repeats>, Fault> {
    let path = dir.join(REPEATS_FILE_NAME);
    let wrong = |cause: String| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause)
            .remedy("restore the file, or name the folders of the runs themselves")
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| wrong(format!("is no list of repeats: {error}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}
