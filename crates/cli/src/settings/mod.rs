//! The settings tree: what a config file may say, composed from the options that each part owns.
//!
//! Refuses to know files, environment and arguments (`resolve` does) and to build anything (`assemble` does).

mod backend;
mod load;
mod repeat;
mod scenario;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

pub use backend::BackendSettings;
pub use load::{LoadSettings, Pattern, SloSettings, StepSettings};
pub use repeat::RepeatSettings;
pub use scenario::{InputShapes, ScenarioSettings};

use crate::registry;

/// A benchmark run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "ai-energy-benchmark configuration")]
pub struct Settings {
    /// Name of the run; run folders and reports carry it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What runs the model.
    pub backend: BackendSettings,
    /// What is sent, and how the model is to answer.
    pub scenario: ScenarioSettings,
    /// How requests are offered.
    pub load: LoadSettings,
    /// How often.
    pub repeat: RepeatSettings,
    /// What is measured.
    pub metrics: MetricsSettings,
    /// What is collected across runs.
    pub reporter: ai_energy_reporters::Options,
    /// Folder in which each run makes a folder of its own.
    pub output_dir: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "benchmark".to_owned(),
            backend: BackendSettings::default(),
            scenario: ScenarioSettings::default(),
            load: LoadSettings::default(),
            repeat: RepeatSettings::default(),
            metrics: MetricsSettings::default(),
            reporter: ai_energy_reporters::Options::default(),
            output_dir: "./benchmark_output".to_owned(),
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsSettings {
    /// `codecarbon` also computes the run by CodeCarbon's method, beside the figures, and writes an `emissions.csv` in its
    /// columns; `native` leaves both out.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = registry::METRICS_TYPES))]
    pub kind: String,
    /// Measure energy at all.
    pub enabled: bool,
    /// Project name in `emissions.csv` and the report.
    pub project_name: String,
    /// Folder of the `emissions.csv` that collects runs, for example `./emissions`. Unset: each run's own copy alone.
    pub output_dir: Option<PathBuf>,
    /// Sources, sampling, location.
    #[serde(flatten)]
    pub options: ai_energy_metrics::Options,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            kind: "codecarbon".to_owned(),
            enabled: true,
            project_name: "ai_energy_benchmarks".to_owned(),
            output_dir: None,
            options: ai_energy_metrics::Options::default(),
        }
    }
}

/// The JSON schema of config files for editors: the settings, and what Hydra files say besides.
pub fn file_schema() -> Value {
    let mut schema = schema();
    let ignored = |what: &str| json!({ "description": format!("{what}; ignored here, with a note") });
    if let Some(properties) = schema["properties"].as_object_mut() {
        let defaults = json!({
            "description": "Groups and base files to compose, in this order; `_self_` places this file among them.",
            "type": "array",
            "items": { "type": ["string", "object"] }
        });
        properties.insert("defaults".to_owned(), defaults);
        for (key, what) in [
            ("launcher", "How optimum-benchmark starts its processes"),
            ("hydra", "Hydra's own settings"),
            ("log_report", "A switch of optimum-benchmark"),
            ("print_report", "A switch of optimum-benchmark"),
        ] {
            properties.insert(key.to_owned(), ignored(what));
        }
    }
    schema
}

/// The JSON schema of resolved settings. Unknown keys are errors in every section that is not a free map.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Settings).to_value();
    close_sections(&mut schema);
    schema
}

/// Flattened sections come with `unevaluatedProperties` or open; both are to refuse unknown keys.
fn close_sections(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("unevaluatedProperties");
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            object.values_mut().for_each(close_sections);
        }
        Value::Array(items) => items.iter_mut().for_each(close_sections),
        _ => {}
    }
}
