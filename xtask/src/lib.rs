//! The jobs behind `cargo xtask`, as a library so that tests can call them.
//!
//! Refuses to know what the product does; it builds, checks and measures it from outside.

pub mod bench;
pub mod ci;
pub mod dist;
pub mod docs;
mod fetch;
pub mod fixtures;
pub mod libtorch;
mod place;
pub mod quickstart;
pub mod release;
mod small_model;
pub mod test;
pub mod tidy;
mod wheels;

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

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
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

/// [`shell`] with environment variables; one without a value is left out.
///
/// # Errors
/// As [`shell`].
pub fn shell_with(
    root: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, Option<&str>)],
) -> Result<()> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let status = command
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
