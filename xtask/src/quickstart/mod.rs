//! `cargo xtask quickstart`: from a fresh clone to a report about a real small model, on a machine without GPU, server and
//! account.
//!
//! Refuses to measure anything itself: it builds the program, finds a model, and runs what the program's own config says.

mod model;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::{libtorch, say, shell_with, target};

/// The config that is run.
const CONFIG: &str = "configs/quickstart_pytorch.yaml";

/// Builds in half the time of a release; the manifest of the workspace says what it does without.
const PROFILE: &str = "quick";

/// What the program ends with when the backend or its model is not to be had.
const UNFIT: i32 = 3;

/// Gets libtorch, builds, finds a model and runs; `extra` arguments go to `ai-energy-benchmark run`.
///
/// # Errors
/// libtorch is not to be had, something does not build, or the run fails.
pub fn run(root: &Path, extra: &[String]) -> Result<()> {
    let start = Instant::now();
    let step = |number: u32, what: &str| {
        say(&format!("[{number}/4] {what} ({} s so far)", start.elapsed().as_secs()));
    };
    step(1, "libtorch, the library that PyTorch is made of");
    let libtorch = libtorch::ensure()?;
    say(&format!("      {}, in {}", libtorch.what, libtorch.folder.display()));
    step(2, "building the command line and the engine");
    let packages =
        ["--package", "ai-energy-cli", "--package", "ai-energy-engine", "--features", crate::test::TORCH[1]];
    shell_with(
        root,
        "cargo",
        &[&["build", "--profile", PROFILE], &packages[..]].concat(),
        &libtorch.environment()?,
    )?;
    step(3, "finding a small model");
    let mut model = model::next(None);
    while let Some(chosen) = model {
        say(&format!("      {}", chosen.describe()));
        step(4, "running ten prompts");
        match benchmark(root, &chosen, extra)? {
            0 => return farewell(root, start),
            // The model may be the reason; with another one that is known soon enough.
            UNFIT => model = model::next(Some(&chosen)),
            code => bail!("the benchmark ended with {code}; its own words are above"),
        }
    }
    bail!("no model could be run; the benchmark's own words are above")
}

/// Runs the program; its exit code.
fn benchmark(root: &Path, model: &model::Model, extra: &[String]) -> Result<i32> {
    let program = program(root);
    let mut command = Command::new(&program);
    command.arg("run").arg(CONFIG).args(model.overrides()).args(extra).current_dir(root);
    let status = command.status().with_context(|| format!("{} cannot be started", program.display()))?;
    status.code().context("the benchmark was ended by a signal")
}

fn program(root: &Path) -> PathBuf {
    target(root).join(PROFILE).join(format!("ai-energy-benchmark{}", std::env::consts::EXE_SUFFIX))
}

/// What to do next.
fn farewell(root: &Path, start: Instant) -> Result<()> {
    let program = program(root);
    let program = program.strip_prefix(root).unwrap_or(&program);
    let program = program.display();
    say(&format!(
        "\nquickstart: done in {} s. Next:\n  \
         {program} run {CONFIG} --model FOLDER_OR_HUB_ID     your own model\n  \
         {program} run --endpoint http://127.0.0.1:8000/v1   a server that is running\n  \
         {program} --help",
        start.elapsed().as_secs()
    ));
    Ok(())
}
