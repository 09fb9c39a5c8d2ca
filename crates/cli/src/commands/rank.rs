//! `rank`: the models of a `master_results.csv` by the energy of a query, with stars where a class's energies are given.
//!
//! Refuses to rank; the metrics crate does.

use std::path::{Path, PathBuf};

use ai_energy_core::ranking::{Candidate, Ranking};
use ai_energy_core::{Fault, FaultKind};
use ai_energy_metrics::rank::{ClassEnergies, rank as ranked};
use ai_energy_reporters::batch::{
    MASTER_FILE_NAME, MasterRow, read_class_energies, read_master, write_ranking,
};
use ai_energy_reporters::render_ranking;
use clap::Args;

use super::compare::terminal;
use crate::args::{Globals, OutputFormat};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};

/// Arguments of `rank`.
#[derive(Debug, Clone, Args)]
pub struct RankArgs {
    /// A master_results.csv, or the folder of a batch
    #[arg(value_name = "FILE | DIR")]
    pub results: PathBuf,
    /// GPU energies of a class's models (CSV), for one to five stars
    #[arg(long, visible_alias = "stars", value_name = "FILE")]
    pub class_energies: Option<PathBuf>,
    /// Write ranking.json, ranking.md and ranking.html into this folder
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// Ranks.
///
/// # Errors
/// A file cannot be read or written, or holds no model.
pub fn rank(arguments: &RankArgs, globals: &Globals) -> Result<Exit, CliError> {
    let folder = arguments.results.is_dir();
    let path = if folder { arguments.results.join(MASTER_FILE_NAME) } else { arguments.results.clone() };
    let wrong = |cause: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy("name the folder of a batch")
    };
    if !path.exists() {
        return Err(wrong("is not there").into());
    }
    let rows = read_master(&path)?;
    if rows.is_empty() {
        return Err(wrong("holds no model").into());
    }
    let energies = arguments.class_energies.as_deref().map(read_energies).transpose()?;
    report(&of_rows(&rows, energies.as_ref()), arguments.output_dir.as_deref(), arguments.format, globals)?;
    Ok(Exit::Ok)
}

/// The energies of a class's file.
pub(super) fn read_energies(path: &Path) -> Result<ClassEnergies, Fault> {
    Ok(ClassEnergies { energies: read_class_energies(path)? })
}

/// The ranking of a batch's rows.
pub(super) fn of_rows(rows: &[MasterRow], energies: Option<&ClassEnergies>) -> Ranking {
    let candidate = |row: &MasterRow| Candidate {
        model: row.model_name.clone(),
        class: row.model_class.clone(),
        task: row.task.clone(),
        reasoning_state: row.reasoning_state.clone(),
        wh_per_1000_queries: row.number("wh_per_1000_queries"),
        tokens_per_joule: row.number("tokens_per_joule"),
        seconds_per_query: row.number("avg_total_time"),
        co2_grams: row.number("co2_emissions_g"),
        error: row.error_message.clone(),
    };
    ranked(rows.iter().map(candidate).collect(), energies)
}

/// Writes the ranking's files into `folder`, and prints it.
pub(super) fn report(
    ranking: &Ranking,
    folder: Option<&Path>,
    format: OutputFormat,
    globals: &Globals,
) -> Result<(), CliError> {
    let written = folder.map(|folder| write_ranking(folder, ranking)).transpose()?.unwrap_or_default();
    match format {
        OutputFormat::Json => {
            print_out(&format!("{:#}\n", serde_json::to_value(ranking).unwrap_or_default()))?
        }
        OutputFormat::Text if globals.quiet => {}
        OutputFormat::Text => {
            print_out(&render_ranking(ranking, &terminal(globals, false)))?;
            written.iter().for_each(|file| note(&format!("saved {}", file.path.display())));
        }
    }
    Ok(())
}
