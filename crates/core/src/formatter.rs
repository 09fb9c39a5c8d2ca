//! The seam for prompt formats: how one model family wants its prompts and its reasoning switches.

use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::prompt::{FormattedPrompt, Prompt};

/// Where a formatted prompt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A chat API: the server applies the model's template, so nothing may be wrapped twice.
    ChatApi,
    /// A completion API or an engine that takes text as it is.
    Completion,
}

/// Turns prompts into what a backend sends. Pure: the same input gives the same output.
pub trait PromptFormatter: Send + Sync {
    /// The format's name as the registry lists it, for example `harmony`.
    fn name(&self) -> &str;

    /// Formats one prompt.
    ///
    /// `reasoning` is `None` where the scenario leaves reasoning off, else the scenario's `reasoning_params`.
    ///
    /// # Errors
    /// A reasoning parameter whose value the format cannot take.
    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault>;
}
