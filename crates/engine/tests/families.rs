//! Every family's description against the fixtures that transformers wrote: each tensor of a checkpoint is used, each one
//! that is described is there with its shape, and a key that is not understood is an error.
//!
//! Needs no libtorch. The fixtures are found by looking into their folder, so that none is left out.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ai_energy_backends_pytorch::protocol::EngineErrorKind;
use ai_energy_engine::files::{self, FilesOptions, ModelFiles};
use ai_energy_engine::model::families::FAMILIES;
use ai_energy_engine::model::{FeedForward, Linear, Mlp, Norm, Source, Spec};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let mut folders: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 25, "the fixtures are not all there: {folders:?}");
    folders
}

fn open(folder: &Path) -> ModelFiles {
    files::open(folder.to_str().unwrap(), &FilesOptions::default()).unwrap()
}

/// Every source that a description names.
fn sources(spec: &Spec) -> Vec<&Source> {
    let mut all = vec![&spec.embedding.tokens];
    all.extend(spec.embedding.positions.iter().map(|positions| &positions.table));
    all.extend(spec.final_norm.iter().flat_map(norm));
    all.extend(linear(&spec.head.linear));
    for layer in &spec.layers {
        let norms = [
            &layer.before_attention,
            &layer.after_attention,
            &layer.before_feed_forward,
            &layer.after_feed_forward,
        ];
        all.extend(norms.into_iter().flatten().flat_map(norm));
        let attention = &layer.attention;
        all.extend(linear(&attention.qkv));
        all.extend(linear(&attention.output));
        all.extend(attention.qk_norm.iter().flatten().flat_map(norm));
        all.extend(&attention.sinks);
        match &layer.feed_forward {
            FeedForward::Dense(one) => all.extend(mlp(one)),
            FeedForward::Experts(mix) => {
                all.extend(linear(&mix.router));
                all.extend(mix.experts.iter().flat_map(mlp));
                all.extend(mix.shared.iter().flat_map(|shared| mlp(&shared.mlp)));
                all.extend(mix.shared.iter().filter_map(|shared| shared.gate.as_ref()).flat_map(linear));
            }
        }
    }
    all
}

fn norm(norm: &Norm) -> Vec<&Source> {
    std::iter::once(&norm.weight).chain(&norm.bias).collect()
}

fn linear(linear: &Linear) -> Vec<&Source> {
    linear.weight.iter().chain(&linear.bias).collect()
}

fn mlp(mlp: &Mlp) -> Vec<&Source> {
    [linear(&mlp.up), linear(&mlp.down)].concat()
}

/// Names of the tensors in a folder's files, and how many values they hold.
fn stored(folder: &Path) -> (BTreeSet<String>, u64) {
    let (mut names, mut values) = (BTreeSet::new(), 0);
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = std::fs::read(path).unwrap();
            for (name, info) in SafeTensors::read_metadata(&bytes).unwrap().1.tensors() {
                values += info.shape.iter().product::<usize>() as u64;
                // What MXFP4 packs is asked for under the name of the whole.
                let name = name.strip_suffix("_blocks").or(name.strip_suffix("_scales")).unwrap_or(&name);
                names.insert(name.to_owned());
            }
        }
    }
    (names, values)
}

#[test]
fn each_tensor_of_a_checkpoint_is_used_and_each_that_is_described_is_there() {
    for folder in fixtures() {
        let files = open(&folder);
        let spec = Spec::from_config(&files.config).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let (stored, values) = stored(&folder);
        let mut used = BTreeSet::new();
        for source in sources(&spec) {
            let raw = files.weights.get(&source.tensor, &source.shape);
            let raw = raw.unwrap_or_else(|error| panic!("{folder:?}: {error}"));
            assert_eq!(raw.shape, source.shape, "{folder:?}: {}", source.tensor);
            let bare = source.tensor.strip_prefix("transformer.").unwrap_or(&source.tensor);
            used.insert(if stored.contains(bare) { bare } else { &source.tensor }.to_owned());
        }
        assert_eq!(used, stored, "{folder:?}");
        if !folder.ends_with("gpt-oss-mxfp4") {
            assert_eq!(spec.parameters(), values, "{folder:?}");
        }
    }
}

