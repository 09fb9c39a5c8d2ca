//! What a user can set about a dataset, with defaults and help.
//!
//! Refuses to know where the values come from: files, the environment and the command line are `config`'s affair.

use ai_energy_hub::DEFAULT_REVISION;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;

/// Which prompts a run uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where prompts come from: `builtin`, `synthetic`, a local csv, tsv, jsonl, json, parquet or txt file, or a
    /// dataset on the Hugging Face hub as `owner/name`.
    pub dataset_name: String,
    /// The column that holds the prompt. Where it is left at `text` and the data has no such column, a
    /// `conversations` or `messages` column is taken. Plain text files have no columns.
    pub text_column_name: String,
    /// How many prompts to use, at least 1. Fewer are used, with a warning, where the dataset has fewer.
    #[schemars(range(min = 1))]
    pub num_samples: usize,
    /// The configuration (subset) of a hub dataset; unset means its default one.
    pub config: Option<String>,
    /// The split of a hub dataset.
    pub split: String,
    /// The branch, tag or commit of a hub dataset.
    pub revision: String,
    /// Draw the prompts at random with this seed instead of taking the first ones. The same seed draws the same
    /// rows everywhere. The whole split has to be read for it.
    pub shuffle_seed: Option<u64>,
    /// For txt files: a line that stands between two prompts, for example `---`, so that a prompt may have several
    /// lines. Unset means that every line is a prompt.
    pub txt_separator: Option<String>,
    /// The lengths and the seed of `synthetic` prompts.
    pub synthetic: SyntheticOptions,
    /// What is taken of a trace, and how fast.
    pub trace: TraceOptions,
}

impl Default for Options {
    /// The first ten prompts of AI Energy Score's text generation dataset, as in the Python package.
    fn default() -> Self {
        Self {
            dataset_name: "AIEnergyScore/text_generation".to_owned(),
            text_column_name: DEFAULT_COLUMN.to_owned(),
            num_samples: 10,
            config: None,
            split: "train".to_owned(),
            revision: DEFAULT_REVISION.to_owned(),
            shuffle_seed: None,
            txt_separator: None,
            synthetic: SyntheticOptions::default(),
            trace: TraceOptions::default(),
        }
    }
}

/// The column read unless another is named.
pub const DEFAULT_COLUMN: &str = "text";

/// How synthetic prompts are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticOptions {
    /// Length of the prompts in tokens: `512`, `uniform:100..300`, `normal:MEAN,SD` or `lognormal:MEDIAN,SIGMA`
    /// (SIGMA of the natural logarithm). About one word is written for each token; the count that reports show is
    /// the server's own.
    pub input_tokens: Distribution,
    /// Tokens to generate for each prompt, written as `input_tokens` is; unset leaves it to the scenario.
    pub output_tokens: Option<Distribution>,
    /// The same seed gives the same prompts on every machine.
    pub seed: u64,
    /// Tokens at the start that all prompts share, for measuring a server's prefix cache; part of `input_tokens`,
    /// and each prompt has at least one token of its own after them.
    pub shared_prefix_tokens: u32,
    /// Turns of a conversation, written as `input_tokens` is: each next one carries all that was said, with the model's own
    /// answers. Unset: one turn. `num_samples` counts conversations.
    pub turns: Option<Distribution>,
    /// Tokens that a user says in later turns; unset: as `input_tokens`.
    pub turn_tokens: Option<Distribution>,
    /// Seconds that a user thinks between an answer and the next turn.
    pub think_seconds: f64,
    /// Draw the time of thinking from an exponential distribution of that mean instead of taking it as it is.
    pub think_random: bool,
}

impl Default for SyntheticOptions {
    /// 256 tokens each, the output left to the scenario, seed 0, nothing shared.
    fn default() -> Self {
        Self {
            input_tokens: Distribution::Constant(256),
            output_tokens: None,
            seed: 0,
            shared_prefix_tokens: 0,
            turns: None,
            turn_tokens: None,
            think_seconds: 0.0,
            think_random: false,
        }
    }
}

/// What is taken of a trace (`mooncake:PATH`, `burstgpt:PATH`, `azure:PATH`), and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceOptions {
    /// How many times as fast as it happened; 0.5 is half as fast.
    pub speed_up: f64,
    /// Seconds of the trace, as it happened, that are left out at its begin.
    pub start_seconds: f64,
    /// Seconds of the trace, as it happened, that are taken; unset: up to `num_samples` requests.
    pub duration_seconds: Option<f64>,
    /// Longer prompts are cut to so many tokens.
    #[schemars(range(min = 1))]
    pub max_input_tokens: Option<u32>,
    /// Longer answers are cut to so many tokens.
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<u32>,
}

impl Default for TraceOptions {
    /// All of it, as it happened.
    fn default() -> Self {
        Self {
            speed_up: 1.0,
            start_seconds: 0.0,
            duration_seconds: None,
            max_input_tokens: None,
            max_output_tokens: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused_and_the_rest_has_defaults() {
        let options: Options =
            serde_json::from_str(r#"{"dataset_name":"a.csv","synthetic":{"input_tokens":64}}"#).unwrap();
        assert_eq!(options.synthetic.input_tokens, Distribution::Constant(64));
        assert_eq!(options.split, "train");
        let error = serde_json::from_str::<Options>(r#"{"dataset":"a.csv"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `dataset`"), "{error}");
    }

    #[test]
    fn options_survive_a_round_trip() {
        let mut options = Options::default();
        options.synthetic.output_tokens = Some(Distribution::Uniform { low: 1, high: 9 });
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
    }
}
