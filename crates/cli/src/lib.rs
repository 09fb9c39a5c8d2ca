//! The command line as a library: arguments, the registry of concrete parts, diagnostics and commands.
//!
//! The only crate that names concrete parts and the only one that prints. Refuses to measure and to compute.

pub mod advice;
pub mod args;
pub mod assemble;
pub mod calibration;
pub mod client_limits;
pub mod commands;
pub mod diagnostics;
pub mod discreet;
pub mod exit;
pub mod kept_config;
pub mod load_args;
pub mod load_plan;
pub mod place;
pub mod progress;
pub mod provenance;
pub mod record_args;
pub mod redact;
pub mod reference;
pub mod registry;
pub mod repeat;
pub mod report_reference;
pub mod resolve;
pub mod rest;
pub mod secrets;
pub mod session;
pub mod settings;
pub mod signals;
pub mod workload;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, ConfigCommand};
use exit::Exit;

/// Runs the program with its arguments, the program's name first, and returns its exit code.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args::with_default_command(arguments)) {
        Ok(cli) => cli,
        Err(error) => return diagnostics::usage(&error),
    };
    diagnostics::start_logging(&cli.globals);
    match dispatch(&cli) {
        Ok(exit) => exit.code(),
        Err(error) => {
            diagnostics::print_error(&error);
            error.exit().code()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, exit::CliError> {
    match &cli.command {
        Command::Run(arguments) => commands::run::run(arguments, &cli.globals),
        Command::Validate(arguments) => commands::validate::validate(arguments, &cli.globals),
        Command::Sweep(arguments) => commands::sweep::sweep(arguments, &cli.globals),
        Command::Compare(arguments) => commands::compare::compare(arguments, &cli.globals),
        Command::Batch(arguments) => commands::batch::batch(arguments, &cli.globals),
        Command::Rank(arguments) => commands::rank::rank(arguments, &cli.globals),
        Command::List(arguments) => commands::list::list(arguments),
        Command::Prompts(arguments) => commands::prompts::prompts(arguments, &cli.globals),
        Command::Summarize(arguments) => commands::summarize::summarize(arguments, &cli.globals),
        Command::Verify(arguments) => commands::verify::verify(arguments, &cli.globals),
        Command::Bundle(arguments) => commands::bundle::bundle(arguments, &cli.globals),
        Command::Doctor(arguments) => commands::doctor::doctor(arguments, &cli.globals),
        Command::Measure(arguments) => commands::measure::measure(arguments),
        Command::Config(arguments) => match &arguments.command {
            ConfigCommand::Show(show) => commands::config::show(show),
            ConfigCommand::Schema => commands::config::schema(),
            ConfigCommand::List => commands::config::list(),
        },
        Command::Calibrate(arguments) => commands::calibrate::calibrate(arguments, &cli.globals),
        Command::Simulate(arguments) => commands::simulate::simulate(arguments, &cli.globals),
        Command::Completions(arguments) => commands::shell::completions(arguments),
        Command::Man(arguments) => commands::shell::man(arguments),
    }
}
