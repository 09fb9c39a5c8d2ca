//! The readers on a real model: SmolLM2-135M-Instruct as a folder (`AI_ENERGY_TEST_MODEL`) and as a Q4_1 GGUF file
//! (`AI_ENERGY_TEST_GGUF`). Both must say the same about the same model. Skipped, with a word, where they are not set.

#![allow(clippy::print_stdout, reason = "helpers of tests are part of them")]

use ai_energy_core::prompt::{Message, Role};
use ai_energy_engine::files::{self, FilesOptions, ModelFiles};
use ai_energy_engine::model::Spec;
use ai_energy_engine::weights::{RawTensor, Stored};
use half::{bf16, f16};
use serde_json::{Map, Value};

fn model(variable: &str) -> Option<ModelFiles> {
    let Ok(path) = std::env::var(variable) else {
        println!("skipped: {variable} names no model");
        return None;
    };
    Some(
        files::open(&path, &FilesOptions::default())
            .unwrap_or_else(|error| panic!("{error}: {}", error.remedy)),
    )
}

fn both() -> Option<(ModelFiles, ModelFiles)> {
    Some((model("AI_ENERGY_TEST_MODEL")?, model("AI_ENERGY_TEST_GGUF")?))
}

fn values(tensor: &RawTensor<'_>) -> Vec<f32> {
    let one = |bytes: &[u8]| match tensor.stored {
        Stored::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Stored::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Stored::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Stored::U8 => f32::from(bytes[0]),
    };
    tensor.bytes.chunks_exact(tensor.stored.bytes()).map(one).collect()
}

const TEXTS: [&str; 7] = [
    "Hello, world!",
    "The year 2024 had 366 days;  two   spaces.\n\n\tAnd a tab.",
    "Grüße aus Zürich — naïve café, 東京, Привет, 🦀🚀",
    "def f(x):\n    return x ** 2  # square\n",
    "<|im_start|>user\nHi<|im_end|>\n",
    "I'm sure they'll say it's John's; WE'VE",
    "",
];

#[test]
fn configuration_and_generation_agree() {
    let Some((folder, gguf)) = both() else { return };
    for key in [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "max_position_embeddings",
        "rope_theta",
        "rms_norm_eps",
        "tie_word_embeddings",
        "model_type",
        "attention_bias",
        "mlp_bias",
        "head_dim",
        "bos_token_id",
    ] {
        let (left, right) = (&folder.config[key], &gguf.config[key]);
        let same = left == right || left.as_f64().zip(right.as_f64()).is_some_and(|(a, b)| a == b);
        assert!(same, "{key}: {left} in the folder, {right} in the file");
    }
    assert_eq!(folder.generation.eos, gguf.generation.eos);
    assert!(folder.remarks.is_empty() && gguf.remarks.is_empty());
    assert_eq!(gguf.weights.describe(), "GGUF Q4_1, dequantised");
}

#[test]
fn tokens_and_texts_agree() {
    let Some((folder, gguf)) = both() else { return };
    for text in TEXTS {
        let tokens = folder.text.encode(text, true).unwrap();
        assert_eq!(gguf.text.encode(text, true).unwrap(), tokens, "{text:?}");
        assert_eq!(gguf.text.decode(&tokens), folder.text.decode(&tokens));
        let mut detokenizer = folder.text.detokenizer();
        let mut streamed: String = tokens.iter().map(|token| detokenizer.push(*token)).collect();
        streamed += &detokenizer.finish();
        assert_eq!(streamed, folder.text.decode(&tokens));
    }
    assert!(!folder.text.is_fallback());
    let messages = [Message { role: Role::User, content: "Hi".to_owned() }];
    let rendered = folder.text.render_chat(&messages, &Map::<String, Value>::new()).unwrap();
    assert_eq!(gguf.text.render_chat(&messages, &Map::new()).unwrap(), rendered);
    assert!(rendered.ends_with("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"), "{rendered:?}");
}

#[test]
fn weights_agree_within_what_four_bits_can_say() {
    let Some((folder, gguf)) = both() else { return };
    for (name, shape) in [
        ("model.embed_tokens.weight", vec![49152, 576]),
        ("model.norm.weight", vec![576]),
        ("model.layers.0.input_layernorm.weight", vec![576]),
        ("model.layers.7.self_attn.q_proj.weight", vec![576, 576]),
        ("model.layers.7.self_attn.k_proj.weight", vec![192, 576]),
        ("model.layers.7.self_attn.v_proj.weight", vec![192, 576]),
        ("model.layers.29.self_attn.o_proj.weight", vec![576, 576]),
        ("model.layers.29.mlp.gate_proj.weight", vec![1536, 576]),
        ("model.layers.29.mlp.down_proj.weight", vec![576, 1536]),
    ] {
        assert!(folder.weights.has(name) && gguf.weights.has(name), "{name}");
        let left = values(&folder.weights.get(name, &shape).unwrap());
        let right = values(&gguf.weights.get(name, &shape).unwrap());
        let error: f64 = left.iter().zip(&right).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let size: f64 = left.iter().map(|a| f64::from(*a).powi(2)).sum();
        assert!((error / size).sqrt() < 0.12, "{name}: relative error {}", (error / size).sqrt());
    }
    assert!(!gguf.weights.has("lm_head.weight"));
    assert!(folder.weights.get("model.norm.weight", &[577]).unwrap_err().cause.contains("576"));
}

#[test]
fn both_are_the_same_model_and_have_all_its_tensors() {
    let Some((folder, gguf)) = both() else { return };
    let [left, right] = [&folder, &gguf].map(|model| Spec::from_config(&model.config).unwrap());
    assert_eq!(left, right);
    assert_eq!(left.parameters(), 134_515_008);
}
