//! Which engine runs a model, and how it is brought to the point where it can generate.
//!
//! `auto` is the native engine where it knows the model, and transformers where it does not, or where there is no native
//! one; what was chosen and why is told. Refuses to generate.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ai_energy_core::{Check, CheckOutcome, Fault, FaultKind, LoadProgress};
use serde_json::{Map, Value};

use crate::engine::{Complaint, Engine, Loaded, Trouble};
use crate::gpus::Gpus;
use crate::launch::{Launch, Unstarted};
use crate::libtorch::{GET_IT, RELEASE};
use crate::locate::{ENGINE_PROGRAM, locate};
use crate::mapping::ClockMap;
use crate::options::{EngineChoice, Options};
use crate::places::Places;
use crate::protocol::EngineErrorKind;
use crate::python::{self, Python};
use crate::source::{Files, Named, Wanted, bring};

/// An engine with its model loaded.
pub(crate) struct Ready {
    pub(crate) engine: Engine,
    pub(crate) clock: ClockMap,
    /// What was looked at on the way.
    pub(crate) checks: Vec<Check>,
    /// What it computes on, in the config's numbers.
    pub(crate) device: String,
    /// What is worth a report.
    pub(crate) details: Map<String, Value>,
    /// Prompts that the engine cut, and the tokens that it cut off them.
    pub(crate) truncated: Mutex<(u64, u64)>,
}

/// Why an engine cannot run a model.
enum Refusal {
    /// Another engine may.
    Unsupported(Fault),
    /// There is no such engine on this machine.
    Missing(Fault),
    /// Nothing helps but mending it.
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Fault(fault)
    }
}

impl Refusal {
    fn fault(self) -> Fault {
        match self {
            Refusal::Unsupported(fault) | Refusal::Missing(fault) | Refusal::Fault(fault) => fault,
        }
    }
}

/// Everything that starting needs.
pub(crate) struct Start<'a> {
    pub(crate) model: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) places: &'a Places,
    pub(crate) progress: &'a Arc<dyn LoadProgress>,
}

