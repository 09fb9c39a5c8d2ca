//! `completions` and `man`: what shells and manuals want, generated from the arguments.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};
use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder instead of printing one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints a completion script.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(arguments: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(arguments.shell, &mut command, "ai-energy-benchmark", &mut script);
    print_out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Prints the manual page, or writes one a command into a folder.
///
/// # Errors
/// Standard output or the folder cannot be written.
pub fn man(arguments: &ManArgs) -> Result<Exit, CliError> {
    let Some(folder) = &arguments.dir else {
        print_out(&String::from_utf8_lossy(&page(Cli::command())?))?;
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let mut root = Cli::command();
    // Fills in what subcommands inherit.
    root.build();
    write_page(folder, "ai-energy-benchmark", root.clone())?;
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("ai-energy-benchmark-{}", command.get_name());
        // clap wants names that live as long as the program; a handful of them may.
        let renamed = command.clone().name(&*name.clone().leak());
        write_page(folder, &name, renamed)?;
    }
    Ok(Exit::Ok)
}

fn write_page(folder: &Path, name: &str, command: clap::Command) -> Result<(), CliError> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|error| unwritable(&path, &error))
}

fn page(command: clap::Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Fault::new(FaultKind::Internal, "manual page", error.to_string()))?;
    Ok(page)
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    Fault::new(FaultKind::Output, path.display().to_string(), error.to_string()).into()
}
