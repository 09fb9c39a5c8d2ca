//! Which device holds which part: sizes of the model and memory of the devices, handed to the placement.
//!
//! Refuses to know weights.

use std::collections::BTreeMap;

use tch::{Device, Kind};

use super::{LoadOptions, Quantization, device};
use crate::EngineError;
use crate::model::placement::{self, DeviceMemory, Placement, Sizes};
use crate::model::{Layer, Source, Spec};

/// Bytes that are kept free on each device for what computing takes.
const RESERVED: u64 = 256 << 20;

/// The devices in use and where each part goes, as places in that list.
pub(super) fn place(
    spec: &Spec,
    kind: Kind,
    devices: Vec<Device>,
    options: &LoadOptions,
) -> Result<(Vec<Device>, Placement), EngineError> {
    let mut devices = devices;
    if let [Device::Cpu] = devices.as_slice() {
        devices = vec![Device::Cpu; options.processors.max(1)];
    }
    if devices.len() == 1 && options.max_memory.is_empty() {
        return Ok((devices, Placement { embedding: 0, layers: vec![0; spec.layers.len()], head: 0 }));
    }
    let several_processors = options.processors > 1;
    let mut memory: Vec<DeviceMemory> = Vec::new();
    for (place, &device) in devices.iter().enumerate() {
        let key = match device {
            Device::Cuda(index) => index.to_string(),
            Device::Cpu if !several_processors => "cpu".to_owned(),
            _ => place.to_string(),
        };
        memory.push(DeviceMemory { name: device::name(device), key, free: device::free_memory(device)? });
    }
    // What does not fit on the GPUs may go to the processor, where the user has said how much.
    if options.max_memory.contains_key("cpu") && !devices.contains(&Device::Cpu) {
        let free = device::free_memory(Device::Cpu)?;
        memory.push(DeviceMemory { name: "cpu".to_owned(), key: "cpu".to_owned(), free });
        devices.push(Device::Cpu);
    }
    for device in &mut memory {
        device.free = device.free.saturating_sub(RESERVED);
    }
    let limits: BTreeMap<String, String> = options.max_memory.clone();
    let placement = placement::place(options.device_map, &sizes(spec, kind, options), &memory, &limits)?;
    Ok((devices, placement))
}

/// Bytes of the parts.
fn sizes(spec: &Spec, kind: Kind, options: &LoadOptions) -> Sizes {
    let width = kind.elt_size_in_bytes() as u64;
    let per_value = match options.quantization {
        Quantization::None => width as f64,
        Quantization::Int8 => 1.0,
        Quantization::Int4 => 0.625,
    };
    let positions = spec.embedding.positions.as_ref().map_or(0, |positions| positions.table.values());
    let cached = |layer: &Layer| {
        let positions = options.expected_positions.min(spec.max_context) as u64;
        2 * positions * (layer.attention.kv_heads * layer.attention.head_dim) as u64 * width
    };
    let head: u64 = spec.head.linear.weight.iter().map(Source::values).sum();
    Sizes {
        embedding: (spec.embedding.tokens.values() + positions) * width,
        layers: spec
            .layers
            .iter()
            .map(|layer| (layer.parameters() as f64 * per_value) as u64 + cached(layer))
            .collect(),
        head: if spec.head.tied { 0 } else { head * width },
        tied: spec.head.tied,
    }
}
