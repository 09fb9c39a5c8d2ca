//! What both sources of AMD GPUs share: which GPUs are meant, and whether one sleeps.
//!
//! GPUs are numbered by PCI address, the order in which ROCm's runtime finds them on all but exotic machines.
//! `ROCR_VISIBLE_DEVICES` shows some of all, by number or UUID; `HIP_VISIBLE_DEVICES` shows some of these, by number,
//! and where it is unset HIP takes `CUDA_VISIBLE_DEVICES` (ROCm documentation, "GPU isolation techniques"). Refuses to
//! wake a GPU: the kernel lets an unused one sleep, and most readings would end that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ai_energy_core::energy::Domain;

use super::{Found, Search, missing};
use crate::machine;
use crate::options::GpuChoice;

/// What a GPU that sleeps is refused for.
pub(super) const SLEEPS: &str = "sleeps (runtime-suspended), and reading it would wake it";

/// Where the kernel tells whether the device at a PCI address sleeps.
pub(super) fn status_file(sys: &Path, pci: &str) -> PathBuf {
    sys.join("bus/pci/devices").join(pci).join("power/runtime_status")
}

/// `true` where the device sleeps or is about to; `false` also where the kernel does not tell.
pub(super) fn sleeps(status: &Path) -> bool {
    matches!(machine::line(status).as_deref(), Some("suspended" | "suspending"))
}

/// How to measure a machine with a GPU that sleeps.
pub(super) fn waking(pci: &str) -> String {
    format!(
        "set metrics.gpu_ids to the other GPUs, give this one work before the run, or keep it awake: \
         `echo on | sudo tee /sys/bus/pci/devices/{pci}/power/control`"
    )
}

/// Positions of the GPUs to read among those at `addresses`, for the source of this name: those that
/// `metrics.gpu_ids` names, else those that the environment shows, else all. Beside GPUs of NVIDIA, numbers in
/// `metrics.gpu_ids` and `CUDA_VISIBLE_DEVICES` are meant for those. What names no GPU is said.
pub(super) fn wanted(
    source: &str,
    search: &Search<'_>,
    addresses: &[&str],
    found: &mut Found,
) -> BTreeSet<usize> {
    if addresses.is_empty() {
        return BTreeSet::new();
    }
    let inventory =
        Inventory { sys: &search.roots.sys, addresses, beside_others: search.covered.contains(&Domain::Gpu) };
    let result = match &search.options.gpu_ids {
        Some(choices) => choices.iter().filter_map(|choice| inventory.chosen(choice).transpose()).collect(),
        None => inventory.shown(search).map(BTreeSet::from_iter),
    };
    result.unwrap_or_else(|(reason, remedy)| {
        if !inventory.beside_others {
            found.unavailable.push(missing(source, Domain::Gpu, reason, remedy));
        }
        BTreeSet::new()
    })
}

/// The GPUs of a machine.
struct Inventory<'a> {
    sys: &'a Path,
    addresses: &'a [&'a str],
    /// GPUs of another vendor count already.
    beside_others: bool,
}

/// Why a choice names no GPU, and what to do.
type Refusal = (String, &'static str);

impl Inventory<'_> {
    /// The position that a user's word names; `None` where it means another vendor's GPU.
    fn chosen(&self, choice: &GpuChoice) -> Result<Option<usize>, Refusal> {
        let position = match (choice.index(), choice) {
            (Some(_), _) if self.beside_others => return Ok(None),
            (Some(index), _) => Some(index as usize).filter(|index| *index < self.addresses.len()),
            (None, GpuChoice::Name(name)) => self.named(name),
            (None, GpuChoice::Index(_)) => None,
        };
        let count = self.addresses.len();
        let refusal =
            || (format!("GPU {choice} is not there; the driver shows {count}"), "correct metrics.gpu_ids");
        position.map(Some).ok_or_else(refusal)
    }

    /// The GPU of this PCI address (its domain may be left out) or UUID.
    fn named(&self, word: &str) -> Option<usize> {
        let word = word.to_lowercase();
        if let Some(wanted) = word.strip_prefix("gpu-") {
            return (0..self.addresses.len())
                .find(|position| self.unique_id(*position).as_deref() == Some(wanted));
        }
        let same = |address: &&str| {
            word.contains(':') && (**address == word || address.strip_prefix("0000:") == Some(word.as_str()))
        };
        self.addresses.iter().position(same)
    }

    /// The chip's own number as the driver shows it, 16 digits of hexadecimal: the runtime's UUID without `GPU-`.
    fn unique_id(&self, position: usize) -> Option<String> {
        let address = self.addresses.get(position)?;
        machine::line(&self.sys.join("bus/pci/devices").join(address).join("unique_id"))
    }

    /// What the environment shows to programs of HIP.
    fn shown(&self, search: &Search<'_>) -> Result<Vec<usize>, Refusal> {
        let roots = search.roots;
        let rocr = roots.visible_rocr.as_deref().map(|value| ("ROCR_VISIBLE_DEVICES", value));
        let own = roots.visible_hip.as_deref().map(|value| ("HIP_VISIBLE_DEVICES", value));
        let cuda = roots.visible_gpus.as_deref().map(|value| ("CUDA_VISIBLE_DEVICES", value));
        if self.beside_others && rocr.is_none() && own.is_none() && cuda.is_some() {
            return Ok(Vec::new());
        }
        let hip = own.or(cuda.filter(|_| !self.beside_others));
        let mut shown: Vec<usize> = (0..self.addresses.len()).collect();
        for (variable, value) in rocr.into_iter().chain(hip) {
            shown = self.listed(value, &shown);
            if shown.is_empty() {
                let reason = format!("{variable} is `{value}` and names no GPU");
                return Err((reason, "set metrics.gpu_ids to measure GPUs"));
            }
        }
        Ok(shown)
    }

    /// The GPUs that a list names among `from`, up to the first word that names none, as the runtime does.
    fn listed(&self, value: &str, from: &[usize]) -> Vec<usize> {
        let one = |word: &str| match word.parse::<usize>() {
            Ok(number) => from.get(number).copied(),
            Err(_) => self.named(word).filter(|position| from.contains(position)),
        };
        value.split(',').map_while(|word| one(word.trim())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [&str; 3] = ["0000:03:00.0", "0000:43:00.0", "0000:83:00.0"];

    #[test]
    fn lists_name_gpus_by_number_and_uuid_and_end_at_the_first_that_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("bus/pci/devices/0000:83:00.0");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(device.join("unique_id"), "deadbeefdeadbeef\n").unwrap();
        let inventory = Inventory { sys: dir.path(), addresses: &ADDRESSES, beside_others: false };
        let all = [0, 1, 2];
        assert_eq!(inventory.listed("2, 0", &all), [2, 0]);
        assert_eq!(inventory.listed("1,7,0", &all), [1]);
        assert_eq!(inventory.listed("-1", &all), Vec::<usize>::new());
        assert_eq!(inventory.listed("GPU-DEADBEEFDEADBEEF,0", &all), [2, 0]);
        assert_eq!(inventory.listed("GPU-deadbeefdeadbeef", &[0, 1]), Vec::<usize>::new(), "it is not shown");
        assert_eq!(inventory.listed("1", &[2, 0]), [0], "numbers count what is shown");
        assert_eq!((inventory.named("43:00.0"), inventory.named("0000:83:00.0")), (Some(1), Some(2)));
        assert_eq!((inventory.named(""), inventory.named("GPU-")), (None, None));
    }
}
