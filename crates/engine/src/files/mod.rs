//! A model's files: what it is, its weights, its tokenizer; from a Hugging Face folder, a GGUF file, or a known shape with
//! random weights.
//!
//! Refuses to know the Hub (the host brings the files) and tensors on devices.

pub(crate) mod json;

mod folder;
mod generation;
mod map;
mod safetensors;

use std::path::Path;

use serde_json::{Map, Value};

use crate::EngineError;
use crate::text::Text;
use crate::weights::Weights;

pub use self::generation::GenerationConfig;

/// How to open a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilesOptions {
    /// Random weights of the model's shape instead of its own.
    pub no_weights: bool,
    /// Where random weights start: the same seed gives the same weights.
    pub seed: u64,
}

/// Everything that a model's files say.
pub struct ModelFiles {
    /// `config.json`, or the same made from a GGUF file's metadata.
    pub config: Map<String, Value>,
    /// The model's defaults for generating.
    pub generation: GenerationConfig,
    /// Its weights.
    pub weights: Box<dyn Weights>,
    /// Its tokenizer and chat template, or the stand-in.
    pub text: Text,
    /// What a report should say about the files, a sentence each.
    pub remarks: Vec<String>,
}

/// Opens a model: a folder, a `.gguf` file, or, with [`FilesOptions::no_weights`], also the name of a known shape.
///
/// # Errors
/// It is not there, or a file is damaged, missing or of a kind that is not known; the error names the file.
pub fn open(model: &str, how: &FilesOptions) -> Result<ModelFiles, EngineError> {
    let path = Path::new(model);
    if path.is_dir() {
        return folder::open(path, how);
    }
    Err(EngineError::model(model, "there is no such folder or file"))
}
