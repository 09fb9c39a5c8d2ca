//! A settings type in the shape of the product's, and helpers to load it from real files.
#![allow(dead_code)] // each test file takes the part it needs
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ai_energy_config::{ConfigErrors, Loaded, Loader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) backend: Backend,
    pub(crate) scenario: Scenario,
    pub(crate) metrics: Metrics,
    pub(crate) reporter: Reporter,
    pub(crate) load: Load,
    pub(crate) output_dir: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "benchmark".into(),
            backend: Backend::default(),
            scenario: Scenario::default(),
            metrics: Metrics::default(),
            reporter: Reporter::default(),
            load: Load::default(),
            output_dir: "./benchmark_output".into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackendType {
    /// A server.
    Vllm,
    /// An engine of our own.
    Pytorch,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum DeviceIds {
    One(u32),
    Many(Vec<u32>),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backend {
    pub(crate) r#type: BackendType,
    pub(crate) model: String,
    pub(crate) endpoint: String,
    pub(crate) device: String,
    pub(crate) device_ids: DeviceIds,
    pub(crate) task: String,
    pub(crate) torch_dtype: String,
    pub(crate) device_map: String,
    pub(crate) max_memory: Option<BTreeMap<u32, String>>,
    pub(crate) load_in_8bit: bool,
    pub(crate) no_weights: Option<bool>,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) gpu_memory_utilization: Option<f64>,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            r#type: BackendType::Vllm,
            model: "openai/gpt-oss-120b".into(),
            endpoint: "http://localhost:8000/v1".into(),
            device: "cuda".into(),
            device_ids: DeviceIds::Many(vec![0]),
            task: "text-generation".into(),
            torch_dtype: "auto".into(),
            device_map: "auto".into(),
            max_memory: None,
            load_in_8bit: false,
            no_weights: None,
            gpu_memory_utilization: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) dataset_name: String,
    pub(crate) text_column_name: String,
    #[schemars(range(min = 1))]
    pub(crate) num_samples: u64,
    pub(crate) truncation: bool,
    pub(crate) reasoning: bool,
    pub(crate) reasoning_params: Option<Map<String, Value>>,
    pub(crate) input_shapes: InputShapes,
    pub(crate) generate_kwargs: Map<String, Value>,
}

impl Default for Scenario {
    fn default() -> Self {
        let mut generate_kwargs = Map::new();
        generate_kwargs.insert("max_new_tokens".into(), 100.into());
        generate_kwargs.insert("min_new_tokens".into(), 50.into());
        Self {
            dataset_name: "AIEnergyScore/text_generation".into(),
            text_column_name: "text".into(),
            num_samples: 10,
            truncation: true,
            reasoning: false,
            reasoning_params: None,
            input_shapes: InputShapes { batch_size: 1 },
            generate_kwargs,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InputShapes {
    #[schemars(range(min = 1))]
    pub(crate) batch_size: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    pub(crate) r#type: String,
    pub(crate) enabled: bool,
    pub(crate) project_name: String,
    pub(crate) output_dir: String,
    pub(crate) country_iso_code: String,
    pub(crate) region: Option<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            r#type: "codecarbon".into(),
            enabled: true,
            project_name: "ai_energy_benchmarks".into(),
            output_dir: "./emissions".into(),
            country_iso_code: "USA".into(),
            region: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reporter {
    pub(crate) r#type: String,
    pub(crate) output_file: String,
}

impl Default for Reporter {
    fn default() -> Self {
        Self { r#type: "csv".into(), output_file: "./results/benchmark_results.csv".into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Load {
    #[schemars(range(min = 1))]
    pub(crate) concurrency: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { concurrency: 1 }
    }
}

/// A loader without any file.
pub(crate) fn loader<'a>() -> Loader<'a> {
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
    Loader::new(defaults, schema)
}

pub(crate) type Outcome = Result<Loaded<Settings>, ConfigErrors>;

/// Files in a folder of their own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// A loader of one of the files.
    pub(crate) fn loader<'a>(&self, name: &str) -> Loader<'a> {
        loader().file(Some(self.path(name)))
    }

    /// All errors as text, with this folder's path taken off.
    pub(crate) fn errors(&self, outcome: Outcome) -> String {
        let text = outcome.map(|loaded| loaded.tree).unwrap_err().to_string();
        text.replace(&format!("{}/", self.root().display()), "")
            .replace(&self.root().display().to_string(), ".")
    }
}

/// Loads one YAML text.
pub(crate) fn yaml(text: &str) -> Outcome {
    Folder::new(&[("c.yaml", text)]).loader("c.yaml").load()
}

/// The errors of one YAML text.
pub(crate) fn yaml_errors(text: &str) -> String {
    let folder = Folder::new(&[("c.yaml", text)]);
    folder.errors(folder.loader("c.yaml").load())
}

/// Loads with arguments only.
pub(crate) fn arguments(arguments: &[&str]) -> Outcome {
    loader().overrides(arguments.iter().map(|a| (*a).to_owned()).collect()).load()
}

/// The folder of configs that ship.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}
