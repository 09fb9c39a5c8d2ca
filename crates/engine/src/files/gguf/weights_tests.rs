//! Tests of weights and configuration of small files of each family.

use std::path::PathBuf;

use super::super::builder::Builder;
use super::super::{FilesOptions, ModelFiles, open};
use super::*;
use serde_json::{Value, json};
use tempfile::TempDir;

fn opened(builder: &Builder, how: FilesOptions) -> (TempDir, Result<ModelFiles, EngineError>) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("model.gguf");
    std::fs::write(&path, builder.bytes()).unwrap();
    let model = open(&path, &how);
    (folder, model)
}

fn model(builder: &Builder) -> (TempDir, ModelFiles) {
    let (folder, model) = opened(builder, FilesOptions::default());
    (folder, model.unwrap_or_else(|error| panic!("{error}")))
}

/// A family's metadata with four heads of two in eight wide.
fn family(name: &str) -> Builder {
    let own = |key: &str| format!("{name}.{key}");
    Builder::family(name)
        .with(&own("context_length"), &json!(64))
        .with(&own("embedding_length"), &json!(8))
        .with(&own("block_count"), &json!(6))
        .with(&own("feed_forward_length"), &json!(16))
        .with(&own("attention.head_count"), &json!(2))
        .with(&own("attention.head_count_kv"), &json!(1))
        .with(&own("attention.layer_norm_rms_epsilon"), &json!(1e-6))
        .with(&own("rope.freq_base"), &json!(10_000.0))
}

fn floats(tensor: &RawTensor<'_>) -> Vec<f32> {
    assert_eq!(tensor.stored, Stored::F32);
    tensor
        .bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect()
}

