//! One generation: its prompt as tokens, what it asks for, and the text that its tokens make.
//!
//! Refuses to know batches and messages.

use ai_energy_backends_pytorch::protocol::{EnginePrompt, Generate};
use ai_energy_core::record::OutputChannel;
use serde_json::{Map, Value};

use super::channel::{ChannelTracker, Marks};
use super::seam::LoadedModel;
use crate::EngineError;
use crate::sampling::{Sampler, Settings};
use crate::text::stop::StopStrings;
use crate::text::{Detokenizer, Text};

/// A generation that is ready to be computed.
pub(super) struct Row {
    id: String,
    prompt: Vec<u32>,
    truncated: u32,
    sampler: Sampler,
    detokenizer: Detokenizer,
    stops: StopStrings,
    channel: ChannelTracker,
}

/// What a token came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// What it belongs to.
    pub(super) channel: OutputChannel,
    /// The text that is certain with it.
    pub(super) text: String,
    /// Why the generation ends with it; `None` where it goes on.
    pub(super) finish: Option<&'static str>,
}

impl Row {
    /// Makes a request ready: its tokens, cut to what fits the context where `truncation` allows, and its settings.
    ///
    /// # Errors
    /// A value that means nothing, a prompt that the tokenizer or the chat template refuses, or one that does not fit.
    pub(super) fn prepare(
        asked: &Generate,
        model: &LoadedModel,
        truncation: bool,
    ) -> Result<Self, EngineError> {
        let mut asked = asked.clone();
        hand_to_template(&mut asked, &model.text);
        let settings = Settings::resolve(&asked, &model.generation)?;
        let (written, mut prompt) = tokens(&asked.prompt, &model.text)?;
        let begin = model.generation.bos;
        if prompt.is_empty() {
            // As transformers does: the token that begins a sequence is a prompt by itself.
            prompt.push(begin.ok_or_else(|| {
                EngineError::bad_request("prompt", "it has no token, and the model has none to begin with")
                    .remedy("send some text")
            })?);
        }
        let room = room(&settings, model.model.context())?;
        let truncated = if truncation {
            cut(&mut prompt, room, begin)
        } else {
            refuse_longer(prompt.len(), room, &settings)?
        };
        let sampler = Sampler::new(&settings, &prompt);
        let marks = Marks::find(|name| model.text.token_id(name));
        Ok(Self {
            id: asked.id.clone(),
            prompt,
            truncated,
            sampler,
            detokenizer: model.text.detokenizer(),
            stops: StopStrings::new(&settings.stop),
            channel: ChannelTracker::after(&written, marks),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// Tokens that were cut off the prompt.
    pub(super) fn truncated(&self) -> u32 {
        self.truncated
    }

    pub(super) fn max_new_tokens(&self) -> usize {
        self.sampler.settings().max_new_tokens as usize
    }

    /// Tokens so far.
    pub(super) fn generated(&self) -> u32 {
        self.sampler.chosen()
    }

    /// What was asked and is not done, a sentence each.
    pub(super) fn remarks(&self) -> &[String] {
        &self.sampler.settings().remarks
    }

    /// `true` where the most probable token mostly settles the choice.
    pub(super) fn is_greedy(&self) -> bool {
        self.sampler.is_greedy()
    }

    /// The next token where the most probable one settles it.
    pub(super) fn accept(&mut self, largest: u32) -> Option<u32> {
        self.sampler.accept(largest)
    }

    /// The next token from the logits.
    pub(super) fn pick(&mut self, logits: &mut [f32]) -> u32 {
        self.sampler.pick(logits)
    }

    /// Makes text of the token that was just chosen, and looks whether the generation ends with it.
    pub(super) fn take(&mut self, token: u32) -> Taken {
        let ends = self.sampler.settings().is_end(token);
        let last = self.sampler.is_last(token);
        let piece = self.detokenizer.push(token);
        let (channel, is_text) = self.channel.push(token, &piece);
        let mut text = if is_text { self.stops.push(&piece) } else { String::new() };
        if last && !self.stops.is_hit() {
            // Nothing follows that could complete a character or a stop string.
            text += &self.stops.push(&self.detokenizer.finish());
            text += &self.stops.finish();
        }
        let finish = match (ends || self.stops.is_hit(), last) {
            (true, _) => Some("stop"),
            (false, true) => Some("length"),
            (false, false) => None,
        };
        Taken { channel, text, finish }
    }
}

/// Arguments that the chat template asks for, such as `reasoning_effort`, are the template's and not the sampler's.
fn hand_to_template(asked: &mut Generate, text: &Text) {
    let EnginePrompt::Chat { template, .. } = &mut asked.prompt else { return };
    let (theirs, ours) =
        std::mem::take(&mut asked.extra).into_iter().partition(|(name, _)| text.template_uses(name));
    asked.extra = ours;
    let theirs: Map<String, Value> = theirs;
    for (name, value) in theirs {
        template.entry(name).or_insert(value);
    }
}

/// The prompt as it is written for the model, and its tokens. A conversation for a model without a chat template is what
/// was said, with a blank line between messages.
fn tokens(prompt: &EnginePrompt, text: &Text) -> Result<(String, Vec<u32>), EngineError> {
    let (written, add_special) = match prompt {
        EnginePrompt::Text(plain) => (plain.clone(), true),
        EnginePrompt::Chat { messages, template } if text.has_chat_template() => {
            (text.render_chat(messages, template)?, false)
        }
        EnginePrompt::Chat { messages, .. } => {
            let said: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
            (said.join("\n\n"), true)
        }
    };
    let tokens = text.encode(&written, add_special)?;
    Ok((written, tokens))
}

/// Tokens that a prompt may have.
fn room(settings: &Settings, context: usize) -> Result<usize, EngineError> {
    let new = settings.max_new_tokens;
    match context.checked_sub(new as usize) {
        Some(room) if room > 0 => Ok(room),
        _ => {
            let cause = format!(
                "{new} new tokens leave no room for a prompt in the model's context of {context} tokens"
            );
            let most = context.saturating_sub(1);
            Err(EngineError::bad_request("max_new_tokens", cause).remedy(format!("use {most} at most")))
        }
    }
}

fn refuse_longer(length: usize, room: usize, settings: &Settings) -> Result<u32, EngineError> {
    if length <= room {
        return Ok(0);
    }
    let new = settings.max_new_tokens;
    let cause = format!(
        "its {length} tokens and {new} new ones are more than the model's context of {} tokens",
        room + new as usize
    );
    Err(EngineError::bad_request("prompt", cause)
        .remedy("shorten it, lower max_new_tokens, or set scenario.truncation: true"))
}

/// Cuts a prompt from its start; the token that begins a sequence stays, since models are used to it.
fn cut(prompt: &mut Vec<u32>, room: usize, begin: Option<u32>) -> u32 {
    let excess = prompt.len().saturating_sub(room);
    if excess > 0 {
        let kept = usize::from(room > 1 && begin.is_some() && prompt.first().copied() == begin);
        prompt.drain(kept..kept + excess);
    }
    u32::try_from(excess).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{SpecialTokens, TemplateSource};
    use ai_energy_core::prompt::{Message, Role};
    use serde_json::json;

    #[test]
    fn what_the_template_asks_for_goes_to_it_and_the_rest_stays() {
        let source = "{% set x = reasoning_effort %}{{ messages[0].content }} at {{ x }}";
        let template = TemplateSource { source: source.to_owned(), origin: "test".to_owned() };
        let tokenizer = tokenizers::Tokenizer::new(tokenizers::models::bpe::BPE::default());
        let text = Text::from_tokenizer(tokenizer, SpecialTokens::default(), Some(template)).unwrap();
        let message = Message { role: Role::User, content: "go".to_owned() };
        let mut asked = super::super::fake::ask("a", "", 1);
        asked.prompt = EnginePrompt::Chat { messages: vec![message], template: Map::new() };
        asked.extra = json!({"reasoning_effort": "high", "x": 1, "min_p": 0.1}).as_object().cloned().unwrap();
        hand_to_template(&mut asked, &text);
        assert_eq!(json!(asked.extra), json!({"x": 1, "min_p": 0.1}));
        assert_eq!(tokens(&asked.prompt, &text).unwrap().0, "go at high");
    }
}
