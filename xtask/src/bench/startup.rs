//! How long the program takes to start, beside a program that does nothing.

use anyhow::{Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::quantile;
use crate::say;

const ROUNDS: usize = 40;

/// Prints the median start-up time and its ratio to `true`.
pub(super) fn run(program: &Path) -> Result<()> {
    let mut ours = Vec::new();
    let mut nothing = Vec::new();
    // Turn by turn, so that both meet the same machine.
    for _ in 0..ROUNDS {
        ours.push(milliseconds(Command::new(program).arg("--version"))?);
        nothing.push(milliseconds(&mut Command::new("true"))?);
    }
    let (ours, nothing) = (quantile(&mut ours, 0.5), quantile(&mut nothing, 0.5));
    let size = std::fs::metadata(program)?.len() as f64 / 1e6;
    say(&format!(
        "startup: --version {ours:.2} ms, `true` {nothing:.2} ms, ratio {:.1}; binary {size:.1} MB",
        ours / nothing
    ));
    Ok(())
}

fn milliseconds(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
