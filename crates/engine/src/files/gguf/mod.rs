//! GGUF files: configuration, weights, tokenizer and chat template in one.
//!
//! Refuses to compute with packed values: they are unpacked when they are asked for, so a model takes the memory of its
//! number format, not of its file.

#[cfg(test)]
mod builder;
mod config;
mod kquants;
#[cfg(test)]
mod model_tests;
mod names;
mod pretokenizers;
pub(super) mod quants;
mod reader;
mod tokenizer;
mod weights;

use std::path::Path;

use serde_json::{Map, Value};

use self::weights::GgufWeights;
use super::map::MappedFile;
use super::{FilesOptions, GenerationConfig, ModelFiles, folder};
use crate::EngineError;

/// Opens a file.
pub(super) fn open(path: &Path, how: &FilesOptions) -> Result<ModelFiles, EngineError> {
    let file = MappedFile::open(path)?;
    let name = file.name();
    let damaged = |cause: String| {
        EngineError::model(&name, cause).remedy("fetch the file again, or use the model's safetensors folder")
    };
    let contents = reader::read(file.bytes()).map_err(damaged)?;
    let metadata = contents.metadata;
    if let Some(parts) = metadata.get("split.count").and_then(Value::as_u64).filter(|parts| *parts > 1) {
        return Err(EngineError::unsupported(&name, format!("it is one of {parts} parts of a model"))
            .remedy(
                "put them together with `llama-gguf-split --merge`, or use the model's safetensors folder",
            ));
    }
    let architecture = metadata.get("general.architecture").and_then(Value::as_str);
    let architecture = architecture.ok_or_else(|| damaged("it names no architecture".to_owned()))?.to_owned();
    let heads = heads(&metadata, &architecture);
    let weights = GgufWeights { file, tensors: contents.tensors, architecture, heads };
    let config = config::config(&metadata, &weights).map_err(|cause| {
        EngineError::unsupported(&name, cause)
            .remedy("use the model's safetensors folder, which any engine reads")
    })?;
    let generation = GenerationConfig::from_json(&Map::new(), &config);
    let mut remarks = Vec::new();
    let text = match tokenizer::text(&name, &metadata)? {
        Some(text) => text,
        None => folder::byte_level(&config, &generation, &mut remarks),
    };
    let weights = folder::weights_or_random(Box::new(weights), &config, how, &mut remarks);
    Ok(ModelFiles { config, generation, weights, text, remarks })
}

fn heads(metadata: &Map<String, Value>, architecture: &str) -> (usize, usize) {
    let count = |key: &str| {
        let value = metadata.get(&format!("{architecture}.attention.{key}"))?;
        usize::try_from(value.as_u64().or_else(|| value.as_array()?.first()?.as_u64())?).ok()
    };
    let query = count("head_count").unwrap_or(0);
    (query, count("head_count_kv").unwrap_or(query))
}
