//! From raw arguments to settings: which files, variables and flags stand behind them, and in what order.
//!
//! Refuses to build any part. The order itself is the config crate's.

use ai_energy_config::{Loaded, Loader, Origin};
use ai_energy_core::{Fault, FaultKind, GenerationParams, LoadPlan};
use serde_json::{Value, json};

use crate::args::ConfigSource;
use crate::exit::CliError;
use crate::settings::{self, Settings};
use crate::{assemble, load_plan, redact, secrets};

/// Environment variables that set config keys.
pub const ENVIRONMENT: [(&str, &str); 4] = [
    ("BENCHMARK_BACKEND", "backend.type"),
    ("BENCHMARK_MODEL", "backend.model"),
    ("VLLM_ENDPOINT", "backend.endpoint"),
    ("NUM_SAMPLES", "scenario.num_samples"),
];

/// Config files that ship, compiled in so that `--config-name` works from any folder.
pub const SHIPPED: [(&str, &str); 10] = [
    ("backend/pytorch.yaml", include_str!("../configs/backend/pytorch.yaml")),
    ("backend/vllm.yaml", include_str!("../configs/backend/vllm.yaml")),
    ("gpt_oss_120b.yaml", include_str!("../configs/gpt_oss_120b.yaml")),
    ("pytorch_multigpu.yaml", include_str!("../configs/pytorch_multigpu.yaml")),
    ("pytorch_test.yaml", include_str!("../configs/pytorch_test.yaml")),
    ("pytorch_validation.yaml", include_str!("../configs/pytorch_validation.yaml")),
    ("quickstart.yaml", include_str!("../configs/quickstart.yaml")),
    ("quickstart_pytorch.yaml", include_str!("../configs/quickstart_pytorch.yaml")),
    ("scenario/energy_star.yaml", include_str!("../configs/scenario/energy_star.yaml")),
    ("text_generation.yaml", include_str!("../configs/text_generation.yaml")),
];

/// Who set a key; the default where nobody did.
pub fn origin<'a>(loaded: &'a Loaded<Settings>, key: &str) -> &'a Origin {
    const DEFAULT: &Origin = &Origin::Default;
    loaded.origins.get(key).unwrap_or(DEFAULT)
}

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Resolves settings from arguments and the process environment.
///
/// # Errors
/// Every wrong key, type and value, each with its place.
pub fn resolve(source: &ConfigSource) -> Result<Loaded<Settings>, CliError> {
    resolve_with(source, &|name| std::env::var(name).ok())
}

/// [`resolve`] with a given environment.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(source: &ConfigSource, environment: Lookup<'_>) -> Result<Loaded<Settings>, CliError> {
    refuse_optimum(environment)?;
    let (files, overrides): (Vec<_>, Vec<_>) =
        source.inputs.iter().cloned().partition(|input| !is_override(input));
    if let [first, second, ..] = files.as_slice() {
        let cause = format!("`{first}` and `{second}` are both config files");
        return Err(
            usage("arguments", cause, "name one config; the rest are overrides like a.b=value").into()
        );
    }
    let mut file = files.into_iter().next();
    if let (Some(file), Some(name)) = (&file, &source.config_name) {
        let cause = format!("both the file `{file}` and --config-name {name} are given");
        return Err(usage("arguments", cause, "keep one of them").into());
    }
    if file.is_none() && source.config_name.is_none() {
        file = environment("CONFIG_FILE").filter(|path| !path.is_empty());
    }
    let configured = file.is_some() || source.config_name.is_some();
    let loaded = Loader::new(defaults(configured)?, settings::schema())
        .file(file.map(Into::into))
        .config_name(source.config_name.clone())
        .config_dir(source.config_dir.clone())
        .embedded(&SHIPPED)
        .overrides(overrides)
        .environment(bindings(), environment)
        .flags(flags(source))
        .load::<Settings>()?;
    secrets::remember_config(&loaded.tree);
    if let Some(key) = environment(&loaded.value.backend.server.api_key_env) {
        secrets::remember(&key);
    }
    Ok(hide_secrets(fill_batches(loaded)))
}

/// Batches fill up only where as many requests are offered at a time, so that is what an unset `load.concurrency` means
/// for the engine that computes batches.
fn fill_batches(mut loaded: Loaded<Settings>) -> Loaded<Settings> {
    let batch_size = loaded.value.scenario.input_shapes.batch_size;
    let unset = *origin(&loaded, "load.concurrency") == Origin::Default;
    if unset && loaded.value.backend.kind == "pytorch" && batch_size > loaded.value.load.concurrency {
        loaded.value.load.concurrency = batch_size;
        loaded.tree["load"]["concurrency"] = json!(batch_size);
    }
    loaded
}

/// Origins quote arguments as typed; what a secret was typed into is not quoted.
fn hide_secrets(mut loaded: Loaded<Settings>) -> Loaded<Settings> {
    for origin in loaded.origins.values_mut() {
        if let Origin::Override { text } = origin {
            *text = redact::argument(text);
        }
    }
    loaded.notes.iter_mut().for_each(|note| *note = redact::text(note));
    loaded
}

