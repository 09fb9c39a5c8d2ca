//! The tokenizer that stands in where a model comes without one: a token a byte.
//!
//! Exists so that speed and energy can be measured without a download; every report says that it stands in. Token counts
//! are those of the text's bytes, about four times a real tokenizer's. Refuses to know meaning: with random weights there
//! is none.

/// Token ids 0 to 255 are bytes; what a vocabulary has beyond them reads as nothing.
#[derive(Debug, Clone)]
pub(super) struct ByteLevel {
    /// Tokens there are in the model; ids stay below.
    pub(super) vocab_size: u32,
    /// Begins a sequence, where the model has such a token.
    pub(super) bos: Option<u32>,
}

impl ByteLevel {
    pub(super) fn encode(&self, text: &str, add_special: bool) -> Vec<u32> {
        let bos = self.bos.filter(|_| add_special);
        // A vocabulary of under 256 tokens still gets ids that exist.
        let bytes = text.bytes().map(|byte| u32::from(byte) % self.vocab_size.max(1));
        bos.into_iter().chain(bytes).collect()
    }

    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .filter(|token| !self.skips(**token))
            .filter_map(|token| u8::try_from(*token).ok())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn skips(&self, token: u32) -> bool {
        token > 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_and_ids_stay_within_the_vocabulary() {
        let bytes = ByteLevel { vocab_size: 49_152, bos: Some(1) };
        let tokens = bytes.encode("Zoë", true);
        assert_eq!(tokens, [1, 90, 111, 0xC3, 0xAB]);
        assert_eq!(bytes.decode(&tokens[1..]), "Zoë");
        assert_eq!(bytes.decode(&[40_000]), "");
        let tiny = ByteLevel { vocab_size: 64, bos: None };
        assert!(tiny.encode("Zoë", true).iter().all(|id| *id < 64));
    }
}
