//! A tokenizer from the metadata of a GGUF file: byte-level pairs as GPT-2's, or SentencePiece as Llama's.
//!
//! The parts are put together as the `tokenizer.json` that the tokenizers crate reads. How text is cut before pairs are
//! merged is only named in the file; [`super::pretokenizers`] knows the names. Refuses to know the weights.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::pretokenizers;
use crate::EngineError;
use crate::text::{SpecialTokens, TemplateSource, Text};

/// Kinds of tokens in the file that are special: control and unknown.
const SPECIAL: [u64; 2] = [2, 3];
/// Tokens the makers added, which are found in text as they are.
const USER_DEFINED: u64 = 4;
/// What stands for a space in SentencePiece.
const SPACE: &str = "\u{2581}";

/// The tokenizer of a file; `None` where it has none.
///
/// # Errors
/// It is of a kind that is not known, or its parts do not fit together.
pub(super) fn text(file: &str, metadata: &Map<String, Value>) -> Result<Option<Text>, EngineError> {
    let Some(model) = metadata.get("tokenizer.ggml.model").and_then(Value::as_str) else { return Ok(None) };
    let object = format!("tokenizer in {file}");
    let unsupported = |cause: String| {
        EngineError::unsupported(&object, cause)
            .remedy("use the model's safetensors folder, which has a tokenizer.json")
    };
    let parts = Parts::read(metadata).ok_or_else(|| {
        EngineError::model(&object, "it has no list of tokens").remedy("fetch the file again")
    })?;
    let description = match model {
        "gpt2" => {
            let pre = metadata.get("tokenizer.ggml.pre").and_then(Value::as_str).unwrap_or("default");
            let rules = pretokenizers::rules(pre)
                .ok_or_else(|| unsupported(format!("how it cuts text, `{pre}`, is not known here")))?;
            parts.byte_level(rules)
        }
        "llama" => parts.sentence_piece(),
        other => return Err(unsupported(format!("its kind `{other}` is not known here"))),
    };
    let tokenizer: Tokenizer = serde_json::from_value(description)
        .map_err(|error| EngineError::model(&object, format!("its parts do not fit together: {error}")))?;
    let template = metadata.get("tokenizer.chat_template").and_then(Value::as_str).map(|source| {
        TemplateSource { source: source.to_owned(), origin: format!("{file}, `tokenizer.chat_template`") }
    });
    Text::from_tokenizer(tokenizer, parts.special(), template).map(Some)
}

struct Parts<'a> {
    metadata: &'a Map<String, Value>,
    tokens: Vec<&'a str>,
    kinds: Vec<u64>,
}

impl<'a> Parts<'a> {
    fn read(metadata: &'a Map<String, Value>) -> Option<Self> {
        let tokens = metadata.get("tokenizer.ggml.tokens")?.as_array()?;
        let tokens: Vec<&str> = tokens.iter().map(|token| token.as_str().unwrap_or_default()).collect();
        let kinds = metadata.get("tokenizer.ggml.token_type").and_then(Value::as_array);
        let mut kinds: Vec<u64> =
            kinds.into_iter().flatten().map(|kind| kind.as_u64().unwrap_or(1)).collect();
        kinds.resize(tokens.len(), 1);
        Some(Self { metadata, tokens, kinds })
    }

    fn own(&self, key: &str) -> Option<&'a Value> {
        self.metadata.get(&format!("tokenizer.ggml.{key}"))
    }

    fn switch(&self, key: &str, default: bool) -> bool {
        self.own(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn id(&self, key: &str) -> Option<u64> {
        self.own(key)?.as_u64().filter(|id| (*id as usize) < self.tokens.len())
    }

    fn token(&self, key: &str) -> Option<String> {
        self.id(key).map(|id| self.tokens[id as usize].to_owned())
    }

    fn special(&self) -> SpecialTokens {
        SpecialTokens {
            bos: self.token("bos_token_id"),
            eos: self.token("eos_token_id"),
            unk: self.token("unknown_token_id"),
            pad: self.token("padding_token_id"),
        }
    }

    /// Tokens that are found in text before it is cut.
    fn added(&self) -> Vec<Value> {
        let added = self
            .kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| SPECIAL.contains(kind) || **kind == USER_DEFINED);
        added
            .map(|(id, kind)| {
                json!({
                    "id": id, "content": self.tokens[id], "special": SPECIAL.contains(kind),
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                })
            })
            .collect()
    }

    /// Puts the tokens that begin and end a sequence around it, where the file says so.
    fn around(&self, bos: bool) -> Value {
        let bos = self.token("bos_token_id").filter(|_| self.switch("add_bos_token", bos));
        let eos = self.token("eos_token_id").filter(|_| self.switch("add_eos_token", false));
        if bos.is_none() && eos.is_none() {
            return Value::Null;
        }
        let ids = [(&bos, "bos_token_id"), (&eos, "eos_token_id")];
        let special: Map<String, Value> = ids
            .iter()
            .filter_map(|(token, key)| {
                let (token, id) = (token.as_ref()?, self.id(key)?);
                Some((token.clone(), json!({"id": token, "ids": [id], "tokens": [token]})))
            })
            .collect();
        let mark = |token: &String| json!({"SpecialToken": {"id": token, "type_id": 0}});
        let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<Value> = bos.iter().map(mark).chain([sequence]).chain(eos.iter().map(mark)).collect();
        let pair: Vec<Value> =
            single.iter().cloned().chain([json!({"Sequence": {"id": "B", "type_id": 1}})]).collect();
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
    }

    fn vocabulary(&self) -> Map<String, Value> {
        self.tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect()
    }

    fn byte_level(&self, rules: pretokenizers::Rules) -> Value {
        let merges = self.own("merges").cloned().unwrap_or_else(|| json!([]));
        json!({
            "version": "1.0",
            "added_tokens": self.added(),
            "normalizer": rules.normalizer,
            "pre_tokenizer": rules.pre_tokenizer,
            "post_processor": self.around(rules.begins),
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "vocab": self.vocabulary(), "merges": merges, "ignore_merges": rules.whole_words,
                "byte_fallback": false, "fuse_unk": false,
            },
        })
    }

    fn sentence_piece(&self) -> Value {
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let begin = json!({"type": "Prepend", "prepend": SPACE});
        let prefix = self.switch("add_space_prefix", true);
        let normalizers = if prefix { vec![begin, replace] } else { vec![replace] };
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefix {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({
            "version": "1.0",
            "added_tokens": self.added(),
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": self.around(true),
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "vocab": self.vocabulary(), "merges": self.merges(), "byte_fallback": true,
                "fuse_unk": true, "unk_token": self.token("unknown_token_id"),
            },
        })
    }

    /// SentencePiece merges the pair whose result has the highest score; as a list of pairs that is every way to cut a
    /// token in two tokens, the best tokens first.
    fn merges(&self) -> Vec<Value> {
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (*token, id)).collect();
        let scores = self.own("scores").and_then(Value::as_array);
        let score = |id: usize| scores.and_then(|scores| scores.get(id)?.as_f64()).unwrap_or(0.0);
        let mut merges = Vec::new();
        for (id, token) in self.tokens.iter().enumerate().filter(|(id, _)| self.kinds[*id] == 1) {
            for (cut, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(cut);
                if let (Some(first), Some(second)) = (ids.get(left), ids.get(right)) {
                    merges.push((score(id), id, *first, *second, left, right));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
        merges.into_iter().map(|(.., left, right)| json!([left, right])).collect()
    }
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
