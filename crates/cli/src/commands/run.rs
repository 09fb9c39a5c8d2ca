//! `run`: prepares, measures, summarises, reports. The order is the user's interest: what can be wrong is looked at
//! before anything is measured, and nothing measured is lost to what goes wrong afterwards.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ai_energy_config::Loaded;
use ai_energy_core::record::Ending;
use ai_energy_core::{Fault, FaultKind, Place, Report, RunRecord, Stop, Summary, TokenCountSource, Written};
use ai_energy_metrics::SummaryOptions;
use ai_energy_reporters::journal::{self, Context};
use ai_energy_reporters::{Journal, TerminalOptions, manifest};

use super::summarize::write_reports;
use crate::args::{Globals, OutputFormat, RunCommand};
use crate::diagnostics::{self, print_out};
use crate::exit::{CliError, Exit};
use crate::place::Prepared;
use crate::resolve::Checked;
use crate::session::Session;
use crate::settings::Settings;
use crate::{kept_config, resolve, signals};

/// How many tasks run before the runtime looks at its sockets again.
const LOOKS: u32 = 31;

/// The kind of metrics that also follows CodeCarbon's method.
const CODECARBON: &str = "codecarbon";

/// Runs a benchmark.
///
/// # Errors
/// What made the run impossible. A run that went wrong half-way is no error here: it is reported, and the exit code says.
pub fn run(arguments: &RunCommand, globals: &Globals) -> Result<Exit, CliError> {
    if let Some(folder) = &arguments.resume {
        return super::resume::resume(folder, arguments, globals);
    }
    let arguments = &arguments.run;
    if super::repeat::wanted(arguments)? {
        return super::repeat::run(arguments, globals);
    }
    let loaded = resolve::resolve(&arguments.source)?;
    let checked = resolve::check(&loaded)?;
    block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        let finished = measure_and_write(loaded, checked, stop, &received, arguments.format, globals).await?;
        conclude(finished, arguments.format, globals)
    })
}

/// Prints a finished run and gives its exit code.
///
/// # Errors
/// What could not be written.
pub(super) fn conclude(
    finished: Finished,
    format: OutputFormat,
    globals: &Globals,
) -> Result<Exit, CliError> {
    let Finished { record, summary, config, written, mut faults, exit, .. } = finished;
    let report = Report { record: &record, summary: &summary, config: &config };
    // A terminal that cannot be written to hides no other fault.
    faults.extend(print_report(report, &written, format, globals).err());
    if faults.is_empty() { Ok(exit) } else { Err(CliError::Faults(faults)) }
}

/// A run that is over and written.
pub(super) struct Finished {
    pub(super) record: RunRecord,
    pub(super) summary: Summary,
    pub(super) config: serde_json::Map<String, serde_json::Value>,
    pub(super) place: Place,
    pub(super) written: Vec<Written>,
    /// What could not be written.
    pub(super) faults: Vec<Fault>,
    pub(super) exit: Exit,
}

/// Prepares, measures, summarises and writes one run.
///
/// # Errors
/// What made the run impossible.
pub(super) async fn measure_and_write(
    loaded: Loaded<Settings>,
    checked: Checked,
    stop: Stop,
    received: &signals::Received,
    format: OutputFormat,
    globals: &Globals,
) -> Result<Finished, CliError> {
    let target = crate::place::prepare(&loaded.value, &|name| std::env::var(name).ok())?;
    measure_into(target, loaded, checked, stop, received, format, globals).await
}

/// [`measure_and_write`] into a place that was chosen before.
///
/// # Errors
/// What made the run impossible.
pub(super) async fn measure_into(
    target: Prepared,
    loaded: Loaded<Settings>,
    checked: Checked,
    stop: Stop,
    received: &signals::Received,
    format: OutputFormat,
    globals: &Globals,
) -> Result<Finished, CliError> {
    let kept = (kept_config::yaml(&loaded, &target.run_id), kept_config::origins(&loaded));
    let mut session = tokio::select! {
        session = Session::prepare(loaded, checked, globals, format) => session?,
        () = stop.cancelled() => return Err(CliError::Stopped(received.exit().unwrap_or(Exit::Interrupted))),
    };
    let (place, moved) = target.open()?;
    let (text, origins) = kept;
    let config_file = ai_energy_reporters::write_config(&place.run_dir, &text)?;
    let options = figure_options(&session.settings);
    let context = Context { origins, ..context(&session, &options) };
    let journal = open_journal(&place.run_dir, &session.settings, context.clone())?;
    let environment = session.environment();
    let record =
        session.measure(target.run_id.clone(), environment, stop, Arc::clone(&journal), globals).await;
    let mut summary = ai_energy_metrics::summarize(&record, &options);
    summary.curves = ai_energy_metrics::curves(&record);
    let report = Report { record: &record, summary: &summary, config: &context.config };
    let (written, mut faults) = write_all(report, &place, journal, &context);
    let written = [vec![config_file], written].concat();
    let manifest = seal(&place, &record.plan.run_id, &written, &mut faults);
    let written = [moved, written, manifest].concat();
    let interrupted = received.exit().filter(|_| record.ending == Ending::Interrupted);
    let exit = interrupted.unwrap_or_else(|| exit_of(&record, &summary));
    Ok(Finished { record, summary, config: context.config, place, written, faults, exit })
}

