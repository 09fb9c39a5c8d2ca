//! `cargo xtask test`: everything that must hold, on a machine that has Rust and a C compiler; with Python's pip and a network,
//! also the engine on libtorch and a real small model.
//!
//! Uses `cargo nextest` where it is, plain `cargo test` where not.

use anyhow::{Context, Result, bail};
use std::path::Path;

use crate::libtorch::{self, Libtorch};
use crate::{say, shell_with, small_model, succeeds, target};

/// What turns the engine's tensors on.
pub(crate) const TORCH: [&str; 2] = ["--features", "ai-energy-engine/torch"];

/// Runs tidy and all tests; `extra` arguments go to the test runner, for example a test's name. What needs libtorch is left
/// out, and that is said, where there is none and none can be fetched.
///
/// # Errors
/// Something does not hold, or the machine lacks a C compiler.
pub fn run(root: &Path, extra: &[String]) -> Result<()> {
    need_c_compiler()?;
    crate::tidy::run(root)?;
    match libtorch::ensure() {
        Ok(libtorch) => tests(root, extra, Some(&libtorch), small_model::gguf().ok().as_deref()),
        Err(error) => {
            say(&format!("the engine's tests on libtorch are SKIPPED: {error:#}"));
            tests(root, extra, None, None)
        }
    }
}

/// [`run`] where nothing may be left out.
///
/// # Errors
/// As [`run`]; also where libtorch or the small model is not to be had.
pub(crate) fn run_all(root: &Path, libtorch: &Libtorch) -> Result<()> {
    need_c_compiler()?;
    crate::tidy::run(root)?;
    tests(root, &[], Some(libtorch), Some(&small_model::gguf()?))
}

/// One run over the workspace, so that nothing is built twice: the engine's feature changes no other crate.
fn tests(root: &Path, extra: &[String], libtorch: Option<&Libtorch>, model: Option<&Path>) -> Result<()> {
    let engine = target(root).join(format!("debug/ai-energy-torch{}", std::env::consts::EXE_SUFFIX));
    let mut environment = Vec::new();
    if let Some(libtorch) = libtorch {
        environment.extend(libtorch.environment()?);
        // Tests run side by side; each with a thread pool of its own would only wait for the others.
        environment.push(("OMP_NUM_THREADS", Some("1")));
        environment.push(("AI_ENERGY_TORCH", Some(text(&engine)?)));
        if let Some(model) = model {
            environment.push(("AI_ENERGY_TEST_GGUF", Some(text(model)?)));
        }
    }
    tell_what_is_left_out(libtorch.is_some(), model.is_some());
    let features: &[&str] = if libtorch.is_some() { &TORCH } else { &[] };
    let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    if succeeds("cargo", &["nextest", "--version"]) {
        // A filter that matches tests of one crate only must not fail in the others.
        let arguments =
            [&["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"], features, &extra];
        shell_with(root, "cargo", &arguments.concat(), &environment)?;
        if extra.is_empty() {
            // nextest runs no documentation examples.
            let arguments = [&["test", "--workspace", "--doc", "--quiet"], features].concat();
            shell_with(root, "cargo", &arguments, &environment)?;
        }
        return Ok(());
    }
    say("cargo-nextest is not installed: plain `cargo test` runs the same tests, slower");
    shell_with(root, "cargo", &[&["test", "--workspace"], features, &extra].concat(), &environment)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// What a test run silently leaves out, nobody misses.
fn tell_what_is_left_out(libtorch: bool, model: bool) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let left_out = [
        ("a real server", "AI_ENERGY_TEST_ENDPOINT", true),
        ("a real model's folder", "AI_ENERGY_TEST_MODEL", libtorch),
        ("transformers in Python", "AI_ENERGY_PYTHON", true),
    ];
    for (what, variable, possible) in left_out {
        if possible && !set(variable) {
            say(&format!("tests with {what} are skipped: {variable} names none"));
        }
    }
    if libtorch && !model {
        say("tests with a real small model are skipped: its package cannot be fetched");
    }
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
