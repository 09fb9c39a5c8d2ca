//! Shapes of well-known open models, so that speed and energy can be measured without any download.
//!
//! Each is a file of facts from the model's own config.json, under `shapes/`. Refuses to know how they are computed.

use serde_json::{Map, Value};

use super::{FilesOptions, GenerationConfig, ModelFiles, folder};
use crate::EngineError;

/// How alike two names must be for one to be proposed for the other.
const ALIKE: f64 = 0.6;
/// Most names that are proposed.
const MOST_PROPOSED: usize = 4;

macro_rules! shapes {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../shapes/", $name, ".json")))),*]
    };
}

/// Every known shape: its short name and its file.
static SHAPES: &[(&str, &str)] = &shapes![
    "gemma-2-2b",
    "gpt-oss-120b",
    "gpt-oss-20b",
    "gpt2",
    "llama-2-70b",
    "llama-2-7b",
    "llama-3.1-70b",
    "llama-3.1-8b",
    "llama-3.2-1b",
    "llama-3.2-3b",
    "mistral-7b",
    "mixtral-8x7b",
    "opt-125m",
    "phi-2",
    "phi-3-mini",
    "pythia-160m",
    "qwen2.5-0.5b",
    "qwen2.5-7b",
    "qwen3-0.6b",
    "qwen3-30b-a3b",
    "qwen3-8b",
    "smollm2-1.7b",
    "smollm2-135m",
    "smollm2-360m",
];

/// The shape of a model.
#[derive(Debug, serde::Deserialize)]
struct Shape {
    /// Names on the Hub of models that have it.
    ids: Vec<String>,
    /// What config.json says.
    config: Map<String, Value>,
}

/// Short names of all known shapes.
pub fn known_shapes() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|(name, _)| *name)
}

/// The configuration of a known shape, by short name or by the model's name on the Hub, in any case.
///
/// # Errors
/// It is not known; the remedy names those that are nearest.
pub fn shape_config(name: &str) -> Result<Map<String, Value>, EngineError> {
    let wanted = name.to_lowercase();
    for (short, file) in SHAPES {
        let shape: Shape = serde_json::from_str(file)
            .map_err(|error| EngineError::model(format!("shape `{short}`"), error.to_string()))?;
        let named = shape.ids.iter().any(|id| {
            let id = id.to_lowercase();
            id == wanted || id.rsplit('/').next() == Some(wanted.as_str())
        });
        if named || *short == wanted {
            return Ok(shape.config);
        }
    }
    Err(EngineError::model(name, "it is neither a folder nor a .gguf file nor a known shape")
        .remedy(nearest(&wanted)))
}

fn nearest(wanted: &str) -> String {
    let last = wanted.rsplit('/').next().unwrap_or(wanted);
    let mut alike: Vec<(f64, &str)> =
        known_shapes().map(|short| (strsim::jaro_winkler(last, short), short)).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near: Vec<&str> =
        alike.iter().filter(|(like, _)| *like >= ALIKE).take(MOST_PROPOSED).map(|(_, name)| *name).collect();
    if near.is_empty() {
        return format!("known shapes are {}", known_shapes().collect::<Vec<_>>().join(", "));
    }
    format!("did you mean {}? A folder with the model's config.json does as well", near.join(", "))
}

/// A known shape with random weights and the tokenizer that stands in.
pub(super) fn open(name: &str, how: &FilesOptions) -> Result<ModelFiles, EngineError> {
    let config = shape_config(name)?;
    let generation = GenerationConfig::from_json(&Map::new(), &config);
    let mut remarks = Vec::new();
    let weights = folder::random(&config, how, &mut remarks);
    let text = folder::byte_level(&config, &generation, &mut remarks);
    Ok(ModelFiles { config, generation, weights, text, remarks })
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
