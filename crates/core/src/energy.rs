//! The seam for energy sources: what a counter, a power sensor or a model is, and what one reading says.
//!
//! A source is read on the sampler's own thread and returns raw readings. It refuses to integrate: energy over a
//! window is computed from the record alone, so that a stored record gives the same joules again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Stamp};
use crate::figure::Provenance;

/// What a channel's energy is spent in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Accelerators.
    Gpu,
    /// Processor packages.
    Cpu,
    /// Main memory.
    Ram,
    /// The whole machine or a part that no other domain names.
    Node,
}

impl Domain {
    /// The word that reports and files use.
    pub fn word(self) -> &'static str {
        match self {
            Domain::Gpu => "gpu",
            Domain::Cpu => "cpu",
            Domain::Ram => "ram",
            Domain::Node => "node",
        }
    }
}

/// How a channel's values are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ChannelKind {
    /// A counter in microjoules that only rises, and starts again at 0 after `wrap_microjoules` (`None`: never).
    Counter {
        /// The value after which the counter starts again at 0.
        wrap_microjoules: Option<u64>,
    },
    /// A power in microwatts.
    Power {
        /// The span in milliseconds that each value averages over; `None` where unknown or instantaneous.
        averaging_ms: Option<u32>,
    },
}

/// Which joules a channel sees: its place in the tree of what contains what. One table in the crate of the sources
/// decides from it which of several channels counts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What the domain says, and nothing is known about what lies within it.
    #[default]
    Unstated,
    /// A whole machine at its inlet, its power supplies' losses included: a wall meter, a management controller.
    Node,
    /// A whole machine behind its power supply: a battery that discharges, the input rail of a board.
    Board,
    /// The platform as a processor sees it: packages, memory and what else hangs on its regulators.
    Platform,
    /// A module that carries processor and accelerator together.
    Module,
    /// A processor socket with its memory.
    Socket,
    /// A processor package.
    Package,
    /// A part of a package or socket: cores, a rail.
    PackagePart,
    /// Main memory apart.
    Memory,
    /// A whole accelerator, its own memory included.
    Accelerator,
    /// A part of an accelerator: its memory, a rail.
    AcceleratorPart,
}

/// Where a channel's gain error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GainSource {
    /// Not stated.
    #[default]
    Unstated,
    /// Nothing is published about this kind of sensor: the error is an assumption.
    Assumed,
    /// A published comparison with a better instrument.
    Published,
    /// The maker's or the user's word about the instrument.
    Specified,
    /// This very device was compared with a better instrument.
    Calibrated,
}

/// What an error budget starts from, beside the gain's interval.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Instrument {
    /// How often the value is renewed, in milliseconds, where that is known beforehand: a sensor's update period, a
    /// scrape interval. `None`: only the readings tell.
    pub update_period_ms: Option<f64>,
    /// Share of the time that the sensor looks at, above 0 and at most 1; `None` where unknown. A sensor that averages
    /// 25 of every 100 ms sees a quarter.
    pub seen_fraction: Option<f64>,
    /// Where the gain error comes from.
    pub gain_source: GainSource,
    /// What every value is multiplied by, found by calibration; `None` for 1. Raw readings stay as they were read.
    pub gain_factor: Option<f64>,
    /// Which joules it sees.
    pub scope: Scope,
    /// Further domains whose joules lie within this channel's, for example memory within a socket's figure.
    pub contains: Vec<Domain>,
}

impl Instrument {
    /// An instrument of this scope, nothing else known.
    pub fn of(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }
}

/// One thing that a source reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Channel {
    /// Unique name within a run, for example `nvml:gpu0:energy` or `rapl:package-0`.
    pub name: String,
    /// What the energy is spent in.
    pub domain: Domain,
    /// The device in words, for example a GPU's product name; empty where there is nothing to say.
    pub device: String,
    /// A stable identity of the device, for example a GPU's UUID; channels of one device share it.
    pub device_id: String,
    /// How to read the values.
    pub kind: ChannelKind,
    /// How well it is known: `Measured` for an instrument, `Estimated` for a model.
    pub provenance: Provenance,
    /// The source in words for reports, for example `NVML total-energy counter`.
    pub source: String,
    /// Relative gain error of the instrument or model at 95 %, for example 0.05; `None` where nothing is known.
    pub gain_ci95: Option<f64>,
    /// `true` where this channel counts towards its domain. Of several channels that see the same joules one counts;
    /// the others are kept for cross-checks.
    pub counts: bool,
    /// What an error budget and the choice of what counts start from.
    #[serde(default)]
    pub instrument: Instrument,
}

/// One value of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnergyReading {
    /// Index into the run's list of channels.
    #[serde(rename = "c")]
    pub channel: u16,
    /// When it was read.
    #[serde(rename = "t_ns")]
    pub at: Stamp,
    /// Microjoules or microwatts, as the channel's kind says.
    #[serde(rename = "v")]
    pub value: u64,
}

