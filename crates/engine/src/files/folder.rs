//! A Hugging Face model folder.
//!
//! Refuses to know what the configuration means.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::mxfp4::Unpacking;
use super::random::RandomWeights;
use super::safetensors::SafetensorsWeights;
use super::{FilesOptions, GenerationConfig, ModelFiles, gguf, json};
use crate::EngineError;
use crate::text::Text;
use crate::weights::Weights;

/// Opens a folder.
pub(super) fn open(folder: &Path, how: &FilesOptions) -> Result<ModelFiles, EngineError> {
    let path = folder.join("config.json");
    let Some(config) = json::object_if_there(&path)? else {
        if let [file] = gguf_files(folder).as_slice() {
            return gguf::open(file, how);
        }
        let fault =
            EngineError::model(path.display().to_string(), "it is missing, so the folder is no model");
        return Err(fault.remedy(
            "name a folder with config.json, safetensors files and tokenizer.json, or a .gguf file",
        ));
    };
    let generation = json::object_if_there(&folder.join("generation_config.json"))?.unwrap_or_default();
    let generation = GenerationConfig::from_json(&generation, &config);
    let mut remarks = Vec::new();
    let weights = weights(folder, &config, how, &mut remarks)?;
    let text = match Text::from_folder(folder)? {
        Some(text) => text,
        None => byte_level(&config, &generation, &mut remarks),
    };
    Ok(ModelFiles { config, generation, weights, text, remarks })
}

/// The tokenizer that stands in, with a word about it.
pub(super) fn byte_level(
    config: &Map<String, Value>,
    generation: &GenerationConfig,
    remarks: &mut Vec<String>,
) -> Text {
    remarks.push(
        "no tokenizer came with the model: a token a byte stands in, so counts of tokens are counts of bytes"
            .to_owned(),
    );
    Text::byte_level(vocab_size(config), generation.bos)
}

/// Random weights of the same shape where they are asked for, with a word about it.
pub(super) fn weights_or_random(
    found: Box<dyn Weights>,
    config: &Map<String, Value>,
    how: &FilesOptions,
    remarks: &mut Vec<String>,
) -> Box<dyn Weights> {
    if how.no_weights { random(config, how, remarks) } else { found }
}

/// Random weights, with a word about it.
pub(super) fn random(
    config: &Map<String, Value>,
    how: &FilesOptions,
    remarks: &mut Vec<String>,
) -> Box<dyn Weights> {
    remarks.push(format!(
        "the weights are random (seed {}): speed and energy are real, the text means nothing",
        how.seed
    ));
    Box::new(RandomWeights::new(config, how.seed))
}

fn weights(
    folder: &Path,
    config: &Map<String, Value>,
    how: &FilesOptions,
    remarks: &mut Vec<String>,
) -> Result<Box<dyn Weights>, EngineError> {
    if how.no_weights {
        return Ok(random(config, how, remarks));
    }
    let quantised = config.get("quantization_config").filter(|how| !how.is_null());
    let method = quantised.map(|how| how.get("quant_method").and_then(Value::as_str));
    if let Some(method) = method.filter(|method| *method != Some("mxfp4")) {
        let cause =
            format!("its weights are quantised with {}", method.unwrap_or("a method it does not name"));
        return Err(EngineError::unsupported(folder.display().to_string(), cause)
            .remedy("use the unquantised model, perhaps with `backend.load_in_8bit=true`, or `backend.engine=transformers`"));
    }
    if let Some(found) = SafetensorsWeights::open(folder)? {
        return Ok(if method.is_some() { Box::new(Unpacking(found)) } else { Box::new(found) });
    }
    let object = folder.display().to_string();
    if folder.join("pytorch_model.bin").exists() || folder.join("pytorch_model.bin.index.json").exists() {
        return Err(EngineError::unsupported(object, "its weights are Python pickles, not safetensors")
            .remedy("use a copy of the model in safetensors, or `backend.engine=transformers`"));
    }
    Err(EngineError::model(object, "it has no safetensors files")
        .remedy("fetch the weights, or set `backend.no_weights=true` for random ones of its shape"))
}

fn gguf_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "gguf")).collect()
}

/// Tokens the model has; 256, all the bytes, where its configuration does not say.
fn vocab_size(config: &Map<String, Value>) -> u32 {
    let text = config.get("text_config").and_then(|text| text.get("vocab_size"));
    let size = config.get("vocab_size").or(text).and_then(Value::as_u64);
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(256)
}
