//! Prompts made to size from a seed, for loads whose shape matters more than their meaning.
//!
//! The text is common English words without punctuation: usual tokenizers give about one token a word, so a prompt
//! of `n` words has about `n` tokens. That is a target, not a count: reports show the server's own. Words are drawn
//! at random, so that no two prompts share a start that a server could have cached, unless `shared_prefix_tokens`
//! asks for one.

use ai_energy_core::prompt::FollowUp;
use ai_energy_core::{Dataset, DatasetInfo, Fault, LoadProgress, LoadedPrompts, Prompt};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::distribution::Distribution;
use crate::options::SyntheticOptions;
use crate::rows::{fingerprint, usage};
use ai_energy_core::draw::Draw;

/// The word list, one a line; its order is part of what a seed means.
const WORDS: &str = include_str!("../data/words.txt");

/// The streams of a seed, kept apart so that a longer prompt does not change the lengths after it.
const LENGTHS: u64 = 1;
const PREFIX: u64 = 2;
const OUTPUTS: u64 = 3;
const TURNS: u64 = 5;
/// Keeps what is said later apart from the first words of other prompts.
const TALK_SEED: u64 = 0x7a1c << 32;
/// Prompt `i` draws its words from stream `FIRST_PROMPT + i`.
const FIRST_PROMPT: u64 = 16;

/// A generator of prompts.
#[derive(Debug)]
pub(crate) struct SyntheticDataset {
    name: String,
    options: SyntheticOptions,
}

impl SyntheticDataset {
    /// The generator that `name` asks for: `synthetic`, `synthetic:INPUT` or `synthetic:INPUT/OUTPUT`, where what
    /// the name says goes before the options.
    ///
    /// # Errors
    /// A length in the name cannot be read.
    pub(crate) fn new(name: &str, options: &SyntheticOptions) -> Result<Self, Fault> {
        let mut options = options.clone();
        if let Some(lengths) = name.strip_prefix("synthetic:") {
            let parse = |text: &str| -> Result<Distribution, Fault> {
                let parsed = text.parse::<Distribution>();
                parsed.map_err(|error| {
                    usage(&format!("dataset {name}"), error.to_string())
                        .remedy("write synthetic:INPUT or synthetic:INPUT/OUTPUT, as in synthetic:uniform:100..300/128")
                })
            };
            let (input, output) = match lengths.split_once('/') {
                Some((input, output)) => (input, Some(output)),
                None => (lengths, None),
            };
            options.input_tokens = parse(input)?;
            if let Some(output) = output {
                options.output_tokens = Some(parse(output)?);
            }
        }
        Ok(Self::of(name, options))
    }

    /// The generator of these options, whatever its name.
    pub(crate) fn of(name: &str, options: SyntheticOptions) -> Self {
        Self { name: name.to_owned(), options }
    }

    pub(crate) fn prompts(&self, limit: usize) -> Vec<Prompt> {
        let words: Vec<&str> = WORDS.lines().collect();
        let SyntheticOptions { input_tokens, output_tokens, seed, shared_prefix_tokens, .. } = &self.options;
        let shared = write(&words, &mut Draw::new(*seed, PREFIX), *shared_prefix_tokens);
        let (mut lengths, mut outputs) = (Draw::new(*seed, LENGTHS), Draw::new(*seed, OUTPUTS));
        (0..limit)
            .map(|index| {
                let length = input_tokens.draw(&mut lengths).max(shared_prefix_tokens.saturating_add(1));
                let own = &mut Draw::new(*seed, FIRST_PROMPT + index as u64);
                let own = write(&words, own, length - shared_prefix_tokens);
                let text = if shared.is_empty() { own } else { format!("{shared} {own}") };
                Prompt {
                    target_input_tokens: Some(length),
                    target_output_tokens: output_tokens.map(|spread| spread.draw(&mut outputs)),
                    ..Prompt::text(index, text)
                }
            })
            .collect()
    }
}

/// What users go on to say in the conversations that prompts begin: as many turns as the options draw, each of its own
/// length, after its own time of thinking. Empty where a conversation has one turn.
pub(crate) fn talk(prompts: &[Prompt], options: &SyntheticOptions) -> BTreeMap<usize, Vec<FollowUp>> {
    let Some(turns) = options.turns else { return BTreeMap::new() };
    let mut draw = Draw::new(options.seed, TURNS);
    let mut talks = BTreeMap::new();
    for prompt in prompts {
        let follow_up = |turn: u32, draw: &mut Draw| {
            let length = options.turn_tokens.unwrap_or(options.input_tokens).draw(draw) as usize;
            let number = (prompt.index as u64) << 16 | u64::from(turn);
            let think = options.think_seconds * if options.think_random { draw.exponential() } else { 1.0 };
            FollowUp {
                message: like(length, options.seed.wrapping_add(TALK_SEED), number),
                think: Duration::try_from_secs_f64(think).unwrap_or_default(),
                target_output_tokens: options.output_tokens.map(|spread| spread.draw(draw)),
            }
        };
        let more = turns.draw(&mut draw).saturating_sub(1);
        let follow_ups: Vec<FollowUp> = (1..=more).map(|turn| follow_up(turn, &mut draw)).collect();
        if !follow_ups.is_empty() {
            talks.insert(prompt.index, follow_ups);
        }
    }
    talks
}

