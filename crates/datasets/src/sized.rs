//! Prompts for loads of several steps, each with lengths of its own, and stand-ins that share nothing with a run's
//! prompts.
//!
//! Refuses to know when anything is sent.

use ai_energy_core::draw::Draw;
use ai_energy_core::{DatasetInfo, LoadedPrompts, Prompt};

use crate::distribution::Distribution;
use crate::options::SyntheticOptions;
use crate::rows::fingerprint;
use crate::synthetic::{SyntheticDataset, like, talk};

/// The stream of a seed that lengths of answers are drawn from where prompts come from elsewhere.
const OUTPUTS: u64 = 4;

/// The prompts of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// How many.
    pub requests: usize,
    /// Their lengths in tokens; `None`: as the options say.
    pub input_tokens: Option<Distribution>,
    /// Tokens to generate for each; `None`: as the options say.
    pub output_tokens: Option<Distribution>,
}

/// Prompts made to size for steps, one after another, numbered on. A step's prompts do not depend on the steps before it.
pub fn made_to_size(name: &str, steps: &[Sized], options: &SyntheticOptions) -> LoadedPrompts {
    let mut prompts: Vec<Prompt> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let options = SyntheticOptions {
            input_tokens: step.input_tokens.unwrap_or(options.input_tokens),
            output_tokens: step.output_tokens.or(options.output_tokens),
            seed: options.seed.wrapping_add(number as u64),
            ..options.clone()
        };
        let first = prompts.len();
        let made = SyntheticDataset::of(name, options).prompts(step.requests);
        prompts.extend(made.into_iter().map(|prompt| Prompt { index: first + prompt.index, ..prompt }));
    }
    let info = DatasetInfo {
        name: name.to_owned(),
        kind: "synthetic".to_owned(),
        revision: Some(format!("seed {}", options.seed)),
        sha256: fingerprint(&prompts),
        rows: None,
    };
    LoadedPrompts {
        follow_ups: talk(&prompts, options),
        timeline: Vec::new(),
        prompts,
        info,
        warnings: Vec::new(),
    }
}

/// Gives prompts from elsewhere the answer lengths of steps, in order; prompts beyond the steps keep theirs.
pub fn set_outputs(prompts: &mut [Prompt], steps: &[Sized], seed: u64) {
    let mut rest = prompts.iter_mut();
    for (number, step) in steps.iter().enumerate() {
        let mut draw = Draw::new(seed.wrapping_add(number as u64), OUTPUTS);
        for prompt in rest.by_ref().take(step.requests) {
            if let Some(spread) = &step.output_tokens {
                prompt.target_output_tokens = Some(spread.draw(&mut draw));
            }
        }
    }
}

/// For each of `prompts` another one of as many words, so that a server can be warmed up without having seen what it will
/// be measured with. Their numbers go on after the last of `prompts`.
pub fn stand_ins(prompts: &[Prompt], seed: u64) -> Vec<Prompt> {
    let first = prompts.iter().map(|prompt| prompt.index + 1).max().unwrap_or(0);
    let stand_in = |(number, prompt): (usize, &Prompt)| {
        let words = prompt.messages.iter().map(|message| message.content.split_whitespace().count()).sum();
        Prompt {
            target_output_tokens: prompt.target_output_tokens,
            ..Prompt::text(first + number, like(words, seed, number as u64))
        }
    };
    prompts.iter().enumerate().map(stand_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn steps() -> [Sized; 2] {
        let spread = |low, high| Some(Distribution::Uniform { low, high });
        [
            Sized { requests: 30, input_tokens: spread(5, 9), output_tokens: spread(2, 3) },
            Sized { requests: 20, input_tokens: spread(40, 60), output_tokens: spread(7, 8) },
        ]
    }

    #[test]
    fn each_step_has_its_own_lengths_and_every_prompt_its_own_number() {
        let loaded = made_to_size("profile", &steps(), &SyntheticOptions::default());
        let indices: Vec<usize> = loaded.prompts.iter().map(|prompt| prompt.index).collect();
        assert_eq!(indices, (0..50).collect::<Vec<_>>());
        for (number, prompt) in loaded.prompts.iter().enumerate() {
            let words = prompt.messages[0].content.split(' ').count();
            let (input, output) = if number < 30 { (5..=9, 2..=3) } else { (40..=60, 7..=8) };
            assert!(input.contains(&words), "{number}: {words}");
            assert!(output.contains(&prompt.target_output_tokens.unwrap()), "{number}");
        }
        let other = SyntheticOptions { seed: 9, ..SyntheticOptions::default() };
        assert_ne!(made_to_size("profile", &steps(), &other).info.sha256, loaded.info.sha256);
    }

    #[test]
    fn prompts_from_elsewhere_get_the_answer_lengths_of_the_steps() {
        let mut prompts: Vec<Prompt> = (0..60).map(|index| Prompt::text(index, "a question")).collect();
        set_outputs(&mut prompts, &steps(), 1);
        let lengths: Vec<Option<u32>> = prompts.iter().map(|prompt| prompt.target_output_tokens).collect();
        assert!(lengths[..30].iter().all(|length| matches!(length, Some(2 | 3))));
        assert!(lengths[30..50].iter().all(|length| matches!(length, Some(7 | 8))));
        assert!(lengths[50..].iter().all(Option::is_none));
    }

    #[test]
    fn a_stand_in_is_as_long_and_has_nothing_of_the_prompt() {
        let loaded = made_to_size("x", &steps(), &SyntheticOptions::default());
        let others = stand_ins(&loaded.prompts, 1000);
        let text = |prompt: &Prompt| prompt.messages[0].content.clone();
        for (prompt, other) in loaded.prompts.iter().zip(&others) {
            assert_eq!(text(prompt).split(' ').count(), text(other).split(' ').count());
            assert_eq!(prompt.target_output_tokens, other.target_output_tokens);
        }
        let all: BTreeSet<String> = loaded.prompts.iter().chain(&others).map(text).collect();
        assert_eq!(all.len(), 100);
        assert_eq!(others[0].index, 50);
    }
}