impl Start<'_> {
    /// Starts the engine that the options choose and loads the model.
    ///
    /// # Errors
    /// No engine can run it; the fault names the model, the engine or the file, and what to do.
    pub(crate) async fn run(&self) -> Result<Ready, Fault> {
        let named = Named::new(self.model).or_else(|fault| {
            // The native engine knows some models' shapes by short names.
            if self.random() { Ok(Named::Here) } else { Err(fault) }
        })?;
        let gpus = Gpus::choose(
            &self.options.device,
            &self.options.device_ids,
            self.places.visible_gpus.as_deref(),
        )?;
        match self.options.engine {
            EngineChoice::Native => self.native(&named, &gpus).await.map_err(|refusal| match refusal {
                Refusal::Unsupported(fault) => {
                    fault.remedy("set backend.engine: transformers, or auto, which falls back on it")
                }
                other => other.fault(),
            }),
            EngineChoice::Transformers => {
                let python = self.python().await?;
                self.transformers(&named, &gpus, python, None).await
            }
            EngineChoice::Auto => match self.native(&named, &gpus).await {
                Ok(ready) => Ok(ready),
                Err(Refusal::Fault(fault)) => Err(fault),
                Err(refusal) => self.instead(&named, &gpus, refusal).await,
            },
        }
    }

    fn random(&self) -> bool {
        self.options.no_weights == Some(true)
    }

    fn start_wait(&self) -> Duration {
        Duration::from_secs_f64(self.options.engine_options.start_timeout_seconds)
    }

    fn load_wait(&self) -> Duration {
        Duration::from_secs_f64(self.options.engine_options.load_timeout_seconds)
    }

    /// The native engine with the model.
    async fn native(&self, named: &Named, gpus: &Gpus) -> Result<Ready, Refusal> {
        let program =
            locate(self.options.engine_options.program.as_deref(), self.places).map_err(|fault| {
                if fault.kind == FaultKind::Backend { Refusal::Missing(fault) } else { Refusal::Fault(fault) }
            })?;
        // With random weights the engine may know the model's shape by itself: then nothing is to be brought.
        let files = if self.random() { None } else { Some(self.files(named).await?) };
        if files.as_ref().is_some_and(|files| !files.has_weights) {
            let cause = "its weights are in no format that the native engine reads (safetensors or GGUF)";
            return Err(Refusal::Unsupported(self.model_fault("", cause.to_owned())));
        }
        let launch = Launch::native(&program).seeing(gpus, self.places);
        let python = self.options.engine_options.python.as_deref();
        let engine = launch
            .start(self.places, python, self.start_wait())
            .await
            .map_err(|unstarted| cannot_start(&program, &unstarted))?;
        let shown = format!("{} ({})", engine.greeting.program, program.display());
        let mut started = Started::new(engine, "native", check("engine", shown)).await?;
        let place =
            files.as_ref().map_or_else(|| self.model.to_owned(), |files| files.path.display().to_string());
        let loaded = match (self.load(&started, &place, gpus).await, named) {
            (Err(Trouble::Said(complaint)), Named::Hub(_))
                if files.is_none()
                    && complaint.kind == EngineErrorKind::Model
                    && self.places.hub.is_some() =>
            {
                // No shape that it knows: the hub describes it.
                let files = self.files(named).await?;
                let place = files.path.display().to_string();
                started.note(Some(&files));
                self.load(&started, &place, gpus).await
            }
            (loaded, _) => {
                started.note(files.as_ref());
                loaded
            }
        };
        let loaded = loaded.map_err(|trouble| self.cannot_load(&trouble))?;
        Ok(started.ready(loaded, gpus))
    }

    /// Transformers where the native engine cannot, if it is there.
    async fn instead(&self, named: &Named, gpus: &Gpus, refusal: Refusal) -> Result<Ready, Fault> {
        let is_missing = matches!(refusal, Refusal::Missing(_));
        let native = refusal.fault();
        let why = format!("{}: {}", native.object, native.cause);
        match self.python().await {
            Ok(python) => self.transformers(named, gpus, python, Some(&why)).await,
            // Nobody chose transformers: what is missing is the engine that everybody starts with.
            Err(_) if is_missing => Err(native),
            Err(fault) => Err(Fault::new(
                fault.kind,
                native.object,
                format!(
                    "{}; and transformers cannot run it: {}: {}",
                    native.cause, fault.object, fault.cause
                ),
            )
            .remedy(fault.remedy)),
        }
    }

    /// The user's Python, if it has transformers.
    async fn python(&self) -> Result<Python, Fault> {
        let program = python::locate(self.options.engine_options.python.as_deref(), self.places)?;
        let python = python::ask(program).await?;
        let missing = match (&python.transformers, &python.torch) {
            (None, _) => "transformers",
            (_, None) => "torch",
            _ => return Ok(python),
        };
        let object = format!("Python {}", python.program.display());
        Err(Fault::new(FaultKind::Backend, object, format!("has no package `{missing}`")).remedy(format!(
            "{}, or name another Python in backend.engine_options.python",
            python.get_transformers()
        )))
    }

    async fn transformers(
        &self,
        named: &Named,
        gpus: &Gpus,
        python: Python,
        why: Option<&str>,
    ) -> Result<Ready, Fault> {
        let files = self.files(named).await?;
        let launch = Launch::transformers(&python.program).seeing(gpus, self.places);
        let program = python.program.clone();
        let engine = launch.start(&Places::default(), None, self.start_wait()).await;
        let engine = engine.map_err(|unstarted| {
            let object = format!("transformers engine in {}", program.display());
            Fault::new(FaultKind::Backend, object, unstarted.trouble.message())
                .remedy(format!("see that this Python has working packages: {}", python.get_transformers()))
        })?;
        let shown = format!("{} ({})", engine.greeting.program, program.display());
        let first = match why {
            None => check("engine", shown),
            Some(why) => warning("engine", format!("{shown}, since the native engine cannot: {why}")),
        };
        let mut started = Started::new(engine, "transformers", first).await.map_err(Refusal::fault)?;
        if let Some(why) = why {
            started.details.insert("engine_reason".to_owned(), Value::from(why));
        }
        started.note(Some(&files));
        // Weights in another format than safetensors are transformers' own business, hub and all.
        let place = match (files.has_weights || self.random(), named) {
            (true, _) | (false, Named::Here | Named::Gguf { .. }) => files.path.display().to_string(),
            (false, Named::Hub(repo)) => repo.clone(),
        };
        let loaded = self.load(&started, &place, gpus).await;
        let loaded = loaded.map_err(|trouble| self.cannot_load(&trouble).fault())?;
        Ok(started.ready(loaded, gpus))
    }

    async fn files(&self, named: &Named) -> Result<Files, Fault> {
        let wanted = Wanted { weights: !self.random(), code: self.options.trust_remote_code };
        bring(self.model, named, wanted, self.places.hub.as_ref(), &**self.progress).await
    }

    async fn load(&self, started: &Started, place: &str, gpus: &Gpus) -> Result<(Loaded, f64), Trouble> {
        let memory =
            self.options.max_memory.as_ref().map(|memory| {
                memory.iter().map(|(key, most)| (gpus.inside_key(key), most.clone())).collect()
            });
        let options = Options {
            device: gpus.inside(&self.options.device),
            device_ids: gpus.inside_ids(),
            max_memory: memory,
            ..self.options.clone()
        };
        let begun = Instant::now();
        let loaded = started.engine.load(place, &options, self.load_wait(), self.progress).await?;
        Ok((loaded, begun.elapsed().as_secs_f64()))
    }

    fn cannot_load(&self, trouble: &Trouble) -> Refusal {
        let fault = |object: &str, remedy: &str| self.model_fault(object, trouble.message()).remedy(remedy);
        let Trouble::Said(Complaint { kind, object, remedy, .. }) = trouble else {
            let remedy = match trouble {
                Trouble::Silent(_) => "raise backend.engine_options.load_timeout_seconds",
                _ => "see what the engine says; its whole log shows with -vv",
            };
            return Refusal::Fault(fault("", remedy));
        };
        let remedy = match kind {
            _ if !remedy.is_empty() => remedy,
            EngineErrorKind::OutOfMemory => "use a smaller model, fewer bits, or more devices",
            EngineErrorKind::Model => "see that backend.model is a hub id or a local folder",
            _ => "see what the engine says; its whole log shows with -vv",
        };
        let fault = fault(object, remedy);
        if *kind == EngineErrorKind::Unsupported {
            Refusal::Unsupported(fault)
        } else {
            Refusal::Fault(fault)
        }
    }

    fn model_fault(&self, object: &str, cause: String) -> Fault {
        let object = if object.is_empty() {
            format!("model {}", self.model)
        } else {
            format!("model {}: {object}", self.model)
        };
        Fault::new(FaultKind::Backend, object, cause)
    }
}

