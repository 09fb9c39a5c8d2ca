//! The jobs behind `cargo xtask`, as a library so that tests can call them.
//!
//! Refuses to know what the product does; it builds, checks and measures it from outside.

pub mod bench;
pub mod ci;
pub mod docs;
pub mod test;
pub mod tidy;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace, from where this crate lies.
///
/// # Errors
/// The crate has been moved out of the workspace.
pub fn workspace_root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in no workspace")
}

/// Prints one line for the developer. The only place in this crate that prints.
#[allow(clippy::print_stderr)]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// Runs a command in `root` and shows it.
///
/// # Errors
/// It cannot be started, or ends with a status other than 0.
pub fn shell(root: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    shell_with(root, program, arguments, &[])
}

/// [`shell`] with environment variables.
///
/// # Errors
/// As [`shell`].
pub fn shell_with(
    root: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .with_context(|| format!("cannot start `{program}`: is it installed and on the PATH?"))?;
    if !status.success() {
        bail!("`{program} {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// `true` where `program arguments` runs and succeeds.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
