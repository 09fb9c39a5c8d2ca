//! One GPU: what it offers, which channels that makes, and how they are read.
//!
//! The energy counter counts; powers stand beside it for cross-checks, or one counts where there is no counter. What
//! is of another scope never counts: a module holds the GPU and the processor beside it, memory is a part of the GPU.

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, Scope};
use ai_energy_core::figure::Provenance;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::super::Found;
use super::NAME;
use super::raw::{Field, Handle};

/// Relative error at 95 % of an uncalibrated card, from published comparisons with external meters.
const GAIN_CI95: f64 = 0.05;

/// Fields of `nvml.h`: total energy by scope in mJ, powers by scope in mW.
const ENERGY: u32 = 191;
const AVERAGE_POWER: u32 = 185;
const INSTANT_POWER: u32 = 186;

/// Scopes of fields in `nvml.h`.
const GPU: u32 = 0;
const MODULE: u32 = 1;
const MEMORY: u32 = 2;

/// NVML counts in thousandths, the record in millionths.
const MICRO: u64 = 1000;

/// What is known beforehand of a GPU's power sensor, by its architecture: spans in ms. From the published measurements
/// of arXiv 2312.02741 and, for the 1 s average, NVIDIA's documentation; `None` where nothing is published.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct PowerSensor {
    /// What `nvmlDeviceGetPowerUsage` averages over.
    pub(super) usage_ms: Option<u32>,
    /// What the instant power averages over.
    pub(super) instant_ms: Option<u32>,
    /// How often the instant power is renewed.
    pub(super) update_ms: Option<f64>,
}

impl PowerSensor {
    /// By compute capability: 10 of 20 ms on Pascal and Volta, 100 of 100 on Turing, 25 of 100 on GA100 and Hopper, 100
    /// of 100 on the rest of Ampere and on Ada. The usual power reading is that on GPUs before Ampere and on GA100, and
    /// a 1 s mean on all others.
    pub(super) fn of(major: i32, minor: i32) -> Self {
        let sensor = |usage, instant, update| Self {
            usage_ms: Some(usage),
            instant_ms: Some(instant),
            update_ms: Some(update),
        };
        match (major, minor) {
            (6, _) | (7, 0..=2) => sensor(10, 10, 20.0),
            (7, _) => sensor(100, 100, 100.0),
            (8, 0) => sensor(25, 25, 100.0),
            (8, _) => sensor(1000, 100, 100.0),
            (9, _) => sensor(1000, 25, 100.0),
            (10.., _) => Self { usage_ms: Some(1000), ..Self::default() },
            _ => Self::default(),
        }
    }

    /// The share of time that the sensor sees, whatever is made of its values later.
    fn seen(self) -> Option<f64> {
        Some((f64::from(self.instant_ms?) / self.update_ms?).min(1.0))
    }
}

/// One GPU and where its values go.
pub(super) struct Gpu {
    pub(super) index: u32,
    pub(super) handle: Handle,
    pub(super) lost: bool,
    energy: Option<usize>,
    power: Option<usize>,
    /// Read in one call, each with the position of its channel.
    fields: Vec<Field>,
    positions: Vec<usize>,
}

/// A channel that a GPU may offer.
struct Offer {
    what: &'static str,
    source: &'static str,
    kind: ChannelKind,
    domain: Domain,
    scope: Scope,
    counts: bool,
}

/// Looks what one GPU offers and adds its channels.
pub(super) fn look(
    nvml: &Nvml,
    index: u32,
    channels: &mut Vec<Channel>,
    found: &mut Found,
) -> Result<Gpu, String> {
    let device = nvml.device_by_index(index).map_err(|error| super::explain(&error).0)?;
    let uuid = device.uuid().map_err(|error| format!("its UUID cannot be read: {error}"))?;
    found.warnings.extend(mig_warning(index, &device));
    let sensor = device.cuda_compute_capability().ok();
    let sensor = sensor.map_or(PowerSensor::default(), |found| PowerSensor::of(found.major, found.minor));
    let (energy, power) = (device.total_energy_consumption(), device.power_usage());
    let handle = Handle::of(&device);
    let fields = offered_fields(&handle, nvml);
    let of_gpu = |id| fields.iter().any(|(field, offer)| *field == id && offer.scope == Scope::Accelerator);
    if let (Err(energy), Err(power)) = (&energy, &power)
        && ![ENERGY, AVERAGE_POWER, INSTANT_POWER].into_iter().any(of_gpu)
    {
        return Err(format!("neither energy ({energy}) nor power ({power}) can be read"));
    }
    let mut add =
        Adder { channels, device: device.name().unwrap_or_default(), uuid, index, sensor, counted: false };
    let mut gpu = Gpu {
        index,
        handle,
        lost: false,
        energy: None,
        power: None,
        fields: Vec::new(),
        positions: Vec::new(),
    };
    gpu.energy = energy.is_ok().then(|| add.channel(COUNTER_OFFER));
    gpu.add_fields(&fields, ENERGY, &mut add);
    gpu.power = power.is_ok().then(|| {
        let kind = ChannelKind::Power { averaging_ms: sensor.usage_ms };
        add.channel(Offer { what: "power", source: "NVML power reading", kind, ..COUNTER_OFFER })
    });
    // The usual power reading is the average where there is one; a second channel of it would tell nothing.
    if gpu.power.is_none() {
        gpu.add_fields(&fields, AVERAGE_POWER, &mut add);
    }
    gpu.add_fields(&fields, INSTANT_POWER, &mut add);
    Ok(gpu)
}

