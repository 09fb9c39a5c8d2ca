//! `run`: prepares, measures, summarises, reports. The order is the user's interest: what can be wrong is looked at
//! before anything is measured, and nothing measured is lost to what goes wrong afterwards.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use ai_energy_config::Loaded;
use ai_energy_core::record::Ending;
use ai_energy_core::{Fault, FaultKind, Place, Report, RunRecord, Stop, Summary, TokenCountSource, Written};
use ai_energy_metrics::SummaryOptions;
use ai_energy_reporters::journal::{self, Context};
use ai_energy_reporters::{Journal, TerminalOptions};

use super::summarize::write_reports;
use crate::args::{Globals, OutputFormat, RunArgs};
use crate::diagnostics::{self, print_out};
use crate::exit::{CliError, Exit};
use crate::resolve::Checked;
use crate::session::Session;
use crate::settings::Settings;
use crate::{resolve, signals};

/// The kind of metrics that also follows CodeCarbon's method.
const CODECARBON: &str = "codecarbon";

/// Runs a benchmark.
///
/// # Errors
/// What made the run impossible. A run that went wrong half-way is no error here: it is reported, and the exit code says.
pub fn run(arguments: &RunArgs, globals: &Globals) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    let checked = resolve::check(&loaded)?;
    block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        let finished = measure_and_write(loaded, checked, stop, &received, arguments.format, globals).await?;
        let Finished { record, summary, config, written, mut faults, exit, .. } = finished;
        let report = Report { record: &record, summary: &summary, config: &config };
        // A terminal that cannot be written to hides no other fault.
        faults.extend(print_report(report, &written, arguments.format, globals).err());
        if faults.is_empty() { Ok(exit) } else { Err(CliError::Faults(faults)) }
    })
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
    let session = tokio::select! {
        session = Session::prepare(loaded, checked, globals, format) => session?,
        () = stop.cancelled() => return Err(CliError::Stopped(received.exit().unwrap_or(Exit::Interrupted))),
    };
    let (place, moved) = target.open()?;
    let options = SummaryOptions {
        codecarbon: session.settings.metrics.kind == CODECARBON,
        ..session.settings.metrics.options.summary()
    };
    let context = context(&session, &options);
    let journal = open_journal(&place, &session.settings, context.clone())?;
    let record = session.measure(target.run_id.clone(), stop, Arc::clone(&journal), globals).await;
    let mut summary = ai_energy_metrics::summarize(&record, &options);
    summary.curves = ai_energy_metrics::curves(&record);
    let report = Report { record: &record, summary: &summary, config: &context.config };
    let (written, faults) = write_all(report, &place, journal, &context);
    let written = [moved, written].concat();
    let interrupted = received.exit().filter(|_| record.ending == Ending::Interrupted);
    let exit = interrupted.unwrap_or_else(|| exit_of(&record, &summary));
    Ok(Finished { record, summary, config: context.config, place, written, faults, exit })
}

/// What the folder keeps beside the observations, so that `summarize` gives the same reports.
fn context(session: &Session, options: &SummaryOptions) -> Context {
    Context {
        config: session.config.clone(),
        // Numbers, words and nulls alone: nothing in it can fail to become JSON.
        figures: serde_json::to_value(options).unwrap_or_default(),
        without_reports: if options.codecarbon { Vec::new() } else { vec!["emissions".to_owned()] },
        reporter: session.settings.reporter.clone(),
    }
}

/// The journal; generated texts stay out of it unless they are to be kept.
fn open_journal(place: &Place, settings: &Settings, context: Context) -> Result<Arc<Journal>, Fault> {
    let journal = Journal::create(&place.run_dir, context)?;
    Ok(Arc::new(if settings.scenario.keep_text { journal } else { journal.without_text() }))
}

/// Runs a future to its end on the runtime that the load runs on. Work that blocks and that nobody waits for any more,
/// such as reading a dataset that was interrupted, does not hold the program up.
///
/// # Errors
/// The system gives no threads, or the future's own error.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
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
    match journal.finish() {
        Ok(files) => written.extend(files),
        Err(fault) => faults.push(fault),
    }
    // The journal wrote each request as it ended; tokenizers counted after that.
    let counted_later = report.record.requests.iter().filter_map(|request| {
        let count = request.generation.completion_tokens?;
        (count.source == TokenCountSource::Tokenizer).then_some((request.id.as_str(), count))
    });
    let counts: HashMap<_, _> = counted_later.collect();
    if !counts.is_empty()
        && let Err(fault) = journal::recount(&place.run_dir, &counts)
    {
        faults.push(fault);
    }
    match journal::write_record(&place.run_dir, report.record, context) {
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
