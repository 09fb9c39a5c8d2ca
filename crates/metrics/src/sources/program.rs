//! Runs another program for its output, never longer than it may take.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that a program may print.
const MOST_BYTES: u64 = 1 << 20;

/// The pause between two looks whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProgramError {
    /// It is not there.
    #[error("{0} is not installed")]
    Missing(String),
    /// It ended with an error or printed nothing usable; what it said.
    #[error("{0}")]
    Failed(String),
    /// It did not end in time and was killed.
    #[error("{0} did not answer within {1} s")]
    Slow(String, u64),
}

/// Standard output of a program that ends well within `limit`.
pub(super) fn output(mut command: Command, limit: Duration) -> Result<String, ProgramError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |what: &dyn std::fmt::Display| ProgramError::Failed(format!("{name}: {what}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ProgramError::Missing(name.clone()),
        _ => failed(&error),
    })?;
    // Threads drain the pipes, so that a program that prints much is not held up; they end with the program.
    let texts = (child.stdout.take().map(drain), child.stderr.take().map(drain));
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begin.elapsed() < limit => std::thread::sleep(LOOK),
            Ok(None) => {
                // Killed and waited for, so that nothing of it stays behind.
                let _ = child.kill();
                let _ = child.wait();
                return Err(ProgramError::Slow(name, limit.as_secs()));
            }
            Err(error) => return Err(failed(&error)),
        }
    };
    let text = |pipe: Option<std::thread::JoinHandle<String>>| {
        pipe.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let (printed, complaints) = (text(texts.0), text(texts.1));
    if status.success() {
        return Ok(printed);
    }
    let said = complaints.lines().chain(printed.lines()).map(str::trim).find(|line| !line.is_empty());
    Err(failed(&said.unwrap_or("it failed and said nothing")))
}

fn drain(pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came until a fault is what there is.
        let _ = pipe.take(MOST_BYTES).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