/// What the sampler is to do about a failed reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    /// This once; the next reading may succeed.
    #[error("{0}")]
    Transient(String),
    /// For good; the source is not read again in this run.
    #[error("{0}")]
    Gone(String),
}

/// State of one GPU at a moment, for `gpu_stats` and validity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GpuState {
    /// Device index.
    pub index: u32,
    /// Busy share in percent.
    pub utilization_percent: Option<f64>,
    /// Memory in use, MiB.
    pub memory_used_mib: Option<f64>,
    /// Memory in all, MiB.
    pub memory_total_mib: Option<f64>,
    /// Core temperature, °C.
    pub temperature_c: Option<f64>,
    /// Power draw, W.
    pub power_draw_w: Option<f64>,
    /// Share of time in which memory was read or written, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_utilization_percent: Option<f64>,
    /// Clock of the compute units, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_clock_mhz: Option<u32>,
    /// Clock of the memory, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_mhz: Option<u32>,
    /// What holds the clocks down, in words such as `software_power_cap` or `idle`; empty where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_reasons: Option<Vec<String>>,
    /// The power that the device is held to, W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f64>,
    /// Performance state: 0 is the fastest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_state: Option<u32>,
    /// Processes with work on the device, the measured server among them. A container sees only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_ids: Option<Vec<u32>>,
}

/// [`GpuState`] with the moment it was seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GpuSample {
    /// When it was seen.
    #[serde(rename = "t_ns")]
    pub at: Stamp,
    /// What was seen.
    #[serde(flatten)]
    pub state: GpuState,
}

/// The GPUs as they were last seen within the load, `start..=end`; where the load was shorter than a look, as last seen
/// since it began.
pub fn last_states(samples: &[GpuSample], start: Stamp, end: Stamp) -> Vec<GpuState> {
    let latest = |until: Option<Stamp>| {
        let then = samples.iter().map(|sample| sample.at).filter(|at| *at >= start);
        then.filter(|at| until.is_none_or(|until| *at <= until)).max()
    };
    let Some(last) = latest(Some(end)).or_else(|| latest(None)) else { return Vec::new() };
    samples.iter().filter(|sample| sample.at == last).map(|sample| sample.state.clone()).collect()
}

/// Something that can be read for energy or power. Lives on the sampler's thread alone.
pub trait EnergySource: Send {
    /// The channels this source reads, fixed for its life, in the order that `read` reports them.
    fn channels(&self) -> &[Channel];

    /// Reads every channel once and hands each value to `out` with the channel's position in [`Self::channels`].
    /// The sampler stamps the values. The first call, before the load, may take a fraction of a second and hand each
    /// channel several values, so that the record shows how often a counter moves.
    ///
    /// # Errors
    /// Nothing can be read now, or never again.
    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault>;

    /// [`Self::read`] with the moment of each value. Sources whose values arrive late, from a program or another host,
    /// give the moment they were measured at; moments of one channel ascend. The sampler calls this one.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_stamped(
        &mut self,
        clock: &Clock,
        out: &mut dyn FnMut(usize, Stamp, u64),
    ) -> Result<(), ReadFault> {
        self.read(&mut |position, value| out(position, clock.now(), value))
    }

    /// How long after a moment its value may take to arrive. The sampler waits no longer than this for a last value
    /// after the load.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    /// `true` where no instrument and no model of a real machine is behind it: every report then says so.
    fn is_synthetic(&self) -> bool {
        false
    }

    /// Calls into a driver so far, for the cost of measuring; `None` where nobody counts them.
    fn calls(&self) -> Option<u64> {
        None
    }

    /// The state of the GPUs behind this source; none for other sources. Called about once a second.
    fn gpu_states(&mut self) -> Vec<GpuState> {
        Vec::new()
    }
}

/// A source that could have been there and is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnavailableSource {
    /// The source's name in the registry.
    pub source: String,
    /// What it would have measured.
    pub domain: Domain,
    /// Why it does not.
    pub reason: String,
    /// What would make it available; empty where nothing would.
    pub remedy: String,
}

/// What a look at the machine found.
#[derive(Default)]
pub struct SourceDiscovery {
    /// Sources that can be read.
    pub sources: Vec<Box<dyn EnergySource>>,
    /// Sources that cannot, and why.
    pub unavailable: Vec<UnavailableSource>,
    /// Things the user should know about what was found.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpus_of_a_load_are_those_last_seen_in_it_or_else_since() {
        let look = |at: u64, index: u32| GpuSample {
            at: Stamp(at),
            state: GpuState { index, ..GpuState::default() },
        };
        let looks = [look(1, 0), look(5, 1), look(5, 2), look(9, 3)];
        let seen = |start: u64, end: u64| -> Vec<u32> {
            last_states(&looks, Stamp(start), Stamp(end)).iter().map(|state| state.index).collect()
        };
        assert_eq!(seen(0, 4), [0]);
        assert_eq!(seen(2, 8), [1, 2], "both GPUs of one look");
        assert_eq!(seen(6, 7), [3], "the load was shorter than a look");
        assert!(seen(10, 11).is_empty());
    }
}
