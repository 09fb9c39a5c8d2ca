//! `cargo xtask ci`: what a change must pass before it is merged.

use anyhow::Result;
use std::path::Path;

use crate::{say, shell, shell_with, succeeds};

/// Runs format check, tests, lints, documentation and the dependency policy, cheapest first.
///
/// # Errors
/// The first step that fails.
pub fn run(root: &Path) -> Result<()> {
    shell(root, "cargo", &["fmt", "--all", "--check"])?;
    crate::test::run(root, &[])?;
    shell(root, "cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    let strict = [("RUSTDOCFLAGS", Some("-D warnings"))];
    shell_with(root, "cargo", &["doc", "--workspace", "--no-deps", "--quiet"], &strict)?;
    deny(root)
}

/// Licences, bans and sources. The advisory database is fetched from outside, so it is asked only where it can be.
fn deny(root: &Path) -> Result<()> {
    if !succeeds("cargo", &["deny", "--version"]) {
        say("cargo-deny is not installed; installing it");
        shell(root, "cargo", &["install", "cargo-deny", "--locked", "--quiet"])?;
    }
    shell(root, "cargo", &["deny", "--all-features", "check", "licenses", "bans", "sources"])
}
