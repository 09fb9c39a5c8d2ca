//! `cargo xtask test`: everything that must hold, on a machine that has Rust and a C compiler and nothing else.
//!
//! Uses `cargo nextest` where it is, plain `cargo test` where not.

use anyhow::{Result, bail};
use std::path::Path;

use crate::{say, shell, succeeds};

/// Runs tidy and all tests; `extra` arguments go to the test runner, for example a test's name.
///
/// # Errors
/// Something does not hold, or the machine lacks a C compiler.
pub fn run(root: &Path, extra: &[String]) -> Result<()> {
    need_c_compiler()?;
    crate::tidy::run(root)?;
    if std::env::var_os("AI_ENERGY_TEST_ENDPOINT").is_none() {
        say("tests against a real server are skipped: AI_ENERGY_TEST_ENDPOINT names none");
    }
    let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    if succeeds("cargo", &["nextest", "--version"]) {
        // A filter that matches tests of one crate only must not fail in the others.
        shell(
            root,
            "cargo",
            &[&["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"], &extra[..]].concat(),
        )?;
        if extra.is_empty() {
            // nextest runs no documentation examples.
            shell(root, "cargo", &["test", "--workspace", "--doc", "--quiet"])?;
        }
        return Ok(());
    }
    say("cargo-nextest is not installed: plain `cargo test` runs the same tests, slower");
    shell(root, "cargo", &[&["test", "--workspace"], &extra[..]].concat())
}

/// The TLS library's and the compression libraries' build scripts need one.
fn need_c_compiler() -> Result<()> {
    if succeeds("cc", &["--version"]) {
        return Ok(());
    }
    bail!(
        "there is no C compiler `cc`, which some dependencies are built with: apt-get install build-essential"
    )
}
