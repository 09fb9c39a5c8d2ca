//! What goes to standard error: logs through tracing, errors, notes. Refuses to write results.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use ai_energy_core::{Fault, FaultKind};
use tracing_subscriber::EnvFilter;

use crate::args::{Globals, LogFormat, When};
use crate::exit::{CliError, Exit};

/// Prints clap's answer (help, version, or what is wrong with the arguments) and gives its exit code.
pub fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is not worth a message.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.code() } else { Exit::Ok.code() }
}

/// How diagnostics are written, once the arguments say.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Starts logging to standard error. `RUST_LOG` wins over `-v`.
pub fn start_logging(globals: &Globals) {
    // A second call, from a library user, changes nothing.
    let _ = FORMAT.set(globals.log_format);
    let level = match globals.verbose {
        0 if globals.quiet => "error",
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let ours = format!("error,{}", crates_at(level));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(ours));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Discreet);
    // A subscriber that a library user has set stays.
    let _ = match globals.log_format {
        LogFormat::Text => subscriber
            .with_ansi(colour(globals.color, std::io::stderr().is_terminal()))
            .without_time()
            .try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

fn crates_at(level: &str) -> String {
    ["core", "cli", "config", "datasets", "formatters", "metrics", "reporters", "simulator"]
        .iter()
        .map(|name| format!("ai_energy_{name}={level}"))
        .chain(["vllm", "pytorch"].iter().map(|name| format!("ai_energy_backends_{name}={level}")))
        .collect::<Vec<_>>()
        .join(",")
}

/// `true` where colours are to be used on a stream.
pub fn colour(when: When, is_terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// `true` where standard error can show more than ASCII: the locale says UTF-8, and the terminal is no dumb one.
pub fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default();
    let utf8 = locale.to_lowercase().replace('-', "").contains("utf8");
    utf8 && std::env::var("TERM").as_deref() != Ok("dumb")
}

/// Prints an error; where logs are JSON, as one event.
pub fn print_error(error: &CliError) {
    match FORMAT.get() {
        Some(LogFormat::Json) => {
            tracing::error!(target: "ai_energy_cli", exit_code = error.exit().number(), "{error}");
        }
        _ => to_stderr(&format!("error: {error}")),
    }
}

/// Says something to the user on standard error; where logs are JSON, as one event.
pub fn note(line: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) => tracing::warn!(target: "ai_energy_cli", "{line}"),
        _ => to_stderr(line),
    }
}

/// Says a detail that was asked for with `-v`.
pub fn detail(line: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) => tracing::info!(target: "ai_energy_cli", "{line}"),
        _ => to_stderr(line),
    }
}

fn to_stderr(line: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{}", crate::redact::text(line));
}

/// Standard error for logs, without any secret. An event is written in one piece.
struct Discreet;

impl Write for Discreet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        std::io::stderr().write_all(crate::redact::text(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Prints to standard output. A closed pipe ends quietly, as `| head` expects.
///
/// # Errors
/// Standard output cannot be written, for example because the disk that it goes to is full.
pub fn print_out(text: &str) -> Result<(), Fault> {
    print_live(text).map(|_| ())
}

/// Prints to standard output; `false` once nobody reads it any more, so that what prints for ever can end.
///
/// # Errors
/// As [`print_out`].
pub fn print_live(text: &str) -> Result<bool, Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Fault::new(FaultKind::Output, "standard output", format!("cannot be written: {error}"))
                .remedy("send it to a terminal, a pipe or a file on a disk with space"))
        }
    }
}
