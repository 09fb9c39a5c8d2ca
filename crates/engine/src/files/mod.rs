//! A model's files: what it is, its weights, its tokenizer; from a Hugging Face folder, a GGUF file, or a known shape with
//! random weights.
//!
//! Refuses to know the Hub (the host brings the files) and tensors on devices.

pub(crate) mod json;

mod folder;
mod generation;
mod gguf;
mod map;
mod mxfp4;
mod random;
mod safetensors;
mod shapes;

use std::path::Path;

use serde_json::{Map, Value};

use crate::EngineError;
use crate::text::Text;
use crate::weights::Weights;

pub use self::generation::GenerationConfig;
pub use self::shapes::{known_shapes, shape_config};

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
    if path.is_file() {
        let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        return if gguf { gguf::open(path, how) } else { Err(not_a_model(model)) };
    }
    if how.no_weights {
        return shapes::open(model, how);
    }
    Err(EngineError::model(model, "there is no such folder or file")
        .remedy("check the path; a model of the Hub is fetched by the program that starts this engine"))
}

fn not_a_model(model: &str) -> EngineError {
    EngineError::model(model, "it is neither a folder nor a .gguf file")
        .remedy("name the folder that the model's config.json is in, or a .gguf file")
}
