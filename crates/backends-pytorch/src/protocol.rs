//! The line protocol between this crate and an engine program: one JSON object a line, to the engine on its standard
//! input, from it on its standard output. Standard error is free for its log.
//!
//! The engine speaks first ([`FromEngine::Hello`]); then the host asks and the engine answers, one exchange at a time,
//! except that generations run side by side, told apart by `id`. An engine ends itself when its input ends, so that it
//! never outlives the host. Unknown fields are ignored by both sides; an unknown `type` is an error.
//!
//! Times are nanoseconds of the engine's monotonic clock, with any origin: [`ToEngine::Clock`] finds out how it relates
//! to the host's. Refuses to know processes and files: any pair of pipes will do.

use ai_energy_core::prompt::Message;
use ai_energy_core::record::OutputChannel;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::options::Options;

/// The protocol's version: an engine of another version is refused.
pub const VERSION: u32 = 2;

/// What the host says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToEngine {
    /// What does your clock say? Answered at once by [`FromEngine::Clock`].
    Clock {
        /// Comes back in the answer.
        seq: u32,
    },
    /// Load a model. Answered by [`FromEngine::Loaded`] or an error without `id`.
    Load {
        /// Hub id or local folder.
        model: String,
        /// How to load it.
        options: Box<Options>,
        /// Requests that may be computed at once.
        batch_size: u32,
        /// Cut a prompt that does not fit the model's context, from its start, instead of refusing it.
        truncation: bool,
    },
    /// Generate. Answered by tokens and one [`FromEngine::Done`], or an error with this `id`.
    Generate(Box<Generate>),
    /// End a generation; what is still said about it is ignored.
    Cancel {
        /// The generation's name.
        id: String,
    },
    /// What has it cost so far? Answered by [`FromEngine::Stats`].
    Stats,
    /// Let go of the model and end. Answered by [`FromEngine::Unloaded`], then the output ends.
    Unload,
}

/// One generation to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// Its name: unique among those in flight.
    pub id: String,
    /// What to continue.
    pub prompt: EnginePrompt,
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
    #[serde(default)]
    pub stop: Vec<String>,
    /// Generate on after the end-of-sequence token.
    pub ignore_eos: Option<bool>,
    /// Everything else by name: the scenario's other arguments and reasoning parameters.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnginePrompt {
    /// Text that goes to the tokenizer as it is.
    Text(String),
    /// A conversation for the model's chat template.
    Chat {
        /// What was said.
        messages: Vec<Message>,
        /// Switches of the template.
        #[serde(default)]
        template: Map<String, Value>,
    },
}

