//! Text from tokens as they come, never half a character.
//!
//! A token may end in the middle of a character, and what a token reads as may depend on the one before it (a leading
//! space, most often). So a short window of tokens is decoded with and without the new one; the difference is the new
//! text, and it waits while it ends in an incomplete character. Refuses to know where tokens come from.

use std::sync::Arc;

use super::Codec;

/// Tokens that may wait for a character to be complete. One takes four at most; a model that goes on saying broken bytes
/// must not make the window grow.
const MOST_WAITING: usize = 64;

/// Turns tokens into text, one after the other.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    codec: Arc<Codec>,
    /// Tokens of the last piece that was given out, then those that wait.
    window: Vec<u32>,
    /// How many of the window's tokens were given out.
    given: usize,
    /// What those read as.
    prefix: String,
}

impl Detokenizer {
    pub(super) fn new(codec: Arc<Codec>) -> Self {
        Self { codec, window: Vec::new(), given: 0, prefix: String::new() }
    }

    /// Takes the next token and returns the text that is certain now: empty for a special token and while a character is
    /// incomplete.
    pub fn push(&mut self, token: u32) -> String {
        if self.codec.skips(token) {
            return String::new();
        }
        self.window.push(token);
        let text = self.codec.decode(&self.window);
        let incomplete = text.len() <= self.prefix.len() || text.ends_with(char::REPLACEMENT_CHARACTER);
        if incomplete && self.window.len() - self.given < MOST_WAITING {
            return String::new();
        }
        let new = text[floor(&text, self.prefix.len())..].to_owned();
        self.window.drain(..self.given);
        self.given = self.window.len();
        self.prefix = self.codec.decode(&self.window);
        new
    }

    /// The stream has ended: what was held back, incomplete characters as U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = self.codec.decode(&self.window);
        let new = text[floor(&text, self.prefix.len())..].to_owned();
        self.window.clear();
        self.given = 0;
        self.prefix.clear();
        new
    }
}

/// The last character border at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
