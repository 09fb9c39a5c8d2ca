//! `batch`: every model of a table, each by a run of its own, into one table of results and a ranking.
//!
//! Goes on after a model that failed, and where it was left off when it is started again. Refuses to measure: runs do.

mod child;
mod models;
mod progress;
mod template;

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};
use ai_energy_reporters::batch::{MASTER_FILE_NAME, MasterRow, read_master, write_master};
use clap::Args;
use serde_json::Value;

use super::rank;
use crate::args::{ConfigSource, Globals, OutputFormat};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::resolve;
use models::{Filters, Model};
use progress::Progress;

/// Arguments of `batch`.
#[derive(Debug, Clone, Args)]
pub struct BatchArgs {
    /// A table of models (CSV): Models to Add, Priority (1=hi), Class, Task, Reasoning State, Chat Template
    #[arg(value_name = "MODELS.csv")]
    pub models: PathBuf,
    /// What every run is, as for `run`; --output-dir is the batch's folder [default: ./batch_results]
    #[command(flatten)]
    pub source: ConfigSource,
    /// Only models whose name contains this
    #[arg(long, value_name = "TEXT", help_heading = HEADING)]
    pub model_name: Option<String>,
    /// Only models of this class
    #[arg(long, value_name = "CLASS", help_heading = HEADING)]
    pub class: Option<String>,
    /// Only rows whose task contains this
    #[arg(long, value_name = "TEXT", help_heading = HEADING)]
    pub task: Option<String>,
    /// Only rows whose reasoning state contains this
    #[arg(long, value_name = "TEXT", help_heading = HEADING)]
    pub reasoning_state: Option<String>,
    /// Run models that failed before once more
    #[arg(long, help_heading = HEADING)]
    pub rerun_failed: bool,
    /// Show what would be run, and run nothing
    #[arg(long, help_heading = HEADING)]
    pub dry_run: bool,
    /// GPU energies of a class's models (CSV), for one to five stars in the ranking
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub stars: Option<PathBuf>,
    /// What standard output gets at the end: the ranking for people, or for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

const HEADING: &str = "Models";
/// Where a batch goes unless told.
const FOLDER: &str = "./batch_results";

/// Runs a batch.
///
/// # Errors
/// The table, the config or the folder is wrong. A model that failed is a row, and the exit code says so.
pub fn batch(arguments: &BatchArgs, globals: &Globals) -> Result<Exit, CliError> {
    let plan = Plan::new(arguments)?;
    if arguments.dry_run {
        print_out(&plan.text())?;
        return Ok(Exit::Ok);
    }
    let energies = arguments.stars.as_deref().map(rank::read_energies).transpose()?;
    plan.make_folders()?;
    let mut rows = read_master(&plan.master())?;
    let waiting = plan.waiting(&rows, arguments.rerun_failed);
    let progress = Progress::start(globals, plan.models.len(), plan.models.len() - waiting.len());
    let mut exit = Exit::Ok;
    for (number, place) in waiting.iter().enumerate() {
        let (model, slug) = &plan.models[*place];
        progress.begin(model, number + 1, waiting.len());
        let (row, stopped) = plan.run(model, slug)?;
        if let Some(signal) = stopped {
            exit = signal;
            break;
        }
        progress.end(model, &row, number + 1, waiting.len());
        if !row.error_message.is_empty() {
            exit = Exit::FailedRequests;
        }
        put(&mut rows, row);
        write_master(&plan.master(), &rows)?;
    }
    progress.finish();
    let ranking = rank::of_rows(&rows, energies.as_ref());
    rank::report(&ranking, Some(&plan.folder), arguments.format, globals)?;
    if !globals.quiet && arguments.format == OutputFormat::Text {
        note(&format!("saved {}", plan.master().display()));
    }
    Ok(exit)
}

/// Replaces the row of the same run, or adds it.
fn put(rows: &mut Vec<MasterRow>, row: MasterRow) {
    match rows.iter_mut().find(|other| other.key() == row.key()) {
        Some(other) => *other = row,
        None => rows.push(row),
    }
}

/// What is to be run, and where it goes.
struct Plan {
    folder: PathBuf,
    /// With the name of its folder and log.
    models: Vec<(Model, String)>,
    source: ConfigSource,
}

impl Plan {
    fn new(arguments: &BatchArgs) -> Result<Self, CliError> {
        let BatchArgs { model_name, class, task, reasoning_state, source, .. } = arguments;
        if source.model.is_some() {
            let remedy = "leave out --model; --model-name chooses among the table's rows";
            return Err(usage("--model", "a batch takes its models from the table", remedy).into());
        }
        let [model, class, task, reasoning_state] =
            [model_name, class, task, reasoning_state].map(Clone::clone);
        let found = models::read(&arguments.models, &Filters { model, class, task, reasoning_state })?;
        if found.is_empty() {
            let cause = "no row is left by the filters";
            return Err(usage(&arguments.models.display().to_string(), cause, "widen the filters").into());
        }
        let results = std::env::var("RESULTS_DIR").ok().filter(|folder| !folder.is_empty());
        let folder = source.output_dir.clone().or(results).unwrap_or_else(|| FOLDER.to_owned());
        let plan = Self { folder: PathBuf::from(folder), models: named(found), source: source.clone() };
        // What is wrong with the config is said once, before the first model.
        for (model, _) in &plan.models {
            let loaded = resolve::resolve(&plan.source_of(model))?;
            resolve::check(&loaded)?;
        }
        Ok(plan)
    }

