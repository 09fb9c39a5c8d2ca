//! Which device holds which layer: a pure function of sizes and memory, in the meaning that accelerate gave the words
//! `auto`, `balanced`, `balanced_low_0` and `sequential`.
//!
//! Layers stay in order, so that a token crosses each border once. Refuses to know devices themselves: they are names with
//! bytes. Unlike accelerate, nothing is kept free for layers that are loaded from elsewhere on demand: all of the model
//! is on some device, or it does not fit.

use std::collections::BTreeMap;

use ai_energy_backends_pytorch::DeviceMap;
use ai_energy_backends_pytorch::protocol::EngineErrorKind;

use crate::EngineError;

/// Bytes that the parts of a model take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The embedding, positions included.
    pub embedding: u64,
    /// Each layer, keys and values of its cache included.
    pub layers: Vec<u64>,
    /// The last norm and the head. Where the head shares the embedding's weights, what it takes beyond them.
    pub head: u64,
    /// `true` where the head shares the embedding's weights and must be where they are.
    pub tied: bool,
}

/// A device that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Its name, for example `cuda:1` or `cpu`.
    pub name: String,
    /// Its key in `max_memory`: `1` or `cpu`.
    pub key: String,
    /// Bytes that may be used on it.
    pub free: u64,
}

impl DeviceMemory {
    /// `false` for the processor's own memory, which is taken last and never balanced.
    pub fn is_accelerator(&self) -> bool {
        self.key != "cpu"
    }
}

/// Which device holds what, as places in the list of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The embedding's.
    pub embedding: usize,
    /// Each layer's; never falls from one layer to the next.
    pub layers: Vec<usize>,
    /// The head's.
    pub head: usize,
}

/// Places a model onto devices. They are filled in the order they come in, accelerators before the processor; with
/// `max_memory`, only those it names are used, each up to what it says.
///
/// - `sequential`: one device is filled before the next.
/// - `balanced` and `auto`: each accelerator but the last gets at most its even share and 1.25 times the largest layer.
/// - `balanced_low_0`: the same over all but the first accelerator, which gets only what the others leave.
///
/// # Errors
/// The model does not fit, with what does not and by how much; a key or a size of `max_memory` means nothing.
pub fn place(
    map: DeviceMap,
    sizes: &Sizes,
    devices: &[DeviceMemory],
    max_memory: &BTreeMap<String, String>,
) -> Result<Placement, EngineError> {
    let limits = limits(devices, max_memory)?;
    let capped = match map {
        DeviceMap::Sequential => limits.clone(),
        DeviceMap::Auto | DeviceMap::Balanced => balanced(sizes, devices, &limits, false),
        DeviceMap::BalancedLow0 => balanced(sizes, devices, &limits, true),
    };
    // Even shares may be too tight where layers are large; what fits at all is placed.
    fill(sizes, &capped)
        .or_else(|_| fill(sizes, &limits))
        .map_err(|part| does_not_fit(part, sizes, devices, &limits))
}

/// Bytes of a size such as `20GB` (powers of 1000), `20GiB` (of 1024), `500MB` or a plain number.
///
/// # Errors
/// It is no such size.
pub fn parse_memory(key: &str, size: &str) -> Result<u64, EngineError> {
    let text = size.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KIB" => 1024.0,
        "MIB" => 1024.0 * 1024.0,
        "GIB" => 1024.0 * 1024.0 * 1024.0,
        "TIB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    let bytes = text[..digits].parse::<f64>().map_or(f64::NAN, |number| number * unit);
    if bytes.is_finite() {
        return Ok(bytes as u64);
    }
    Err(EngineError::bad_request(format!("backend.max_memory.{key}"), format!("`{size}` is no size"))
        .remedy("write it like 20GB, 20GiB or 500MB"))
}

