//! NVIDIA GPUs through NVML, loaded when it is looked for: the program starts and runs without it.
//!
//! NVML is initialised once for a source, and a GPU's handle is kept: a reading is one call for the counter, one for the
//! power and one for all fields by scope, without an allocation. Calls are counted.
//!
//! Instances of a GPU split by MIG repeat their parent's figures: only whole GPUs are read, so each joule counts once.
//! Where one GPU of those asked for cannot be read there is no GPU energy: that of the others would pass for all of it.

mod device;
mod raw;
mod select;
mod state;

use ai_energy_core::energy::{Channel, Domain, EnergySource, GpuState, ReadFault, UnavailableSource};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::time::Duration;

use super::probe::{Burst, burst};
use super::{Found, Search, missing};
use crate::options::Roots;
use device::{Gpu, look};
use select::selected;

/// The source's name.
pub(crate) const NAME: &str = "nvml";

/// Counters move every 10 to 100 ms.
const PROBE: Burst = Burst { limit: Duration::from_millis(400), pause: Duration::from_millis(2) };

/// Loads and initialises NVML.
pub(crate) fn open(roots: &Roots) -> Result<Nvml, NvmlError> {
    match &roots.nvml_library {
        Some(path) => Nvml::builder().lib_path(path).init(),
        None => Nvml::init(),
    }
}

/// Looks for GPUs that can be read.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let nvml = match open(search.roots) {
        Ok(nvml) => nvml,
        Err(error) => {
            let (reason, remedy) = explain(&error);
            return Found::unavailable(NAME, Domain::Gpu, reason, remedy);
        }
    };
    let count = match nvml.device_count() {
        Ok(0) => return Found::unavailable(NAME, Domain::Gpu, "NVML sees no GPU", ""),
        Ok(count) => count,
        Err(error) => {
            let (reason, remedy) = explain(&error);
            return Found::unavailable(NAME, Domain::Gpu, reason, remedy);
        }
    };
    let mut found = Found::default();
    let (mut gpus, mut channels) = (Vec::new(), Vec::new());
    let mut refused = Vec::new();
    for index in selected(search, &nvml, count, &mut found) {
        match look(&nvml, index, &mut channels, &mut found) {
            Ok(gpu) => gpus.push(gpu),
            Err(reason) => refused.push((index, reason)),
        }
    }
    let readable: Vec<u32> = gpus.iter().map(|gpu| gpu.index).collect();
    found.unavailable.extend(refused.iter().map(|(index, reason)| refusal(*index, reason, &readable)));
    if gpus.is_empty() && found.unavailable.is_empty() {
        let reason = match (&search.options.gpu_ids, &search.roots.visible_gpus) {
            (None, Some(visible)) => format!("CUDA_VISIBLE_DEVICES is `{visible}` and names no GPU"),
            _ => "metrics.gpu_ids names no GPU".to_owned(),
        };
        let remedy = "set metrics.gpu_ids to measure GPUs";
        found.unavailable.push(missing(NAME, Domain::Gpu, reason, remedy));
    }
    // A domain that lacked a GPU would read as if it had them all: what is refused in part is refused whole.
    if !found.unavailable.is_empty() {
        return found;
    }
    found.source = Some(Box::new(NvmlSource { nvml, gpus, channels, probed: false, calls: 0 }));
    found
}

/// Why the GPU of this index keeps the domain from being measured, and how to measure the `readable` ones alone.
fn refusal(index: u32, reason: &str, readable: &[u32]) -> UnavailableSource {
    let remedy = match readable {
        [] if reason.contains("permission") => PERMISSION.to_owned(),
        [] => String::new(),
        _ => format!("set metrics.gpu_ids to {readable:?} to measure without GPU {index}"),
    };
    missing(NAME, Domain::Gpu, format!("GPU {index}: {reason}"), remedy)
}

/// What opens the GPUs to a user who may not use them.
const PERMISSION: &str = "until the next boot `sudo chmod a+rw /dev/nvidia*`, or for good add this user to the group that owns these \
                          devices (`ls -l /dev/nvidia0`) and log in again; a container needs `--gpus all`";

/// What keeps NVML away, and what to do about it.
fn explain(error: &NvmlError) -> (String, &'static str) {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => (
            "the NVML library cannot be loaded".to_owned(),
            "install the NVIDIA driver, or give the container access to the GPUs (for example `--gpus all`)",
        ),
        NvmlError::DriverNotLoaded => {
            ("the NVIDIA driver is not loaded".to_owned(), "`sudo modprobe nvidia`, then try `nvidia-smi`")
        }
        NvmlError::NoPermission => ("no permission to use NVML".to_owned(), PERMISSION),
        other => (format!("NVML: {other}"), "try `nvidia-smi`"),
    }
}

struct NvmlSource {
    nvml: Nvml,
    gpus: Vec<Gpu>,
    channels: Vec<Channel>,
    probed: bool,
    calls: u64,
}

/// Reads every GPU that is not lost; the fault of one does not keep the others from being read.
fn read_gpus(
    nvml: &Nvml,
    gpus: &mut [Gpu],
    calls: &mut u64,
    out: &mut dyn FnMut(usize, u64),
) -> Result<(), ReadFault> {
    let mut message = None;
    for gpu in gpus.iter_mut().filter(|gpu| !gpu.lost) {
        if let Err(error) = gpu.read(nvml, calls, out) {
            gpu.lost =
                matches!(error, NvmlError::GpuLost | NvmlError::DriverNotLoaded | NvmlError::Uninitialized);
            message.get_or_insert(format!("GPU {}: {error}", gpu.index));
        }
    }
    match message {
        None => Ok(()),
        Some(message) if gpus.iter().all(|gpu| gpu.lost) => Err(ReadFault::Gone(message)),
        Some(message) => Err(ReadFault::Transient(message)),
    }
}

impl EnergySource for NvmlSource {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let Self { nvml, gpus, channels, probed, calls } = self;
        if !std::mem::replace(probed, true) {
            let counters: Vec<usize> = gpus.iter().flat_map(|gpu| gpu.counters(channels)).collect();
            burst(&PROBE, &counters, out, |out| read_gpus(nvml, gpus, calls, out))?;
        }
        read_gpus(nvml, gpus, calls, out)
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls)
    }

    fn gpu_states(&mut self) -> Vec<GpuState> {
        let Self { nvml, gpus, calls, .. } = self;
        let each = gpus.iter().map(|gpu| match gpu.lost {
            // A lost GPU answers nothing, and asking it may take long.
            true => GpuState { index: gpu.index, ..GpuState::default() },
            false => state::state(gpu.index, &gpu.handle.device(nvml), calls),
        });
        each.collect()
    }
}
