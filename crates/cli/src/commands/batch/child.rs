//! One model of a batch: a process of this same program, so that a crash, a leak or a log of one model is no other's.
//!
//! The process is a group of its own: signals of the terminal reach this program, which hands exactly one on. Refuses to read
//! what the run found.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ai_energy_core::{Fault, FaultKind, Stop};

use super::super::run::block_on;
use crate::exit::{CliError, Exit};
use crate::signals;

/// How often the process is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// How the process ended.
pub(super) struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// The signal that this program had meanwhile.
    pub(super) stopped: Option<Exit>,
}

/// Runs this program with the arguments, `RESULTS_DIR` set to `folder` and all that it prints in `log`, to its end.
///
/// # Errors
/// The log cannot be made or the process not started.
pub(super) fn run(arguments: &[String], folder: &Path, log: &Path) -> Result<Ended, CliError> {
    let fault = |object: &Path, cause: std::io::Error| {
        Fault::new(FaultKind::Output, object.display().to_string(), format!("cannot be made: {cause}"))
            .remedy("choose another folder with --output-dir")
    };
    let file = File::create(log).map_err(|error| fault(log, error))?;
    let second = file.try_clone().map_err(|error| fault(log, error))?;
    let program = std::env::current_exe().map_err(|error| {
        Fault::new(FaultKind::Internal, "batch", format!("this program cannot find itself: {error}"))
    })?;
    let mut command = Command::new(&program);
    command.args(arguments).env("RESULTS_DIR", folder).env_remove("BENCHMARK_MODEL");
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    own_group(&mut command);
    let child = command.spawn().map_err(|error| {
        Fault::new(FaultKind::Internal, program.display().to_string(), format!("cannot be started: {error}"))
    })?;
    block_on(watch(child))
}

/// Waits for the process; a signal is handed on once, and the process then ends by itself, keeping what it measured.
async fn watch(mut child: Child) -> Result<Ended, CliError> {
    let stop = Stop::new();
    let received = signals::listen(stop.clone());
    let mut told = false;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Ended { code: status.code(), stopped: received.exit() }),
            Ok(None) => {}
            Err(error) => {
                return Err(Fault::new(
                    FaultKind::Internal,
                    "batch",
                    format!("a run cannot be waited for: {error}"),
                )
                .into());
            }
        }
        if told {
            tokio::time::sleep(LOOK).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {
                    tell(&mut child);
                    told = true;
                }
            }
        }
    }
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

/// Asks the process to end. One that is gone already needs no asking.
#[cfg(unix)]
fn tell(child: &mut Child) {
    let _ =
        rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::INT);
}

#[cfg(not(unix))]
fn tell(child: &mut Child) {
    let _ = child.kill();
}
