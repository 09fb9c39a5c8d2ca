//! Prompts on their way from a dataset to a backend, and what is asked of the generation.
//!
//! Refuses to know how a model wants its prompt written (formatters) and how a request is sent (backends).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// One prompt as a dataset gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Prompt {
    /// Position in the dataset, from 0; names the prompt across runs.
    pub index: usize,
    /// The messages of the conversation so far; a plain text is one user message.
    pub messages: Vec<Message>,
    /// The number of tokens this prompt was made to have, where its dataset made it to size.
    pub target_input_tokens: Option<u32>,
    /// The number of tokens to generate for this prompt, where its dataset says; it overrides the scenario's.
    pub target_output_tokens: Option<u32>,
}

impl Prompt {
    /// A plain text as one user message.
    pub fn text(index: usize, text: impl Into<String>) -> Self {
        Self {
            index,
            messages: vec![Message { role: Role::User, content: text.into() }],
            target_input_tokens: None,
            target_output_tokens: None,
        }
    }
}

/// What follows a prompt in its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// What the user says next.
    pub message: String,
    /// How long the user thinks after the answer before.
    pub think: Duration,
    /// Tokens to generate, where the dataset says.
    pub target_output_tokens: Option<u32>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The word that chat APIs and templates use.
    pub fn word(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// What a formatter leaves for the backend.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptContent {
    /// Messages, for a backend that applies the model's chat template itself.
    Chat(Vec<Message>),
    /// Text that goes to the model as it is.
    Text(String),
}

/// A prompt ready to send.
#[derive(Debug, Clone, PartialEq)]
pub struct FormattedPrompt {
    /// [`Prompt::index`] of the prompt it was made from.
    pub index: usize,
    /// What to send.
    pub content: PromptContent,
    /// Parameters for the top level of a request body, for example `reasoning_effort`.
    pub params: Map<String, Value>,
    /// Switches for the model's chat template, for example `enable_thinking`.
    pub chat_template_kwargs: Map<String, Value>,
    /// [`Prompt::target_output_tokens`].
    pub target_output_tokens: Option<u32>,
}

impl FormattedPrompt {
    /// A prompt that carries nothing but its content, for example a probe.
    pub fn plain(content: PromptContent) -> Self {
        Self {
            index: 0,
            content,
            params: Map::new(),
            chat_template_kwargs: Map::new(),
            target_output_tokens: None,
        }
    }
}

/// What is asked of each generation. `None` means that nothing is sent and the backend's own default holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct GenerationParams {
    /// Most tokens to generate.
    pub max_new_tokens: Option<u32>,
    /// Fewest tokens to generate.
    pub min_new_tokens: Option<u32>,
    /// Sampling temperature; 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus sampling mass.
    pub top_p: Option<f64>,
    /// Sampling candidates; 0 or less means all.
    pub top_k: Option<i64>,
    /// `false` is greedy whatever the temperature.
    pub do_sample: Option<bool>,
    /// Seed of the sampling.
    pub seed: Option<i64>,
    /// Strings that end the generation.
    pub stop: Vec<String>,
    /// Generate on after the end-of-sequence token, for a fixed length.
    pub ignore_eos: Option<bool>,
    /// Everything else, passed on by name.
    pub extra: Map<String, Value>,
}

impl Default for GenerationParams {
    /// The Python package's defaults: 100 new tokens, at least 50, temperature 0.7, top-p 0.9, top-k 50.
    fn default() -> Self {
        Self {
            max_new_tokens: Some(100),
            min_new_tokens: Some(50),
            temperature: Some(0.7),
            top_p: Some(0.9),
            top_k: Some(50),
            do_sample: None,
            seed: None,
            stop: Vec::new(),
            ignore_eos: None,
            extra: Map::new(),
        }
    }
}