    fn master(&self) -> PathBuf {
        self.folder.join(MASTER_FILE_NAME)
    }

    fn make_folders(&self) -> Result<(), Fault> {
        for folder in ["logs", "individual_runs"] {
            ai_energy_reporters::place::check_writable(&self.folder.join(folder))?;
        }
        Ok(())
    }

    /// The places of the models that have no row yet, or a failed one that is to be run again.
    fn waiting(&self, rows: &[MasterRow], rerun_failed: bool) -> Vec<usize> {
        let done = |model: &Model| {
            let row = empty_row(model);
            let found = rows.iter().find(|other| other.key() == row.key());
            found.is_some_and(|found| found.error_message.is_empty() || !rerun_failed)
        };
        (0..self.models.len()).filter(|place| !done(&self.models[*place].0)).collect()
    }

    /// The overrides of a model's run, later ones winning: token limits, what the user said, the model and its reasoning.
    fn overrides(&self, model: &Model) -> Vec<String> {
        let said: Vec<(String, Value)> = resolve::flags(&self.source)
            .into_iter()
            .map(|(key, value, _)| (key, value))
            .filter(|(key, _)| key != "output_dir")
            .collect();
        let mentions = |end: &str| {
            said.iter().any(|(key, _)| key.ends_with(end))
                || self.source.inputs.iter().any(|input| input.contains(end))
        };
        let [most, fewest] = model.token_limits();
        let mut overrides = vec![text("scenario.generate_kwargs.max_new_tokens", &most.into())];
        // A limit of the user's own may lie below the batch's least.
        if !mentions("max_new_tokens") || mentions("min_new_tokens") {
            overrides.push(text("scenario.generate_kwargs.min_new_tokens", &fewest.into()));
        }
        overrides.extend(self.source.inputs.iter().filter(|input| resolve::is_override(input)).cloned());
        overrides.extend(said.iter().map(|(key, value)| text(key, value)));
        overrides.extend(model.keys().iter().map(|(key, value)| text(key, value)));
        overrides
    }

    /// The config of a model's run.
    fn source_of(&self, model: &Model) -> ConfigSource {
        let files = self.source.inputs.iter().filter(|input| !resolve::is_override(input)).cloned();
        ConfigSource {
            inputs: files.chain(self.overrides(model)).collect(),
            config_name: self.source.config_name.clone(),
            config_dir: self.source.config_dir.clone(),
            ..ConfigSource::default()
        }
    }

