//! Tests of the known shapes.

use std::collections::BTreeSet;

use super::*;
use crate::files::{self, FilesOptions};

const RANDOM: FilesOptions = FilesOptions { no_weights: true, seed: 5 };

#[test]
fn every_shape_is_found_by_each_of_its_names() {
    let mut ids = BTreeSet::new();
    for (short, file) in SHAPES {
        let shape: Shape = serde_json::from_str(file).unwrap_or_else(|error| panic!("{short}: {error}"));
        assert!(!shape.ids.is_empty() && shape.config.contains_key("model_type"), "{short}");
        for name in shape.ids.iter().map(String::as_str).chain([*short]) {
            assert_eq!(shape_config(name).unwrap(), shape.config, "{name}");
            assert_eq!(shape_config(&name.to_uppercase()).unwrap(), shape.config, "{name}");
        }
        for id in shape.ids {
            assert!(ids.insert(id.to_lowercase()), "{id} is two shapes");
        }
    }
    assert!(SHAPES.is_sorted_by_key(|(name, _)| *name) && ids.len() > SHAPES.len());
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let error = shape_config("meta-llama/Llama-3.1-80B").unwrap_err();
    assert!(
        error.remedy.contains("llama-3.1-8b") && error.remedy.contains("llama-3.1-70b"),
        "{}",
        error.remedy
    );
    assert!(!shape_config("xyzzy").unwrap_err().remedy.is_empty());
}

#[test]
fn a_shape_is_a_model_with_random_weights_and_the_stand_in() {
    let model = files::open("HuggingFaceTB/SmolLM2-135M-Instruct", &RANDOM).unwrap();
    assert!(model.weights.is_random() && model.text.is_fallback());
    assert_eq!(model.config["hidden_size"], 576);
    assert_eq!(model.generation.eos, [2]);
    assert_eq!(model.remarks.len(), 2);
    assert_eq!(model.weights.describe(), "random weights, seed 5");
    let norm = model.weights.get("model.norm.weight", &[576]).unwrap();
    assert_eq!(norm.bytes.len(), 576 * 2);
}

#[test]
fn without_random_weights_a_name_is_no_model() {
    let error = files::open("smollm2-135m", &FilesOptions::default()).err().unwrap();
    assert!(error.cause.contains("no such folder") && !error.remedy.is_empty());
}

#[test]
fn a_folder_with_random_weights_needs_its_configuration_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    assert!(files::open(&path, &RANDOM).err().unwrap().object.ends_with("config.json"));
    std::fs::write(folder.path().join("config.json"), r#"{"vocab_size": 512, "bos_token_id": 400}"#).unwrap();
    let random = files::open(&path, &RANDOM).unwrap();
    assert!(random.weights.is_random());
    assert_eq!(random.text.encode("a", true).unwrap(), [400, 97]);
    let none = files::open(&path, &FilesOptions::default()).err().unwrap();
    assert!(none.cause.contains("no safetensors files") && none.remedy.contains("no_weights"));
    std::fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let pickles = files::open(&path, &FilesOptions::default()).err().unwrap();
    assert!(pickles.cause.contains("pickles"));
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "").unwrap();
    assert!(files::open(file.to_str().unwrap(), &RANDOM).err().unwrap().cause.contains("neither"));
}