/// Most bytes by device.
fn limits(devices: &[DeviceMemory], max_memory: &BTreeMap<String, String>) -> Result<Vec<u64>, EngineError> {
    if let Some(key) = max_memory.keys().find(|key| devices.iter().all(|device| device.key != **key)) {
        let keys: Vec<&str> = devices.iter().map(|device| device.key.as_str()).collect();
        let object = format!("backend.max_memory.{key}");
        return Err(EngineError::bad_request(object, "this run uses no such device")
            .remedy(format!("name one of {}", keys.join(", "))));
    }
    let limit = |device: &DeviceMemory| match max_memory.get(&device.key) {
        Some(size) => Ok(parse_memory(&device.key, size)?.min(device.free)),
        None if max_memory.is_empty() => Ok(device.free),
        None => Ok(0),
    };
    devices.iter().map(limit).collect()
}

/// Limits that spread the model evenly over the accelerators.
fn balanced(sizes: &Sizes, devices: &[DeviceMemory], limits: &[u64], low_0: bool) -> Vec<u64> {
    let used: Vec<usize> =
        (0..devices.len()).filter(|at| devices[*at].is_accelerator() && limits[*at] > 0).collect();
    let mut capped = limits.to_vec();
    let [first, .., last] = used.as_slice() else { return capped };
    let shares = if low_0 { used.len() - 1 } else { used.len() } as u64;
    let largest = sizes.layers.iter().copied().max().unwrap_or(0);
    let share = sizes.total() / shares + largest + largest / 4;
    for at in &used {
        if at != last && !(low_0 && at == first) {
            capped[*at] = capped[*at].min(share);
        }
    }
    if low_0 {
        let others: u64 = used.iter().filter(|at| *at != first).map(|at| capped[*at]).sum();
        capped[*first] = capped[*first].min(sizes.total().saturating_sub(others));
    }
    capped
}

/// The parts in order onto the devices in order; the part that fits nowhere any more is the error.
fn fill(sizes: &Sizes, limits: &[u64]) -> Result<Placement, usize> {
    let mut used = vec![0_u64; limits.len()];
    let mut at = 0;
    let mut places = Vec::with_capacity(sizes.layers.len() + 2);
    let head_apart = (!sizes.tied).then_some(sizes.head);
    // A head that must be beside the embedding is placed together with it.
    let first = if sizes.tied { sizes.embedding.saturating_add(sizes.head) } else { sizes.embedding };
    let parts = std::iter::once(first).chain(sizes.layers.iter().copied()).chain(head_apart);
    for (part, size) in parts.enumerate() {
        while at < limits.len() && used[at].saturating_add(size) > limits[at] {
            at += 1;
        }
        *used.get_mut(at).ok_or(part)? += size;
        places.push(at);
    }
    let head = if sizes.tied { places[0] } else { at };
    let layers = places[1..=sizes.layers.len()].to_vec();
    Ok(Placement { embedding: places[0], layers, head })
}

impl Sizes {
    /// Bytes of the whole model.
    pub fn total(&self) -> u64 {
        let layers = self.layers.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
        layers.saturating_add(self.embedding).saturating_add(self.head)
    }
}

fn does_not_fit(part: usize, sizes: &Sizes, devices: &[DeviceMemory], limits: &[u64]) -> EngineError {
    let layers = sizes.layers.len();
    let (name, size) = match part {
        0 => ("the embedding".to_owned(), sizes.embedding),
        part if part <= layers => (format!("layer {part} of {layers}"), sizes.layers[part - 1]),
        _ => ("the head".to_owned(), sizes.head),
    };
    let room: Vec<String> = devices
        .iter()
        .zip(limits)
        .map(|(device, limit)| format!("{} on {}", readable(*limit), device.name))
        .collect();
    let total = limits.iter().fold(0_u64, |sum, limit| sum.saturating_add(*limit));
    let short = match sizes.total().saturating_sub(total) {
        0 => "the rests that are free are smaller than it".to_owned(),
        bytes => format!("{} are missing", readable(bytes)),
    };
    let cause = format!(
        "the model takes {} and there are {}; {name} ({}) does not fit: {short}",
        readable(sizes.total()),
        if room.is_empty() { "no devices".to_owned() } else { room.join(", ") },
        readable(size),
    );
    EngineError::new(EngineErrorKind::OutOfMemory, "memory of the devices", cause).remedy(
        "use more devices, a higher `backend.max_memory`, a smaller number format, or `backend.load_in_4bit=true`",
    )
}

/// Bytes for people.
fn readable(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{bytes} bytes"),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
