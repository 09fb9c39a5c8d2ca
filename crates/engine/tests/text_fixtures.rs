//! Tokenizers and chat templates against what transformers makes of the same texts and conversations.

#![allow(clippy::unwrap_used, reason = "helpers of tests are part of them")]

use std::path::Path;

use ai_energy_core::prompt::Message;
use ai_energy_engine::text::Text;
use serde_json::{Map, Value, json};

fn fixture(name: &str) -> (Text, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/text").join(name);
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let text = Text::from_folder(&folder).unwrap_or_else(|error| panic!("{error}")).unwrap();
    (text, serde_json::from_slice(&expected).unwrap())
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn texts_become_the_same_tokens_and_come_back_the_same() {
    for name in ["byte_level", "byte_fallback"] {
        let (text, expected) = fixture(name);
        let cases = expected["encode"].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let input = case["text"].as_str().unwrap();
            assert_eq!(json!(text.encode(input, true).unwrap()), case["ids"], "{name}: {input:?}");
            assert_eq!(
                json!(text.encode(input, false).unwrap()),
                case["ids_without_special"],
                "{name}: {input:?}"
            );
            assert_eq!(
                json!(text.decode(&ids(&case["ids"]))),
                case["decoded_without_special"],
                "{name}: {input:?}"
            );
        }
    }
}

#[test]
fn streamed_text_is_the_whole_text() {
    for name in ["byte_level", "byte_fallback"] {
        let (text, expected) = fixture(name);
        for case in expected["encode"].as_array().unwrap() {
            let mut detokenizer = text.detokenizer();
            let mut streamed = String::new();
            for token in ids(&case["ids"]) {
                let piece = detokenizer.push(token);
                assert!(!piece.contains(char::REPLACEMENT_CHARACTER), "{name}: {case}");
                streamed += &piece;
            }
            streamed += &detokenizer.finish();
            assert_eq!(json!(streamed), case["decoded_without_special"], "{name}: {case}");
        }
    }
}

#[test]
fn conversations_are_rendered_the_same() {
    for name in ["byte_level", "byte_fallback"] {
        let (text, expected) = fixture(name);
        for chat in expected["chat"].as_array().unwrap() {
            let messages: Vec<Message> = serde_json::from_value(chat["messages"].clone()).unwrap();
            let switches = chat["template"].as_object().cloned().unwrap_or_else(Map::new);
            let rendered = text.render_chat(&messages, &switches).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(json!(rendered), chat["rendered"], "{name}");
            assert_eq!(json!(text.encode(&rendered, false).unwrap()), chat["ids"], "{name}");
        }
    }
}
