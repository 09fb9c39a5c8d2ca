//! The shape of OpenAI-compatible responses, as far as a measurement reads it.
//!
//! One set of types for chat and completions, streamed and whole, since servers mix them. Texts are borrowed from the
//! event wherever JSON has no escape in them, and fields that are not read are skipped. Refuses to judge: what an
//! event means is `account`'s business.

use ai_energy_core::record::ServerEnergy;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A text that borrows where it can.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A list that is nearly always of one item, which it holds without allocating.
#[derive(Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<T> Few<T> {
    /// The items in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Few<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<Few<T>, E> {
                Ok(Few::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<T>, A::Error> {
                let mut few = Few { first: items.next_element()?, rest: Vec::new() };
                while let Some(item) = items.next_element()? {
                    few.rest.push(item);
                }
                Ok(few)
            }
        }
        deserializer.deserialize_any(Items(PhantomData))
    }
}

/// One event of a stream, or a whole response.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    /// The response's name.
    #[serde(borrow, default)]
    pub(crate) id: Option<Text<'a>>,
    /// What was generated, by alternative.
    #[serde(borrow, default)]
    pub(crate) choices: Few<Choice<'a>>,
    /// The server's token counts.
    #[serde(default)]
    pub(crate) usage: Option<Usage>,
    /// An error instead of an answer; an object or a text.
    #[serde(default)]
    pub(crate) error: Option<serde_json::Value>,
    /// `error` where the event itself is the error, as older servers send it.
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    /// The server's own energy figures.
    #[serde(default)]
    pub(crate) energy: Option<serde_json::Value>,
}

/// One alternative of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    /// Which alternative.
    #[serde(default)]
    pub(crate) index: u32,
    /// What a chat stream adds.
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    /// A whole chat answer.
    #[serde(borrow, default)]
    pub(crate) message: Option<Delta<'a>>,
    /// What the completions route adds or answers.
    #[serde(borrow, default)]
    pub(crate) text: Option<Text<'a>>,
    /// Why it ended.
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Text<'a>>,
}

/// The parts of a message.
#[derive(Debug, Deserialize)]
pub(crate) struct Delta<'a> {
    /// The answer.
    #[serde(borrow, default)]
    pub(crate) content: Option<Text<'a>>,
    /// Thinking, as newer vLLM calls it.
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<Text<'a>>,
    /// Thinking, as older vLLM, DeepSeek and SGLang call it. Some servers send both names with one text.
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<Text<'a>>,
    /// Calls of tools.
    #[serde(borrow, default)]
    pub(crate) tool_calls: Few<ToolCall<'a>>,
    /// The call of a function, as it was before tools.
    #[serde(borrow, default)]
    pub(crate) function_call: Option<Function<'a>>,
}

/// A call of a tool.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolCall<'a> {
    /// The function called.
    #[serde(borrow, default)]
    pub(crate) function: Option<Function<'a>>,
}

/// A function's name and arguments, or a piece of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Function<'a> {
    /// Name.
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    /// Arguments, as JSON text.
    #[serde(borrow, default)]
    pub(crate) arguments: Option<Text<'a>>,
}

/// The server's token counts.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub(crate) prompt_tokens: Option<u32>,
    /// Tokens generated, the end-of-sequence token included where the server counts it.
    #[serde(default)]
    pub(crate) completion_tokens: Option<u32>,
    /// Of the prompt's.
    #[serde(default)]
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
    /// Of the generated ones.
    #[serde(default)]
    pub(crate) completion_tokens_details: Option<CompletionDetails>,
}

/// Where prompt tokens came from.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct PromptDetails {
    /// Tokens taken from the server's cache.
    #[serde(default)]
    pub(crate) cached_tokens: Option<u32>,
}

/// What generated tokens were spent on.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct CompletionDetails {
    /// Thinking.
    #[serde(default)]
    pub(crate) reasoning_tokens: Option<u32>,
}

/// Reads the field `energy`. An energy in kWh stands in where joules are missing; a shape that is not known is none.
pub(crate) fn server_energy(value: &serde_json::Value) -> Option<ServerEnergy> {
    let mut energy: ServerEnergy = serde_json::from_value(value.clone()).ok()?;
    if energy.energy_joules.is_none() {
        // 1 kWh is exactly 3.6e6 J.
        energy.energy_joules =
            value.get("energy_kwh").and_then(serde_json::Value::as_f64).map(|kwh| kwh * 3.6e6);
    }
    (energy != ServerEnergy::default()).then_some(energy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed_and_escaped_text_is_not() {
        let event: Event<'_> =
            serde_json::from_str(r#"{"choices":[{"delta":{"content":"abc","reasoning":"a\nb"}}]}"#).unwrap();
        let delta = event.choices.iter().next().unwrap().delta.as_ref().unwrap();
        assert!(matches!(delta.content.as_ref().unwrap().0, Cow::Borrowed("abc")));
        assert!(matches!(&delta.reasoning.as_ref().unwrap().0, Cow::Owned(text) if text == "a\nb"));
    }

    #[test]
    fn nulls_stand_for_absent_fields() {
        let event: Event<'_> = serde_json::from_str(
            r#"{"id":null,"choices":[{"index":0,"delta":{"content":null,"tool_calls":null},"finish_reason":null}],"usage":null,"error":null}"#,
        )
        .unwrap();
        assert!(event.error.is_none() && event.usage.is_none());
        assert_eq!(event.choices.iter().count(), 1);
        assert_eq!(
            serde_json::from_str::<Event<'_>>(r#"{"choices":null}"#).unwrap().choices.iter().count(),
            0
        );
    }

    #[test]
    fn energy_is_read_in_joules_and_from_kilowatt_hours() {
        let energy =
            server_energy(&serde_json::json!({"energy_kwh": 1e-6, "attribution_method": "tokens"})).unwrap();
        assert!((energy.energy_joules.unwrap() - 3.6).abs() < 1e-12);
        assert_eq!(energy.attribution_method.as_deref(), Some("tokens"));
        assert_eq!(server_energy(&serde_json::json!({})), None);
        assert_eq!(server_energy(&serde_json::json!("12 J")), None);
    }
}