    /// The arguments of a model's run.
    fn arguments(&self, model: &Model) -> Vec<String> {
        let source = self.source_of(model);
        let mut arguments = vec!["run".to_owned()];
        if let Some(name) = source.config_name {
            arguments.push(format!("--config-name={name}"));
        }
        if let Some(folder) = source.config_dir {
            arguments.push(format!("--config-dir={}", folder.display()));
        }
        arguments.extend(source.inputs);
        arguments
    }

    /// Runs a model; the row, or the signal that ended it, of which no row is made.
    fn run(&self, model: &Model, slug: &str) -> Result<(MasterRow, Option<Exit>), CliError> {
        let folder = self.folder.join("individual_runs").join(slug);
        let log = self.folder.join("logs").join(format!("{slug}.log"));
        let ended = child::run(&self.arguments(model), &folder, &log)?;
        let mut row = empty_row(model);
        row.timestamp = crate::place::rfc3339(std::time::SystemTime::now());
        if ended.stopped.is_some() {
            return Ok((row, ended.stopped));
        }
        match ended.code {
            Some(0 | 4) => {
                let path = folder.join(ai_energy_reporters::json::FILE_NAME);
                match report(&path) {
                    Ok(report) => row.fill(&report),
                    Err(cause) => row.error_message = format!("{}: {cause}", path.display()),
                }
            }
            code => row.error_message = error_message(&log, code),
        }
        Ok((row, None))
    }

    /// The plan for people.
    fn text(&self) -> String {
        let mut text = format!("{} models into {}\n", self.models.len(), self.folder.display());
        for (number, (model, slug)) in self.models.iter().enumerate() {
            let about: Vec<&str> = [&model.class, &model.task, &model.reasoning_state]
                .into_iter()
                .filter(|cell| !cell.is_empty())
                .map(String::as_str)
                .collect();
            text.push_str(&format!(
                "{:>4}  {}  {}\n      individual_runs/{slug}\n",
                number + 1,
                model.id,
                about.join(" · ")
            ));
            let arguments: Vec<String> =
                self.arguments(model).iter().map(|argument| crate::redact::argument(argument)).collect();
            text.push_str(&format!("      {}\n", arguments.join(" ")));
            model.notes.iter().for_each(|note| text.push_str(&format!("      ! {note}\n")));
        }
        text
    }
}

/// Models with names for their folders; those of one name get numbers.
fn named(models: Vec<Model>) -> Vec<(Model, String)> {
    let mut named: Vec<(Model, String)> = Vec::with_capacity(models.len());
    for model in models {
        let slug = model.slug();
        let taken = |name: &str| named.iter().any(|(_, other)| other == name);
        let free = (2..).map(|number| format!("{slug}_{number}"));
        let name = std::iter::once(slug.clone()).chain(free).find(|name| !taken(name)).unwrap_or(slug);
        named.push((model, name));
    }
    named
}

/// `key=value`, the value in JSON, which is YAML too.
fn text(key: &str, value: &Value) -> String {
    format!("++{key}={value}")
}

fn empty_row(model: &Model) -> MasterRow {
    MasterRow {
        model_name: model.id.clone(),
        model_class: model.class.clone(),
        task: model.task.clone(),
        reasoning_state: model.reasoning_state.clone(),
        ..MasterRow::default()
    }
}

fn report(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("is no JSON: {error}"))
}

/// What a run that failed said last.
fn error_message(log: &Path, code: Option<i32>) -> String {
    let said =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("error: ")).or(lines.last().copied());
    let how = code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
    match (error, code) {
        (_, Some(5)) => format!("no request succeeded ({how})"),
        (Some(error), _) => format!("{error} ({how})"),
        (None, _) => how,
    }
}

fn usage(object: &str, cause: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}
