//! `run`: prepares, measures, summarises, reports. The order is the user's interest: what can be wrong is looked at
//! before anything is measured, and nothing measured is lost to what goes wrong afterwards.

use std::sync::Arc;
use std::time::SystemTime;

use ai_energy_config::{Loaded, Origin};
use ai_energy_core::record::Ending;
use ai_energy_core::runner::{self, Parts};
use ai_energy_core::{
    Backend, Check, CheckOutcome, Clock, DatasetInfo, Fault, FaultKind, FormattedPrompt, GenerationParams,
    LoadPlan, Observer, Place, Plan, Report, RequestRecord, RunRecord, Stop, Summary, TokenCountSource,
    Written,
};
use ai_energy_metrics::Roots;
use ai_energy_reporters::{Journal, TerminalOptions, journal};
use serde_json::{Map, Value};

use crate::args::{Globals, OutputFormat, RunArgs};
use crate::diagnostics::{self, note, print_out};
use crate::exit::{CliError, Exit};
use crate::progress::{LoadBar, Progress};
use crate::settings::Settings;
use crate::{assemble, redact, resolve, signals};

/// Runs a benchmark.
///
/// # Errors
/// What made the run impossible. A run that went wrong half-way is no error here: it is reported, and the exit code says.
pub fn run(arguments: &RunArgs, globals: &Globals) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    runtime()?.block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        let target = crate::place::prepare(&loaded.value, &|name| std::env::var(name).ok())?;
        let session = tokio::select! {
            session = Session::prepare(loaded, globals, arguments.format) => session?,
            () = stop.cancelled() => return Err(CliError::Stopped(received.exit().unwrap_or(Exit::Interrupted))),
        };
        let (place, moved) = target.open()?;
        let journal = open_journal(&place, &session.settings)?;
        let config = session.config.clone();
        let location = session.settings.metrics.options.summary();
        let kind = session.settings.metrics.kind.clone();
        let record = session.measure(target.run_id.clone(), stop, Arc::clone(&journal), globals).await;
        let summary = ai_energy_metrics::summarize(&record, &location);
        let report = Report { record: &record, summary: &summary, config: &config };
        let (written, faults) = write_reports(report, &place, journal, &kind);
        let written = [moved, written].concat();
        print_report(report, &written, arguments.format, globals)?;
        if !faults.is_empty() {
            return Err(CliError::Faults(faults));
        }
        Ok(received.exit().filter(|_| record.ending == Ending::Interrupted).unwrap_or_else(|| exit_of(&record, &summary)))
    })
}

/// The journal; generated texts stay out of it unless they are to be kept.
fn open_journal(place: &Place, settings: &Settings) -> Result<Arc<Journal>, Fault> {
    let journal = Journal::create(&place.run_dir)?;
    Ok(Arc::new(if settings.scenario.keep_text { journal } else { journal.without_text() }))
}

/// The runtime that the load runs on.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Fault::new(FaultKind::Internal, "runtime", format!("cannot be started: {error}")).into()
    })
}

