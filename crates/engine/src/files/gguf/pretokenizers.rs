//! How byte-level tokenizers cut text before they merge pairs, by the names that GGUF files give the ways.
//!
//! The rules are facts about the models' own tokenizers. Refuses to know vocabularies.

use serde_json::{Value, json};

/// One way of cutting text.
pub(super) struct Rules {
    /// What happens to the text first.
    pub(super) normalizer: Value,
    /// Where it is cut.
    pub(super) pre_tokenizer: Value,
    /// A cut piece that is a token is taken whole, without merging pairs.
    pub(super) whole_words: bool,
    /// Sequences begin with a token of their own where the file does not say.
    pub(super) begins: bool,
}

/// Contractions, words with a mark or space before them, numbers of up to `digits`, punctuation, white space: the way of
/// GPT-4 and of most models since.
fn modern(digits: &str) -> String {
    format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// Words are cut where lower case is followed by upper case.
fn by_case(digits: &str, contractions: &str, punctuation: &str) -> String {
    let upper = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+";
    let lower = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*";
    format!(
        r"{upper}{contractions}|{lower}{contractions}|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+{punctuation}|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// The rules of this name; `None` where it is not known.
pub(super) fn rules(name: &str) -> Option<Rules> {
    let gpt2 =
        || json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let digits = || json!({"type": "Digits", "individual_digits": true});
    let plain =
        |pre_tokenizer| Rules { normalizer: Value::Null, pre_tokenizer, whole_words: false, begins: false };
    Some(match name {
        "default" | "gpt-2" | "phi-2" | "olmo" | "mpt" => plain(gpt2()),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => {
            plain(sequence(vec![digits(), gpt2()]))
        }
        "llama3" | "llama-v3" | "llama-bpe" => {
            Rules { whole_words: true, begins: true, ..plain(by(&modern("{1,3}"))) }
        }
        "dbrx" | "smaug-bpe" => plain(by(&modern("{1,3}"))),
        "qwen2" | "stablelm2" | "deepseek-r1-qwen" => {
            Rules { normalizer: json!({"type": "NFC"}), ..plain(by(&modern(""))) }
        }
        "gpt-4o" | "llama4" | "o200k" => {
            plain(by(&by_case("{1,3}", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"[\r\n/]*")))
        }
        "tekken" => Rules { whole_words: true, begins: true, ..plain(by(&by_case("", "", r"[\r\n/]*"))) },
        _ => return None,
    })
}

/// Cuts wherever the expression matches, then writes bytes as the characters that stand for them.
fn by(expression: &str) -> Value {
    sequence(vec![
        json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false}),
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}),
    ])
}

fn sequence(steps: Vec<Value>) -> Value {
    json!({"type": "Sequence", "pretokenizers": steps})
}
