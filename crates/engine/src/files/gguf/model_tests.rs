//! Tests of whole models: a fixture of each family is written as a GGUF file the way llama.cpp's converter does, and what
//! is read back must be the same model, description and every tensor.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use super::builder::Builder;
use super::names::{self, Change};
use crate::files::{self, FilesOptions, GenerationConfig, ModelFiles};
use crate::model::Spec;
use crate::weights::Stored;

/// A family: its fixture, GGUF's word for it, and what of the fixture's configuration a GGUF file cannot say, as the value
/// that reading one gives.
struct Case {
    fixture: &'static str,
    architecture: &'static str,
    unsaid: Value,
}

fn cases() -> Vec<Case> {
    let case = |fixture, architecture, unsaid| Case { fixture, architecture, unsaid };
    let gemma_layers = json!(["sliding_attention", "full_attention", "sliding_attention"]);
    vec![
        case("llama", "llama", json!({})),
        case("mixtral", "llama", json!({})),
        case("granite", "granite", json!({})),
        case("smollm3", "smollm3", json!({"no_rope_layers": null})),
        case("gpt2", "gpt2", json!({"scale_attn_by_inverse_layer_idx": null})),
        case("qwen2", "qwen2", json!({})),
        case("qwen3", "qwen3", json!({})),
        case("phi3", "phi3", json!({"original_max_position_embeddings": null})),
        case("phi3-longrope", "phi3", json!({})),
        case("gemma2", "gemma2", json!({"query_pre_attn_scalar": 16, "layer_types": gemma_layers})),
        case(
            "gemma3-old",
            "gemma3",
            json!({"query_pre_attn_scalar": 16, "sliding_window_pattern": null,
                "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention"]}),
        ),
    ]
}

