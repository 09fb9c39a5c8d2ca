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
    /// Positions a row that room is planned for when layers are spread over devices.
    pub expected_positions: usize,
    /// Parts that the processor is taken for when `device` is `cpu`: more than one stand in for several devices, named `0`,
    /// `1` and so on in `max_memory`, so that the spreading of layers can be tried without GPUs.
    pub processors: usize,
    /// Threads that compute on the CPU; `None` for one a physical core that this process may use.
    pub threads: Option<usize>,
}

impl Quantization {
    /// Its name in reports; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
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
            expected_positions: 2048,
            processors: 1,
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
            expected_positions: 2048 * options.batch_size.max(1) as usize,
            processors: 1,
            threads: options.engine_options.threads.map(|threads| threads as usize),
        }
    }
}
