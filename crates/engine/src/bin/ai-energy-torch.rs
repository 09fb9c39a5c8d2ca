//! The engine's program: speaks the line protocol on its standard input and output.
//!
//! Refuses to know anything but its arguments; the work is the library's.

use std::io::{BufReader, IsTerminal, Write};
use std::process::ExitCode;

use ai_energy_engine::serve::{Native, serve};

const HELP: &str = "\
The PyTorch engine of ai-energy-benchmark: loads a model and generates, by a line protocol on standard input and output.
ai-energy-benchmark starts it by itself: set backend.type: pytorch.

Usage: ai-energy-torch [check]

  check      Say which libtorch, devices and kernels there are, and end
  --version  Print the version
  --help     Print this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] if std::io::stdin().is_terminal() => write(HELP),
        [] => speak(),
        ["check"] => write(&ai_energy_engine::serve::check()),
        ["--version" | "-V"] => write(&format!("ai-energy-torch {}\n", env!("CARGO_PKG_VERSION"))),
        ["--help" | "-h" | "help"] => write(HELP),
        _ => {
            let _ = writeln!(std::io::stderr(), "there is no such argument: {}\n\n{HELP}", words.join(" "));
            ExitCode::from(2)
        }
    }
}

/// Speaks the protocol. What still computes when the host is gone ends with the process.
fn speak() -> ExitCode {
    let code = match serve(BufReader::new(std::io::stdin()), std::io::stdout(), Native) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the engine's input or threads failed: {error}");
            1
        }
    };
    std::process::exit(code)
}

/// A reader that is gone is no failure of ours.
fn write(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
