//! A formatted prompt in the making: messages, and parameters on their way to where they act.

use ai_energy_core::{FormattedPrompt, Message, Prompt, PromptContent, Role, Target};
use serde_json::{Map, Value};

/// What a kind of format works on.
pub(crate) struct Draft<'a> {
    prompt: &'a Prompt,
    target: Target,
    pub(crate) messages: Vec<Message>,
    pub(crate) params: Map<String, Value>,
    pub(crate) template: Map<String, Value>,
}

impl<'a> Draft<'a> {
    /// The prompt as it came.
    pub(crate) fn new(prompt: &'a Prompt, target: Target) -> Self {
        let messages = prompt.messages.clone();
        Self { prompt, target, messages, params: Map::new(), template: Map::new() }
    }

    /// Passes parameters on, except the `consumed` ones: those in `switches` to the chat template, others to the top
    /// level of the request.
    pub(crate) fn pass_on(
        &mut self,
        given: Option<&Map<String, Value>>,
        switches: &[String],
        consumed: &[&str],
    ) {
        for (name, value) in given.into_iter().flatten() {
            if !consumed.contains(&name.as_str()) {
                self.set(name, value.clone(), switches);
            }
        }
    }

    /// Sets one parameter where it acts.
    pub(crate) fn set(&mut self, name: &str, value: Value, switches: &[String]) {
        let place =
            if switches.iter().any(|switch| switch == name) { &mut self.template } else { &mut self.params };
        place.insert(name.to_owned(), value);
    }

    /// Adds text to the system message, which is made where there is none.
    pub(crate) fn tell_system(&mut self, text: &str) {
        match self.messages.first_mut() {
            Some(first) if first.role == Role::System => {
                first.content.push('\n');
                first.content.push_str(text);
            }
            _ => self.messages.insert(0, Message { role: Role::System, content: text.to_owned() }),
        }
    }

    /// Puts text around the last thing that the user says.
    pub(crate) fn wrap_last_user(&mut self, prefix: &str, suffix: &str) {
        if let Some(message) = self.messages.iter_mut().rev().find(|message| message.role == Role::User) {
            message.content = format!("{prefix}{}{suffix}", message.content);
        }
    }

    /// The messages for a chat API; for text, their contents with a blank line between two.
    pub(crate) fn finish(self) -> FormattedPrompt {
        let content = match self.target {
            Target::ChatApi => PromptContent::Chat(self.messages),
            Target::Completion => {
                let contents: Vec<&str> =
                    self.messages.iter().map(|message| message.content.as_str()).collect();
                PromptContent::Text(contents.join("\n\n"))
            }
        };
        let template = match self.target {
            Target::ChatApi => self.template,
            // No chat template is applied to plain text, so a switch for one would say what is not so.
            Target::Completion => Map::new(),
        };
        FormattedPrompt {
            index: self.prompt.index,
            content,
            params: self.params,
            chat_template_kwargs: template,
            target_output_tokens: self.prompt.target_output_tokens,
        }
    }

    /// [`Draft::finish`] with a text of the format's own making instead of the messages.
    pub(crate) fn finish_as_text(self, text: String) -> FormattedPrompt {
        let finished = self.finish();
        FormattedPrompt { content: PromptContent::Text(text), chat_template_kwargs: Map::new(), ..finished }
    }
}