const COUNTER: ChannelKind = ChannelKind::Counter { wrap_microjoules: None };

const COUNTER_OFFER: Offer = Offer {
    what: "energy",
    source: "NVML total-energy counter",
    kind: COUNTER,
    domain: Domain::Gpu,
    scope: Scope::Accelerator,
    counts: true,
};

/// Every field in every scope that could make a channel.
const CANDIDATES: [(u32, u32, Offer); 9] = {
    const POWER: ChannelKind = ChannelKind::Power { averaging_ms: None };
    const fn offer(
        what: &'static str,
        source: &'static str,
        kind: ChannelKind,
        domain: Domain,
        scope: Scope,
    ) -> Offer {
        Offer { what, source, kind, domain, scope, counts: matches!(scope, Scope::Accelerator) }
    }
    use Domain::{Gpu, Node};
    use Scope::{Accelerator, AcceleratorPart, Module};
    [
        (ENERGY, GPU, offer("energy", "NVML total-energy counter", COUNTER, Gpu, Accelerator)),
        (ENERGY, MODULE, offer("module_energy", "NVML module-energy counter", COUNTER, Node, Module)),
        (ENERGY, MEMORY, offer("memory_energy", "NVML memory-energy counter", COUNTER, Gpu, AcceleratorPart)),
        (AVERAGE_POWER, GPU, offer("power", "NVML average power", POWER, Gpu, Accelerator)),
        (
            AVERAGE_POWER,
            MODULE,
            offer("module_average_power", "NVML average module power", POWER, Node, Module),
        ),
        (
            AVERAGE_POWER,
            MEMORY,
            offer("memory_average_power", "NVML average memory power", POWER, Gpu, AcceleratorPart),
        ),
        (INSTANT_POWER, GPU, offer("instant_power", "NVML instant power", POWER, Gpu, Accelerator)),
        (INSTANT_POWER, MODULE, offer("module_power", "NVML instant module power", POWER, Node, Module)),
        (
            INSTANT_POWER,
            MEMORY,
            offer("memory_power", "NVML instant memory power", POWER, Gpu, AcceleratorPart),
        ),
    ]
};

/// The fields that this GPU has, found by reading them once. A scope that a board lacks may also read as nothing.
fn offered_fields(handle: &Handle, nvml: &Nvml) -> Vec<(u32, &'static Offer)> {
    static ALL: [(u32, u32, Offer); 9] = CANDIDATES;
    let mut fields: Vec<Field> = ALL.iter().map(|(id, scope, _)| Field::new(*id, *scope)).collect();
    if handle.read(nvml, &mut fields).is_err() {
        return Vec::new();
    }
    let there = ALL.iter().zip(&fields).filter(|(_, field)| field.value().is_ok_and(|value| value > 0));
    there.map(|((id, _, offer), _)| (*id, offer)).collect()
}

/// Adds the channels of one GPU, each joule counted once.
struct Adder<'a> {
    channels: &'a mut Vec<Channel>,
    device: String,
    uuid: String,
    index: u32,
    sensor: PowerSensor,
    /// A channel counts already.
    counted: bool,
}

impl Adder<'_> {
    fn channel(&mut self, offer: Offer) -> usize {
        let counts = offer.counts && !self.counted;
        self.counted |= counts;
        let contains = if offer.scope == Scope::Module { vec![Domain::Gpu, Domain::Cpu] } else { Vec::new() };
        let is_power = matches!(offer.kind, ChannelKind::Power { .. });
        self.channels.push(Channel {
            name: format!("{NAME}:gpu{}:{}", self.index, offer.what),
            domain: offer.domain,
            device: self.device.clone(),
            device_id: self.uuid.clone(),
            kind: offer.kind,
            provenance: Provenance::Measured,
            source: offer.source.to_owned(),
            gain_ci95: Some(GAIN_CI95),
            counts,
            instrument: Instrument {
                update_period_ms: self.sensor.update_ms.filter(|_| is_power),
                // The counter adds up what the same sensor sees.
                seen_fraction: self.sensor.seen(),
                gain_source: GainSource::Published,
                contains,
                ..Instrument::of(offer.scope)
            },
        });
        self.channels.len() - 1
    }
}

