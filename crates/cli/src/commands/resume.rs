//! `run --resume`: goes on with a run that was killed, interrupted or ran out of disk, in the run's own folder.
//!
//! The config is the folder's. Refuses what would make it another run: other keys that change the work, other prompts, another
//! model. What is measured goes into a folder of its own within the run's; the figures are of all segments together.

use std::path::Path;
use std::sync::Arc;

use ai_energy_config::{Loaded, Origin};
use ai_energy_core::record::Ending;
use ai_energy_core::{Fault, FaultKind, Place, Report, RunRecord, Stop, Written};
use ai_energy_reporters::journal::{self, Context, StoredRun};
use ai_energy_reporters::{config_file, place};
use serde_json::Value;

use super::run::{
    Finished, block_on, close_journal, conclude, context, exit_of, figure_options, open_journal, seal,
};
use super::summarize::{self, run_files, write_reports};
use crate::args::{ConfigSource, Globals, RunCommand};
use crate::exit::{CliError, Exit};
use crate::kept_config::leaves;
use crate::rest::{Rest, Whole, rest};
use crate::secrets::HIDDEN;
use crate::session::Session;
use crate::settings::Settings;
use crate::{redact, resolve, signals};

/// Keys that may be given anew: where the server is and how it is reached, not what is asked of it.
const FREE: [&str; 9] = [
    "backend.endpoint",
    "backend.more_endpoints",
    "backend.server.api_key_env",
    "backend.server.headers",
    "backend.server.proxy",
    "load.max_consecutive_failures",
    "metrics.discovery_seconds",
    "output_dir",
    "reporter",
];

/// Goes on with the run in a folder.
///
/// # Errors
/// The folder holds no run that can go on, nothing is left of it, or what would make a run impossible.
pub fn resume(folder: &Path, arguments: &RunCommand, globals: &Globals) -> Result<Exit, CliError> {
    if journal::in_use(folder) {
        let cause = "a run that goes on writes into it";
        let fault = Fault::new(FaultKind::Usage, format!("--resume {}", folder.display()), cause);
        return Err(fault.remedy("let it end, or end it, and try again").into());
    }
    let stored = journal::read_run(folder)?;
    let loaded = resolve::resolve(&source(folder, &arguments.run.source)?)?;
    refuse_changes(&loaded, &stored.context)?;
    let checked = resolve::check(&loaded)?;
    let planned = &stored.record.plan;
    if checked.load.steps() != planned.load.steps()
        || checked.load.seed != planned.load.seed
        || checked.generation != planned.generation
    {
        return Err(refused(
            folder,
            "this program plans another load from its config than the one that made it",
        )
        .into());
    }
    block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        place::check_writable(folder)?;
        let session = tokio::select! {
            session = Session::prepare(loaded, checked, globals, arguments.run.format) => session?,
            () = stop.cancelled() => return Err(CliError::Stopped(received.exit().unwrap_or(Exit::Interrupted))),
        };
        let task = Task { folder, stored, retry_failed: arguments.retry_failed };
        let mut finished = task.measure(session, stop, globals).await?;
        if finished.record.ending == Ending::Interrupted {
            finished.exit = received.exit().unwrap_or(finished.exit);
        }
        conclude(finished, arguments.run.format, globals)
    })
}

/// The folder's config with what was typed beside it.
fn source(folder: &Path, typed: &ConfigSource) -> Result<ConfigSource, Fault> {
    let file = folder.join(config_file::FILE_NAME);
    if !file.is_file() {
        return Err(refused(folder, "it holds no config.yaml to go on with"));
    }
    if typed.config_name.is_some() {
        let fault = Fault::new(FaultKind::Usage, "--config-name", "a run goes on with its own config");
        return Err(fault.remedy("leave it out"));
    }
    let mut inputs = vec![file.display().to_string()];
    inputs.extend(typed.inputs.iter().cloned());
    Ok(ConfigSource { inputs, ..typed.clone() })
}

fn refused(folder: &Path, cause: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Usage, format!("--resume {}", folder.display()), cause)
        .remedy("run it anew; `summarize` gives the figures so far")
}

