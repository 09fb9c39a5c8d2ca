//! `cargo xtask tidy`: the laws of the tree, each a function that returns what breaks it.
//!
//! Reads files as text; refuses to build anything. A test runs it, so a broken law fails the build.

mod documents;
mod graph;
mod sources;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

use crate::say;

/// Checks every law on the tree at `root`.
///
/// # Errors
/// Lists everything that breaks a law.
pub fn run(root: &Path) -> Result<()> {
    let broken = violations(root)?;
    if broken.is_empty() {
        say("tidy: every law holds");
        return Ok(());
    }
    bail!("tidy: {} broken\n  {}", broken.len(), broken.join("\n  "))
}

/// What breaks a law in the tree at `root`, one line each.
///
/// # Errors
/// The tree cannot be read.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let mut broken = graph::violations(root)?;
    broken.extend(source_violations(root)?);
    broken.extend(documents::violations(root)?);
    Ok(broken)
}

/// The laws that single source files can break.
///
/// # Errors
/// The tree cannot be read.
pub fn source_violations(root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for path in files_under(root, &["crates", "xtask"], "rs")? {
        let text = std::fs::read_to_string(&path)?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        broken.extend(sources::violations(&name, &text));
    }
    Ok(broken)
}

/// The laws that documents can break.
///
/// # Errors
/// The tree cannot be read.
pub fn document_violations(root: &Path) -> Result<Vec<String>> {
    documents::violations(root)
}

/// All files of one extension below some folders of `root`, build outputs left out, sorted.
fn files_under(root: &Path, folders: &[&str], extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
