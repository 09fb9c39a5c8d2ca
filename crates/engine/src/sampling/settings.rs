//! How one generation is to be done: the request's values, then the model's own, then transformers' defaults.
//!
//! Refuses to know logits.

use std::hash::{BuildHasher, RandomState};

use ai_energy_backends_pytorch::protocol::Generate;
use serde_json::Value;

use crate::EngineError;
use crate::files::GenerationConfig;

/// Most new tokens where neither request nor model says: transformers' default for the whole sequence's length.
const DEFAULT_NEW_TOKENS: u32 = 20;
/// Sampling candidates where neither request nor model says: transformers' default.
const DEFAULT_TOP_K: usize = 50;

/// How one generation is to be done, complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most tokens to generate, at least 1.
    pub max_new_tokens: u32,
    /// Fewest tokens to generate: end tokens are forbidden before.
    pub min_new_tokens: u32,
    /// Tokens that end the generation; never chosen before `min_new_tokens`.
    pub eos: Vec<u32>,
    /// Generate on after an end token.
    pub ignore_eos: bool,
    /// Strings that end the generation.
    pub stop: Vec<String>,
    /// Divides positive and multiplies negative logits of tokens that are already there; 1 does nothing.
    pub repetition_penalty: f32,
    /// How to draw; `None` takes the most probable token.
    pub sampling: Option<Sampling>,
    /// What was asked and is not done, a sentence each.
    pub remarks: Vec<String>,
}

/// How to draw a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; above 0.
    pub temperature: f32,
    /// Most probable tokens to draw from; `None` for all.
    pub top_k: Option<usize>,
    /// Of those, the fewest whose probabilities add up to this; 1 for all.
    pub top_p: f32,
    /// Of those, the ones at least this share as probable as the first; 0 for all.
    pub min_p: f32,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Settings {
    /// Brings a request and a model's defaults together. Sampling is off unless `do_sample` or a temperature above 0 asks
    /// for it, in the request first, then `do_sample` in the model's file.
    ///
    /// # Errors
    /// A value that means nothing, or asks for a way of generating that this engine has not; the error names it.
    pub fn resolve(asked: &Generate, model: &GenerationConfig) -> Result<Self, EngineError> {
        let mut extra = Extra::new(asked)?;
        let max_new_tokens = asked.max_new_tokens.or(model.max_new_tokens).unwrap_or(DEFAULT_NEW_TOKENS);
        let min_new_tokens = asked.min_new_tokens.or(model.min_new_tokens).unwrap_or(0);
        if max_new_tokens == 0 {
            return Err(wrong("max_new_tokens", "0 tokens are no generation", "use 1 or more"));
        }
        if min_new_tokens > max_new_tokens {
            let cause = format!("{min_new_tokens} is more than max_new_tokens, {max_new_tokens}");
            return Err(wrong("min_new_tokens", cause, "raise max_new_tokens or lower min_new_tokens"));
        }
        let penalty = extra.number("repetition_penalty")?.or(model.repetition_penalty).unwrap_or(1.0);
        let min_p = extra.number("min_p")?.or(model.min_p).unwrap_or(0.0);
        check("repetition_penalty", penalty, penalty > 0.0, "a number above 0")?;
        Ok(Self {
            max_new_tokens,
            min_new_tokens,
            eos: extra.eos()?.unwrap_or_else(|| model.eos.clone()),
            ignore_eos: asked.ignore_eos.unwrap_or(false),
            stop: asked.stop.clone(),
            repetition_penalty: penalty as f32,
            sampling: sampling(asked, model, min_p)?,
            remarks: extra.remarks(),
        })
    }

    /// `true` where this token ends the generation.
    pub fn is_end(&self, token: u32) -> bool {
        !self.ignore_eos && self.eos.contains(&token)
    }
}

