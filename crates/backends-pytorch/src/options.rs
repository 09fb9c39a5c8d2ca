//! What a user can set about the PyTorch engine, with the Python package's names and defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ai_energy_core::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::device_ids::DeviceIds;

/// Options of the PyTorch backend: keys of the `backend` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where to compute: `cuda`, `cuda:1`, `cpu`, `mps`, or `auto` for the best there is. Default: `cuda`.
    #[schemars(regex(pattern = r"^(cuda(:\d+)?|cpu|mps|auto)$"))]
    pub device: String,
    /// GPUs to use, and to measure unless `metrics.gpu_ids` says: a list, one integer, or a string like `0, 1, 2`.
    /// Default: `[0]`; with a server, that default says nothing and all GPUs are measured.
    pub device_ids: DeviceIds,
    /// What the model is for. Default: `text-generation`, the only task so far.
    pub task: String,
    /// Number format of the weights. Default: `auto`, what the model's files say.
    pub torch_dtype: TorchDtype,
    /// How layers are spread over several devices. Default: `auto`.
    pub device_map: DeviceMap,
    /// Most memory to use by device, for example `{0: 20GB, cpu: 64GB}`. Default: what there is.
    pub max_memory: Option<BTreeMap<String, String>>,
    /// Load the weights in 8 bits. Default: false.
    pub load_in_8bit: bool,
    /// Load the weights in 4 bits. Default: false.
    pub load_in_4bit: bool,
    /// Run code that comes with the model. Default: false.
    pub trust_remote_code: bool,
    /// Keep keys and values of earlier tokens instead of computing them anew. Default: true.
    pub use_cache: bool,
    /// Token that fills up short prompts of a batch. Default: the tokenizer's.
    pub pad_token_id: Option<i64>,
    /// Share of GPU memory to use, above 0 and at most 1; the engine may ignore it. Default: the engine's.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gpu_memory_utilization: Option<f64>,
    /// Random weights of the model's shape instead of the real ones. Default: false.
    pub no_weights: Option<bool>,
    /// Which engine computes: `native`, `transformers`, or `auto` for the native one where it knows the model and
    /// transformers where it does not. Default: `auto`.
    pub engine: EngineChoice,
    /// The engine's program, its threads, and how long to wait for it.
    pub engine_options: EngineOptions,
    /// Requests that the engine may compute at once; no key of its own, since the
    /// scenario has one (`input_shapes.batch_size`). Default: 1.
    #[serde(skip)]
    pub batch_size: u32,
    /// Cut a prompt that does not fit the model's context instead of refusing it; no key of its own, since the
    /// scenario has one (`scenario.truncation`). Default: true.
    #[serde(skip)]
    pub truncation: bool,
}

/// Which engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The native engine where it knows the model's architecture, else transformers.
    #[default]
    Auto,
    /// Our own engine on libtorch.
    Native,
    /// Hugging Face transformers in the user's Python.
    Transformers,
}

/// The engine's program, its threads, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// The engine's program. Default: `AI_ENERGY_TORCH`, else `ai-energy-torch` beside this program or on the `PATH`.
    pub program: Option<PathBuf>,
    /// The Python that has transformers. Default: `AI_ENERGY_PYTHON`, else the active environment's, else `python3`.
    pub python: Option<PathBuf>,
    /// Threads that compute on the CPU, at least 1. Default: one a physical core that this process may use.
    #[schemars(range(min = 1))]
    pub threads: Option<u32>,
    /// Seconds to wait for the program to say hello. Default: 60.
    #[schemars(range(min = 0.0))]
    pub start_timeout_seconds: f64,
    /// Seconds without a sign of progress after which loading has failed. Default: 3600.
    #[schemars(range(min = 0.0))]
    pub load_timeout_seconds: f64,
    /// Seconds without a token after which a generation has failed. Default: 300.
    #[schemars(range(min = 0.0))]
    pub silence_timeout_seconds: f64,
    /// Seconds to wait for the program to end by itself before it is killed. Default: 10.
    #[schemars(range(min = 0.0))]
    pub close_timeout_seconds: f64,
}

/// Number format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TorchDtype {
    /// What the model's files say.
    #[default]
    Auto,
    /// IEEE half precision.
    Float16,
    /// Brain float.
    Bfloat16,
    /// IEEE single precision.
    Float32,
}

/// How layers are spread over devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceMap {
    /// The engine decides.
    #[default]
    Auto,
    /// Evenly.
    Balanced,
    /// Evenly, with little on the first device.
    #[serde(rename = "balanced_low_0")]
    BalancedLow0,
    /// One device is filled before the next.
    Sequential,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: "cuda".to_owned(),
            device_ids: DeviceIds::default(),
            task: "text-generation".to_owned(),
            torch_dtype: TorchDtype::default(),
            device_map: DeviceMap::default(),
            max_memory: None,
            load_in_8bit: false,
            load_in_4bit: false,
            trust_remote_code: false,
            use_cache: true,
            pad_token_id: None,
            gpu_memory_utilization: None,
            no_weights: None,
            engine: EngineChoice::default(),
            engine_options: EngineOptions::default(),
            batch_size: 1,
            truncation: true,
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            program: None,
            python: None,
            threads: None,
            start_timeout_seconds: 60.0,
            load_timeout_seconds: 3600.0,
            silence_timeout_seconds: 300.0,
            close_timeout_seconds: 10.0,
        }
    }
}

