//! `validate`: everything that a run would need, looked at, without the run.

use ai_energy_metrics::Roots;
use serde_json::json;

use crate::args::{Globals, OutputFormat, RunArgs};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};
use crate::session::{Session, print_checks};
use crate::{assemble, resolve};

/// Resolves the config, loads the dataset, asks the backend, looks for sources.
///
/// # Errors
/// The first thing that would make a run fail.
pub fn validate(arguments: &RunArgs, globals: &Globals) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    let checked = resolve::check(&loaded)?;
    super::run::block_on(async {
        let session = Session::prepare(loaded, checked, globals, arguments.format).await?;
        session.backend.close().await;
        let found = assemble::sources(&session.settings, &Roots::default());
        let channels: Vec<_> = found.sources.iter().flat_map(|source| source.channels().to_vec()).collect();
        if arguments.format == OutputFormat::Json {
            let answer = json!({
                "ok": true,
                "backend": session.backend.info(),
                "dataset": session.dataset,
                "prompts": session.prompts.len(),
                "checks": session.checks,
                "energy_channels": channels,
                "energy_unavailable": found.unavailable,
                "warnings": session.warnings,
            });
            print_out(&format!("{answer:#}\n"))?;
        } else if !globals.quiet {
            print_checks(&session.checks);
            let mut text = format!(
                "dataset   {} ({}), {} prompts\n",
                session.dataset.name,
                session.dataset.kind,
                session.prompts.len()
            );
            for channel in channels.iter().filter(|channel| channel.counts) {
                text += &format!(
                    "{:8}  {} ({})\n",
                    channel.domain.word(),
                    channel.source,
                    channel.provenance.word()
                );
            }
            for missing in &found.unavailable {
                text += &format!(
                    "{:8}  {} not available: {}\n",
                    missing.domain.word(),
                    missing.source,
                    missing.reason
                );
                if !missing.remedy.is_empty() {
                    text += &format!("{:8}    hint: {}\n", "", missing.remedy);
                }
            }
            text += "a run with this config would start\n";
            print_out(&text)?;
        }
        Ok(Exit::Ok)
    })
}
