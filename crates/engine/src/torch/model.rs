//! A loaded model.

use super::{Batch, LoadOptions, ModelFacts};
use crate::EngineError;
use crate::model::Spec;
use crate::weights::Weights;

/// A model whose weights are on their devices, ready to compute. `Send`, not `Sync`: one thread computes with it.
#[derive(Debug)]
pub struct Model {
    facts: ModelFacts,
}

impl Model {
    /// Puts the weights onto their devices, layer by layer; `progress` is told the bytes done and the bytes in all.
    ///
    /// # Errors
    /// A device that is not there, weights that are missing or of another shape, or not enough memory.
    pub fn load(
        spec: &Spec,
        _weights: &dyn Weights,
        _options: &LoadOptions,
        _progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, EngineError> {
        Err(EngineError::unsupported(spec.family, "under construction"))
    }

    /// What is worth knowing about it.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// Computes prompts together (padded on the left) and keeps room for `capacity` positions a row, prompt and output
    /// together.
    ///
    /// # Errors
    /// No prompt, an empty one, a token that the model does not know, a capacity beyond the context or below a prompt, or
    /// libtorch fails.
    pub fn begin(&self, _prompts: &[&[u32]], _capacity: usize) -> Result<Batch<'_>, EngineError> {
        Err(EngineError::unsupported(&self.facts.family, "under construction"))
    }
}