/// An engine that has said hello, and what is known so far.
struct Started {
    engine: Engine,
    clock: ClockMap,
    checks: Vec<Check>,
    details: Map<String, Value>,
}

impl Started {
    async fn new(engine: Engine, name: &str, first: Check) -> Result<Self, Refusal> {
        let clock = engine.read_clock().await.map_err(|trouble| {
            let fault = Fault::new(FaultKind::Backend, format!("{name} engine"), trouble.message());
            Refusal::Fault(fault.remedy("see what the engine says; its whole log shows with -vv"))
        })?;
        let mut details = Map::new();
        details.insert("engine".to_owned(), Value::from(name));
        details.insert("process_id".to_owned(), Value::from(engine.greeting.process_id));
        let uncertainty = u64::try_from(clock.uncertainty().as_nanos()).ok();
        details.insert("clock_uncertainty_ns".to_owned(), Value::from(uncertainty));
        Ok(Self { engine, clock, checks: vec![first], details })
    }

    /// Notes where the model's files came from.
    fn note(&mut self, files: Option<&Files>) {
        let Some(files) = files else { return };
        if let Some(brought) = &files.brought {
            self.checks.push(check("model files", brought.clone()));
        }
        if let Some(commit) = &files.commit {
            self.details.insert("model_commit".to_owned(), Value::from(commit.as_str()));
        }
        self.checks.extend(files.warnings.iter().map(|text| warning("model files", text.clone())));
    }

    fn ready(mut self, (loaded, seconds): (Loaded, f64), gpus: &Gpus) -> Ready {
        let told = gpus.outside_all(Value::Object(loaded.details));
        let told = if let Value::Object(told) = told { told } else { Map::new() };
        let device = gpus.outside(&loaded.device);
        let kernels = told.get("kernels").and_then(Value::as_str).map(|kernels| format!(", {kernels}"));
        let threads = told.get("threads").and_then(Value::as_u64).map(|threads| {
            if threads == 1 { ", 1 thread".to_owned() } else { format!(", {threads} threads") }
        });
        let how = [kernels, threads].into_iter().flatten().collect::<String>();
        self.checks
            .push(check("model loaded", format!("{} on {device} in {seconds:.1} s{how}", loaded.dtype)));
        self.checks.extend(doubts(&told));
        self.details.extend(told);
        self.details.insert("torch_dtype".to_owned(), Value::from(loaded.dtype));
        self.details.insert("load_seconds".to_owned(), Value::from(seconds));
        let Self { engine, clock, checks, details } = self;
        Ready { engine, clock, checks, device, details, truncated: Mutex::default() }
    }
}

/// What a reader of the results must know about a loaded model, besides the figures.
fn doubts(details: &Map<String, Value>) -> Vec<Check> {
    let is = |name: &str| details.get(name) == Some(&Value::Bool(true));
    let mut doubts = Vec::new();
    if is("random_weights") {
        let text =
            "random weights: speed and energy are those of the model's shape, and the text means nothing";
        doubts.push(warning("weights", text.to_owned()));
    }
    if is("byte_level_tokenizer") {
        let text = "a token a byte stands in for the model's own: a text has about four times as many tokens";
        doubts.push(warning("tokenizer", text.to_owned()));
    }
    // What an engine remarks on these two besides is said already.
    let said = |remark: &str| {
        (is("random_weights") && remark.contains("random"))
            || (is("byte_level_tokenizer") && remark.contains("token a byte"))
    };
    let remarks =
        details.get("remarks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    doubts.extend(remarks.filter(|remark| !said(remark)).map(|remark| warning("model", remark.to_owned())));
    doubts
}

fn cannot_start(program: &Path, unstarted: &Unstarted) -> Refusal {
    let object = format!("PyTorch engine {}", program.display());
    let fault = match &unstarted.library {
        Some(library) => {
            Fault::new(FaultKind::Backend, object, format!("its shared library {library} is not there"))
                .remedy(format!("`{GET_IT}` gets it, or `pip install torch=={RELEASE}.*`"))
        }
        None => Fault::new(FaultKind::Backend, object, unstarted.trouble.message())
            .remedy(format!("see that it is {ENGINE_PROGRAM} of this release; `{GET_IT}` builds it")),
    };
    Refusal::Fault(fault)
}

fn check(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), outcome: CheckOutcome::Ok, detail }
}

fn warning(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), outcome: CheckOutcome::Warning, detail }
}
