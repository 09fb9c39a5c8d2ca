//! NVIDIA GPUs through NVML, loaded when it is looked for: the program starts and runs without it.
//!
//! The energy counter counts; the power reading stands beside it for a cross-check, or counts where a GPU has no
//! counter. Power is a 1 s mean on Hopper and most of Ampere and newer, which the channel states. NVML is initialised
//! once.
//!
//! Instances of a GPU split by MIG repeat their parent's figures: only whole GPUs are read, so each joule counts once.
//! Where one GPU of those asked for cannot be read there is no GPU energy: that of the others would pass for all of it.

use std::collections::BTreeSet;

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, GpuState, Instrument, ReadFault, Scope,
    UnavailableSource,
};
use ai_energy_core::figure::Provenance;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use std::time::Duration;

use super::probe::{Burst, burst};
use super::{Found, Search, missing};
use crate::options::Roots;

/// The source's name.
pub(super) const NAME: &str = "nvml";

/// Relative error at 95 % of an uncalibrated card, from published comparisons with external meters.
const GAIN_CI95: f64 = 0.05;

/// Counters move every 10 to 100 ms.
const PROBE: Burst = Burst { limit: Duration::from_millis(400), pause: Duration::from_millis(2) };

const MIB: f64 = 1_048_576.0;

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
    found.source = Some(Box::new(NvmlSource { nvml, gpus, channels, probed: false }));
    found
}

/// Why the GPU of this index keeps the domain from being measured, and how to measure the `readable` ones alone.
fn refusal(index: u32, reason: &str, readable: &[u32]) -> UnavailableSource {
    let remedy = match readable {
        [] => String::new(),
        _ => format!("set metrics.gpu_ids to {readable:?} to measure without GPU {index}"),
    };
    missing(NAME, Domain::Gpu, format!("GPU {index}: {reason}"), remedy)
}

/// What keeps NVML away, and what to do about it.
fn explain(error: &NvmlError) -> (String, &'static str) {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => (
            "the NVML library cannot be loaded".to_owned(),
            "install the NVIDIA driver, or give the container access to the GPUs (for example `--gpus all`)",
        ),
        NvmlError::DriverNotLoaded => {
            ("the NVIDIA driver is not loaded".to_owned(), "load it, then try `nvidia-smi`")
        }
        NvmlError::NoPermission => {
            ("no permission to use NVML".to_owned(), "give this user access to the /dev/nvidia* devices")
        }
        other => (format!("NVML: {other}"), "try `nvidia-smi`"),
    }
}

/// Indices of the GPUs to read: the option's, else those of `CUDA_VISIBLE_DEVICES`, else all.
fn selected(search: &Search<'_>, nvml: &Nvml, count: u32, found: &mut Found) -> BTreeSet<u32> {
    let wanted: BTreeSet<u32> = match (&search.options.gpu_ids, &search.roots.visible_gpus) {
        (Some(ids), _) => ids.iter().copied().collect(),
        (None, Some(visible)) => visible_gpus(visible, nvml, count, found),
        (None, None) => (0..count).collect(),
    };
    let (there, absent): (BTreeSet<u32>, BTreeSet<u32>) =
        wanted.into_iter().partition(|index| *index < count);
    for index in absent {
        let reason = format!("GPU {index} is not there; NVML sees {count}");
        found.unavailable.push(missing(NAME, Domain::Gpu, reason, "correct metrics.gpu_ids"));
    }
    there
}

