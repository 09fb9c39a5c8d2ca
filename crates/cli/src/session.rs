//! A run between its config and its record: everything is looked at before the load begins, then the load is measured.

use std::sync::Arc;
use std::time::SystemTime;

use ai_energy_backends_pytorch::{DeviceIds, Gpus, VISIBLE_ENV};
use ai_energy_config::{Loaded, Origin};
use ai_energy_core::record::GridIntensity;
use ai_energy_core::runner::{self, Parts, Script};
use ai_energy_core::{
    Backend, Check, CheckOutcome, Clock, DatasetInfo, Fault, FormattedPrompt, Observer, Plan, RequestRecord,
    RunRecord, SourceDiscovery, Stop,
};
use ai_energy_metrics::{GpuChoice, ProcessMeter, Roots, grid};
use ai_energy_reporters::Journal;
use ai_energy_reporters::html::run::{COMMAND_KEY, REPEAT_KEY};
use serde_json::{Map, Value};

use crate::args::{Globals, OutputFormat};
use crate::diagnostics::{detail, note};
use crate::discreet::{self, Discreet};
use crate::exit::CliError;
use crate::progress::{LoadBar, Progress};
use crate::resolve::Checked;
use crate::settings::Settings;
use crate::{advice, assemble, client_limits, provenance, redact, resolve, workload};

/// Everything that is known and checked before the load begins.
pub struct Session {
    /// The resolved settings.
    pub settings: Settings,
    /// How to run the same again.
    pub repeat: String,
    /// The resolved config for reports, without secrets.
    pub config: Map<String, Value>,
    /// What runs the model, validated.
    pub backend: Arc<dyn Backend>,
    /// What validation saw.
    pub checks: Vec<Check>,
    /// What will be sent and measured.
    pub prompts: Vec<Arc<FormattedPrompt>>,
    /// What the load holds beside it.
    pub script: Script,
    /// Where it comes from.
    pub dataset: DatasetInfo,
    /// How generations are made and offered.
    pub checked: Checked,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The energy sources, once they have been looked for.
    sources: Option<SourceDiscovery>,
}

