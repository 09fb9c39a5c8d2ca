//! `summarize`: a run's figures from its folder alone, for a run that was cut and for anyone who wants to check one.
//!
//! Uses what the run used: the same summary, the same reports. Refuses to ask the machine or the network anything.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Place, Report, Written};
use ai_energy_metrics::SummaryOptions;
use ai_energy_reporters::ReporterEntry;
use ai_energy_reporters::journal::{self, Context, StoredRun};
use ai_energy_reporters::{config_file, manifest};

use super::run::{exit_of, print_report, seal};
use crate::args::{Globals, SummarizeArgs};
use crate::diagnostics::note;
use crate::exit::{CliError, Exit};

/// Reads the folder, computes, prints; writes the reports where that was asked for or the run never did.
///
/// # Errors
/// The folder holds no run, a file of it is damaged, or a report cannot be written.
pub fn summarize(arguments: &SummarizeArgs, globals: &Globals) -> Result<Exit, CliError> {
    let StoredRun { record, context, cut } = journal::read_run(&arguments.folder)?;
    let options = figure_options(&context, &arguments.folder)?;
    let mut summary = ai_energy_metrics::summarize(&record, &options);
    let writes = cut || arguments.write;
    if writes {
        summary.curves = ai_energy_metrics::curves(&record);
    }
    let report = Report { record: &record, summary: &summary, config: &context.config };
    if cut && !globals.quiet {
        note("note: this run did not come to its end: what it had written by then is summarised");
    }
    let (written, mut faults) =
        if writes { write_again(report, &arguments.folder, &context)? } else { (Vec::new(), Vec::new()) };
    faults.extend(print_report(report, &written, arguments.format, globals).err());
    if faults.is_empty() { Ok(exit_of(&record, &summary)) } else { Err(CliError::Faults(faults)) }
}

/// Writes the reports into a run's folder again, and its manifest over them and what the folder held before.
fn write_again(
    report: Report<'_>,
    folder: &Path,
    context: &Context,
) -> Result<(Vec<Written>, Vec<Fault>), Fault> {
    // What reaches beyond the folder was the run's to do, once.
    let context = &Context { reporter: context.reporter.within_the_folder(), ..context.clone() };
    let place = Place { run_dir: folder.to_owned(), collected_file: None, emissions_dir: None };
    let listed = manifest::read_manifest(folder).ok().flatten();
    let listed = listed.into_iter().flat_map(|manifest| manifest.files).map(|file| folder.join(file.path));
    let kept = listed.chain(run_files(folder)?).map(|path| Written::at(&path));
    let (mut written, mut faults) = write_reports(report, &place, context);
    let files: Vec<Written> = kept.chain(written.iter().cloned()).collect();
    written.extend(seal(&place, &report.record.plan.run_id, &files, &mut faults));
    Ok((written, faults))
}

/// The files that a run makes while it goes, in its folder and in those of its resumptions, whether they are there or not.
pub(super) fn run_files(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut files = vec![folder.join(config_file::FILE_NAME)];
    for part in std::iter::once(folder.to_owned()).chain(journal::segment_folders(folder)?) {
        files.push(part.join(journal::RECORD_FILE_NAME));
        files.extend(journal::file_paths(&part));
    }
    Ok(files)
}

/// The options that the run's own figures were computed with.
pub(super) fn figure_options(context: &Context, folder: &Path) -> Result<SummaryOptions, Fault> {
    serde_json::from_value(context.figures.clone()).map_err(|error| {
        let object = folder.join(journal::RECORD_FILE_NAME).display().to_string();
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
