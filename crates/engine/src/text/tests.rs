//! Tests of tokenizers, of where templates are found, and of the detokenizer.

use std::path::Path;

use ai_energy_core::prompt::{Message, Role};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::*;

const GENERIC: SpecialTokens = SpecialTokens { bos: None, eos: None, unk: None, pad: None };

/// A conversation for templates that look at nothing in it.
fn said() -> Vec<Message> {
    vec![Message { role: Role::User, content: "Hi".to_owned() }]
}

/// A byte-level tokenizer with a token for each byte and a few for pairs, some of which end within a character.
fn byte_pairs() -> Value {
    // Bytes that are no printable character stand as characters from U+0100 on, as GPT-2 wrote them.
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let mut next = 0x100;
    let letters: Vec<String> = (0..=255_u8)
        .map(|byte| {
            if printable(&byte) {
                return char::from(byte).to_string();
            }
            next += 1;
            char::from_u32(next - 1).unwrap().to_string()
        })
        .collect();
    let merges = [[0xC3, 0xA9], [0xE4, 0xB8], [0xF0, 0x9F], [0x20, 0x74], [0x68, 0x65]];
    let mut vocab: Map<String, Value> =
        letters.iter().enumerate().map(|(id, letter)| (letter.clone(), id.into())).collect();
    let merges: Vec<Value> = merges
        .iter()
        .map(|[left, right]: &[usize; 2]| {
            vocab.insert(format!("{}{}", letters[*left], letters[*right]), vocab.len().into());
            json!([letters[*left], letters[*right]])
        })
        .collect();
    let end = vocab.len();
    json!({
        "version": "1.0", "normalizer": null, "post_processor": null,
        "added_tokens": [{"id": end, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

fn text(description: Value) -> Text {
    let tokenizer: Tokenizer = serde_json::from_value(description).unwrap();
    Text::from_tokenizer(tokenizer, GENERIC, None).unwrap()
}

fn streamed(text: &Text, tokens: &[u32]) -> Vec<String> {
    let mut detokenizer = text.detokenizer();
    let mut pieces: Vec<String> = tokens.iter().map(|token| detokenizer.push(*token)).collect();
    pieces.push(detokenizer.finish());
    pieces
}

#[test]
fn a_character_waits_until_it_is_whole() {
    let text = text(byte_pairs());
    let tokens = text.encode("a中<|end|>🦀", true).unwrap();
    let pieces = streamed(&text, &tokens);
    assert_eq!(pieces.concat(), "a中🦀");
    let full: Vec<&String> = pieces.iter().filter(|piece| !piece.is_empty()).collect();
    assert_eq!(full, ["a", "中", "🦀"]);
    // Cut in the middle of the crab: what is left is said to be no character.
    assert_eq!(streamed(&text, &tokens[..tokens.len() - 1]).concat(), "a中\u{FFFD}");
}

#[test]
fn special_and_unknown_tokens_make_no_text_and_no_work() {
    let text = text(byte_pairs());
    let end = text.token_id("<|end|>").unwrap();
    let mut detokenizer = text.detokenizer();
    for token in [end, 70_000].repeat(5000) {
        assert_eq!(detokenizer.push(token), "");
    }
    assert_eq!(detokenizer.push(97), "a");
}

#[test]
fn broken_bytes_for_ever_do_not_wait_for_ever() {
    let text = text(byte_pairs());
    let mut detokenizer = text.detokenizer();
    let said: String = (0..200).map(|_| detokenizer.push(0xBF)).collect();
    assert!(said.chars().count() >= 128 && said.chars().all(|c| c == char::REPLACEMENT_CHARACTER));
}

#[test]
fn the_stand_in_streams_as_well() {
    let text = Text::byte_level(1000, Some(300));
    let tokens = text.encode("é中", true).unwrap();
    assert_eq!(tokens[0], 300);
    assert_eq!(streamed(&text, &tokens), ["", "", "é", "", "", "中", ""]);
    assert!(text.is_fallback() && !text.has_chat_template());
    assert!(text.render_chat(&said(), &Map::new()).unwrap_err().cause.contains("none"));
}

fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let bytes = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn opened(path: &Path) -> Text {
    Text::from_folder(path).unwrap().unwrap()
}

#[test]
fn the_template_is_found_wherever_it_is_kept() {
    let tokenizer = ("tokenizer.json", byte_pairs());
    let named = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "list"}]);
    for (config, files, wanted) in [
        (json!({"chat_template": "text"}), vec![], "text"),
        (json!({"chat_template": named}), vec![], "list"),
        (json!({"chat_template": "text"}), vec![("chat_template.jinja", json!("file"))], "file"),
        (json!({}), vec![("chat_template.json", json!({"chat_template": "older"}))], "older"),
    ] {
        let mut all = vec![tokenizer.clone(), ("tokenizer_config.json", config)];
        all.extend(files);
        let folder = folder(&all);
        assert_eq!(opened(folder.path()).render_chat(&said(), &Map::new()).unwrap(), wanted);
    }
    let without = folder(std::slice::from_ref(&tokenizer));
    assert!(!opened(without.path()).has_chat_template());
    assert!(Text::from_folder(folder(&[]).path()).unwrap().is_none());
}

#[test]
fn special_tokens_are_texts_or_objects_and_reach_the_template() {
    let folder = folder(&[
        ("tokenizer.json", byte_pairs()),
        (
            "tokenizer_config.json",
            json!({"eos_token": {"content": "<|end|>"}, "bos_token": null,
            "chat_template": "{{ bos_token }}{{ eos_token }}{{ unk_token }}"}),
        ),
        ("special_tokens_map.json", json!({"bos_token": "a", "eos_token": "wrong"})),
    ]);
    let text = opened(folder.path());
    assert_eq!(text.special_tokens().eos.as_deref(), Some("<|end|>"));
    assert_eq!(text.render_chat(&said(), &Map::new()).unwrap(), "a<|end|>");
}

#[test]
fn a_token_that_begins_a_sequence_is_added_where_the_configuration_says_so() {
    let begin = |add: Value, class: &str| {
        let config = json!({"bos_token": "<|end|>", "add_bos_token": add, "tokenizer_class": class});
        let folder = folder(&[("tokenizer.json", byte_pairs()), ("tokenizer_config.json", config)]);
        let text = opened(folder.path());
        (text.encode("a", true).unwrap(), text.encode("a", false).unwrap())
    };
    let end = text(byte_pairs()).token_id("<|end|>").unwrap();
    assert_eq!(begin(json!(true), "LlamaTokenizerFast"), (vec![end, 97], vec![97]));
    assert_eq!(begin(json!(false), "LlamaTokenizer").0, [97]);
    assert_eq!(begin(json!(true), "Qwen2Tokenizer").0, [97]);
}

#[test]
fn damaged_files_are_named() {
    let broken = folder(&[("tokenizer.json", json!("{\"version\": "))]);
    let error = Text::from_folder(broken.path()).unwrap_err();
    assert!(error.object.ends_with("tokenizer.json") && !error.remedy.is_empty(), "{error}");
    let config = folder(&[("tokenizer.json", byte_pairs()), ("tokenizer_config.json", json!("[1]"))]);
    let error = Text::from_folder(config.path()).unwrap_err();
    assert!(error.object.ends_with("tokenizer_config.json") && error.cause.contains("line 1"), "{error}");
}

proptest! {
    /// Any tokens, broken characters among them: the pieces together are the whole decode, and none ends within a
    /// character that a later token completes.
    #[test]
    fn pieces_together_are_the_whole(tokens in prop::collection::vec(0u32..264, 0..60)) {
        let text = text(byte_pairs());
        let pieces = streamed(&text, &tokens);
        prop_assert_eq!(pieces.concat(), text.decode(&tokens));
    }

    /// Any text comes back whole, through the tokenizer and through the stand-in.
    #[test]
    fn texts_come_back(input in "\\PC{0,40}") {
        for text in [text(byte_pairs()), Text::byte_level(300, None)] {
            let tokens = text.encode(&input, true).unwrap();
            prop_assert_eq!(streamed(&text, &tokens).concat(), input.clone());
        }
    }
}
