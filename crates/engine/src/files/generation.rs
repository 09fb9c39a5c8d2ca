//! What a model says about generating: `generation_config.json`, filled up from `config.json`.
//!
//! Refuses to know what a request asks for; [`crate::sampling::Settings`] brings the two together.

use serde_json::{Map, Value};

/// A model's own defaults for generating; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// Tokens that end a sequence; empty where the model names none.
    pub eos: Vec<u32>,
    /// Token that begins a sequence.
    pub bos: Option<u32>,
    /// Token that fills up short rows of a batch.
    pub pad: Option<u32>,
    /// `true` where the model's makers sample by default.
    pub do_sample: Option<bool>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Sampling candidates.
    pub top_k: Option<i64>,
    /// Nucleus sampling mass.
    pub top_p: Option<f64>,
    /// Least probability of a candidate, as a share of the most probable one's.
    pub min_p: Option<f64>,
    /// Divides the logits of tokens that are already there; 1 does nothing.
    pub repetition_penalty: Option<f64>,
    /// Most tokens to generate.
    pub max_new_tokens: Option<u32>,
    /// Fewest tokens to generate.
    pub min_new_tokens: Option<u32>,
}

impl GenerationConfig {
    /// What `generation` says, and `config` where it says nothing about special tokens. Multimodal configurations keep
    /// those under `text_config`.
    pub fn from_json(generation: &Map<String, Value>, config: &Map<String, Value>) -> Self {
        let text = config.get("text_config").and_then(Value::as_object);
        let special = |key: &str| {
            let found = [Some(generation), Some(config), text].into_iter().flatten().find_map(|map| {
                let ids = ids(map.get(key)?);
                (!ids.is_empty()).then_some(ids)
            });
            found.unwrap_or_default()
        };
        let number = |key: &str| generation.get(key).and_then(Value::as_f64);
        let count = |key: &str| {
            generation.get(key).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok())
        };
        Self {
            eos: special("eos_token_id"),
            bos: special("bos_token_id").first().copied(),
            pad: special("pad_token_id").first().copied(),
            do_sample: generation.get("do_sample").and_then(Value::as_bool),
            temperature: number("temperature"),
            top_k: generation.get("top_k").and_then(Value::as_i64),
            top_p: number("top_p"),
            min_p: number("min_p"),
            repetition_penalty: number("repetition_penalty"),
            max_new_tokens: count("max_new_tokens"),
            min_new_tokens: count("min_new_tokens"),
        }
    }
}

/// One token id or a list of them; what is no token id is left out (some files say -1 for none).
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(generation: Value, config: Value) -> GenerationConfig {
        GenerationConfig::from_json(generation.as_object().unwrap(), config.as_object().unwrap())
    }

    #[test]
    fn special_tokens_come_from_the_first_file_that_names_them() {
        let both = read(json!({"eos_token_id": [1, 5]}), json!({"eos_token_id": 9, "bos_token_id": 2}));
        assert_eq!((both.eos, both.bos, both.pad), (vec![1, 5], Some(2), None));
        let nested = read(json!({}), json!({"text_config": {"eos_token_id": 7, "pad_token_id": 0}}));
        assert_eq!((nested.eos, nested.pad), (vec![7], Some(0)));
        assert_eq!(read(json!({"pad_token_id": -1}), json!({"pad_token_id": null})).pad, None);
    }

    #[test]
    fn sampling_defaults_come_from_the_generation_file_alone() {
        let config = json!({"temperature": 0.3, "do_sample": true});
        let read = read(json!({"temperature": 0.6, "top_k": 20, "max_new_tokens": 64}), config);
        assert_eq!((read.temperature, read.top_k, read.max_new_tokens), (Some(0.6), Some(20), Some(64)));
        assert_eq!(read.do_sample, None);
    }
}
