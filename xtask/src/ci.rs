//! `cargo xtask ci`: what a change must pass before it is merged.

use anyhow::Result;
use std::path::Path;

use crate::libtorch::{self, Libtorch};
use crate::test::{TORCH, run_all};
use crate::{say, shell, shell_with, succeeds};

/// Runs format check, tests, lints, documentation and the dependency policy, cheapest first. The engine is part of all of
/// it, so libtorch must be had.
///
/// # Errors
/// The first step that fails.
pub fn run(root: &Path) -> Result<()> {
    shell(root, "cargo", &["fmt", "--all", "--check"])?;
    let libtorch = libtorch::ensure()?;
    say(&format!("libtorch: {}", libtorch.what));
    run_all(root, &libtorch)?;
    lint(root, &libtorch)?;
    deny(root)
}

/// The lints without libtorch, as most builds are, and with it; the second looks at the engine alone anew.
fn lint(root: &Path, libtorch: &Libtorch) -> Result<()> {
    let environment = libtorch.environment()?;
    let strict = ["--all-targets", "--quiet", "--", "-D", "warnings"];
    shell(root, "cargo", &[&["clippy", "--workspace"], &strict[..]].concat())?;
    shell_with(root, "cargo", &[&["clippy", "--workspace"], &TORCH[..], &strict].concat(), &environment)?;
    let environment = [&environment[..], &[("RUSTDOCFLAGS", Some("-D warnings"))]].concat();
    let arguments = [&["doc", "--workspace", "--no-deps", "--quiet"], &TORCH[..]].concat();
    shell_with(root, "cargo", &arguments, &environment)
}

/// Licences, bans and sources. The advisory database is fetched from outside, so it is asked only where it can be.
fn deny(root: &Path) -> Result<()> {
    if !succeeds("cargo", &["deny", "--version"]) {
        say("cargo-deny is not installed; installing it");
        shell(root, "cargo", &["install", "cargo-deny", "--locked", "--quiet"])?;
    }
    shell(root, "cargo", &["deny", "--all-features", "check", "licenses", "bans", "sources"])
}
