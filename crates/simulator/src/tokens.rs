//! The simulator's rule for what a token is, applied alike in `usage`, `/tokenize`, `/metrics` and the truth.
//!
//! Exists so that a client's counts can be checked without a model's vocabulary. Refuses to be any real tokenizer.
//!
//! The rule: text splits at white space, and a word costs one token for every eight characters begun. A chat costs
//! for each message the tokens of its role (one, as roles go, but for `assistant`, two) and those of its text. The words that the simulator generates have
//! eight characters at most, so each of them is one token, and generated text counts the same when it is sent back
//! to `/tokenize`.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Characters of a word that one token holds at most.
const CHARACTERS_A_TOKEN: usize = 8;

/// The size of the made-up vocabulary behind [`id`].
const VOCABULARY: u64 = 50_000;

/// What the simulator says.
const WORDS: [&str; 64] = [
    "amber", "anchor", "apple", "autumn", "basin", "bridge", "canyon", "cedar", "cloud", "copper", "crystal",
    "dawn", "delta", "desert", "echo", "ember", "falcon", "feather", "field", "forest", "garden", "glacier",
    "granite", "harbor", "hazel", "hill", "island", "ivory", "jade", "juniper", "lagoon", "lantern", "lemon",
    "marble", "meadow", "mirror", "moon", "morning", "nectar", "north", "oak", "ocean", "olive", "orchard",
    "pebble", "pine", "prairie", "quartz", "quiet", "rain", "reef", "river", "saffron", "shore", "silver",
    "spring", "stone", "summer", "thunder", "tide", "valley", "violet", "willow", "winter",
];

/// The tokens of a text as the pieces of it that they stand for.
pub fn pieces(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace().flat_map(|word| {
        let characters: Vec<char> = word.chars().collect();
        characters.chunks(CHARACTERS_A_TOKEN).map(|piece| piece.iter().collect()).collect::<Vec<String>>()
    })
}

/// How many tokens a text costs.
pub fn count(text: &str) -> u32 {
    let tokens: usize =
        text.split_whitespace().map(|word| word.chars().count().div_ceil(CHARACTERS_A_TOKEN)).sum();
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// How many tokens a message of a chat costs.
pub fn count_message(role: &str, text: &str) -> u32 {
    count(role).saturating_add(count(text))
}

/// A token's id: the FNV-1a hash of its text within a made-up vocabulary, the same on every machine.
pub fn id(piece: &str) -> u32 {
    let hash = piece.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from(hash % VOCABULARY).unwrap_or(0)
}

/// An endless run of generated tokens, the same for the same seed: the first without a space before it, as models
/// begin an answer, every other with one.
pub(crate) struct Words {
    rng: StdRng,
    begun: bool,
}

impl Words {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), begun: false }
    }

    /// Appends the next token's text.
    pub(crate) fn push_to(&mut self, text: &mut String) {
        if self.begun {
            text.push(' ');
        }
        self.begun = true;
        let pick = self.rng.random_range(0..WORDS.len());
        text.push_str(WORDS.get(pick).copied().unwrap_or("quiet"));
    }

    /// Starts a new text: its first token comes without a space.
    pub(crate) fn restart(&mut self) {
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_word_of_ours_is_one_token_and_no_word_is_twice() {
        for word in WORDS {
            assert_eq!(count(word), 1, "{word}");
        }
        let unique: std::collections::HashSet<_> = WORDS.iter().collect();
        assert_eq!(unique.len(), WORDS.len());
    }

    #[test]
    fn the_rule_on_examples() {
        assert_eq!(count(""), 0);
        assert_eq!(count(" \n\t"), 0);
        assert_eq!(count("Hello world"), 2);
        assert_eq!(count("internationalization"), 3);
        assert_eq!(count("ééééééééé"), 2, "characters count, not bytes");
        assert_eq!(count_message("user", "Hello world"), 3);
    }

    proptest! {
        #[test]
        fn counting_and_splitting_agree_and_lose_nothing(text in "\\PC{0,200}") {
            let split: Vec<String> = pieces(&text).collect();
            prop_assert_eq!(split.len(), count(&text) as usize);
            let kept: String = text.split_whitespace().collect();
            prop_assert_eq!(split.concat(), kept);
            prop_assert!(split.iter().all(|piece| id(piece) < VOCABULARY as u32));
        }

        #[test]
        fn generated_text_counts_as_generated(seed: u64, tokens in 0_u32..300) {
            let mut text = String::new();
            let mut words = Words::new(seed);
            for _ in 0..tokens {
                words.push_to(&mut text);
            }
            prop_assert_eq!(count(&text), tokens);
        }
    }
}