#[test]
fn each_model_type_in_the_list_has_a_fixture_and_belongs_to_one_family() {
    let made: BTreeSet<String> = fixtures()
        .iter()
        .map(|folder| open(folder).config["model_type"].as_str().unwrap().to_owned())
        .collect();
    let mut known: Vec<_> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
    for model_type in &known {
        assert!(made.contains(*model_type), "no fixture for {model_type}: add a variant and run make.py");
    }
    let listed = known.len();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), listed, "a model type belongs to two families");
}

#[test]
fn a_key_that_is_not_understood_names_itself_in_every_family() {
    for folder in fixtures() {
        let mut config = open(&folder).config;
        config.insert("clever_new_attention".to_owned(), json!({"factor": 2}));
        let error = Spec::from_config(&config).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Unsupported, "{folder:?}");
        assert!(error.cause.contains("clever_new_attention"), "{folder:?}: {}", error.cause);
        assert!(error.remedy.contains("transformers"), "{folder:?}: {}", error.remedy);
    }
}

#[test]
fn an_activation_that_is_not_known_is_an_error_and_not_another_one() {
    for folder in fixtures() {
        let mut config = open(&folder).config;
        let mut changed = 0;
        for key in ["hidden_act", "hidden_activation", "activation_function"] {
            if config.contains_key(key) {
                config.insert(key.to_owned(), Value::from("quick_relu"));
                changed += 1;
            }
        }
        assert!(changed > 0, "{folder:?}");
        let error = Spec::from_config(&config).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Unsupported, "{folder:?}: {error}");
    }
}

/// A fixture's config with some keys changed.
fn changed(fixture: &str, changes: Value) -> Result<Spec, ai_energy_engine::EngineError> {
    let folder = fixtures().into_iter().find(|folder| folder.ends_with(fixture)).unwrap();
    let mut config = open(&folder).config;
    config.extend(changes.as_object().unwrap().clone());
    Spec::from_config(&config)
}

#[test]
fn settings_that_are_not_known_are_refused_by_name() {
    let cases = [
        ("opt", json!({"do_layer_norm_before": false}), "do_layer_norm_before"),
        ("opt", json!({"word_embed_proj_dim": 16}), "word_embed_proj_dim"),
        ("phi", json!({"qk_layernorm": true}), "qk_layernorm"),
        ("gpt2", json!({"add_cross_attention": true}), "add_cross_attention"),
        ("gpt-oss", json!({"quantization_config": {"quant_method": "awq"}}), "awq"),
    ];
    for (fixture, changes, named) in cases {
        let error = changed(fixture, changes).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Unsupported, "{fixture}");
        assert!(error.cause.contains(named), "{fixture}: {}", error.cause);
    }
}

#[test]
fn shares_of_rotating_values_follow_each_familys_documentation_where_the_config_is_silent() {
    let silent = json!({"rotary_pct": null, "partial_rotary_factor": null});
    let share = |fixture: &str| {
        let rope = changed(fixture, silent.clone()).unwrap().ropes.remove(0);
        rope.rotary_dim as f64 / rope.head_dim as f64
    };
    assert_eq!((share("gpt-neox"), share("phi"), share("mixtral")), (0.25, 0.5, 1.0));
}

#[test]
fn more_experts_a_token_than_there_are_make_no_model() {
    for fixture in ["mixtral", "qwen2-moe", "qwen3-moe", "gpt-oss"] {
        let error = changed(fixture, json!({"num_experts_per_tok": 9})).unwrap_err();
        assert!(error.cause.contains("num_experts_per_tok"), "{fixture}: {}", error.cause);
    }
}

#[test]
fn opts_last_norm_can_be_missing() {
    assert!(changed("opt", json!({"_remove_final_layer_norm": false})).unwrap().final_norm.is_some());
    assert!(changed("opt", json!({"_remove_final_layer_norm": true})).unwrap().final_norm.is_none());
}