fn sampling(asked: &Generate, model: &GenerationConfig, min_p: f64) -> Result<Option<Sampling>, EngineError> {
    let temperature = asked.temperature.or(model.temperature).unwrap_or(1.0);
    let temperature_asks = asked.temperature.map(|temperature| temperature > 0.0);
    let draws = asked.do_sample.or(temperature_asks).or(model.do_sample).unwrap_or(false);
    let top_p = asked.top_p.or(model.top_p).unwrap_or(1.0);
    check(
        "temperature",
        temperature,
        temperature >= 0.0,
        "0 for the most probable token, or a number above",
    )?;
    check("top_p", top_p, (0.0..=1.0).contains(&top_p), "a number from 0 to 1")?;
    check("min_p", min_p, (0.0..=1.0).contains(&min_p), "a number from 0 to 1")?;
    // So small a temperature that logits divided by it are not finite is the most probable token as well.
    if !draws || temperature < f64::from(f32::MIN_POSITIVE) {
        return Ok(None);
    }
    let top_k = match asked.top_k.or(model.top_k) {
        None => Some(DEFAULT_TOP_K),
        Some(all) if all <= 0 => None,
        Some(count) => usize::try_from(count).ok(),
    };
    // Two's complement: every seed that can be asked for is another one here.
    let seed = asked.seed.map_or_else(|| RandomState::new().hash_one(&asked.id), i64::cast_unsigned);
    Ok(Some(Sampling {
        temperature: temperature as f32,
        top_k,
        top_p: top_p as f32,
        min_p: min_p as f32,
        seed,
    }))
}

fn check(name: &str, value: f64, right: bool, wanted: &str) -> Result<(), EngineError> {
    if right && value.is_finite() {
        return Ok(());
    }
    Err(wrong(name, format!("{value} is not possible"), format!("use {wanted}")))
}

fn wrong(name: &str, cause: impl Into<String>, remedy: impl Into<String>) -> EngineError {
    EngineError::bad_request(name, cause).remedy(remedy)
}

/// Arguments of transformers' `generate` that change nothing where they have this value.
const NO_EFFECT: [(&str, &[f64]); 13] = [
    ("num_beams", &[1.0]),
    ("num_beam_groups", &[1.0]),
    ("num_return_sequences", &[1.0]),
    ("n", &[1.0]),
    ("length_penalty", &[1.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("typical_p", &[1.0]),
    ("epsilon_cutoff", &[0.0]),
    ("eta_cutoff", &[0.0]),
    ("diversity_penalty", &[0.0]),
    ("penalty_alpha", &[0.0]),
];

/// Arguments that say how to compute, not what: whatever they say, the tokens are the same.
const HOW: [&str; 7] = [
    "use_cache",
    "early_stopping",
    "pad_token_id",
    "bos_token_id",
    "return_dict_in_generate",
    "output_scores",
    "stream",
];

/// The request's other arguments; what nobody takes is remarked on.
struct Extra<'a> {
    asked: &'a Generate,
    taken: Vec<&'static str>,
}

impl<'a> Extra<'a> {
    fn new(asked: &'a Generate) -> Result<Self, EngineError> {
        let several = ["num_beams", "num_return_sequences", "n"]
            .into_iter()
            .find(|name| asked.extra.get(*name).and_then(Value::as_f64).is_some_and(|count| count > 1.0));
        match several {
            None => Ok(Self { asked, taken: Vec::new() }),
            Some(name) => {
                Err(wrong(name, "this engine generates one sequence a prompt", "use 1, or leave it out"))
            }
        }
    }

    fn number(&mut self, name: &'static str) -> Result<Option<f64>, EngineError> {
        self.taken.push(name);
        match self.asked.extra.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(name, format!("{value} is no number"), "use a number")),
            },
        }
    }

    /// End tokens by number, one or a list.
    fn eos(&mut self) -> Result<Option<Vec<u32>>, EngineError> {
        let name = "eos_token_id";
        self.taken.push(name);
        let Some(value) = self.asked.extra.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let ids: Option<Vec<u32>> =
            list.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect();
        match ids {
            Some(ids) => Ok(Some(ids)),
            None => Err(wrong(name, format!("{value} is no token id"), "use a token id or a list of them")),
        }
    }

    fn remarks(self) -> Vec<String> {
        let harmless = |name: &str, value: &Value| {
            value.is_null()
                || value == &Value::Bool(false)
                || HOW.contains(&name)
                || NO_EFFECT.iter().any(|(known, values)| {
                    *known == name && value.as_f64().is_some_and(|value| values.contains(&value))
                })
        };
        let unknown = self
            .asked
            .extra
            .iter()
            .filter(|(name, value)| !self.taken.contains(&name.as_str()) && !harmless(name, value));
        unknown
            .map(|(name, value)| format!("the argument `{name}: {value}` has no effect in this engine"))
            .collect()
    }
}