/// Everything that is known and checked before the load begins.
pub struct Session {
    /// The resolved settings.
    pub settings: Settings,
    /// The resolved config for reports, without secrets.
    pub config: Map<String, Value>,
    /// What runs the model, validated.
    pub backend: Arc<dyn Backend>,
    /// What validation saw.
    pub checks: Vec<Check>,
    /// What will be sent.
    pub prompts: Vec<Arc<FormattedPrompt>>,
    /// Where it comes from.
    pub dataset: DatasetInfo,
    /// How generations are made.
    pub generation: GenerationParams,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Session {
    /// Checks options, loads the dataset, opens and validates the backend, formats the prompts: cheapest first.
    ///
    /// # Errors
    /// The first thing that would make a run fail; wrong generation parameters are reported together.
    pub async fn prepare(
        loaded: Loaded<Settings>,
        globals: &Globals,
        format: OutputFormat,
    ) -> Result<Self, CliError> {
        let is_default = |key: &str| *resolve::origin(&loaded, key) == Origin::Default;
        let generation = loaded.value.scenario.generation(is_default).map_err(CliError::Faults)?;
        ai_energy_metrics::check_options(&loaded.value.metrics.options)?;
        let mut warnings = loaded.notes.clone();
        let config = match redact::tree(&loaded.tree) {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        let mut settings = loaded.value;
        let kind = assemble::backend_kind(&settings)?;
        if kind.name != "pytorch" && settings.scenario.input_shapes.batch_size > 1 {
            warnings.push(
                "scenario.input_shapes.batch_size is for the PyTorch engine; a server batches by itself"
                    .to_owned(),
            );
        }

        let bar = LoadBar::new(globals);
        let dataset = ai_energy_datasets::open(&settings.scenario.dataset)?;
        let prompts = dataset.load(settings.scenario.dataset.num_samples, &bar).await?;
        bar.finish();
        warnings.extend(prompts.warnings.iter().cloned());

        let backend = kind.opener.open(&settings).await?;
        let checks = backend.validate().await?;
        settings.backend.model = backend.info().model;
        let selected = assemble::formatter(&settings, &settings.backend.model)?;
        warnings.extend(assemble::warnings(&settings, &selected, &*backend));
        let target = kind.opener.target(&settings);
        let formatted = assemble::format_prompts(&settings, &*selected.formatter, target, &prompts)?;
        let session = Self {
            settings,
            config,
            backend,
            checks,
            prompts: formatted,
            dataset: prompts.info,
            generation,
            warnings,
        };
        if !globals.quiet && format == OutputFormat::Text {
            session.announce(globals);
        }
        Ok(session)
    }

    /// Says what is about to run.
    fn announce(&self, globals: &Globals) {
        for warning in &self.warnings {
            note(&format!("note: {warning}"));
        }
        if globals.verbose > 0 {
            print_checks(&self.checks, globals);
        }
    }

    /// Runs the load and brings back the record.
    async fn measure(
        self,
        run_id: String,
        stop: Stop,
        journal: Arc<Journal>,
        globals: &Globals,
    ) -> RunRecord {
        let roots = Roots::default();
        let clock = Clock::start();
        let tally = Arc::new(ai_energy_core::backend::Tally::default());
        let plan = Plan {
            name: self.settings.name.clone(),
            run_id,
            load: LoadPlan {
                concurrency: self.settings.load.concurrency,
                max_consecutive_failures: self.settings.load.max_consecutive_failures,
            },
            generation: self.generation,
            sampling_interval_ms: self.settings.metrics.options.interval_ms,
            keep_text: self.settings.scenario.keep_text,
        };
        let progress = Progress::start(globals, Arc::clone(&tally), clock);
        let guard = Arc::new(DiskGuard { journal: Arc::clone(&journal), stop: stop.clone() });
        let mut observers: Vec<Arc<dyn Observer>> = vec![journal, guard];
        observers.extend(progress.observer());
        let parts = Parts {
            backend: self.backend,
            prompts: self.prompts,
            dataset: self.dataset,
            checks: self.checks,
            sources: assemble::sources(&self.settings, &roots),
            observers,
            clock,
            stop,
            tally,
            started_at: crate::place::rfc3339(SystemTime::now()),
            environment: ai_energy_metrics::environment(&roots),
            warnings: self.warnings,
        };
        let record = runner::run(plan, parts).await;
        progress.finish();
        record
    }
}

/// Ends the load when the journal cannot be written: what is measured after that would be lost.
struct DiskGuard {
    journal: Arc<Journal>,
    stop: Stop,
}

impl Observer for DiskGuard {
    fn request_ended(&self, _record: &RequestRecord) {
        if self.journal.failed() {
            self.stop.cancel();
        }
    }
}

/// Prints what validation saw.
pub fn print_checks(checks: &[Check], _globals: &Globals) {
    for check in checks {
        let mark = match check.outcome {
            CheckOutcome::Ok => "ok  ",
            CheckOutcome::Warning => "note",
        };
        note(&format!("{mark} {}: {}", check.name, check.detail));
    }
}

/// Writes every report, each regardless of the others' faults.
fn write_reports(
    report: Report<'_>,
    place: &Place,
    journal: Arc<Journal>,
    metrics_kind: &str,
) -> (Vec<Written>, Vec<Fault>) {
    let (mut written, mut faults) = (Vec::new(), Vec::new());
    let wanted = |name: &str| name != "emissions" || metrics_kind == "codecarbon";
    for entry in ai_energy_reporters::all().iter().filter(|entry| wanted(entry.name)) {
        match (entry.make)().write(report, place) {
            Ok(files) => written.extend(files),
            Err(fault) => faults.push(fault),
        }
    }
    match journal.finish() {
        Ok(files) => written.extend(files),
        Err(fault) => faults.push(fault),
    }
    // The journal wrote each request as it ended; tokenizers counted after that.
    let counted_later = report.record.requests.iter().any(|request| {
        matches!(&request.generation.completion_tokens, Some(count) if count.source == TokenCountSource::Tokenizer)
    });
    if counted_later && let Err(fault) = journal::replace_requests(&place.run_dir, &report.record.requests) {
        faults.push(fault);
    }
    (written, faults)
}

fn print_report(
    report: Report<'_>,
    written: &[Written],
    format: OutputFormat,
    globals: &Globals,
) -> Result<(), CliError> {
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
fn exit_of(record: &RunRecord, summary: &Summary) -> Exit {
    if summary.counts.successful == 0 {
        Exit::NothingMeasured
    } else if summary.counts.failed > 0 || record.ending != Ending::Complete {
        Exit::FailedRequests
    } else {
        Exit::Ok
    }
}
