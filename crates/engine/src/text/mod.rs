//! Between text and tokens: tokenizer, chat template, detokenizer and stop strings.
//!
//! Refuses to know tensors and requests.

mod bytes;
mod codec;
mod detokenizer;
mod folder;
mod json;
pub mod stop;
mod template;

use std::path::Path;
use std::sync::Arc;

use ai_energy_core::prompt::Message;
use serde_json::{Map, Value};

use self::codec::Codec;
use self::template::Template;
use crate::EngineError;

pub use self::detokenizer::Detokenizer;

/// A model's tokenizer and chat template.
#[derive(Debug, Clone)]
pub struct Text {
    codec: Arc<Codec>,
    template: Option<Arc<Template>>,
    special: SpecialTokens,
}

/// Special tokens as text, which chat templates ask for; `None` where the model names none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Begins a sequence.
    pub bos: Option<String>,
    /// Ends a sequence.
    pub eos: Option<String>,
    /// Stands for what the tokenizer does not know.
    pub unk: Option<String>,
    /// Fills up short rows of a batch.
    pub pad: Option<String>,
}

impl SpecialTokens {
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("unk_token", &self.unk),
            ("pad_token", &self.pad),
        ];
        all.into_iter().filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }
}

/// A chat template's source and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    /// The Jinja text.
    pub source: String,
    /// Where it was found, for messages: a file and, where it is one of several in there, its name.
    pub origin: String,
}

impl Text {
    /// Tokenizer and chat template of a model folder; `None` where it has no tokenizer.
    ///
    /// # Errors
    /// A file is there and cannot be read or understood; the error names it.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>, EngineError> {
        folder::open(folder)
    }

    /// A tokenizer made elsewhere, from the metadata of a GGUF file for example.
    ///
    /// # Errors
    /// The chat template is no Jinja.
    pub fn from_tokenizer(
        tokenizer: tokenizers::Tokenizer,
        special: SpecialTokens,
        template: Option<TemplateSource>,
    ) -> Result<Self, EngineError> {
        Self::assemble(Codec::Tokenizer { tokenizer: Box::new(tokenizer), bos: None }, special, template)
    }

    /// The stand-in where there is no tokenizer: a token a byte, `bos` before the text where special tokens are asked
    /// for. Ids stay below `vocab_size`.
    pub fn byte_level(vocab_size: u32, bos: Option<u32>) -> Self {
        let codec = Codec::Bytes(bytes::ByteLevel { vocab_size, bos });
        Self { codec: Arc::new(codec), template: None, special: SpecialTokens::default() }
    }

    fn assemble(
        codec: Codec,
        special: SpecialTokens,
        template: Option<TemplateSource>,
    ) -> Result<Self, EngineError> {
        let template = template.map(|found| Template::new(&found.source, found.origin)).transpose()?;
        Ok(Self { codec: Arc::new(codec), template: template.map(Arc::new), special })
    }

    /// The tokens of a text. `add_special` adds what the tokenizer puts around a text, such as the token that begins a
    /// sequence; a rendered chat has those in it already.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, EngineError> {
        self.codec.encode(text, add_special)
    }

    /// The text of tokens, special ones left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.codec.decode(tokens)
    }

    /// Text from tokens as they come.
    pub fn detokenizer(&self) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.codec))
    }

    /// The id of a token by its name, for example `<|im_end|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.codec.token_id(token)
    }

    /// `true` where the model has a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// `true` where the model's chat template asks for a value of this name, such as `reasoning_effort`.
    pub fn template_uses(&self, name: &str) -> bool {
        self.template.as_ref().is_some_and(|template| template.uses(name))
    }

    /// A conversation as text for the model, ready for its answer; encode it with `add_special` false.
    ///
    /// # Errors
    /// There is no chat template, or it refuses the conversation.
    pub fn render_chat(
        &self,
        messages: &[Message],
        switches: &Map<String, Value>,
    ) -> Result<String, EngineError> {
        let template = self.template.as_ref().ok_or_else(|| {
            EngineError::bad_request("chat template", "the model has none")
                .remedy("send the prompt as text, or use a model that was trained to chat")
        })?;
        template.render(messages, &self.special, switches)
    }

    /// Special tokens as text.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// `true` for the stand-in that has a token a byte: every report says so then.
    pub fn is_fallback(&self) -> bool {
        matches!(&*self.codec, Codec::Bytes(_))
    }
}

#[cfg(test)]
mod tests;