/// Refuses keys that would change the work, and secrets that the folder does not hold and nobody gave again.
fn refuse_changes(loaded: &Loaded<Settings>, context: &Context) -> Result<(), CliError> {
    let before = leaves("", &Value::Object(context.config.clone()));
    let now = leaves("", &redact::tree(&loaded.tree));
    let find = |all: &[(String, Value)], key: &str| {
        all.iter().find(|(name, _)| name == key).map(|(_, it)| it.clone())
    };
    let free = |key: &str| {
        key.contains("timeout")
            || FREE
                .iter()
                .any(|free| key == *free || key.strip_prefix(free).is_some_and(|rest| rest.starts_with('.')))
    };
    // Where nobody named a dataset, its default depends on whether there was a config, and is not used.
    let unused = |key: &str| {
        key == "scenario.dataset_name"
            && *resolve::origin(loaded, key) == Origin::Default
            && !context.origins.contains_key(key)
    };
    let mut faults = Vec::new();
    for key in before.iter().chain(&now).map(|(key, _)| key.as_str()) {
        let (old, new) = (find(&before, key), find(&now, key));
        if old == new || free(key) || unused(key) || faults.iter().any(|(named, _)| named == key) {
            continue;
        }
        let show = |value: Option<Value>| value.map_or("nothing".to_owned(), |value| value.to_string());
        let cause = format!("would change the run that goes on: it has {}, not {}", show(old), show(new));
        let object = format!("{}: key `{key}`", resolve::origin(loaded, key));
        let fault = Fault::new(FaultKind::Usage, object, cause);
        faults.push((key.to_owned(), fault.remedy("leave it out, or make a run of its own")));
    }
    for (key, value) in leaves("", &loaded.tree) {
        if value.to_string().contains(HIDDEN) {
            let fault =
                Fault::new(FaultKind::Usage, format!("key `{key}`"), "the folder hides a secret here");
            faults.push((key.clone(), fault.remedy(format!("give it again: {key}=VALUE"))));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(CliError::Faults(faults.into_iter().map(|(_, fault)| fault).collect()))
}

/// A run to go on with.
struct Task<'a> {
    folder: &'a Path,
    stored: StoredRun,
    retry_failed: bool,
}

impl Task<'_> {
    /// Measures what is left and writes the reports of the whole run.
    async fn measure(
        self,
        mut session: Session,
        stop: Stop,
        globals: &Globals,
    ) -> Result<Finished, CliError> {
        let environment = session.environment();
        self.refuse_other_work(&session, &environment)?;
        let Rest { plan, prompts, timeline, numbers, first_number } = self.rest(&session)?;
        session.checked.load = plan;
        session.prompts = prompts;
        session.script.timeline = timeline;
        (session.script.numbers, session.script.first_number) = (numbers, first_number);

        let (part, number) = journal::make_segment_folder(self.folder)?;
        let settings = session.settings.clone();
        let kept = Context {
            origins: self.stored.context.origins.clone(),
            ..context(&session, &figure_options(&settings))
        };
        let journal = open_journal(&part, &settings, kept.clone())?;
        let run_id = format!("{}-s{number}", self.stored.record.plan.run_id);
        let record = session.measure(run_id, environment, stop, Arc::clone(&journal), globals).await;
        let (mut written, mut faults) = close_journal(&record, &part, journal, &kept);

        let StoredRun { record, context, .. } = journal::read_run(self.folder)?;
        let options = summarize::figure_options(&context, self.folder)?;
        let mut summary = ai_energy_metrics::summarize(&record, &options);
        summary.curves = ai_energy_metrics::curves(&record);
        let report = Report { record: &record, summary: &summary, config: &context.config };
        let place = Place {
            run_dir: self.folder.to_owned(),
            collected_file: settings.reporter.output_file.clone(),
            emissions_dir: settings.metrics.output_dir.clone(),
        };
        let (reports, more) = write_reports(report, &place, &context);
        written.extend(reports);
        faults.extend(more);
        let whole: Vec<Written> = run_files(self.folder)?.iter().map(|path| Written::at(path)).collect();
        let all = [whole, written.clone()].concat();
        written.extend(seal(&place, &record.plan.run_id, &all, &mut faults));
        let exit = exit_of(&record, &summary);
        Ok(Finished { record, summary, config: context.config, place, written, faults, exit })
    }

    /// Refuses other prompts and another model than the run had.
    fn refuse_other_work(
        &self,
        session: &Session,
        environment: &serde_json::Map<String, Value>,
    ) -> Result<(), Fault> {
        let before: &RunRecord = &self.stored.record;
        let prompts = |found: &serde_json::Map<String, Value>| found.get("prompts_sha256").cloned();
        if session.dataset.sha256 != before.dataset.sha256
            || prompts(environment) != prompts(&before.environment)
        {
            let cause = format!("the prompts of `{}` are others than the run had", before.dataset.name);
            return Err(refused(self.folder, cause));
        }
        let model = &session.settings.backend.model;
        if *model != before.backend.model {
            let cause = format!("the model is `{model}`, and the run had `{}`", before.backend.model);
            return Err(refused(self.folder, cause));
        }
        Ok(())
    }

    fn rest(&self, session: &Session) -> Result<Rest, Fault> {
        let whole = Whole {
            plan: &session.checked.load,
            prompts: &session.prompts,
            timeline: &session.script.timeline,
            conversations: !session.script.follow_ups.is_empty(),
        };
        let left = rest(whole, &self.stored.record.requests, self.retry_failed)?;
        left.ok_or_else(|| {
            let failed = self.stored.record.requests.iter().any(|request| request.failed());
            let remedy = match failed && !self.retry_failed {
                true => "add --retry-failed to try failed requests again",
                false => "`summarize` gives its figures",
            };
            let object = format!("--resume {}", self.folder.display());
            Fault::new(FaultKind::Usage, object, "nothing is left to do: every request has ended")
                .remedy(remedy)
        })
    }
}
