//! AMD GPUs through ROCm SMI: the energy accumulator counts, the power reading stands beside it.
//!
//! Both dies of an MI250 are GPUs of their own to the system, but power and energy of the module are told for the first
//! alone; the second tells 0, and its joules are in the first one's figure. Any other GPU that tells 0 cannot be read:
//! 0 J would be a silent loss. A GPU that sleeps is not read.

mod library;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;

use super::amd::{SLEEPS, sleeps, status_file, waking, wanted};
use super::{Found, Search, missing};
use library::{Rocm, RocmError};

/// The source's name.
pub(super) const NAME: &str = "rocm";

/// Nothing is published on the error of these sensors: that of NVIDIA's is assumed.
const GAIN_CI95: f64 = 0.05;

/// The library's names in ROCm's releases.
const LIBRARIES: [&str; 4] =
    ["librocm_smi64.so.7", "librocm_smi64.so.1", "librocm_smi64.so", "/opt/rocm/lib/librocm_smi64.so"];

/// Looks for GPUs that can be read.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let given: Vec<OsString> = match &search.roots.rocm_library {
        Some(path) => vec![path.clone()],
        None => LIBRARIES.iter().map(OsString::from).collect(),
    };
    let rocm = match Rocm::open(given.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>()) {
        Ok(rocm) => rocm,
        // A machine without ROCm needs no word about it.
        Err(RocmError::Missing) => return Found::default(),
        Err(error) => return Found::unavailable(NAME, Domain::Gpu, error.to_string(), remedy(&error)),
    };
    let mut found = Found::default();
    let gpus = match by_address(&rocm) {
        Ok(gpus) => gpus,
        Err(error) => return Found::unavailable(NAME, Domain::Gpu, error.to_string(), remedy(&error)),
    };
    let (mut readers, mut channels, mut refused) = (Vec::new(), Vec::new(), None);
    let addresses: Vec<&str> = gpus.iter().map(|(pci, _)| pci.as_str()).collect();
    for index in wanted(NAME, search, &addresses, &mut found) {
        let (pci, gpu) = &gpus[index];
        let status = status_file(&search.roots.sys, pci);
        let looked = if sleeps(&status) {
            Err((SLEEPS.to_owned(), waking(pci)))
        } else {
            look(&rocm, *gpu, index, pci)
        };
        match looked {
            Ok(Gpu { parts }) if parts.is_empty() => found.warnings.push(format!(
                "GPU {index} ({pci}) is the second die of its module: its energy is in the first one's figure"
            )),
            Ok(Gpu { parts }) => {
                for (channel, value) in parts {
                    readers.push(Reader { gpu: *gpu, value, status: status.clone() });
                    channels.push(channel);
                }
            }
            Err((reason, remedy)) => {
                refused =
                    refused.or(Some(missing(NAME, Domain::Gpu, format!("GPU {index}: {reason}"), remedy)));
            }
        }
    }
    // A domain that lacked a GPU would read as if it had them all: what is refused in part is refused whole.
    match refused {
        Some(refused) => found.unavailable.push(refused),
        None if !channels.is_empty() => found.source = Some(Box::new(RocmSource { rocm, channels, readers })),
        None => {}
    }
    found
}

/// The GPUs in the order of their PCI addresses, which is that of the other source for them.
fn by_address(rocm: &Rocm) -> Result<Vec<(String, u32)>, RocmError> {
    let mut gpus: Vec<(String, u32)> =
        (0..rocm.count()?).map(|gpu| Ok((rocm.pci(gpu)?, gpu))).collect::<Result<_, RocmError>>()?;
    gpus.sort();
    Ok(gpus)
}

fn remedy(error: &RocmError) -> &'static str {
    match error {
        RocmError::Permission => {
            "`sudo usermod -aG render,video $USER` and log in again; a container needs `--device /dev/kfd --device /dev/dri`"
        }
        _ => "try `rocm-smi`",
    }
}

/// What a channel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Energy,
    SocketPower,
    AveragePower,
}

impl Value {
    fn read(self, rocm: &Rocm, gpu: u32) -> Result<u64, RocmError> {
        match self {
            Self::Energy => rocm.energy_microjoules(gpu),
            Self::SocketPower => rocm.socket_microwatts(gpu),
            Self::AveragePower => rocm.average_microwatts(gpu),
        }
    }
}

/// What a GPU offers; nothing where another one tells its joules.
struct Gpu {
    parts: Vec<(Channel, Value)>,
}

fn look(rocm: &Rocm, gpu: u32, index: usize, pci: &str) -> Result<Gpu, (String, String)> {
    let name = rocm.name(gpu).unwrap_or_else(|_| "AMD GPU".to_owned());
    let energy = Value::Energy.read(rocm, gpu);
    let socket = Value::SocketPower.read(rocm, gpu).map(|power| (Value::SocketPower, power));
    let power =
        socket.or_else(|_| Value::AveragePower.read(rocm, gpu).map(|power| (Value::AveragePower, power)));
    let (energy, power) = match (energy, power) {
        (Err(error), Err(_)) => {
            return Err((format!("neither energy nor power: {error}"), remedy(&error).to_owned()));
        }
        (energy, power) => (energy.ok(), power.ok()),
    };
    if energy.unwrap_or(0) == 0 && power.is_none_or(|(_, power)| power == 0) {
        return match name.contains("MI250") {
            true => Ok(Gpu { parts: Vec::new() }),
            false => Err(("it tells 0 for energy and power".to_owned(), "try `rocm-smi`".to_owned())),
        };
    }
    let channel = |what: &str, source: &str, kind: ChannelKind| Channel {
        name: format!("{NAME}:gpu{index}:{what}"),
        domain: Domain::Gpu,
        device: name.clone(),
        device_id: pci.to_owned(),
        kind,
        provenance: Provenance::Measured,
        source: source.to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Accelerator) },
    };
    let mut parts = Vec::new();
    if energy.is_some_and(|energy| energy > 0) {
        let counter = ChannelKind::Counter { wrap_microjoules: None };
        parts.push((channel("energy", "ROCm SMI energy counter", counter), Value::Energy));
    }
    if let Some((value, _)) = power {
        let kind = ChannelKind::Power { averaging_ms: None };
        parts.push((channel("power", "ROCm SMI power reading", kind), value));
    }
    Ok(Gpu { parts })
}

/// What a channel is read from.
struct Reader {
    gpu: u32,
    value: Value,
    /// Where the kernel tells whether the GPU sleeps.
    status: PathBuf,
}

struct RocmSource {
    rocm: Rocm,
    channels: Vec<Channel>,
    /// By channel.
    readers: Vec<Reader>,
}

impl EnergySource for RocmSource {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Reads what can be read; the fault of one GPU does not keep the others from being read.
    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let mut fault = None;
        for (position, reader) in self.readers.iter().enumerate() {
            let said = match sleeps(&reader.status) {
                true => format!("its GPU {SLEEPS}"),
                false => match reader.value.read(&self.rocm, reader.gpu) {
                    Ok(value) => {
                        out(position, value);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
            };
            fault = fault.or_else(|| Some(format!("{}: {said}", self.channels[position].name)));
        }
        fault.map_or(Ok(()), |message| Err(ReadFault::Transient(message)))
    }
}