#[test]
fn query_and_key_rows_are_put_back() {
    // The checkpoint's rows are 0 to 7; the conversion writes each head's as first of each half, then second of each.
    let rows = |order: &[usize]| -> Vec<f32> { order.iter().flat_map(|row| [*row as f32; 8]).collect() };
    let builder = family("llama")
        .tensor("blk.0.attn_q.weight", &[8, 8], &rows(&[0, 2, 1, 3, 4, 6, 5, 7]))
        .tensor("blk.0.attn_k.weight", &[4, 8], &rows(&[0, 2, 1, 3]))
        .tensor("blk.0.attn_q.bias", &[8], &[0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    let (_folder, llama) = model(&builder);
    let get = |name: &str, shape: &[usize]| floats(&llama.weights.get(name, shape).unwrap());
    assert_eq!(get("model.layers.0.self_attn.q_proj.weight", &[8, 8]), rows(&[0, 1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(get("model.layers.0.self_attn.k_proj.weight", &[4, 8]), rows(&[0, 1, 2, 3]));
    assert_eq!(get("model.layers.0.self_attn.q_proj.bias", &[8]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(llama.config["attention_bias"], json!(true));
    let plain = family("qwen2").tensor("blk.0.attn_q.weight", &[8, 8], &rows(&[0, 2, 1, 3, 4, 6, 5, 7]));
    let (_folder, qwen) = model(&plain);
    let kept = floats(&qwen.weights.get("model.layers.0.self_attn.q_proj.weight", &[8, 8]).unwrap());
    assert_eq!(kept, rows(&[0, 2, 1, 3, 4, 6, 5, 7]));
}

#[test]
fn norms_of_gemma_lose_the_one_that_was_added() {
    let (_folder, gemma) = model(&family("gemma2").tensor("blk.5.post_ffw_norm.weight", &[8], &[1.25; 8]));
    let name = "model.layers.5.post_feedforward_layernorm.weight";
    assert_eq!(floats(&gemma.weights.get(name, &[8]).unwrap()), [0.25; 8]);
    assert_eq!(gemma.config["query_pre_attn_scalar"], json!(4));
    assert_eq!(gemma.config["layer_types"][1], json!("full_attention"));
    assert_eq!(gemma.config["hidden_activation"], json!("gelu_pytorch_tanh"));
}

#[test]
fn matrices_of_gpt_2_are_turned() {
    let values: Vec<f32> = (0..8 * 24).map(|value| value as f32).collect();
    let (_folder, gpt2) = model(&family("gpt2").tensor("blk.0.attn_qkv.weight", &[24, 8], &values));
    let turned = floats(&gpt2.weights.get("transformer.h.0.attn.c_attn.weight", &[8, 24]).unwrap());
    assert_eq!((turned[0], turned[1], turned[24]), (0.0, 8.0, 1.0));
    assert_eq!(gpt2.config["n_embd"], json!(8));
}

#[test]
fn experts_are_slices() {
    let values: Vec<f32> = (0..4 * 16 * 8).map(|at| (at / 128) as f32).collect();
    let builder = family("llama")
        .with("llama.expert_count", &json!(4))
        .with("llama.expert_used_count", &json!(2))
        .tensor("blk.0.ffn_up_exps.weight", &[4, 16, 8], &values);
    let (_folder, mixtral) = model(&builder);
    assert_eq!(mixtral.config["model_type"], json!("mixtral"));
    assert_eq!(mixtral.config["num_experts_per_tok"], json!(2));
    let name = "model.layers.0.block_sparse_moe.experts.3.w3.weight";
    assert_eq!(floats(&mixtral.weights.get(name, &[16, 8]).unwrap()), [3.0; 128]);
    assert!(!mixtral.weights.has("model.layers.0.block_sparse_moe.experts.4.w3.weight"));
}

#[test]
fn plain_values_stay_as_they_are_and_packed_ones_are_unpacked() {
    let half = [0x00_u8, 0x3C].repeat(80);
    let builder = family("llama").packed("output.weight", &[10, 8], 1, half.clone());
    let (_folder, file) = model(&builder);
    let head = file.weights.get("lm_head.weight", &[10, 8]).unwrap();
    assert_eq!((head.stored, head.bytes.as_ref()), (Stored::F16, half.as_slice()));
    assert_eq!(file.config["tie_word_embeddings"], json!(false));
    let block: Vec<u8> = [0x00, 0x3C].into_iter().chain(0..32).collect();
    let packed = family("llama").packed("blk.0.ffn_gate.weight", &[16, 32], 8, block.repeat(16));
    let (_folder, file) = model(&packed);
    let gate = file.weights.get("model.layers.0.mlp.gate_proj.weight", &[16, 32]).unwrap();
    assert_eq!(floats(&gate)[..3], [0.0, 1.0, 2.0]);
    assert_eq!(file.weights.describe(), "GGUF Q8_0, dequantised");
}

#[test]
fn rotation_factors_become_the_scaling_they_came_from() {
    let scaled = |factors: &[f32]| {
        family("llama").with("llama.attention.key_length", &json!(8)).tensor(
            "rope_freqs.weight",
            &[4],
            factors,
        )
    };
    // Llama 3's with base 10000 and a head of 8: waves of 2π·10^(0, 1, 2, 3) in a context of 8192 turn 1304, 130, 13 and
    // 1.3 times; only the last is between 1 and 4 and partly stretched, by 1 / (0.898726 / 8 + 0.101274).
    let turns = 8192.0 / (2.0 * std::f64::consts::PI * 1000.0);
    let smooth = (turns - 1.0) / 3.0;
    let last = (1.0 / ((1.0 - smooth) / 8.0 + smooth)) as f32;
    let (_folder, unknown) = opened(&scaled(&[1.0, 1.0, 1.0, last]), FilesOptions::default());
    assert!(unknown.err().unwrap().cause.contains("rotation factors"));
    // With a head of 16 the last wave is longer than the context and has the whole factor.
    let wide: Vec<f32> = (0..8)
        .map(|at| {
            let turns = 8192.0 / (2.0 * std::f64::consts::PI * 500_000_f64.powf(f64::from(at) / 8.0));
            let smooth = ((turns - 1.0) / 3.0).clamp(0.0, 1.0);
            (1.0 / ((1.0 - smooth) / 8.0 + smooth)) as f32
        })
        .collect();
    let builder = Builder::family("llama").with("llama.rope.freq_base", &json!(500_000.0)).tensor(
        "rope_freqs.weight",
        &[8],
        &wide,
    );
    let (_folder, llama) = model(&builder);
    assert_eq!(llama.config["rope_scaling"]["rope_type"], json!("llama3"));
    assert_eq!(llama.config["rope_scaling"]["factor"].as_f64(), Some(8.0));
}

#[test]
fn each_family_has_the_configuration_of_its_class() {
    for (family_name, model_type) in [
        ("llama", "llama"),
        ("qwen2", "qwen2"),
        ("qwen3", "qwen3"),
        ("phi3", "phi3"),
        ("gemma2", "gemma2"),
        ("gemma3", "gemma3_text"),
    ] {
        let (_folder, file) = model(&family(family_name));
        assert_eq!(file.config["model_type"], json!(model_type));
        let wanted = json!([8, 6, 16, 2, 1, 64, 10, true]);
        let found: Value = [
            "hidden_size",
            "num_hidden_layers",
            "intermediate_size",
            "num_attention_heads",
            "num_key_value_heads",
            "max_position_embeddings",
            "vocab_size",
            "tie_word_embeddings",
        ]
        .iter()
        .map(|key| file.config[*key].clone())
        .collect();
        assert_eq!(found, wanted, "{family_name}");
        assert!(file.text.is_fallback() && file.remarks.len() == 1);
    }
}

#[test]
fn what_is_unknown_or_missing_is_an_error_with_a_remedy() {
    let (_folder, unknown) = opened(&family("mamba"), FilesOptions::default());
    let error = unknown.err().unwrap();
    assert!(error.cause.contains("`mamba`") && !error.remedy.is_empty());
    assert_eq!(error.kind, ai_energy_backends_pytorch::protocol::EngineErrorKind::Unsupported);
    let part =
        opened(&family("llama").with("split.count", &json!(3)), FilesOptions::default()).1.err().unwrap();
    assert!(part.cause.contains("one of 3 parts"), "{part}");
    let uneven = Builder::family("llama").with("llama.feed_forward_length", &json!([16, 32]));
    assert!(opened(&uneven, FilesOptions::default()).1.err().unwrap().cause.contains("layers differ"));
    let (_folder, llama) = model(&family("llama").tensor("output_norm.weight", &[8], &[1.0; 8]));
    for (name, shape) in [("model.norm.weight", vec![9]), ("model.norm.bias", vec![8]), ("nonsense", vec![1])]
    {
        let error = llama.weights.get(name, &shape).unwrap_err();
        assert!(error.object.contains(name) && !error.remedy.is_empty(), "{error}");
    }
}

#[test]
fn random_weights_have_the_files_shape() {
    let how = FilesOptions { no_weights: true, seed: 3 };
    let (_folder, random) = opened(&family("llama"), how);
    let random = random.unwrap();
    assert!(random.weights.is_random() && random.remarks.iter().any(|remark| remark.contains("random")));
}