/// A text of so many words, at least one; `number` keeps texts of one seed apart.
pub(crate) fn like(count: usize, seed: u64, number: u64) -> String {
    let words: Vec<&str> = WORDS.lines().collect();
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    write(&words, &mut Draw::new(seed, FIRST_PROMPT + number), count)
}

/// `count` words.
fn write(words: &[&str], draw: &mut Draw, count: u32) -> String {
    let chosen: Vec<&str> = (0..count).map(|_| words[draw.below(words.len() as u64) as usize]).collect();
    chosen.join(" ")
}

#[async_trait]
impl Dataset for SyntheticDataset {
    async fn load(&self, limit: usize, _progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        let prompts = self.prompts(limit);
        let info = DatasetInfo {
            name: self.name.clone(),
            kind: "synthetic".to_owned(),
            revision: Some(format!("seed {}", self.options.seed)),
            sha256: fingerprint(&prompts),
            rows: None,
        };
        let follow_ups = talk(&prompts, &self.options);
        Ok(LoadedPrompts { prompts, info, warnings: Vec::new(), timeline: Vec::new(), follow_ups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn made(name: &str, options: &SyntheticOptions, limit: usize) -> Vec<Prompt> {
        SyntheticDataset::new(name, options).unwrap().prompts(limit)
    }

    fn text(prompt: &Prompt) -> &str {
        &prompt.messages[0].content
    }

    #[test]
    fn the_words_are_plain_and_different() {
        let words: Vec<&str> = WORDS.lines().collect();
        assert!(words.len() >= 400, "{}", words.len());
        assert!(words.iter().all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())));
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
    }

    #[test]
    fn the_prompts_of_a_seed_are_pinned() {
        let options = SyntheticOptions { seed: 42, ..SyntheticOptions::default() };
        let prompts = made("synthetic:lognormal:200,0.7/normal:64,16", &options, 50);
        assert_eq!(fingerprint(&prompts), PINNED);
        let lengths: Vec<_> =
            prompts.iter().take(4).map(|p| (p.target_input_tokens, p.target_output_tokens)).collect();
        assert_eq!(lengths, PINNED_LENGTHS);
    }

    /// Taken from the first release; a change would silently give every seeded run other prompts.
    const PINNED: &str = "5ee9a08e07cb4c87414d871fbe737b0582cf1d91971593af9bb7bcd1a6b7901e";
    const PINNED_LENGTHS: [(Option<u32>, Option<u32>); 4] =
        [(Some(232), Some(55)), (Some(337), Some(72)), (Some(102), Some(36)), (Some(141), Some(63))];

    #[test]
    fn a_shared_prefix_is_shared_and_nothing_else_is() {
        let options = SyntheticOptions { shared_prefix_tokens: 30, ..SyntheticOptions::default() };
        let prompts = made("synthetic:40", &options, 20);
        let start = |prompt: &Prompt| text(prompt).split(' ').take(30).collect::<Vec<_>>().join(" ");
        let starts: BTreeSet<String> = prompts.iter().map(start).collect();
        assert_eq!(starts.len(), 1);
        let all: BTreeSet<&str> = prompts.iter().map(text).collect();
        assert_eq!(all.len(), 20);
    }

    #[test]
    fn more_prompts_begin_with_the_fewer() {
        let options = SyntheticOptions::default();
        assert_eq!(made("synthetic:5-50/7", &options, 30)[..10], made("synthetic:5-50/7", &options, 10));
    }

    #[test]
    fn a_name_that_makes_no_sense_is_refused() {
        let fault = SyntheticDataset::new("synthetic:wide", &SyntheticOptions::default()).unwrap_err();
        assert_eq!(fault.object, "dataset synthetic:wide");
        assert!(fault.remedy.contains("synthetic:uniform:100..300/128"));
    }

    proptest! {
        #[test]
        fn a_prompt_has_the_words_it_says(seed: u64, low in 1u32..50, more in 0u32..50, prefix in 0u32..60) {
            let options = SyntheticOptions {
                input_tokens: Distribution::Uniform { low, high: low + more },
                output_tokens: None, seed, shared_prefix_tokens: prefix,
                ..SyntheticOptions::default()
            };
            for prompt in made("synthetic", &options, 5) {
                let words = text(&prompt).split(' ').count() as u32;
                prop_assert_eq!(prompt.target_input_tokens, Some(words));
                prop_assert!(words > prefix && (low..=(low + more).max(prefix + 1)).contains(&words));
                prop_assert_eq!(prompt.target_output_tokens, None);
            }
        }
    }
}