/// What the converter writes for a configuration; the counterpart of what is read, from the other side.
fn metadata(mut builder: Builder, family: &str, config: &Map<String, Value>) -> Builder {
    let rope = config.get("rope_parameters").or(config.get("rope_scaling")).cloned().unwrap_or_default();
    let theta = config.get("rope_theta").or(rope.get("rope_theta")).cloned();
    let pairs = [
        ("context_length", &["max_position_embeddings", "n_positions"][..]),
        ("embedding_length", &["hidden_size", "n_embd"]),
        ("block_count", &["num_hidden_layers", "n_layer"]),
        ("feed_forward_length", &["intermediate_size"]),
        ("attention.head_count", &["num_attention_heads", "n_head"]),
        ("attention.head_count_kv", &["num_key_value_heads"]),
        ("attention.key_length", &["head_dim"]),
        ("attention.layer_norm_rms_epsilon", &["rms_norm_eps"]),
        ("attention.layer_norm_epsilon", &["layer_norm_epsilon"]),
        ("attn_logit_softcapping", &["attn_logit_softcapping"]),
        ("final_logit_softcapping", &["final_logit_softcapping"]),
        ("expert_count", &["num_local_experts"]),
        ("expert_used_count", &["num_experts_per_tok"]),
        ("attention.scale", &["attention_multiplier"]),
        ("embedding_scale", &["embedding_multiplier"]),
        ("residual_scale", &["residual_multiplier"]),
        ("logit_scale", &["logits_scaling"]),
        ("rope.scaling.original_context_length", &["original_max_position_embeddings"]),
    ];
    for (key, names) in pairs {
        if let Some(value) = names.iter().find_map(|name| config.get(*name)).filter(|value| !value.is_null())
        {
            builder = builder.with(&format!("{family}.{key}"), value);
        }
    }
    if let Some(theta) = theta {
        builder = builder.with(&format!("{family}.rope.freq_base"), &theta);
    }
    if matches!(family, "gemma2" | "gemma3" | "phi3")
        && let Some(window) = config.get("sliding_window").filter(|window| !window.is_null())
    {
        builder = builder.with(&format!("{family}.attention.sliding_window"), window);
    }
    if let Some(share) = config.get("partial_rotary_factor").and_then(Value::as_f64) {
        let heads = config["num_attention_heads"].as_u64().unwrap();
        let head = config["hidden_size"].as_u64().unwrap() / heads;
        builder =
            builder.with(&format!("{family}.rope.dimension_count"), &json!((head as f64 * share) as u64));
    }
    for (key, tensor) in
        [("long_factor", "rope_factors_long.weight"), ("short_factor", "rope_factors_short.weight")]
    {
        if let Some(factors) = rope.get(key).and_then(Value::as_array) {
            let factors: Vec<f32> = factors.iter().map(|factor| factor.as_f64().unwrap() as f32).collect();
            builder = builder.tensor(tensor, &[factors.len()], &factors);
        }
    }
    for (key, name) in [("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")] {
        if let Some(id) = config.get(name).filter(|id| !id.is_null()) {
            builder = builder.with(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
    }
    builder
}

/// A tensor's shape and values.
type Shaped = (Vec<usize>, Vec<f32>);

/// A tensor as the converter leaves it.
fn converted(change: Change, config: &Map<String, Value>, shape: &[usize], values: &[f32]) -> Shaped {
    let count = |key: &str| config[key].as_u64().unwrap() as usize;
    match change {
        Change::None => (shape.to_vec(), values.to_vec()),
        Change::PlusOne => (shape.to_vec(), values.iter().map(|value| value + 1.0).collect()),
        Change::Transposed if shape.len() == 2 => {
            let (rows, columns) = (shape[0], shape[1]);
            let turned = (0..columns * rows).map(|at| values[at % rows * columns + at / rows]).collect();
            (vec![columns, rows], turned)
        }
        Change::Transposed => (shape.to_vec(), values.to_vec()),
        Change::QueryHeads | Change::KeyHeads => {
            let heads =
                if change == Change::QueryHeads { "num_attention_heads" } else { "num_key_value_heads" };
            let (width, head) = (values.len() / shape[0], shape[0] / count(heads));
            // Row 2i of a head is the checkpoint's row i, row 2i + 1 its row i + half.
            let source = |row: usize| row / head * head + row % head / 2 + row % 2 * (head / 2);
            let moved =
                (0..shape[0]).flat_map(|row| values[source(row) * width..][..width].to_vec()).collect();
            (shape.to_vec(), moved)
        }
    }
}

/// Every tensor of a fixture, in one file or several: name, shape, values.
fn tensors(folder: &Path) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut all = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let file = std::fs::read(path).unwrap();
            for (name, view) in SafeTensors::deserialize(&file).unwrap().iter() {
                all.push((name.to_owned(), view.shape().to_vec(), floats(view.data())));
            }
        }
    }
    all
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// The fixture as a GGUF file.
fn written(case: &Case, folder: &Path, config: &Map<String, Value>) -> Builder {
    let mut builder = metadata(
        Builder::default().with("general.architecture", &case.architecture.into()),
        case.architecture,
        config,
    );
    let mut experts: BTreeMap<String, BTreeMap<usize, Shaped>> = BTreeMap::new();
    for (name, shape, values) in tensors(folder) {
        let place = names::place(case.architecture, &name).unwrap_or_else(|| panic!("{name} has no place"));
        let (shape, values) = converted(place.change, config, &shape, &values);
        match place.expert {
            Some(expert) => drop(experts.entry(place.name).or_default().insert(expert, (shape, values))),
            None => builder = builder.tensor(&place.name, &shape, &values),
        }
    }
    for (name, all) in experts {
        let shape = [&[all.len()], all[&0].0.as_slice()].concat();
        let values: Vec<f32> = all.into_values().flat_map(|(_, values)| values).collect();
        builder = builder.tensor(&name, &shape, &values);
    }
    builder
}

fn check(case: &Case) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(case.fixture);
    let original: ModelFiles = files::open(folder.to_str().unwrap(), &FilesOptions::default()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("model.gguf");
    std::fs::write(&path, written(case, &folder, &original.config).bytes()).unwrap();
    let read = files::open(path.to_str().unwrap(), &FilesOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", case.fixture));
    let mut config = original.config.clone();
    for (key, value) in case.unsaid.as_object().unwrap() {
        match value {
            Value::Null => drop(config.remove(key)),
            other => drop(config.insert(key.clone(), other.clone())),
        }
    }
    let wanted = Spec::from_config(&config).unwrap();
    let found = Spec::from_config(&read.config).unwrap_or_else(|error| panic!("{}: {error}", case.fixture));
    assert_eq!(found, wanted, "{}", case.fixture);
    assert_eq!(read.generation, GenerationConfig::from_json(&Map::new(), &original.config));
    for (name, shape, wanted) in tensors(&folder) {
        let tensor = read.weights.get(&name, &shape).unwrap_or_else(|error| panic!("{error}"));
        let found = floats(&tensor.bytes);
        assert_eq!((tensor.stored, found.len()), (Stored::F32, wanted.len()));
        // Adding one and taking it away rounds.
        let near = found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6);
        assert!(near, "{}: {name}", case.fixture);
    }
}

#[test]
fn each_family_survives_the_way_through_a_gguf_file() {
    cases().iter().for_each(check);
}
