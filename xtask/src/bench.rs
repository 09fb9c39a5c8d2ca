//! `cargo xtask bench`: being written.

use anyhow::Result;
use std::path::Path;

/// Being written.
///
/// # Errors
/// None yet.
pub fn run(_root: &Path, _extra: &[String]) -> Result<()> {
    Ok(())
}
