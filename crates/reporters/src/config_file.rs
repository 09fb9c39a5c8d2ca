//! `config.yaml`: the config that a run was made with, as a file that makes the run again.
//!
//! Written before the load begins, so that a run that is killed can be resumed from its folder. Refuses to know any key:
//! `cli` writes the text, without secrets.

use std::path::Path;

use ai_energy_core::{Fault, Written};

use crate::files::write_whole;

/// The file's name within the run's folder.
pub const FILE_NAME: &str = "config.yaml";

/// Writes the config's text into a run's folder.
///
/// # Errors
/// The file cannot be written.
pub fn write_config(dir: &Path, text: &str) -> Result<Written, Fault> {
    let path = dir.join(FILE_NAME);
    write_whole(&path, text.as_bytes())?;
    Ok(Written::at(&path))
}
