//! From settings to parts: opens the backend, the dataset, the formatter and the sources that settings name.
//!
//! Refuses to decide anything that settings do not say, and to run anything.

use std::sync::Arc;

use ai_energy_backends_pytorch as pytorch;
use ai_energy_backends_vllm as vllm;
use ai_energy_core::several::Several;
use ai_energy_core::{
    Backend, Domain, Fault, FaultKind, FormattedPrompt, LoadProgress, Prompt, PromptFormatter,
    SourceDiscovery, Target,
};
use ai_energy_formatters::Selected;
use ai_energy_metrics::Roots;
use async_trait::async_trait;

use crate::registry::{BACKENDS, BackendKind, OpenBackend};
use crate::settings::Settings;

/// Opens OpenAI-compatible servers.
pub struct Server;

/// Opens the PyTorch engine.
pub struct Engine;

/// The word that asks the server for its model.
const ASK_THE_SERVER: &str = "auto";

#[async_trait]
impl OpenBackend for Server {
    async fn open(
        &self,
        settings: &Settings,
        _progress: Arc<dyn LoadProgress>,
    ) -> Result<Arc<dyn Backend>, Fault> {
        let mut options = vllm::Options {
            endpoint: settings.backend.endpoint.clone(),
            model: settings.backend.model.clone(),
            server: settings.backend.server.clone(),
        };
        // A conversation goes on from what the model said.
        options.server.keep_text |=
            settings.scenario.keep_text || settings.scenario.dataset.synthetic.turns.is_some();
        if options.model == ASK_THE_SERVER {
            options.model = only_model(&options).await?;
        }
        let mut servers: Vec<Arc<dyn Backend>> = Vec::new();
        for endpoint in std::iter::once(&settings.backend.endpoint).chain(&settings.backend.more_endpoints) {
            let options = vllm::Options { endpoint: endpoint.clone(), ..options.clone() };
            servers.push(Arc::new(vllm::VllmBackend::new(options)?));
        }
        match (servers.len(), Several::new(servers.clone())) {
            (2.., Some(several)) => Ok(Arc::new(several)),
            _ => Ok(servers.swap_remove(0)),
        }
    }

    fn target(&self, settings: &Settings) -> Target {
        match settings.backend.server.api {
            vllm::Api::Chat => Target::ChatApi,
            vllm::Api::Completions => Target::Completion,
        }
    }
}

/// The one model that the server serves.
async fn only_model(options: &vllm::Options) -> Result<String, Fault> {
    let mut models = vllm::served_models(options).await?;
    if models.len() == 1 {
        return Ok(models.remove(0));
    }
    let fault =
        Fault::new(FaultKind::Backend, "backend.model", "is `auto`, and the server does not serve one model");
    Err(if models.is_empty() {
        fault.remedy("it lists none: name one with --model")
    } else {
        fault.remedy(format!("name one with --model: {}", models.join(", ")))
    })
}

#[async_trait]
impl OpenBackend for Engine {
    async fn open(
        &self,
        settings: &Settings,
        progress: Arc<dyn LoadProgress>,
    ) -> Result<Arc<dyn Backend>, Fault> {
        if settings.backend.model == ASK_THE_SERVER {
            return Err(Fault::new(FaultKind::Usage, "backend.model", "names no model for PyTorch to load")
                .remedy("name one with --model: a hub id, a folder or a .gguf file"));
        }
        // More than are offered at a time would only make the engine wait for them.
        let batch_size = settings.scenario.input_shapes.batch_size.min(settings.load.concurrency);
        let options = pytorch::Options {
            batch_size: u32::try_from(batch_size).unwrap_or(u32::MAX),
            truncation: settings.scenario.truncation,
            ..settings.backend.pytorch.clone()
        };
        let backend = pytorch::PytorchBackend::new(&settings.backend.model, options)?;
        Ok(Arc::new(backend.with_progress(progress)))
    }

    fn target(&self, _settings: &Settings) -> Target {
        // The engine applies the model's own chat template where its tokenizer has one.
        Target::ChatApi
    }
}

/// The kind of backend that settings name.
///
/// # Errors
/// There is no such kind; the config check catches that first unless a library user built the settings.
pub fn backend_kind(settings: &Settings) -> Result<&'static BackendKind, Fault> {
    BACKENDS.iter().find(|kind| kind.name == settings.backend.kind).ok_or_else(|| {
        Fault::new(
            FaultKind::Usage,
            "backend.type",
            format!("there is no backend `{}`", settings.backend.kind),
        )
        .remedy(format!("known are {}", crate::registry::backend_names().join(", ")))
    })
}

/// The format of a model's family.
///
/// # Errors
/// The user's table of formats is wrong.
pub fn formatter(settings: &Settings, model: &str) -> Result<Selected, Fault> {
    let registry = match &settings.scenario.formats_file {
        Some(path) => ai_energy_formatters::Registry::with_user_file(path.as_ref())?,
        None => ai_energy_formatters::Registry::builtin(),
    };
    Ok(registry.for_model(model))
}

/// Tries the format of the configured model on a prompt, so that a wrong reasoning parameter or table is noticed before
/// anything is loaded or asked.
///
/// # Errors
/// As [`formatter`] and [`format_prompts`].
pub fn check_formatting(settings: &Settings) -> Result<(), Fault> {
    let selected = formatter(settings, &settings.backend.model)?;
    let target = backend_kind(settings)?.opener.target(settings);
    format_one(settings, &*selected.formatter, target, &Prompt::text(0, "x")).map(|_| ())
}

fn format_one(
    settings: &Settings,
    formatter: &dyn PromptFormatter,
    target: Target,
    prompt: &Prompt,
) -> Result<FormattedPrompt, Fault> {
    let empty = serde_json::Map::new();
    let params = settings.scenario.reasoning_params.as_ref().unwrap_or(&empty);
    formatter.format(prompt, settings.scenario.reasoning.then_some(params), target)
}

/// Formats every prompt for the backend.
///
/// # Errors
/// A reasoning parameter that the model's format cannot take.
pub fn format_prompts(
    settings: &Settings,
    formatter: &dyn PromptFormatter,
    target: Target,
    prompts: &[Prompt],
) -> Result<Vec<Arc<FormattedPrompt>>, Fault> {
    prompts.iter().map(|prompt| format_one(settings, formatter, target, prompt).map(Arc::new)).collect()
}

/// Looks for energy sources; with `metrics.enabled: false` there is none, and the reports say why.
pub fn sources(settings: &Settings, roots: &Roots) -> SourceDiscovery {
    if settings.metrics.enabled {
        return ai_energy_metrics::discover(&settings.metrics.options, roots);
    }
    let unavailable = [Domain::Gpu, Domain::Cpu, Domain::Ram]
        .map(|domain| ai_energy_core::energy::UnavailableSource {
            source: "metrics.enabled".to_owned(),
            domain,
            reason: "is false, so nothing is measured".to_owned(),
            remedy: "set metrics.enabled: true".to_owned(),
        })
        .to_vec();
    SourceDiscovery { unavailable, ..SourceDiscovery::default() }
}