impl Options {
    /// Looks for values that contradict themselves or mean nothing.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), Fault> {
        let wrong = |key: &str, cause: &str, remedy: &str| {
            Err(Fault::new(FaultKind::Usage, format!("backend.{key}"), cause).remedy(remedy))
        };
        let number = self.device.strip_prefix("cuda:");
        let known = ["cuda", "cpu", "mps", "auto"].contains(&self.device.as_str());
        if !known && number.is_none_or(|id| id.parse::<u32>().is_err()) {
            let cause = format!("there is no device `{}`", self.device);
            return wrong("device", &cause, "use cuda, cuda:N, cpu, mps or auto");
        }
        if self.task != "text-generation" {
            let cause = format!("the task `{}` is not supported", self.task);
            return wrong("task", &cause, "use text-generation");
        }
        if self.load_in_8bit && self.load_in_4bit {
            return wrong(
                "load_in_4bit",
                "the weights cannot be loaded in 8 and in 4 bits",
                "set one of the two",
            );
        }
        if let Some(share) = self.gpu_memory_utilization
            && !(share > 0.0 && share <= 1.0)
        {
            let cause = format!("{share} is no share of the memory");
            return wrong("gpu_memory_utilization", &cause, "use a number above 0 and at most 1");
        }
        self.engine_options.check()
    }
}

impl EngineOptions {
    fn check(&self) -> Result<(), Fault> {
        if self.threads == Some(0) {
            let object = "backend.engine_options.threads";
            return Err(Fault::new(FaultKind::Usage, object, "no threads compute nothing")
                .remedy("use 1 or more, or leave it out"));
        }
        for (key, seconds) in [
            ("start_timeout_seconds", self.start_timeout_seconds),
            ("load_timeout_seconds", self.load_timeout_seconds),
            ("silence_timeout_seconds", self.silence_timeout_seconds),
            ("close_timeout_seconds", self.close_timeout_seconds),
        ] {
            if seconds <= 0.0 || Duration::try_from_secs_f64(seconds).is_err() {
                let object = format!("backend.engine_options.{key}");
                return Err(Fault::new(FaultKind::Usage, object, format!("{seconds} is no time to wait"))
                    .remedy("use a number of seconds above 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: serde_json::Value) -> Result<Options, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn the_python_packages_keys_and_defaults_are_kept() {
        let defaults = serde_json::to_value(Options::default()).unwrap();
        for (key, value) in [
            ("device", json!("cuda")),
            ("device_ids", json!([0])),
            ("task", json!("text-generation")),
            ("torch_dtype", json!("auto")),
            ("device_map", json!("auto")),
            ("max_memory", json!(null)),
            ("load_in_8bit", json!(false)),
            ("load_in_4bit", json!(false)),
            ("trust_remote_code", json!(false)),
            ("use_cache", json!(true)),
            ("pad_token_id", json!(null)),
            ("gpu_memory_utilization", json!(null)),
            ("no_weights", json!(null)),
        ] {
            assert_eq!(defaults[key], value, "{key}");
        }
        assert_eq!(options(defaults).unwrap(), Options::default());
    }

    #[test]
    fn a_real_section_is_read_and_a_wrong_word_is_not() {
        let read = options(json!({
            "device_ids": "0, 1, 2", "torch_dtype": "bfloat16", "device_map": "balanced_low_0", "no_weights": false,
            "max_memory": {"0": "20GB"},
        }))
        .unwrap();
        assert_eq!(read.device_ids, DeviceIds(vec![0, 1, 2]));
        assert_eq!((read.torch_dtype, read.device_map), (TorchDtype::Bfloat16, DeviceMap::BalancedLow0));
        assert!(options(json!({"torch_dtype": "float8"})).is_err());
        assert!(options(json!({"devce": "cpu"})).is_err());
    }

    #[test]
    fn values_that_mean_nothing_are_named() {
        assert_eq!(Options::default().check(), Ok(()));
        for (value, key) in [
            (json!({"device": "gpu"}), "backend.device"),
            (json!({"device": "cuda:x"}), "backend.device"),
            (json!({"task": "image"}), "backend.task"),
            (json!({"load_in_8bit": true, "load_in_4bit": true}), "backend.load_in_4bit"),
            (json!({"gpu_memory_utilization": 1.5}), "backend.gpu_memory_utilization"),
            (
                json!({"engine_options": {"silence_timeout_seconds": 0}}),
                "backend.engine_options.silence_timeout_seconds",
            ),
        ] {
            let fault = options(value).unwrap().check().unwrap_err();
            assert_eq!(fault.object, key);
            assert!(!fault.remedy.is_empty());
        }
        assert_eq!(options(json!({"device": "cuda:3"})).unwrap().check(), Ok(()));
    }
}
