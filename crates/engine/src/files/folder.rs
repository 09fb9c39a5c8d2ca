//! A Hugging Face model folder.
//!
//! Refuses to know what the configuration means.

use std::path::Path;

use serde_json::{Map, Value};

use super::safetensors::SafetensorsWeights;
use super::{FilesOptions, GenerationConfig, ModelFiles, json};
use crate::EngineError;
use crate::text::Text;
use crate::weights::Weights;

/// Opens a folder.
pub(super) fn open(folder: &Path, how: &FilesOptions) -> Result<ModelFiles, EngineError> {
    let path = folder.join("config.json");
    let config = json::object_if_there(&path)?.ok_or_else(|| {
        EngineError::model(path.display().to_string(), "it is missing, so the folder is no model")
            .remedy("name a folder with config.json, safetensors files and tokenizer.json, or a .gguf file")
    })?;
    let generation = json::object_if_there(&folder.join("generation_config.json"))?.unwrap_or_default();
    let generation = GenerationConfig::from_json(&generation, &config);
    let weights = weights(folder, &config, how)?;
    let mut remarks = Vec::new();
    let text = match Text::from_folder(folder)? {
        Some(text) => text,
        None => {
            remarks.push(
                "the model comes without tokenizer.json: a token a byte stands in, and its text means nothing"
                    .to_owned(),
            );
            Text::byte_level(vocab_size(&config), generation.bos)
        }
    };
    Ok(ModelFiles { config, generation, weights, text, remarks })
}

fn weights(
    folder: &Path,
    _config: &Map<String, Value>,
    _how: &FilesOptions,
) -> Result<Box<dyn Weights>, EngineError> {
    if let Some(found) = SafetensorsWeights::open(folder)? {
        return Ok(Box::new(found));
    }
    let fault = EngineError::model(folder.display().to_string(), "it has no safetensors files");
    Err(fault
        .remedy("use a model in safetensors, or `backend.no_weights=true` for random weights of its shape"))
}

/// Tokens the model has; 256, all the bytes, where its configuration does not say.
pub(super) fn vocab_size(config: &Map<String, Value>) -> u32 {
    let text = config.get("text_config").and_then(|text| text.get("vocab_size"));
    let size = config.get("vocab_size").or(text).and_then(Value::as_u64);
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(256)
}