/// `a.b=c`, `+a.b=c` and `~a.b` are overrides; anything else names a config.
pub(crate) fn is_override(input: &str) -> bool {
    let key = input.split('=').next().unwrap_or_default();
    let bare = key.trim_start_matches(['+', '~']);
    let is_key = !bare.is_empty() && bare.chars().all(|c| c.is_alphanumeric() || "._-@/".contains(c));
    (input.contains('=') && is_key)
        || (input.starts_with('~') && !input.starts_with("~/"))
        || input.starts_with('+')
}

/// Defaults of all keys. Without a config, the built-in prompts go to whatever model the server serves: nobody who only
/// names an endpoint means a certain model and a gated dataset.
fn defaults(configured: bool) -> Result<Value, CliError> {
    let mut defaults = Settings::default();
    if !configured {
        defaults.backend.model = "auto".to_owned();
        defaults.scenario.dataset.dataset_name = "builtin".to_owned();
    }
    serde_json::to_value(defaults)
        .map_err(|error| Fault::new(FaultKind::Internal, "default settings", error.to_string()).into())
}

fn bindings() -> Vec<(String, String)> {
    ENVIRONMENT.iter().map(|(variable, key)| ((*variable).to_owned(), (*key).to_owned())).collect()
}

/// What checking made of the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// How generations are made.
    pub generation: GenerationParams,
    /// How they are offered.
    pub load: LoadPlan,
}

/// Checks what the schema cannot: relations between keys, places, names of sources. Everything wrong is reported
/// together, each with the place that set it.
///
/// # Errors
/// All faults found.
pub fn check(loaded: &Loaded<Settings>) -> Result<Checked, CliError> {
    let is_default = |key: &str| *origin(loaded, key) == Origin::Default;
    let (generation, mut faults) = match loaded.value.scenario.generation(is_default) {
        Ok(generation) => (generation, Vec::new()),
        Err(faults) => (GenerationParams::default(), faults),
    };
    faults.extend(ai_energy_metrics::check_options(&loaded.value.metrics.options).err());
    faults.extend(assemble::check_formatting(&loaded.value).err());
    let load = load_plan::plan(&loaded.value.load, &is_default, traced(loaded));
    let load = load.unwrap_or_else(|wrong| {
        faults.extend(wrong);
        LoadPlan::default()
    });
    if faults.is_empty() {
        return Ok(Checked { generation, load });
    }
    Err(CliError::Faults(faults.into_iter().map(|fault| located(loaded, fault)).collect()))
}

/// Whether the prompts come with instants that are to be kept: a stated concurrency sends a trace's prompts in a closed loop.
fn traced(loaded: &Loaded<Settings>) -> bool {
    ai_energy_datasets::is_trace(&loaded.value.scenario.dataset.dataset_name)
        && *origin(loaded, "load.concurrency") == Origin::Default
}

/// A fault about a key, with the place that set it in front.
fn located(loaded: &Loaded<Settings>, fault: Fault) -> Fault {
    match origin(loaded, &fault.object) {
        Origin::Default => fault,
        place => Fault { object: format!("{place}: key `{}`", fault.object), ..fault },
    }
}

/// Flags as config keys, with the flag as typed.
pub(crate) fn flags(source: &ConfigSource) -> Vec<(String, Value, String)> {
    let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
    let number = |value: Option<u64>| value.map(|value| json!(value));
    let all = [
        ("backend.endpoint", text(&source.endpoint), "--endpoint"),
        ("backend.model", text(&source.model), "--model"),
        ("backend.type", text(&source.backend), "--backend"),
        ("backend.device", text(&source.device), "--device"),
        ("backend.server.api", text(&source.api), "--api"),
        ("scenario.dataset_name", text(&source.dataset), "--dataset"),
        ("scenario.num_samples", number(source.num_samples), "--num-samples"),
        ("scenario.generate_kwargs.max_new_tokens", number(source.max_tokens), "--max-tokens"),
        ("scenario.generate_kwargs.seed", source.seed.map(|seed| json!(seed)), "--seed"),
        ("output_dir", text(&source.output_dir), "--output-dir"),
        ("reporter.type", (!source.report.is_empty()).then(|| json!(source.report)), "--report"),
    ];
    all.into_iter()
        .chain(source.load.keys())
        .filter_map(|(key, value, flag)| value.map(|value| (key.to_owned(), value, flag.to_owned())))
        .chain(source.further.iter().cloned())
        .collect()
}

/// AI Energy Score's third backend is none of ours.
fn refuse_optimum(environment: Lookup<'_>) -> Result<(), Fault> {
    match environment("BENCHMARK_BACKEND") {
        Some(value) if value.eq_ignore_ascii_case("optimum") => Err(usage(
            "environment variable BENCHMARK_BACKEND",
            "`optimum` is AI Energy Score's optimum-benchmark, which this program does not contain",
            "set it to `pytorch` or `vllm`, or unset it",
        )),
        _ => Ok(()),
    }
}

fn usage(object: &str, cause: impl Into<String>, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}