/// What the engine says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromEngine {
    /// The first line.
    Hello {
        /// [`VERSION`] of the engine.
        version: u32,
        /// The program and its own version, for example `ai-energy-torch 0.2.0, libtorch 2.11.0`.
        program: String,
        /// `true` where nothing is really computed: every report says so then.
        #[serde(default)]
        synthetic: bool,
    },
    /// The answer to [`ToEngine::Clock`].
    Clock {
        /// As asked.
        seq: u32,
        /// The engine's clock, read between asking and answering, in nanoseconds.
        t_ns: u64,
    },
    /// How far something long is, such as loading; any number of them before the answer.
    Progress {
        /// What is under way, for example `loading weights`.
        stage: String,
        /// How much of it is done.
        done: u64,
        /// How much there is; `None` where that is not known.
        #[serde(default)]
        total: Option<u64>,
        /// What is counted, for example `bytes`.
        unit: String,
    },
    /// The model is ready.
    Loaded {
        /// What it computes on, for example `cuda:0` or `cpu`.
        device: String,
        /// Number format of the weights.
        dtype: String,
        /// Anything else worth keeping in the record, such as the number of parameters.
        #[serde(default)]
        details: Map<String, Value>,
    },
    /// One or more tokens of a generation, said as soon as they are known.
    Token {
        /// The generation.
        id: String,
        /// Tokens generated so far, with these.
        n: u32,
        /// When the last of them was known, in nanoseconds.
        t_ns: u64,
        /// What it belongs to; content where nothing is said.
        #[serde(default = "content")]
        channel: OutputChannel,
        /// The new piece of text; may be empty while a character is incomplete.
        #[serde(default)]
        text: String,
    },
    /// A generation is complete.
    Done {
        /// The generation.
        id: String,
        /// When, in nanoseconds.
        t_ns: u64,
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Tokens generated, the end-of-sequence token included.
        completion_tokens: u32,
        /// `stop` or `length`, or the engine's own word.
        finish_reason: String,
        /// Tokens that were cut off the prompt's start so that it fits; not among `prompt_tokens`.
        #[serde(default)]
        truncated_prompt_tokens: u32,
    },
    /// The answer to [`ToEngine::Stats`].
    Stats {
        /// Figures by name, with their unit in the name, for example `peak_gpu_memory_bytes`.
        figures: Map<String, Value>,
    },
    /// The model is gone; nothing follows.
    Unloaded,
    /// Something went wrong: with a generation where there is an `id`, else with the last thing asked.
    Error {
        /// The generation.
        #[serde(default)]
        id: Option<String>,
        /// What kind of error it is.
        kind: EngineErrorKind,
        /// What it is about: a file, a tensor, an option, a device. Empty where the model as a whole is meant.
        #[serde(default)]
        object: String,
        /// One readable line that says the cause.
        message: String,
        /// What to do about it; empty where nothing is known.
        #[serde(default)]
        remedy: String,
    },
}

/// What kind of error an engine reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineErrorKind {
    /// The model is not there or cannot be loaded.
    Model,
    /// The model, or how it is to be loaded, is beyond this engine; another one may know it.
    Unsupported,
    /// The request asks for what cannot be done, for example too long a prompt.
    BadRequest,
    /// There is not enough memory.
    OutOfMemory,
    /// Anything else.
    Internal,
}

fn content() -> OutputChannel {
    OutputChannel::Content
}

impl FromEngine {
    /// The generation that a message is about; `None` for answers to anything else.
    pub fn generation(&self) -> Option<&str> {
        match self {
            Self::Token { id, .. } | Self::Done { id, .. } | Self::Error { id: Some(id), .. } => Some(id),
            _ => None,
        }
    }
}

/// A message as one line, with its line end.
///
/// # Errors
/// A number in it is not finite, which JSON cannot say.
pub fn to_line<T: Serialize>(message: &T) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_lines_on_the_wire_are_what_the_protocol_says() {
        let load =
            ToEngine::Load { model: "m".into(), options: Box::default(), batch_size: 2, truncation: true };
        let wire: Value = serde_json::from_str(&to_line(&load).unwrap()).unwrap();
        assert_eq!((&wire["type"], &wire["batch_size"]), (&json!("load"), &json!(2)));
        assert_eq!(wire["options"]["device_ids"], json!([0]));
        assert_eq!(to_line(&ToEngine::Stats).unwrap(), "{\"type\":\"stats\"}\n");
        let token: FromEngine =
            serde_json::from_value(json!({"type": "token", "id": "a", "n": 3, "t_ns": 5, "new_field": 1}))
                .unwrap();
        let wanted = FromEngine::Token {
            id: "a".into(),
            n: 3,
            t_ns: 5,
            channel: OutputChannel::Content,
            text: String::new(),
        };
        assert_eq!(token, wanted);
        assert!(serde_json::from_value::<FromEngine>(json!({"type": "tokens", "id": "a"})).is_err());
    }

    #[test]
    fn a_line_never_holds_a_line_end_inside() {
        let prompt = EnginePrompt::Text("one\ntwo\r\n\u{2028}".to_owned());
        assert_eq!(to_line(&prompt).unwrap().matches('\n').count(), 1);
    }
}
