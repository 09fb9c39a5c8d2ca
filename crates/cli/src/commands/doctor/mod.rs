//! `doctor`: what this machine can measure, what it cannot and what would change that, with live values as proof.
//!
//! Looks with the same parts as a run does, so that what it promises is what a run gets. Refuses to judge figures.

mod look;
mod text;
mod watch;

use ai_energy_core::Stop;
use ai_energy_metrics::Roots;

use crate::args::{DoctorArgs, Globals, OutputFormat};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};
use crate::{assemble, resolve, signals};

use look::Findings;

/// Reads every source for a moment and says what was found; with `--watch`, until it is stopped.
///
/// # Errors
/// The config is wrong, or standard output cannot be written.
pub fn doctor(arguments: &DoctorArgs, globals: &Globals) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    resolve::check(&loaded)?;
    let roots = Roots::default();
    super::run::block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        let interval_ms = loaded.value.metrics.options.interval_ms;
        let found = assemble::sources(&loaded.value, &roots);
        if arguments.watch {
            watch::watch(found, interval_ms, arguments, globals, &stop).await?;
            return Ok(Exit::Ok);
        }
        let findings = Findings::look(found, interval_ms, arguments.seconds, &roots, &stop).await;
        if let Some(exit) = received.exit() {
            return Err(CliError::Stopped(exit));
        }
        print_out(&match arguments.format {
            OutputFormat::Text => text::page(&findings),
            OutputFormat::Json => format!("{:#}\n", findings.to_json()),
        })?;
        Ok(Exit::Ok)
    })
}
