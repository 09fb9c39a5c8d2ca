//! Every config that ships resolves, and holds to the schema that ships with it.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use ai_energy_cli::args::ConfigSource;
use ai_energy_cli::resolve::{SHIPPED, resolve_with};
use ai_energy_cli::settings;
use serde_json::Value;
use support::Bench;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn named(name: &str) -> ConfigSource {
    ConfigSource {
        config_name: Some(name.to_owned()),
        config_dir: Some(configs()),
        ..ConfigSource::default()
    }
}

#[test]
fn the_list_of_shipped_configs_is_the_folder() {
    let mut found = Vec::new();
    for folder in ["", "backend", "scenario"] {
        for entry in std::fs::read_dir(configs().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path.strip_prefix(configs()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    let mut shipped: Vec<_> = SHIPPED.iter().map(|(path, _)| (*path).to_owned()).collect();
    shipped.sort();
    assert_eq!(found, shipped);
}

#[test]
fn every_shipped_config_resolves_and_validates_against_the_schema() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(configs().join("schema.json")).unwrap()).unwrap();
    assert!(schema == settings::file_schema(), "configs/schema.json is old: run `cargo xtask docs`");
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (path, _) in SHIPPED.iter().filter(|(path, _)| !path.contains('/')) {
        let loaded = resolve_with(&named(path), &|_| None).unwrap_or_else(|error| panic!("{path}: {error}"));
        let errors: Vec<_> = validator.iter_errors(&loaded.tree).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
        // What an editor sees: the file as it stands.
        let text = std::fs::read_to_string(configs().join(path)).unwrap();
        let raw: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&raw).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path} as an editor sees it: {errors:?}");
    }
    assert!(
        !validator.is_valid(&serde_json::json!({"backend": {"modle": "x"}})),
        "the schema refuses unknown keys"
    );
}

#[test]
fn the_facts_of_the_python_packages_configs_hold() {
    let load = |name: &str| resolve_with(&named(name), &|_| None).unwrap().value;
    let score = load("text_generation");
    assert_eq!(score.backend.kind, "pytorch", "from `backend: pytorch` in the defaults list");
    assert_eq!(score.scenario.dataset.dataset_name, "EnergyStarAI/text_generation");
    assert_eq!(score.scenario.dataset.num_samples, 1000);
    assert_eq!(
        serde_json::to_value(&score.backend.pytorch).unwrap()["device_ids"],
        serde_json::json!([0, 1, 2, 3, 4, 5, 6, 7])
    );
    let test = load("pytorch_test");
    assert_eq!((test.backend.model.as_str(), test.scenario.dataset.num_samples), ("microsoft/phi-2", 3));
    assert!(!test.metrics.enabled);
    assert_eq!(load("gpt_oss_120b").backend.kind, "vllm");
    assert_eq!(load("pytorch_validation").scenario.generate_kwargs["max_new_tokens"], 10);
    assert_eq!(
        serde_json::to_value(&load("pytorch_multigpu").backend.pytorch).unwrap()["device_ids"],
        serde_json::json!([0, 1, 2, 3])
    );
}

#[test]
fn the_environment_of_the_container_is_read() {
    let environment = |name: &str| {
        let value = match name {
            "BENCHMARK_BACKEND" => "vllm",
            "BENCHMARK_MODEL" => "my/model",
            "VLLM_ENDPOINT" => "http://10.0.0.1:9/v1",
            "NUM_SAMPLES" => "7",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let loaded = resolve_with(&named("text_generation"), &environment).unwrap();
    let settings = loaded.value;
    assert_eq!((settings.backend.kind.as_str(), settings.backend.model.as_str()), ("vllm", "my/model"));
    assert_eq!(
        (settings.backend.endpoint.as_str(), settings.scenario.dataset.num_samples),
        ("http://10.0.0.1:9/v1", 7)
    );
}

#[test]
fn config_show_tells_the_origin_of_each_value() {
    let bench = Bench::new();
    bench.file("a.yaml", "name: a\nload:\n  concurrency: 3\n");
    let done = bench
        .run(&["config", "show", "a.yaml", "scenario.num_samples=4", "--endpoint", "http://h/v1"])
        .expect(0);
    let line =
        |key: &str| done.out.lines().find(|line| line.trim_start().starts_with(key)).unwrap().to_owned();
    assert!(line("concurrency").contains("3") && line("concurrency").contains("a.yaml:3"));
    assert!(line("num_samples").contains("4") && line("num_samples").contains("scenario.num_samples=4"));
    assert!(line("endpoint").contains("--endpoint"));
    assert!(line("output_dir").contains("default"));
}
