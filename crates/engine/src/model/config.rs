//! Reading a `config.json` so that nothing in it is overlooked: every key is either read by the family, known to change
//! nothing of the computation, or an error that names it.
//!
//! Exists because a key that is silently ignored is a wrong model that looks right. Refuses to know any family.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::EngineError;

/// What errors call the config.
const OBJECT: &str = "config.json";

/// Keys that say nothing about the computation of the logits.
const HARMLESS: &[&str] = &[
    "architectures",
    "attn_implementation",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "custom_pipelines",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "eos_token_id",
    "experts_implementation",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "language",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "model_type",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beams",
    "num_return_sequences",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "quantization",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
];

/// Endings and beginnings of names that say nothing about the computation at inference.
const HARMLESS_PARTS: &[&str] =
    &["dropout", "pdrop", "output_attentions", "output_hidden_states", "router_aux", "router_jitter"];

/// A `config.json` that remembers what was read of it.
#[derive(Debug)]
pub struct Config<'a> {
    map: &'a Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Config<'a> {
    /// Nothing read yet.
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, read: RefCell::default() }
    }

    /// The value of a key; `None` where it is missing or null.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// `true` where the key is there and null: some families mean "none" by that and something else by a missing key.
    pub fn is_null(&self, key: &str) -> bool {
        self.read.borrow_mut().insert(key.to_owned());
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// Marks keys as seen that repeat what others say.
    pub fn skip(&self, keys: &[&str]) {
        self.read.borrow_mut().extend(keys.iter().map(|key| (*key).to_owned()));
    }

    fn wrong(key: &str, value: &Value, wanted: &str) -> EngineError {
        EngineError::model(OBJECT, format!("`{key}` is {value}, which is no {wanted}"))
    }

    fn missing(key: &str) -> EngineError {
        EngineError::model(OBJECT, format!("`{key}` is missing"))
            .remedy("get the model's complete config.json again")
    }

    /// A whole number, where it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn integer(&self, key: &str) -> Result<Option<usize>, EngineError> {
        let read = |value: &Value| {
            let number = value
                .as_u64()
                .or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64));
            number
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| Self::wrong(key, value, "whole number"))
        };
        self.value(key).map(read).transpose()
    }

    /// A number of parts, at least one.
    ///
    /// # Errors
    /// It is missing, zero or something else.
    pub fn count(&self, key: &str) -> Result<usize, EngineError> {
        match self.integer(key)? {
            None => Err(Self::missing(key)),
            Some(0) => Err(EngineError::model(OBJECT, format!("`{key}` is 0"))),
            Some(count) => Ok(count),
        }
    }

    /// A number of parts, or what the family's documentation says it is when missing.
    ///
    /// # Errors
    /// It is zero or no whole number.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize, EngineError> {
        if self.value(key).is_none() { Ok(default) } else { self.count(key) }
    }

    /// A number, where it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>, EngineError> {
        self.value(key)
            .map(|value| value.as_f64().ok_or_else(|| Self::wrong(key, value, "number")))
            .transpose()
    }

    /// A number, or the family's documented default.
    ///
    /// # Errors
    /// It is something else.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64, EngineError> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// It is missing or something else.
    pub fn required_number(&self, key: &str) -> Result<f64, EngineError> {
        self.number(key)?.ok_or_else(|| Self::missing(key))
    }

    /// A switch, or the family's documented default.
    ///
    /// # Errors
    /// It is something else.
    pub fn switch(&self, key: &str, default: bool) -> Result<bool, EngineError> {
        let read = |value: &Value| value.as_bool().ok_or_else(|| Self::wrong(key, value, "true or false"));
        self.value(key).map(read).transpose().map(|switch| switch.unwrap_or(default))
    }

    /// A word, where it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn word(&self, key: &str) -> Result<Option<&'a str>, EngineError> {
        self.value(key).map(|value| value.as_str().ok_or_else(|| Self::wrong(key, value, "text"))).transpose()
    }

    /// A list of words, where it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn words(&self, key: &str) -> Result<Option<Vec<&'a str>>, EngineError> {
        let read = |value: &'a Value| {
            let list =
                value.as_array().map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
            list.flatten().ok_or_else(|| Self::wrong(key, value, "list of words"))
        };
        self.value(key).map(read).transpose()
    }

    /// A nested object, where it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, EngineError> {
        self.value(key)
            .map(|value| value.as_object().ok_or_else(|| Self::wrong(key, value, "object")))
            .transpose()
    }

    /// Refuses a setting whose value would change the computation in a way that is not known here.
    ///
    /// # Errors
    /// `Unsupported` where the key has another value than `wanted`; missing is fine.
    pub fn only(&self, key: &str, wanted: &Value) -> Result<(), EngineError> {
        match self.value(key) {
            Some(value) if value != wanted => Err(EngineError::unsupported(
                OBJECT,
                format!("`{key}` is {value}; only {wanted} is known here"),
            )
            .remedy("use backend.engine=transformers")),
            _ => Ok(()),
        }
    }

    /// Refuses keys that nobody has read and that may change the computation.
    ///
    /// # Errors
    /// `Unsupported`, naming them.
    pub fn refuse_unread(&self, family: &str) -> Result<(), EngineError> {
        let read = self.read.borrow();
        let unread = |(key, value): &(&String, &Value)| {
            let says_nothing =
                value.is_null() || **value == Value::Bool(false) || **value == Value::String(String::new());
            !says_nothing && !read.contains(*key) && !harmless(key)
        };
        let unread: Vec<_> =
            self.map.iter().filter(unread).map(|(key, value)| format!("`{key}` ({value})")).collect();
        if unread.is_empty() {
            return Ok(());
        }
        let cause =
            format!("not known of a {family} model and might change what it computes: {}", unread.join(", "));
        Err(EngineError::unsupported(OBJECT, cause).remedy("use backend.engine=transformers"))
    }
}

fn harmless(key: &str) -> bool {
    key.starts_with('_') || HARMLESS.contains(&key) || HARMLESS_PARTS.iter().any(|part| key.contains(part))
}
