//! Which GPUs are read: by index, UUID, PCI bus id or MIG instance, from the options or from `CUDA_VISIBLE_DEVICES`.
//!
//! An instance of MIG stands for its parent. Refuses to guess: a name that fits none, or several, is a reason.

use std::collections::BTreeSet;

use ai_energy_core::energy::Domain;
use nvml_wrapper::Nvml;

use super::super::{Found, Search, missing};
use super::NAME;
use crate::options::GpuChoice;

/// What tells the GPUs of a machine apart, by index. Of one that may not be opened nothing is known, but it keeps its
/// place, or those after it would be taken for others.
struct Inventory<'a> {
    nvml: &'a Nvml,
    uuids: Vec<Option<String>>,
    buses: Vec<Option<Bus>>,
    names: BTreeSet<String>,
}

/// PCI domain, bus and device; the function is the same for all of a GPU's parts.
type Bus = (u32, u32, u32);

/// Indices of the GPUs to read: the options', else those of `CUDA_VISIBLE_DEVICES`, else all.
pub(super) fn selected(search: &Search<'_>, nvml: &Nvml, count: u32, found: &mut Found) -> BTreeSet<u32> {
    match (&search.options.gpu_ids, &search.roots.visible_gpus) {
        (Some(choices), _) => chosen(choices, &Inventory::take(nvml, count), found),
        (None, Some(visible)) => visible_gpus(visible, &Inventory::take(nvml, count), found),
        (None, None) => (0..count).collect(),
    }
}

fn chosen(choices: &[GpuChoice], inventory: &Inventory<'_>, found: &mut Found) -> BTreeSet<u32> {
    let mut indices = BTreeSet::new();
    for choice in choices {
        match inventory.find(&choice.to_string()) {
            Ok(index) => {
                indices.insert(index);
            }
            Err(reason) => {
                let remedy = format!("correct metrics.gpu_ids; the GPUs are {}", inventory.list());
                found.unavailable.push(missing(NAME, Domain::Gpu, reason, remedy));
            }
        }
    }
    indices
}

/// Reads `CUDA_VISIBLE_DEVICES`: indices, UUIDs or beginnings of UUIDs, up to the first that names no GPU, as CUDA does.
fn visible_gpus(value: &str, inventory: &Inventory<'_>, found: &mut Found) -> BTreeSet<u32> {
    let mut indices = BTreeSet::new();
    for word in value.split(',').map(str::trim) {
        let Ok(index) = inventory.find(word) else {
            // CUDA may well see this one, though its identity is kept from us.
            if word.contains('-') && inventory.uuids.contains(&None) {
                let reason =
                    format!("CUDA_VISIBLE_DEVICES names `{word}`, and not every GPU's UUID can be read");
                let remedy = "name the GPUs by their index in metrics.gpu_ids";
                found.unavailable.push(missing(NAME, Domain::Gpu, reason, remedy));
            }
            break;
        };
        if inventory.names.len() > 1 && !word.contains('-') {
            found.warnings.push(
                "CUDA may number unlike GPUs differently from NVML: set metrics.gpu_ids, or CUDA_DEVICE_ORDER=PCI_BUS_ID"
                    .to_owned(),
            );
        }
        indices.insert(index);
    }
    found.warnings.dedup();
    indices
}

impl<'a> Inventory<'a> {
    fn take(nvml: &'a Nvml, count: u32) -> Self {
        let mut inventory = Self { nvml, uuids: Vec::new(), buses: Vec::new(), names: BTreeSet::new() };
        for index in 0..count {
            let device = nvml.device_by_index(index).ok();
            let device = device.as_ref();
            inventory.uuids.push(device.and_then(|device| device.uuid().ok()));
            inventory.buses.push(device.and_then(|device| bus(&device.pci_info().ok()?.bus_id)));
            inventory.names.extend(device.and_then(|device| device.name().ok()));
        }
        inventory
    }

    /// The index of the GPU that `word` names.
    fn find(&self, word: &str) -> Result<u32, String> {
        let count = self.uuids.len();
        if let Ok(index) = word.parse::<u32>() {
            let there = (index as usize) < count;
            return if there {
                Ok(index)
            } else {
                Err(format!("GPU {index} is not there; NVML sees {count}"))
            };
        }
        if word.starts_with("MIG-") {
            let parent = self.nvml.device_by_uuid(word).and_then(|part| part.mig_parent_device()?.index());
            return parent.map_err(|error| format!("MIG instance {word}: {error}"));
        }
        let positions = match bus(word) {
            Some(wanted) => positions(&self.buses, |found| *found == wanted),
            None if word.is_empty() => Vec::new(),
            None => positions(&self.uuids, |found| found.starts_with(word)),
        };
        match positions.as_slice() {
            [index] => Ok(*index),
            [] => Err(format!("no GPU is called `{word}`; NVML sees {count}")),
            several => Err(format!("`{word}` names {} GPUs", several.len())),
        }
    }

    fn list(&self) -> String {
        let each = self.uuids.iter().enumerate().map(|(index, uuid)| match uuid {
            Some(uuid) => format!("{index} ({uuid})"),
            None => format!("{index}"),
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

fn positions<T>(all: &[Option<T>], fits: impl Fn(&T) -> bool) -> Vec<u32> {
    let each = (0_u32..).zip(all).filter(|(_, found)| found.as_ref().is_some_and(&fits));
    each.map(|(index, _)| index).collect()
}

/// Reads a PCI bus id such as `00000000:3B:00.0`, `0000:3b:00.0` or `3b:00`.
fn bus(text: &str) -> Option<Bus> {
    let hex = |part: &str| u32::from_str_radix(part, 16).ok();
    let parts: Vec<&str> = text.split(':').collect();
    let (domain, bus, device) = match parts.as_slice() {
        [bus, device] => ("0", *bus, *device),
        [domain, bus, device] => (*domain, *bus, *device),
        _ => return None,
    };
    let device = device.split_once('.').map_or(device, |(device, _)| device);
    Some((hex(domain)?, hex(bus)?, hex(device)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_bus_ids_are_read_in_every_way_they_are_written() {
        let same = [Some((0, 0x3b, 0)); 3];
        assert_eq!(["00000000:3B:00.0", "0000:3b:00.0", "3b:00"].map(bus), same);
        assert_eq!(["3b", "GPU-3b", "a:b:c:d", "x:00.0", ""].map(bus), [None; 5]);
    }
}
