//! Tests of tokenizers from metadata: against SentencePiece itself, and against the tokenizer.json of the same parts.

use super::*;

fn read(metadata: &Value) -> Text {
    text("model.gguf", metadata.as_object().unwrap()).unwrap_or_else(|error| panic!("{error}")).unwrap()
}

#[test]
fn sentence_piece_gives_the_same_tokens() {
    let made: Value =
        serde_json::from_str(include_str!("../../../fixtures/gguf/sentencepiece.json")).unwrap();
    let text = read(&json!({
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": made["tokens"], "tokenizer.ggml.scores": made["scores"],
        "tokenizer.ggml.token_type": made["kinds"], "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    }));
    for case in made["texts"].as_array().unwrap() {
        let input = case["text"].as_str().unwrap();
        let tokens = text.encode(input, false).unwrap();
        assert_eq!(json!(tokens), case["ids"], "{input:?}");
        assert_eq!(json!(text.decode(&tokens)), case["decoded"], "{input:?}");
        // Sequences begin with a token of their own unless the file says otherwise.
        assert_eq!(text.encode(input, true).unwrap()[..1], [1]);
    }
    assert_eq!(text.special_tokens().eos.as_deref(), Some("</s>"));
}

#[test]
fn byte_pairs_give_the_tokens_of_the_same_tokenizer_json() {
    let file = include_str!("../../../fixtures/text/byte_level/tokenizer.json");
    let expected = include_str!("../../../fixtures/text/byte_level/expected.json");
    let (file, expected): (Value, Value) =
        (serde_json::from_str(file).unwrap(), serde_json::from_str(expected).unwrap());
    let mut tokens: Vec<(&String, u64)> = file["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (token, id.as_u64().unwrap()))
        .collect();
    tokens.sort_by_key(|token| token.1);
    let special = file["added_tokens"].as_array().unwrap().len();
    let kinds: Vec<u64> = (0..tokens.len()).map(|id| if id < special { 3 } else { 1 }).collect();
    let merges: Vec<String> = file["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let text = read(&json!({
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
        "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.merges": merges, "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.chat_template": "{{ bos_token }}{{ messages[0].content }}",
    }));
    for case in expected["encode"].as_array().unwrap() {
        let input = case["text"].as_str().unwrap();
        assert_eq!(json!(text.encode(input, true).unwrap()), case["ids"], "{input:?}");
        assert_eq!(json!(text.encode(input, false).unwrap()), case["ids_without_special"], "{input:?}");
    }
    assert!(text.has_chat_template());
}

#[test]
fn what_is_not_known_is_named() {
    let of = |metadata: Value| text("model.gguf", metadata.as_object().unwrap());
    assert!(of(json!({})).unwrap().is_none());
    let kind = of(json!({"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.tokens": ["a"]})).unwrap_err();
    assert!(kind.cause.contains("`rwkv`") && kind.object.contains("model.gguf"));
    let cut = json!({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "klingon", "tokenizer.ggml.tokens": ["a"]});
    assert!(of(cut).unwrap_err().cause.contains("`klingon`"));
    assert!(of(json!({"tokenizer.ggml.model": "gpt2"})).unwrap_err().cause.contains("no list of tokens"));
    let merges = json!({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.merges": ["x y"]});
    assert!(of(merges).unwrap_err().cause.contains("do not fit together"));
}

#[test]
fn every_way_of_cutting_that_is_named_is_one_the_library_takes() {
    for name in
        ["default", "gpt-2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "tekken", "dbrx", "phi-2", "starcoder"]
    {
        let text = read(&json!({
            "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": name, "tokenizer.ggml.merges": ["a b"],
            "tokenizer.ggml.tokens": ["a", "b", "ab", "1", "2"],
        }));
        assert_eq!(text.encode("ab", false).unwrap(), [2], "{name}");
        assert_eq!(text.encode("12", false).unwrap(), [3, 4], "{name}");
    }
}
