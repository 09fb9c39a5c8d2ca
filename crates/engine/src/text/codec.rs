//! Tokens from text and back, by a model's tokenizer or by the stand-in.
//!
//! Refuses to know files and templates.

use tokenizers::Tokenizer;

use super::bytes::ByteLevel;
use crate::EngineError;

/// What turns text into tokens and back.
#[derive(Debug)]
pub(super) enum Codec {
    /// The model's own.
    Tokenizer {
        /// The tokenizer itself.
        tokenizer: Box<Tokenizer>,
        /// What its configuration says about the token that begins a sequence, where that overrules the tokenizer:
        /// the token, and whether it belongs there.
        bos: Option<(u32, bool)>,
    },
    /// The stand-in.
    Bytes(ByteLevel),
}

impl Codec {
    pub(super) fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, EngineError> {
        let (tokenizer, bos) = match self {
            Codec::Bytes(bytes) => return Ok(bytes.encode(text, add_special)),
            Codec::Tokenizer { tokenizer, bos } => (tokenizer, bos),
        };
        let encoding = tokenizer.encode_fast(text, add_special).map_err(|error| {
            EngineError::bad_request("prompt", format!("the tokenizer refuses it: {error}"))
        })?;
        let mut ids = encoding.get_ids().to_vec();
        match bos {
            Some((bos, true)) if add_special && ids.first() != Some(bos) => ids.insert(0, *bos),
            Some((bos, false)) if add_special && ids.first() == Some(bos) => drop(ids.remove(0)),
            _ => {}
        }
        Ok(ids)
    }

    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Codec::Bytes(bytes) => bytes.decode(tokens),
            // The one error there is: a decoder that fails on what its own vocabulary holds. Such tokens read as nothing.
            Codec::Tokenizer { tokenizer, .. } => tokenizer.decode(tokens, true).unwrap_or_default(),
        }
    }

    /// `true` for a token that reads as nothing: special, or not in the vocabulary.
    pub(super) fn skips(&self, token: u32) -> bool {
        match self {
            Codec::Bytes(bytes) => bytes.skips(token),
            Codec::Tokenizer { tokenizer, .. } => match tokenizer.id_to_token(token) {
                Some(text) => tokenizer.get_added_vocabulary().is_special_token(&text),
                None => true,
            },
        }
    }

    pub(super) fn token_id(&self, token: &str) -> Option<u32> {
        match self {
            Codec::Bytes(_) => None,
            Codec::Tokenizer { tokenizer, .. } => tokenizer.token_to_id(token),
        }
    }
}
