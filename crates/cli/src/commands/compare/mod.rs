//! `compare`: runs side by side, with what differs, how sure each difference is, and conditions for scripts.
//!
//! Reads, lets the metrics crate compare, and prints. Refuses to measure.

mod read;

use std::io::IsTerminal;
use std::path::PathBuf;

use ai_energy_core::comparison::{ComparedSide, Comparison};
use ai_energy_core::{Fault, FaultKind};
use ai_energy_metrics::compare::{CompareOptions, Gate, compare as compare_sides};
use ai_energy_reporters::{TerminalOptions, render_comparison};
use clap::{Args, ValueEnum};

use crate::args::Globals;
use crate::diagnostics::{self, note, print_out};
use crate::exit::{CliError, Exit};

/// Arguments of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Run folders, folders of repeats, benchmark_report.json files, or tables of runs (FILE.csv, FILE.csv#ROW, or
    /// FILE.csv#all for rows that are repeats)
    #[arg(value_name = "RUN", required = true)]
    pub inputs: Vec<String>,
    /// What the others are held against: its number, from 1, or its name [default: the first]
    #[arg(long, value_name = "N | NAME")]
    pub baseline: Option<String>,
    /// Exit with code 6 where this holds, for example 'energy_per_output_token>5%', 'abs(ttft_p99)>10%' or
    /// 'ttft_p99>500ms'; may be given several times
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Gate>,
    /// A difference fails its condition even where it is not significant
    #[arg(long)]
    pub strict: bool,
    /// How to write it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: CompareFormat,
    /// Write it into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// Tables for a terminal.
    #[default]
    Text,
    /// Tables for pull requests and papers.
    Markdown,
    /// Everything, for programs.
    Json,
    /// One page for a browser; best with --output.
    Html,
}

/// Compares runs.
///
/// # Errors
/// An input cannot be read, or there are fewer than two sides and no condition.
pub fn compare(arguments: &CompareArgs, globals: &Globals) -> Result<Exit, CliError> {
    let sides = read::sides(&arguments.inputs)?;
    if sides.len() < 2 && arguments.fail_if.is_empty() {
        let cause = format!("`{}` is one run", arguments.inputs.join(" "));
        return Err(Fault::new(FaultKind::Usage, "compare", cause)
            .remedy("name two runs or more, or a condition with --fail-if")
            .into());
    }
    let baseline = baseline(arguments.baseline.as_deref(), &sides)?;
    let options = CompareOptions { baseline, gates: arguments.fail_if.clone(), strict: arguments.strict };
    let comparison = compare_sides(&sides, &options);
    let text = written(&comparison, arguments.format, globals, arguments.output.is_some())?;
    match &arguments.output {
        Some(path) => ai_energy_reporters::comparison::write_text(path, &text)?,
        None if globals.quiet => {}
        None => print_out(&text)?,
    }
    let failed: Vec<_> = comparison.gates.iter().filter(|gate| gate.failed).collect();
    for gate in &failed {
        note(&format!("condition failed: {} for {}: {}", gate.condition, gate.side, gate.detail));
    }
    Ok(if failed.is_empty() { Exit::Ok } else { Exit::Condition })
}

/// The comparison in a format; what goes into a file has no colours.
fn written(
    comparison: &Comparison,
    format: CompareFormat,
    globals: &Globals,
    to_file: bool,
) -> Result<String, Fault> {
    Ok(match format {
        CompareFormat::Text => render_comparison(comparison, &terminal(globals, to_file)),
        CompareFormat::Markdown => ai_energy_reporters::comparison::comparison_markdown(comparison),
        CompareFormat::Json => format!("{:#}\n", serde_json::to_value(comparison).unwrap_or_default()),
        CompareFormat::Html => ai_energy_reporters::comparison::comparison_html(comparison)?,
    })
}

/// What standard output can show.
pub(super) fn terminal(globals: &Globals, to_file: bool) -> TerminalOptions {
    TerminalOptions {
        width: crate::progress::width(),
        color: !to_file && diagnostics::colour(globals.color, std::io::stdout().is_terminal()),
        unicode: to_file || diagnostics::unicode(),
    }
}

/// The place of the baseline: by number from 1, by name, or the first.
fn baseline(wanted: Option<&str>, sides: &[ComparedSide]) -> Result<usize, Fault> {
    let Some(wanted) = wanted else { return Ok(0) };
    let by_name = sides.iter().position(|side| side.name == wanted);
    let by_number = || wanted.parse::<usize>().ok().filter(|number| (1..=sides.len()).contains(number));
    by_name.or_else(|| by_number().map(|number| number - 1)).ok_or_else(|| {
        let names: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
        Fault::new(FaultKind::Usage, "--baseline", format!("`{wanted}` is none of {}", names.join(", ")))
            .remedy(format!("give a name, or a number from 1 to {}", sides.len()))
    })
}

pub(super) use read::run_of_record;
