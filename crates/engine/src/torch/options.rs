//! How a model is to be loaded: number format, devices, quantisation, threads.
//!
//! Refuses to know the model.

use std::collections::BTreeMap;

use ai_energy_backends_pytorch::{DeviceMap, Options, TorchDtype};

/// Weight-only quantisation of the linear layers; the embedding, the norms and the head keep their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantization {
    /// None.
    #[default]
    None,
    /// Eight bits, one scale an output.
    Int8,
    /// Four bits, one scale and zero a group of inputs.
    Int4,
}

/// How a model is to be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOptions {
    /// Number format; `Auto` is what the weights are stored in.
    pub dtype: TorchDtype,
    /// `cuda`, `cuda:N`, `cpu`, `mps` or `auto`.
    pub device: String,
    /// The GPUs that may be used, with `cuda` or `auto` as device.
    pub device_ids: Vec<u32>,
    /// How layers are spread over several devices.
    pub device_map: DeviceMap,
    /// Most memory by device, for example `0` or `cpu` to `20GB`.
    pub max_memory: BTreeMap<String, String>,
    /// Weight-only quantisation.
    pub quantization: Quantization,
    /// Threads that compute on the CPU; `None` for one a physical core that this process may use.
    pub threads: Option<usize>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            dtype: TorchDtype::Auto,
            device: "cpu".to_owned(),
            device_ids: vec![0],
            device_map: DeviceMap::Auto,
            max_memory: BTreeMap::new(),
            quantization: Quantization::None,
            threads: None,
        }
    }
}

impl LoadOptions {
    /// What the backend's options ask for.
    pub fn from_options(options: &Options) -> Self {
        let quantization = match (options.load_in_8bit, options.load_in_4bit) {
            (true, _) => Quantization::Int8,
            (false, true) => Quantization::Int4,
            (false, false) => Quantization::None,
        };
        Self {
            dtype: options.torch_dtype,
            device: options.device.clone(),
            device_ids: options.device_ids.0.clone(),
            device_map: options.device_map,
            max_memory: options.max_memory.clone().unwrap_or_default(),
            quantization,
            threads: options.engine_options.threads.map(|threads| threads as usize),
        }
    }
}