impl Session {
    /// Loads the dataset, opens and validates the backend, formats the prompts: cheapest first. The settings have been
    /// checked, and `checked` is what [`resolve::check`] made of them.
    ///
    /// # Errors
    /// The first thing that would make a run fail.
    pub async fn prepare(
        loaded: Loaded<Settings>,
        checked: Checked,
        globals: &Globals,
        format: OutputFormat,
    ) -> Result<Self, CliError> {
        let mut warnings = loaded.notes.clone();
        warnings.extend(advice::on_config(&loaded));
        let config = match redact::tree(&loaded.tree) {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        let repeat = crate::repeat::command(&loaded);
        let named = *resolve::origin(&loaded, "scenario.dataset_name") != Origin::Default;
        let mut settings = measured_gpus(loaded, std::env::var(VISIBLE_ENV).ok().as_deref())?;
        let kind = assemble::backend_kind(&settings)?;

        let bar = Arc::new(LoadBar::new(globals));
        let workload = workload::load(&settings, &checked.load, named, &*bar).await?;
        let prompts = workload.prompts;
        bar.rest();
        warnings.extend(prompts.warnings.iter().cloned());

        let backend = kind.opener.open(&settings, bar.clone()).await.map_err(discreet::fault)?;
        let backend: Arc<dyn Backend> = Arc::new(Discreet(backend));
        let checks = backend.validate().await;
        bar.finish();
        let checks = checks?;
        settings.backend.model = backend.info().model;
        let selected = assemble::formatter(&settings, &settings.backend.model)?;
        warnings.extend(advice::on_model(&settings, &selected, &*backend));
        let target = kind.opener.target(&settings);
        let write = |prompts| assemble::format_prompts(&settings, &*selected.formatter, target, prompts);
        let formatted = write(&prompts.prompts)?;
        let script = Script {
            spare: write(&workload.spare)?,
            timeline: prompts.timeline,
            follow_ups: prompts.follow_ups.into_iter().map(|(at, talk)| (at, talk.into())).collect(),
            ..Script::default()
        };
        if backend.info().endpoint.is_some() {
            let servers = 1 + settings.backend.more_endpoints.len();
            warnings.extend(client_limits::check(&checked.load, formatted.len(), servers)?);
        }
        let dataset = DatasetInfo { name: redact::text(&prompts.info.name), ..prompts.info };
        warnings.iter_mut().for_each(|warning| *warning = redact::text(warning));
        let session = Self {
            settings,
            repeat,
            config,
            backend,
            checks,
            prompts: formatted,
            script,
            dataset,
            checked,
            warnings,
            sources: None,
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
            print_checks(&self.checks);
        }
    }

    /// The machine, the programs and the work, for the record. The prompts are those of the whole run.
    ///
    /// Energy sources are looked for first: a driver that hangs is found out within the limit that the settings give, and
    /// is not waited for again.
    pub fn environment(&mut self) -> Map<String, Value> {
        let roots = Roots::default();
        self.sources.get_or_insert_with(|| assemble::sources(&self.settings, &roots));
        let mut environment = environment(&roots, self.repeat.clone());
        provenance::describe(&mut environment, &self.backend.info(), &self.dataset, &self.prompts);
        environment
    }

    /// Runs the load and brings back the record.
    pub async fn measure(
        self,
        run_id: String,
        environment: Map<String, Value>,
        stop: Stop,
        journal: Arc<Journal>,
        globals: &Globals,
    ) -> RunRecord {
        let roots = Roots::default();
        let clock = Clock::start();
        let tally = Arc::new(ai_energy_core::backend::Tally::default());
        let sources = self.sources.unwrap_or_else(|| assemble::sources(&self.settings, &roots));
        let mut warnings = self.warnings;
        let grid = grid(&self.settings, &stop).await.unwrap_or_else(|warning| {
            warnings.push(warning);
            None
        });
        let plan = Plan {
            name: self.settings.name.clone(),
            run_id,
            load: self.checked.load,
            generation: self.checked.generation,
            sampling_interval_ms: self.settings.metrics.options.interval_ms,
            idle_seconds: self.settings.metrics.options.idle_seconds.resolve(&sources),
            keep_text: self.settings.scenario.keep_text,
        };
        let progress = Progress::start(globals, Arc::clone(&tally), clock);
        let guard = Arc::new(DiskGuard { journal: Arc::clone(&journal), stop: stop.clone() });
        let mut observers: Vec<Arc<dyn Observer>> = vec![journal, guard];
        observers.extend(progress.observer());
        let parts = Parts {
            backend: self.backend,
            prompts: self.prompts,
            script: self.script,
            dataset: self.dataset,
            checks: self.checks,
            sources,
            observers,
            clock,
            stop,
            tally,
            meter: Some(Arc::new(ProcessMeter::new(&roots))),
            calibration: crate::calibration::of_this_client(&roots),
            started_at: crate::place::rfc3339(SystemTime::now()),
            grid,
            environment,
            warnings,
        };
        let record = runner::run(plan, parts).await;
        progress.finish();
        record
    }
}

/// The machine and the programs, and the command that ran here.
fn environment(roots: &Roots, repeat: String) -> Map<String, Value> {
    let mut environment = ai_energy_metrics::environment(roots);
    environment.insert(COMMAND_KEY.to_owned(), crate::repeat::typed(std::env::args_os()).into());
    environment.insert(REPEAT_KEY.to_owned(), repeat.into());
    environment
}

/// The grid's intensity of the hour, where the settings name a zone and the environment holds a token.
///
/// # Errors
/// Why it is not known though it was asked for, as a warning.
async fn grid(settings: &Settings, stop: &Stop) -> Result<Option<GridIntensity>, String> {
    let options = &settings.metrics.options.grid;
    let token = std::env::var(grid::TOKEN_VARIABLE).ok();
    if options.zone.is_none() && token.is_some() {
        return Err(format!(
            "{} is set and metrics.grid.zone is not, so nobody was asked: a place is never inferred",
            grid::TOKEN_VARIABLE
        ));
    }
    let asked = tokio::select! {
        asked = grid::ask(options, token.as_deref()) => asked,
        () = stop.cancelled() => Ok(None),
    };
    asked.map_err(|fault| format!("the grid's intensity is not known, the tables hold: {fault}"))
}

/// The settings, with the GPUs that the backend uses as those that are measured, unless `metrics.gpu_ids` says. A
/// server's `device_ids` count only where somebody set them: its default says nothing about the server. `visible` is the
/// value of `CUDA_VISIBLE_DEVICES`.
fn measured_gpus(loaded: Loaded<Settings>, visible: Option<&str>) -> Result<Settings, Fault> {
    let stated = *resolve::origin(&loaded, "backend.device_ids") != Origin::Default;
    let mut settings = loaded.value;
    let engine = &settings.backend.pytorch;
    let measured = if settings.backend.kind == "pytorch" {
        let gpus = Gpus::choose(&engine.device, &engine.device_ids, visible)?;
        // A run on the CPU says nothing about GPUs but which of them to measure.
        if gpus.names().is_empty() { Some(numbers(&engine.device_ids)) } else { Some(names(gpus.names())) }
    } else {
        stated.then(|| numbers(&engine.device_ids))
    };
    if settings.metrics.options.gpu_ids.is_none() {
        settings.metrics.options.gpu_ids = measured;
    }
    Ok(settings)
}

fn numbers(ids: &DeviceIds) -> Vec<GpuChoice> {
    ids.0.iter().copied().map(GpuChoice::Index).collect()
}

fn names(names: &[String]) -> Vec<GpuChoice> {
    let choice =
        |name: &String| name.parse().map_or_else(|_| GpuChoice::Name(name.clone()), GpuChoice::Index);
    names.iter().map(choice).collect()
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
pub fn print_checks(checks: &[Check]) {
    for check in checks {
        let mark = match check.outcome {
            CheckOutcome::Ok => "ok  ",
            CheckOutcome::Warning => "note",
        };
        detail(&format!("{mark} {}: {}", check.name, check.detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ConfigSource;

    fn gpus(inputs: &[&str]) -> Option<Vec<String>> {
        gpus_among(inputs, None)
    }

    fn gpus_among(inputs: &[&str], visible: Option<&str>) -> Option<Vec<String>> {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        let source = ConfigSource { inputs, ..ConfigSource::default() };
        let measured = measured_gpus(resolve::resolve_with(&source, &|_| None).unwrap(), visible)
            .unwrap()
            .metrics
            .options
            .gpu_ids;
        measured.map(|gpus| gpus.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_gpus_that_are_used_are_the_gpus_that_are_measured() {
        let named = |gpus: &[&str]| Some(gpus.iter().map(|gpu| (*gpu).to_owned()).collect::<Vec<_>>());
        assert_eq!(gpus(&[]), None, "a server's GPUs are not known: all are measured");
        assert_eq!(gpus(&["backend.device_ids=[2, 3]"]), named(&["2", "3"]));
        assert_eq!(gpus(&["backend.type=pytorch"]), named(&["0"]));
        assert_eq!(gpus(&["backend.device_ids=[2]", "metrics.gpu_ids=[5]"]), named(&["5"]));
        assert_eq!(gpus(&["metrics.gpu_ids=[GPU-7f, 1]"]), named(&["GPU-7f", "1"]));
        assert_eq!(gpus(&["backend.type=pytorch", "backend.device=cuda:3"]), named(&["3"]));
        let shown = gpus_among(&["backend.type=pytorch", "backend.device_ids=[1, 0]"], Some("5,GPU-7f"));
        assert_eq!(shown, named(&["GPU-7f", "5"]), "numbers count what the environment shows");
    }
}
