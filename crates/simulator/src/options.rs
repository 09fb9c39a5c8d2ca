//! What can be set about the simulator, with its defaults.
//!
//! Exists so that the command line and a config speak of one list. Refuses to know how either is written.

use ai_energy_core::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::distribution::{Count, Delay};
use crate::fault::FaultRule;

/// When the empty chunk that names the role comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleChunk {
    /// Together with the first token, as vLLM sends it.
    #[default]
    WithFirstToken,
    /// Right after the response's head, long before the first token.
    BeforeFirstToken,
    /// Never.
    Never,
}

/// When the response says its token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// As vLLM: a last chunk on `stream_options.include_usage`, in every chunk on `continuous_usage_stats`, and
    /// always where the response is not streamed.
    #[default]
    OnRequest,
    /// Never, asked or not.
    Never,
    /// In a last chunk, asked or not.
    Always,
    /// In every chunk and in a last one, asked or not.
    Continuous,
    /// In the chunk that holds the finish reason, asked or not.
    InFinishChunk,
}

/// The field of a delta or message that holds thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// `reasoning`, as newer vLLM says.
    #[default]
    Reasoning,
    /// `reasoning_content`, as older vLLM, SGLang and DeepSeek say.
    ReasoningContent,
}

/// The words of a choice, one table for reading and showing; they are those that serde uses.
macro_rules! words {
    ($choice:ty, $option:literal, $($word:literal => $variant:ident),+) => {
        impl FromStr for $choice {
            type Err = Fault;

            /// Reads the choice's word.
            ///
            /// # Errors
            /// A usage fault that names the option and every word there is.
            fn from_str(text: &str) -> Result<Self, Fault> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(refused($option, &format!("`{text}` is no choice"))
                        .remedy(concat!("choose one of", $(" ", $word),+))),
                }
            }
        }

        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}

words!(RoleChunk, "role_chunk", "with_first_token" => WithFirstToken, "before_first_token" => BeforeFirstToken,
    "never" => Never);
words!(Usage, "usage", "on_request" => OnRequest, "never" => Never, "always" => Always, "continuous" => Continuous,
    "in_finish_chunk" => InFinishChunk);
words!(ReasoningField, "reasoning_field", "reasoning" => Reasoning, "reasoning_content" => ReasoningContent);

/// What the simulator is and does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Address to listen on: an IP address or a host name.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Name of the model that is served.
    pub model: String,
    /// Serve requests for any model name instead of answering 404, as llama.cpp does.
    pub any_model: bool,
    /// Longest prompt and answer together, in tokens.
    pub max_model_len: u32,
    /// Delay from a request's start of service to its first token.
    pub ttft: Delay,
    /// Further delay of the first token for each token of the prompt.
    pub prefill_per_token: Delay,
    /// Delay from one token to the next.
    pub inter_token: Delay,
    /// Delay of single writes that does not shift the ones after it, as a network adds.
    pub jitter: Delay,
    /// Tokens in one chunk of a stream. A chunk of n tokens comes n inter-token delays after the one before it; the
    /// first comes at its time whatever it holds.
    pub tokens_per_chunk: Count,
    /// Tokens until the model would stop of itself, end-of-sequence token included. Unset: it never does, and an
    /// answer has exactly the tokens that the request allows.
    pub output_tokens: Option<Count>,
    /// Most tokens of an answer where the request does not say.
    pub default_max_tokens: u32,
    /// Thinking tokens of a chat before the answer, out of the same limit.
    pub reasoning_tokens: Count,
    /// Field that holds the thinking.
    pub reasoning_field: ReasoningField,
    /// When the chunk that names the role comes.
    pub role_chunk: RoleChunk,
    /// When the response says its token counts.
    pub usage: Usage,
    /// Most requests served at a time; the rest wait in order of arrival. Unset: no limit.
    pub max_concurrent: Option<u32>,
    /// Faults and when they strike; the first that strikes counts. A request can name its own.
    pub faults: Vec<FaultRule>,
    /// The server dies once it has answered that many generation requests: it stops listening and drops every
    /// connection. Unset: never.
    pub die_after: Option<u64>,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Requests of which the truth is kept; the oldest go first and are counted. A request takes about 300 bytes and
    /// 16 for each write.
    pub truth_capacity: usize,
    /// Poll the clock for that long before each deadline, in microseconds: sharper timing for a processor's time.
    pub spin_us: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            model: "simulated".to_owned(),
            any_model: false,
            max_model_len: 32_768,
            ttft: Delay::constant(Duration::from_millis(50)),
            prefill_per_token: Delay::constant(Duration::ZERO),
            inter_token: Delay::constant(Duration::from_millis(10)),
            jitter: Delay::constant(Duration::ZERO),
            tokens_per_chunk: Count::constant(1),
            output_tokens: None,
            default_max_tokens: 128,
            reasoning_tokens: Count::constant(0),
            reasoning_field: ReasoningField::default(),
            role_chunk: RoleChunk::default(),
            usage: Usage::default(),
            max_concurrent: None,
            faults: Vec::new(),
            die_after: None,
            seed: 0,
            truth_capacity: 10_000,
            spin_us: 0,
        }
    }
}

