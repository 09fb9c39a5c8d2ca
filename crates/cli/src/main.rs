//! The `ai-energy-benchmark` program: hands its arguments to the library and its exit code to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_energy_cli::main(std::env::args_os().collect())
}