impl Gpu {
    /// Adds the channels of one field in every scope that has it, unless the GPU's own is there already.
    fn add_fields(&mut self, offered: &[(u32, &'static Offer)], id: u32, add: &mut Adder<'_>) {
        for (_, offer) in offered.iter().filter(|(field, _)| *field == id) {
            if id == ENERGY && offer.scope == Scope::Accelerator && self.energy.is_some() {
                continue;
            }
            let averaging_ms = match id {
                AVERAGE_POWER => Some(1000),
                _ => add.sensor.instant_ms,
            };
            let kind = match offer.kind {
                ChannelKind::Power { .. } => ChannelKind::Power { averaging_ms },
                counter => counter,
            };
            let scope = match offer.scope {
                Scope::Module => MODULE,
                Scope::AcceleratorPart => MEMORY,
                _ => GPU,
            };
            self.positions.push(add.channel(Offer { kind, ..**offer }));
            self.fields.push(Field::new(id, scope));
        }
    }

    /// Positions of the channels that are counters.
    pub(super) fn counters<'a>(&'a self, channels: &'a [Channel]) -> impl Iterator<Item = usize> + 'a {
        let is_counter = |position: &usize| {
            channels.get(*position).is_some_and(|channel| matches!(channel.kind, ChannelKind::Counter { .. }))
        };
        self.energy.iter().chain(&self.positions).copied().filter(move |position| is_counter(position))
    }

    /// Reads every channel; one that fails keeps no other from being read. The first error is returned.
    pub(super) fn read(
        &mut self,
        nvml: &Nvml,
        calls: &mut u64,
        out: &mut dyn FnMut(usize, u64),
    ) -> Result<(), NvmlError> {
        let device = self.handle.device(nvml);
        let mut result = Ok(());
        let mut take = |position: usize, value: Result<u64, NvmlError>| match value {
            Ok(value) => out(position, value.saturating_mul(MICRO)),
            Err(error) if result.is_ok() => result = Err(error),
            Err(_) => {}
        };
        if let Some(position) = self.energy {
            *calls += 1;
            take(position, device.total_energy_consumption());
        }
        if let Some(position) = self.power {
            *calls += 1;
            take(position, device.power_usage().map(u64::from));
        }
        if !self.fields.is_empty() {
            *calls += 1;
            match self.handle.read(nvml, &mut self.fields) {
                Ok(()) => {
                    let values = self.positions.iter().zip(&self.fields);
                    values.for_each(|(position, field)| take(*position, field.value()));
                }
                Err(error) => take(0, Err(error)),
            }
        }
        result
    }
}

/// Says that a GPU is split, and names its instances: their joules cannot be told apart.
fn mig_warning(index: u32, device: &Device<'_>) -> Option<String> {
    device.mig_mode().ok().filter(|mode| mode.current == 1)?;
    let places = 0..device.mig_device_count().unwrap_or(0);
    let instances: Vec<String> =
        places.filter_map(|place| device.mig_device_by_index(place).ok()?.uuid().ok()).collect();
    let named = if instances.is_empty() { String::new() } else { format!(" ({})", instances.join(", ")) };
    Some(format!(
        "GPU {index} is split by MIG{named}: its energy is that of all its instances together, counted once"
    ))
}

#[cfg(test)]
mod tests {
    use super::PowerSensor;

    #[test]
    fn power_sensors_are_known_by_architecture() {
        let spans = |major, minor| {
            let sensor = PowerSensor::of(major, minor);
            (sensor.usage_ms, sensor.instant_ms, sensor.seen())
        };
        assert_eq!(spans(7, 0), (Some(10), Some(10), Some(0.5)), "Volta");
        assert_eq!(spans(7, 5), (Some(100), Some(100), Some(1.0)), "Turing");
        assert_eq!(spans(8, 0), (Some(25), Some(25), Some(0.25)), "A100: no 1 s average");
        assert_eq!(spans(8, 9), (Some(1000), Some(100), Some(1.0)), "Ada");
        assert_eq!(spans(9, 0), (Some(1000), Some(25), Some(0.25)), "Hopper");
        assert_eq!(
            spans(12, 0),
            (Some(1000), None, None),
            "Blackwell: nothing is published of its instant power"
        );
        assert_eq!(spans(3, 5), (None, None, None));
    }
}