/// Reads `CUDA_VISIBLE_DEVICES`: indices, UUIDs or beginnings of UUIDs, up to the first that names no GPU, as CUDA does.
/// An instance of MIG stands for its parent.
fn visible_gpus(value: &str, nvml: &Nvml, count: u32, found: &mut Found) -> BTreeSet<u32> {
    // By index: a GPU that cannot be read keeps its place, or those after it would be taken for others.
    let devices: Vec<Option<Device<'_>>> = (0..count).map(|index| nvml.device_by_index(index).ok()).collect();
    let uuids: Vec<Option<String>> =
        devices.iter().map(|device| device.as_ref().and_then(|device| device.uuid().ok())).collect();
    let names: BTreeSet<String> = devices.iter().flatten().filter_map(|device| device.name().ok()).collect();
    let mut indices = BTreeSet::new();
    for word in value.split(',').map(str::trim) {
        let index = if word.starts_with("MIG-") {
            nvml.device_by_uuid(word)
                .and_then(|part| part.mig_parent_device())
                .and_then(|gpu| gpu.index())
                .ok()
        } else if word.starts_with("GPU-") {
            let named = |uuid: &Option<String>| uuid.as_ref().is_some_and(|uuid| uuid.starts_with(word));
            uuids.iter().position(named).and_then(|index| u32::try_from(index).ok())
        } else {
            word.parse().ok().filter(|index| *index < count)
        };
        let Some(index) = index else {
            // CUDA may well see this one, though its identity is kept from us.
            if word.contains('-') && uuids.contains(&None) {
                let reason =
                    format!("CUDA_VISIBLE_DEVICES names `{word}`, and not every GPU's UUID can be read");
                let remedy = "name the GPUs by their index in metrics.gpu_ids";
                found.unavailable.push(missing(NAME, Domain::Gpu, reason, remedy));
            }
            break;
        };
        if names.len() > 1 && !word.contains('-') {
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

/// One GPU and where its values go.
struct Gpu {
    index: u32,
    energy: Option<usize>,
    power: Option<usize>,
    lost: bool,
}

/// Looks what one GPU offers and adds its channels.
fn look(nvml: &Nvml, index: u32, channels: &mut Vec<Channel>, found: &mut Found) -> Result<Gpu, String> {
    let device = nvml.device_by_index(index).map_err(|error| explain(&error).0)?;
    let name = device.name().unwrap_or_default();
    let uuid = device.uuid().map_err(|error| format!("its UUID cannot be read: {error}"))?;
    if device.mig_mode().is_ok_and(|mode| mode.current == 1) {
        found
            .warnings
            .push(format!("GPU {index} is split by MIG: its energy is that of all its instances together"));
    }
    let has_energy = device.total_energy_consumption();
    let has_power = device.power_usage();
    if let (Err(energy), Err(power)) = (&has_energy, &has_power) {
        return Err(format!("neither energy ({energy}) nor power ({power}) can be read"));
    }
    let mut add = |what: &str, source: &str, kind: ChannelKind, counts: bool| {
        channels.push(Channel {
            name: format!("{NAME}:gpu{index}:{what}"),
            domain: Domain::Gpu,
            device: name.clone(),
            device_id: uuid.clone(),
            kind,
            provenance: Provenance::Measured,
            source: source.to_owned(),
            gain_ci95: Some(GAIN_CI95),
            counts,
            instrument: Instrument {
                gain_source: GainSource::Published,
                ..Instrument::of(Scope::Accelerator)
            },
        });
        channels.len() - 1
    };
    let counter = ChannelKind::Counter { wrap_microjoules: None };
    let energy = has_energy.is_ok().then(|| add("energy", "NVML total-energy counter", counter, true));
    let kind = ChannelKind::Power { averaging_ms: averaging_ms(&device) };
    let power = has_power.is_ok().then(|| add("power", "NVML power reading", kind, energy.is_none()));
    Ok(Gpu { index, energy, power, lost: false })
}

/// The span that the power reading averages over, by compute capability: 10 ms on Pascal and Volta, 100 ms on Turing,
/// 25 ms on GA100, 1 s on the rest of Ampere and everything newer. `None` for older and unknown GPUs.
fn averaging_ms(device: &Device<'_>) -> Option<u32> {
    let capability = device.cuda_compute_capability().ok()?;
    match (capability.major, capability.minor) {
        (6, _) | (7, 0..=2) => Some(10),
        (7, _) => Some(100),
        (8, 0) => Some(25),
        (8.., _) => Some(1000),
        _ => None,
    }
}

struct NvmlSource {
    nvml: Nvml,
    gpus: Vec<Gpu>,
    channels: Vec<Channel>,
    probed: bool,
}

/// Reads every GPU that is not lost; the fault of one does not keep the others from being read.
fn read_gpus(nvml: &Nvml, gpus: &mut [Gpu], out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
    let mut message = None;
    for gpu in gpus.iter_mut().filter(|gpu| !gpu.lost) {
        if let Err(error) = read_gpu(nvml, gpu, out) {
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

fn read_gpu(nvml: &Nvml, gpu: &Gpu, out: &mut dyn FnMut(usize, u64)) -> Result<(), NvmlError> {
    let device = nvml.device_by_index(gpu.index)?;
    // NVML counts in thousandths; the record in millionths.
    if let Some(position) = gpu.energy {
        out(position, device.total_energy_consumption()?.saturating_mul(1000));
    }
    if let Some(position) = gpu.power {
        out(position, u64::from(device.power_usage()?) * 1000);
    }
    Ok(())
}

impl EnergySource for NvmlSource {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let Self { nvml, gpus, probed, .. } = self;
        if !std::mem::replace(probed, true) {
            let counters: Vec<usize> = gpus.iter().filter_map(|gpu| gpu.energy).collect();
            burst(&PROBE, &counters, out, |out| read_gpus(nvml, gpus, out))?;
        }
        read_gpus(nvml, gpus, out)
    }

    fn gpu_states(&mut self) -> Vec<GpuState> {
        let state = |index: u32| {
            let device = self.nvml.device_by_index(index).ok()?;
            let memory = device.memory_info().ok();
            Some(GpuState {
                index,
                utilization_percent: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu)),
                memory_used_mib: memory.as_ref().map(|memory| memory.used as f64 / MIB),
                memory_total_mib: memory.as_ref().map(|memory| memory.total as f64 / MIB),
                temperature_c: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
                power_draw_w: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1000.0),
                ..GpuState::default()
            })
        };
        self.gpus
            .iter()
            .map(|gpu| state(gpu.index).unwrap_or(GpuState { index: gpu.index, ..GpuState::default() }))
            .collect()
    }
}
