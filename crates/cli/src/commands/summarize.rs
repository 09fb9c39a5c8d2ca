//! `summarize`: a run's figures from its folder alone, for a run that was cut and for anyone who wants to check one.
//!
//! Uses what the run used: the same summary, the same reports. Refuses to ask the machine or the network anything.

use ai_energy_core::{Fault, FaultKind, Place, Report, Written};
use ai_energy_metrics::SummaryOptions;
use ai_energy_reporters::ReporterEntry;
use ai_energy_reporters::journal::{self, Context, StoredRun};

use super::run::{exit_of, print_report};
use crate::args::{Globals, SummarizeArgs};
use crate::diagnostics::note;
use crate::exit::{CliError, Exit};

/// Reads the folder, computes, prints; writes the reports where that was asked for or the run never did.
///
/// # Errors
/// The folder holds no run, a file of it is damaged, or a report cannot be written.
pub fn summarize(arguments: &SummarizeArgs, globals: &Globals) -> Result<Exit, CliError> {
    let StoredRun { record, context, cut } = journal::read_run(&arguments.folder)?;
    let options = figure_options(&context, arguments)?;
    let mut summary = ai_energy_metrics::summarize(&record, &options);
    let writes = cut || arguments.write;
    if writes {
        summary.curves = ai_energy_metrics::curves(&record);
    }
    let report = Report { record: &record, summary: &summary, config: &context.config };
    if cut && !globals.quiet {
        note("note: this run did not come to its end: what it had written by then is summarised");
    }
    let (written, mut faults) = if writes {
        // What reaches beyond the folder was the run's to do, once.
        let context = Context { reporter: context.reporter.within_the_folder(), ..context.clone() };
        let place = Place { run_dir: arguments.folder.clone(), collected_file: None, emissions_dir: None };
        write_reports(report, &place, &context)
    } else {
        (Vec::new(), Vec::new())
    };
    faults.extend(print_report(report, &written, arguments.format, globals).err());
    if faults.is_empty() { Ok(exit_of(&record, &summary)) } else { Err(CliError::Faults(faults)) }
}

/// The options that the run's own figures were computed with.
fn figure_options(context: &Context, arguments: &SummarizeArgs) -> Result<SummaryOptions, Fault> {
    serde_json::from_value(context.figures.clone()).map_err(|error| {
        let object = arguments.folder.join(journal::RECORD_FILE_NAME).display().to_string();
        Fault::new(FaultKind::Usage, object, format!("`figures` is not what a run writes: {error}"))
            .remedy("restore the file from a copy of the folder")
    })
}

/// Writes every report that the run's config did not switch off, each regardless of the others' faults.
pub(super) fn write_reports(
    report: Report<'_>,
    place: &Place,
    context: &Context,
) -> (Vec<Written>, Vec<Fault>) {
    let (mut written, mut faults) = (Vec::new(), Vec::new());
    let switched_off = |name: &str| context.without_reports.iter().any(|without| without == name);
    let wanted = |entry: &ReporterEntry| {
        (entry.standard || context.reporter.names(entry.name)) && !switched_off(entry.name)
    };
    for entry in ai_energy_reporters::all().iter().filter(|entry| wanted(entry)) {
        match (entry.make)(&context.reporter).write(report, place) {
            Ok(files) => written.extend(files),
            Err(fault) => faults.push(fault),
        }
    }
    (written, faults)
}
