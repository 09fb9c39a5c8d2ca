//! What stands behind the loop's seam in the real program: model files, a spec, and libtorch.
//!
//! Refuses to know the protocol.

use std::collections::BTreeSet;

use ai_energy_backends_pytorch::Options;
use serde_json::{Map, Value, json};

use super::seam::{Compute, LoadRequest, LoadedModel, Loader, Progress, Rows};
use crate::EngineError;
use crate::files::{self, FilesOptions, ModelFiles};
use crate::model::Spec;
use crate::torch::{self, Batch, LoadOptions, Model, ModelFacts};

/// Loads models onto libtorch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

impl Loader for Native {
    fn program(&self) -> String {
        format!("ai-energy-torch {}, libtorch {}", env!("CARGO_PKG_VERSION"), torch::version())
    }

    fn load(&mut self, request: &LoadRequest, progress: Progress<'_>) -> Result<LoadedModel, EngineError> {
        refuse_unknown(&request.options)?;
        let how =
            FilesOptions { no_weights: request.options.no_weights == Some(true), ..FilesOptions::default() };
        let files = files::open(&request.model, &how)?;
        let spec = Spec::from_config(&files.config)?;
        let options = LoadOptions::from_options(&request.options);
        let mut tell = |done, total| progress("loading weights", done, Some(total));
        let model = Model::load(&spec, &*files.weights, &options, &mut tell)?;
        let facts = model.facts();
        let (device, dtype, details) = (facts.device.clone(), facts.dtype.clone(), details(facts, &files));
        let ModelFiles { generation, text, .. } = files;
        Ok(LoadedModel { model: Box::new(Torch(model)), text, generation, device, dtype, details })
    }
}

/// Keys of the config that this engine cannot honour, and that would change what is computed.
fn refuse_unknown(options: &Options) -> Result<(), EngineError> {
    if options.use_cache {
        return Ok(());
    }
    Err(EngineError::unsupported("backend.use_cache", "this engine always keeps keys and values")
        .remedy("set backend.use_cache: true, or backend.engine: transformers"))
}

/// What is worth a report about a loaded model.
fn details(facts: &ModelFacts, files: &ModelFiles) -> Map<String, Value> {
    let mut details = Map::new();
    let mut put = |name: &str, value: Value| details.insert(name.to_owned(), value);
    put("engine", json!("native"));
    put("architecture", json!(facts.family));
    put("parameters", json!(facts.parameters));
    put("weight_bytes", json!(facts.weight_bytes));
    put("weight_bytes_per_token", json!(facts.weight_bytes_per_token));
    put("weights", json!(files.weights.describe()));
    if files.weights.is_random() {
        put("random_weights", json!(true));
    }
    if files.text.is_fallback() {
        put("byte_level_tokenizer", json!(true));
    }
    put("chat_template", json!(files.text.has_chat_template()));
    if !facts.quantization.is_empty() {
        put("quantization", json!(facts.quantization));
    }
    put("kernels", json!(facts.kernels));
    put("threads", json!(facts.threads));
    put("layers_by_device", layers_by_device(&facts.layer_devices));
    put("libtorch", json!(torch::version()));
    let remarks: Vec<&String> = files.remarks.iter().chain(&facts.remarks).collect();
    if !remarks.is_empty() {
        put("remarks", json!(remarks));
    }
    details
}

fn layers_by_device(devices: &[String]) -> Value {
    let mut counts: Map<String, Value> = Map::new();
    for device in devices {
        let count = counts.get(device).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(device.clone(), json!(count + 1));
    }
    Value::Object(counts)
}

struct Torch(Model);

impl Compute for Torch {
    fn context(&self) -> usize {
        self.0.facts().max_context
    }

    fn begin<'a>(&'a self, prompts: &[&[u32]], capacity: usize) -> Result<Box<dyn Rows + 'a>, EngineError> {
        Ok(Box::new(self.0.begin(prompts, capacity)?))
    }

    fn figures(&self) -> Map<String, Value> {
        gpu_figures(&self.0.facts().layer_devices)
    }
}

/// The most memory that libtorch's tensors took at once, over all GPUs in use.
fn gpu_figures(devices: &[String]) -> Map<String, Value> {
    let gpus: BTreeSet<usize> =
        devices.iter().filter_map(|device| device.strip_prefix("cuda:")?.parse().ok()).collect();
    let mut figures = Map::new();
    if gpus.is_empty() {
        return figures;
    }
    let peaks: Result<u64, EngineError> =
        gpus.into_iter().map(|index| torch::gpu_memory(index).map(|memory| memory.peak)).sum();
    let (peak, missing) = match peaks {
        Ok(peak) => (json!(peak), None),
        Err(error) => (Value::Null, Some(error.to_string())),
    };
    figures.insert("peak_gpu_memory_bytes".to_owned(), peak);
    figures.extend(missing.map(|why| ("peak_gpu_memory_bytes_missing".to_owned(), json!(why))));
    figures
}

impl Rows for Batch<'_> {
    fn argmax(&mut self) -> Result<Vec<u32>, EngineError> {
        Batch::logits(self).argmax()
    }

    fn logits(&mut self) -> Result<Vec<Vec<f32>>, EngineError> {
        Batch::logits(self).rows()
    }

    fn step(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        Batch::step(self, tokens)
    }

    fn keep(&mut self, rows: &[usize]) -> Result<(), EngineError> {
        Batch::keep(self, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_by_device_in_the_order_of_their_first() {
        let devices = ["cuda:0", "cuda:0", "cpu"].map(str::to_owned);
        assert_eq!(layers_by_device(&devices), json!({"cuda:0": 2, "cpu": 1}));
    }

    #[test]
    fn memory_of_gpus_is_told_where_there_are_any() {
        assert!(gpu_figures(&["cpu".to_owned()]).is_empty());
        // No machine has this many: the figure is null with the reason.
        let figures = gpu_figures(&["cuda:120".to_owned()]);
        assert!(figures["peak_gpu_memory_bytes"].is_null());
        assert!(!figures["peak_gpu_memory_bytes_missing"].as_str().unwrap().is_empty());
    }

    #[test]
    fn a_cache_that_is_not_wanted_is_another_engines() {
        let options = Options { use_cache: false, ..Options::default() };
        let error = refuse_unknown(&options).unwrap_err();
        assert_eq!(error.kind, ai_energy_backends_pytorch::protocol::EngineErrorKind::Unsupported);
        assert!(refuse_unknown(&Options::default()).is_ok());
    }
}
