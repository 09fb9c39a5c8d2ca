//! AMD GPUs through the kernel driver's hardware monitor: power, and an energy counter where the driver has one.
//!
//! `power1_average` is an average over an unstated time, `power1_input` the present value; newer GPUs have only the
//! latter. On a processor with graphics inside, the driver's power is the whole package's (kernel documentation,
//! "amdgpu: HWMON interfaces"): that one is refused, since it would pass the processor's joules for the GPU's. A GPU
//! that sleeps is not read.

use std::path::Path;

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, Scope};
use ai_energy_core::figure::Provenance;

use super::amd::{SLEEPS, sleeps, status_file, waking, wanted};
use super::sysfs::{Files, Value, attribute, device_name, monitors, opening, refusal};
use super::{Found, Search, missing};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "amdgpu";

/// Nothing is published on the error of these sensors: that of NVIDIA's is assumed.
const GAIN_CI95: f64 = 0.05;

/// Looks for GPUs that can be read.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let mut gpus: Vec<_> = monitors(&search.roots.sys, "amdgpu")
        .into_iter()
        .filter_map(|monitor| Some((device_name(&monitor)?, monitor)))
        .collect();
    gpus.sort();
    let mut found = Found::default();
    let (integrated, discrete): (Vec<_>, Vec<_>) = gpus.into_iter().partition(|(_, gpu)| is_integrated(gpu));
    for (pci, _) in &integrated {
        let reason = format!("the GPU at {pci} is inside the processor: its power is the whole package's");
        found.unavailable.push(missing(NAME, Domain::Gpu, reason, "see the cpu figure (rapl)"));
    }
    let mut parts = Vec::new();
    let mut refused = None;
    let addresses: Vec<&str> = discrete.iter().map(|(pci, _)| pci.as_str()).collect();
    for index in wanted(NAME, search, &addresses, &mut found) {
        let (pci, monitor) = &discrete[index];
        match look(index, pci, monitor, &status_file(&search.roots.sys, pci)) {
            Ok(channels) => parts.extend(channels),
            Err((reason, remedy)) => {
                refused =
                    refused.or(Some(missing(NAME, Domain::Gpu, format!("GPU {index}: {reason}"), remedy)));
            }
        }
    }
    // A domain that lacked a GPU would read as if it had them all: what is refused in part is refused whole.
    match refused {
        Some(refused) => found.unavailable.push(refused),
        None if !parts.is_empty() => found.source = Some(Box::new(Files::new(parts))),
        None => {}
    }
    found
}

/// Graphics inside a processor: the driver shows the northbridge's voltage for these alone.
fn is_integrated(monitor: &Path) -> bool {
    attribute(monitor, &["in1_label"]).and_then(|file| machine::line(&file)).as_deref() == Some("vddnb")
        || attribute(monitor, &["in1_input"]).is_some()
}

/// The channels of one GPU, each with a first reading that went well.
fn look(
    index: usize,
    pci: &str,
    monitor: &Path,
    status: &Path,
) -> Result<Vec<(Channel, Value)>, (String, String)> {
    if sleeps(status) {
        return Err((format!("the GPU at {pci} {SLEEPS}"), waking(pci)));
    }
    let value = |names: &[&str]| {
        attribute(monitor, names).map(|file| Value::Awake { file, status: status.to_owned() })
    };
    let energy = value(&["energy1_input"]);
    let power = value(&["power1_average", "power1_input"]);
    if energy.is_none() && power.is_none() {
        let reason = format!("the driver shows neither power nor energy at {pci}");
        return Err((reason, "use a newer kernel, or the source rocm".to_owned()));
    }
    let name = attribute(monitor, &["product_name"]).and_then(|file| machine::line(&file));
    let counter = ChannelKind::Counter { wrap_microjoules: None };
    let sampled = ChannelKind::Power { averaging_ms: None };
    let kinds = [
        (energy, "energy", "amdgpu energy counter", counter),
        (power, "power", "amdgpu power reading", sampled),
    ];
    let mut parts = Vec::new();
    for (value, what, source, kind) in kinds {
        let Some(value) = value else { continue };
        if let Err(error) = value.read() {
            return Err(refusal(value.path(), &error, &opening(value.path())));
        }
        let channel = Channel {
            name: format!("{NAME}:gpu{index}:{what}"),
            domain: Domain::Gpu,
            device: name.clone().unwrap_or_else(|| "AMD GPU".to_owned()),
            device_id: pci.to_owned(),
            kind,
            provenance: Provenance::Measured,
            source: source.to_owned(),
            gain_ci95: Some(GAIN_CI95),
            counts: true,
            instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Accelerator) },
        };
        parts.push((channel, value));
    }
    Ok(parts)
}
