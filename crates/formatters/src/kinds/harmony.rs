//! Harmony, the layout of gpt-oss: messages between special tokens, and an effort in the system message.
//!
//! A chat server applies the layout itself, so it gets plain messages and `reasoning_effort`; text gets the layout.
//! These models always think: the effort is `high` unless the parameters give one, and `low`, the least there is,
//! where they switch thinking off.

use ai_energy_core::{Fault, FormattedPrompt, Message, Prompt, PromptFormatter, Role, Target};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{Kind, Settings};
use crate::switch::{self, ENABLE_THINKING, REASONING, REASONING_EFFORT};

/// The efforts that the layout knows.
const EFFORTS: [&str; 3] = ["low", "medium", "high"];

/// The effort where nobody says.
const DEFAULT_EFFORT: &str = "high";

/// The Harmony layout. Of the settings it uses `suffix` (text after the last message, for example
/// `<|start|>assistant`) and `template_switches`.
pub(super) struct Harmony(pub(super) Settings);

impl PromptFormatter for Harmony {
    fn name(&self) -> &str {
        Kind::Harmony.word()
    }

    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault> {
        let effort = effort(reasoning)?;
        let mut draft = Draft::new(prompt, target);
        draft.pass_on(reasoning, &self.0.template_switches, &[ENABLE_THINKING, REASONING, REASONING_EFFORT]);
        match target {
            Target::ChatApi => {
                draft.set(REASONING_EFFORT, Value::from(effort), &self.0.template_switches);
                Ok(draft.finish())
            }
            Target::Completion => {
                let text = layout(&prompt.messages, effort, &self.0.suffix);
                Ok(draft.finish_as_text(text))
            }
        }
    }
}

fn effort(reasoning: Option<&Map<String, Value>>) -> Result<&str, Fault> {
    let Some(params) = reasoning else {
        return Ok(DEFAULT_EFFORT);
    };
    switch::check(params)?;
    match switch::effort(params)? {
        Some(effort) if EFFORTS.contains(&effort) => Ok(effort),
        Some(effort) => {
            Err(switch::wrong(REASONING_EFFORT, &Value::from(effort), "one of low, medium, high"))
        }
        None if switch::switched(params)? == Some(false) => Ok(EFFORTS[0]),
        None => Ok(DEFAULT_EFFORT),
    }
}

/// The messages between special tokens, behind the system message that sets the effort.
fn layout(messages: &[Message], effort: &str, suffix: &str) -> String {
    let mut text = format!(
        "<|start|>system<|message|>You are a helpful AI assistant.\n\nReasoning: {effort}\n\n\
         # Valid channels: analysis, commentary, final<|end|>"
    );
    for message in messages {
        let content = &message.content;
        text.push_str(&match message.role {
            // Harmony keeps the system message to itself: instructions come from the developer.
            Role::System => format!("<|start|>developer<|message|># Instructions\n\n{content}<|end|>"),
            Role::User => format!("<|start|>user<|message|>{content}<|end|>"),
            Role::Assistant => format!("<|start|>assistant<|channel|>final<|message|>{content}<|end|>"),
        });
    }
    text.push_str(suffix);
    text
}