/// How the figures of a run with these settings are computed.
pub(super) fn figure_options(settings: &Settings) -> SummaryOptions {
    SummaryOptions { codecarbon: settings.metrics.kind == CODECARBON, ..settings.metrics.options.summary() }
}

/// Writes the manifest over what was written; files that collect runs are other runs' too and not in it. A folder in which
/// something could not be written gets none: it is not what it should be.
pub(super) fn seal(
    place: &Place,
    run_id: &str,
    written: &[Written],
    faults: &mut Vec<Fault>,
) -> Vec<Written> {
    if !faults.is_empty() {
        return Vec::new();
    }
    let collected = place.emissions_dir.as_ref().map(|folder| folder.join("emissions.csv"));
    let shared: Vec<&PathBuf> = place.collected_file.iter().chain(&collected).collect();
    let own = written.iter().map(|file| &file.path).filter(|path| !shared.contains(path));
    let files: Vec<PathBuf> = own.cloned().collect();
    match manifest::write_manifest(&place.run_dir, run_id, crate::provenance::REVISION, &files) {
        Ok(file) => vec![file],
        Err(fault) => {
            faults.push(fault);
            Vec::new()
        }
    }
}

/// What the folder keeps beside the observations, so that `summarize` gives the same reports.
pub(super) fn context(session: &Session, options: &SummaryOptions) -> Context {
    Context {
        config: session.config.clone(),
        origins: serde_json::Map::new(),
        // Numbers, words and nulls alone: nothing in it can fail to become JSON.
        figures: serde_json::to_value(options).unwrap_or_default(),
        without_reports: if options.codecarbon { Vec::new() } else { vec!["emissions".to_owned()] },
        reporter: session.settings.reporter.clone(),
    }
}

/// The journal; generated texts stay out of it unless they are to be kept.
pub(super) fn open_journal(
    folder: &Path,
    settings: &Settings,
    context: Context,
) -> Result<Arc<Journal>, Fault> {
    let journal = Journal::create(folder, context)?;
    Ok(Arc::new(if settings.scenario.keep_text { journal } else { journal.without_text() }))
}

/// Runs a future to its end on the runtime that the load runs on. Work that blocks and that nobody waits for any more,
/// such as reading a dataset that was interrupted, does not hold the program up.
///
/// # Errors
/// The system gives no threads, or the future's own error.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    // On one processor a second thread would only take turns with this one, at a switch for each request.
    let alone = std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let _ears = alone.then(signals::Ears::open);
    let mut builder = if alone {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder
        .enable_all()
        // Sockets are looked at again before many requests of a burst have been started: tokens that come meanwhile wait.
        .event_interval(LOOKS)
        .build()
        .map_err(|error| Fault::new(FaultKind::Internal, "runtime", format!("cannot be started: {error}")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// Writes every report and the rest of the run's folder, each regardless of the others' faults.
fn write_all(
    report: Report<'_>,
    place: &Place,
    journal: Arc<Journal>,
    context: &Context,
) -> (Vec<Written>, Vec<Fault>) {
    let (mut written, mut faults) = write_reports(report, place, context);
    let (files, more) = close_journal(report.record, &place.run_dir, journal, context);
    written.extend(files);
    faults.extend(more);
    (written, faults)
}

/// Ends the journal in `folder` and writes the rest of its record.
pub(super) fn close_journal(
    record: &RunRecord,
    folder: &Path,
    journal: Arc<Journal>,
    context: &Context,
) -> (Vec<Written>, Vec<Fault>) {
    let (mut written, mut faults) = (Vec::new(), Vec::new());
    match journal.finish() {
        Ok(files) => written.extend(files),
        Err(fault) => faults.push(fault),
    }
    // The journal wrote each request as it ended; tokenizers counted after that.
    let counted_later = record.requests.iter().filter_map(|request| {
        let count = request.generation.completion_tokens?;
        (count.source == TokenCountSource::Tokenizer).then_some((request.id.as_str(), count))
    });
    let counts: HashMap<_, _> = counted_later.collect();
    if !counts.is_empty()
        && let Err(fault) = journal::recount(folder, &counts)
    {
        faults.push(fault);
    }
    match journal::write_record(folder, record, context) {
        Ok(file) => written.push(file),
        Err(fault) => faults.push(fault),
    }
    (written, faults)
}

/// Prints the report, or the figures for programs.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_report(
    report: Report<'_>,
    written: &[Written],
    format: OutputFormat,
    globals: &Globals,
) -> Result<(), Fault> {
    use std::io::IsTerminal;
    if format == OutputFormat::Json {
        return print_out(&format!("{:#}\n", ai_energy_reporters::json::report_value(report)));
    }
    if globals.quiet {
        return Ok(());
    }
    let options = TerminalOptions {
        width: crate::progress::width(),
        color: diagnostics::colour(globals.color, std::io::stdout().is_terminal()),
        unicode: diagnostics::unicode(),
    };
    print_out(&ai_energy_reporters::render(report, &options))?;
    print_out(&ai_energy_reporters::render_saved(written, &options))
}

/// The exit code of a run that was not interrupted.
pub(super) fn exit_of(record: &RunRecord, summary: &Summary) -> Exit {
    if summary.counts.successful == 0 {
        Exit::NothingMeasured
    } else if summary.counts.failed > 0 || record.ending != Ending::Complete {
        Exit::FailedRequests
    } else {
        Exit::Ok
    }
}
