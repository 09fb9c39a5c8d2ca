//! `cargo xtask docs`: writes the documents that are generated. A test in `cli` holds each of them current.

use anyhow::Result;
use std::path::Path;

use crate::shell_with;

/// Writes the generated documents by running the tests that hold them, told to write instead of compare.
///
/// # Errors
/// The tests cannot be run.
pub fn run(root: &Path) -> Result<()> {
    let write = [("AI_ENERGY_WRITE_DOCS", Some("1"))];
    shell_with(
        root,
        "cargo",
        &["test", "--quiet", "--package", "ai-energy-cli", "--test", "generated"],
        &write,
    )
}