impl Options {
    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// A usage fault that names the option, its value and what it may be.
    pub fn validate(&self) -> Result<(), Fault> {
        let at_least_one = [
            ("max_model_len", u64::from(self.max_model_len)),
            ("default_max_tokens", u64::from(self.default_max_tokens)),
            ("max_concurrent", self.max_concurrent.map_or(1, u64::from)),
            ("die_after", self.die_after.unwrap_or(1)),
            ("truth_capacity", self.truth_capacity as u64),
        ];
        for (name, value) in at_least_one {
            if value == 0 {
                return Err(refused(name, "is 0").remedy("set it to 1 or more"));
            }
        }
        if self.model.is_empty() || self.model.chars().any(char::is_control) {
            return Err(
                refused("model", "is empty or holds control characters").remedy("give it a plain name")
            );
        }
        Ok(())
    }
}

fn refused(option: &str, cause: &str) -> Fault {
    Fault::new(FaultKind::Usage, format!("simulator option `{option}`"), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_serde() {
        let options = Options::default();
        options.validate().unwrap();
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), options);
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), options);
    }

    #[test]
    fn unknown_and_impossible_options_are_refused() {
        assert!(
            serde_json::from_str::<Options>(r#"{"tfft": "5ms"}"#).unwrap_err().to_string().contains("tfft")
        );
        let none = Options { max_concurrent: Some(0), ..Options::default() };
        let fault = none.validate().unwrap_err();
        assert!(fault.object.contains("max_concurrent") && !fault.remedy.is_empty());
        assert!(Options { model: String::new(), ..Options::default() }.validate().is_err());
    }

    #[test]
    fn choices_have_one_word_each_in_text_and_in_serde() {
        for text in ["with_first_token", "before_first_token", "never"] {
            let role: RoleChunk = text.parse().unwrap();
            assert_eq!(serde_json::to_value(role).unwrap(), role.to_string());
        }
        for text in ["on_request", "never", "always", "continuous", "in_finish_chunk"] {
            let usage: Usage = text.parse().unwrap();
            assert_eq!(serde_json::to_value(usage).unwrap(), usage.to_string());
        }
        for text in ["reasoning", "reasoning_content"] {
            let field: ReasoningField = text.parse().unwrap();
            assert_eq!(serde_json::to_value(field).unwrap(), field.to_string());
        }
        let fault = "sometimes".parse::<Usage>().unwrap_err();
        assert!(fault.cause.contains("`sometimes`") && fault.remedy.contains("in_finish_chunk"), "{fault}");
    }

    #[test]
    fn the_schema_lists_every_option_with_its_help() {
        let schema = serde_json::to_value(schemars::schema_for!(Options)).unwrap();
        let defaults = serde_json::to_value(Options::default()).unwrap();
        for name in defaults.as_object().unwrap().keys() {
            let help = &schema["properties"][name]["description"];
            assert!(help.as_str().is_some_and(|help| !help.is_empty()), "{name}");
        }
    }
}
