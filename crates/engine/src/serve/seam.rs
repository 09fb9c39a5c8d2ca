//! The seam between the protocol's loop and what computes: load a model, begin a batch, step it.
//!
//! Exists so that the loop is tested without libtorch. Refuses to know tensors and devices.

use ai_energy_backends_pytorch::Options;
use serde_json::{Map, Value};

use crate::EngineError;
use crate::files::GenerationConfig;
use crate::text::Text;

/// What is to be loaded.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// Folder, file, or the name of a known shape.
    pub model: String,
    /// How to load it.
    pub options: Options,
    /// Requests that may be computed at once.
    pub batch_size: usize,
}

/// Hears how far loading is, in bytes.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>);

/// Loads models.
pub trait Loader: Send {
    /// The program as it presents itself, for example `ai-energy-torch 0.1.0, libtorch 2.11.0`.
    fn program(&self) -> String;

    /// Loads a model.
    ///
    /// # Errors
    /// Its files are not there or damaged, its architecture is not known, or there is not enough memory.
    fn load(&mut self, request: &LoadRequest, progress: Progress<'_>) -> Result<LoadedModel, EngineError>;
}

/// A model that is ready, with what turns text into tokens and back.
pub struct LoadedModel {
    /// Computes.
    pub model: Box<dyn Compute>,
    /// Its tokenizer and chat template.
    pub text: Text,
    /// Its own defaults of generation.
    pub generation: GenerationConfig,
    /// What it computes on.
    pub device: String,
    /// Number format of the weights.
    pub dtype: String,
    /// What else is worth a report.
    pub details: Map<String, Value>,
}

/// A model that computes.
pub trait Compute {
    /// Most tokens of prompt and answer together.
    fn context(&self) -> usize;

    /// Computes the prompts, padded to the longest, and the logits of what follows them; there is room for `capacity`
    /// positions a row, prompt and answer together.
    ///
    /// # Errors
    /// Not enough memory, or what libtorch complains of.
    fn begin<'a>(&'a self, prompts: &[&[u32]], capacity: usize) -> Result<Box<dyn Rows + 'a>, EngineError>;

    /// What it has cost so far beyond what the loop counts, such as device memory; names carry units.
    fn figures(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// The rows of a batch under way.
pub trait Rows {
    /// The most probable next token of each row.
    ///
    /// # Errors
    /// What libtorch complains of.
    fn argmax(&mut self) -> Result<Vec<u32>, EngineError>;

    /// The logits of each row's next token.
    ///
    /// # Errors
    /// What libtorch complains of.
    fn logits(&mut self) -> Result<Vec<Vec<f32>>, EngineError>;

    /// Appends a token to each row and computes what follows it.
    ///
    /// # Errors
    /// Not enough memory, or what libtorch complains of.
    fn step(&mut self, tokens: &[u32]) -> Result<(), EngineError>;

    /// Lets go of all rows but these, in this order.
    ///
    /// # Errors
    /// What libtorch complains of.
    fn keep(&mut self, rows: &[usize]) -> Result<(), EngineError>;
}
