//! What a script may say: devices with their powers over time, and what goes wrong when.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Return codes of `nvml.h` that scripts use.
pub mod code {
    /// The handle or an argument is not valid.
    pub const INVALID_ARGUMENT: u32 = 2;
    /// The device has no such feature.
    pub const NOT_SUPPORTED: u32 = 3;
    /// This user may not.
    pub const NO_PERMISSION: u32 = 4;
    /// Nothing by that name.
    pub const NOT_FOUND: u32 = 6;
    /// A buffer is too small; its count says what is needed.
    pub const INSUFFICIENT_SIZE: u32 = 7;
    /// The kernel driver is not loaded.
    pub const DRIVER_NOT_LOADED: u32 = 9;
    /// The device fell off the bus.
    pub const GPU_IS_LOST: u32 = 15;
    /// Anything else.
    pub const UNKNOWN: u32 = 999;
}

/// What a fake library answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// What `nvmlSystemGetDriverVersion` says.
    pub driver_version: String,
    /// A file that holds the time in nanoseconds as decimal digits, in the monotonic clock's place.
    pub clock_file: Option<PathBuf>,
    /// A file to which the name of each function is appended when it is called.
    pub calls_file: Option<PathBuf>,
    /// The GPUs, by index.
    pub devices: Vec<Device>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    /// One GPU of 250 W.
    fn default() -> Self {
        Self {
            driver_version: "999.01".to_owned(),
            clock_file: None,
            calls_file: None,
            devices: vec![Device::new(0, 250.0)],
            faults: Vec::new(),
        }
    }
}

/// A power over time: points `(seconds, watts)` by time, joined by straight lines; constant before the first and after
/// the last. Two points of one time make a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Curve(pub Vec<(f64, f64)>);

impl Curve {
    /// The same power at all times.
    pub fn constant(watts: f64) -> Self {
        Self(vec![(0.0, watts)])
    }

    /// Levels that each hold from their time on, the first one also before it.
    pub fn steps(levels: &[(f64, f64)]) -> Self {
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(2 * levels.len());
        for (from, watts) in levels {
            let before = points.last().map(|(_, before)| (*from, *before));
            points.extend(before);
            points.push((*from, *watts));
        }
        Self(points)
    }
}

/// An energy counter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counter {
    /// Its value at time 0, mJ.
    pub start_mj: u64,
    /// It shows the energy up to the last multiple of this time.
    pub tick_ms: f64,
    /// When it starts again at 0, s.
    pub resets_s: Vec<f64>,
}

impl Default for Counter {
    fn default() -> Self {
        Self { start_mj: 1_000_000, tick_ms: 20.0, resets_s: Vec::new() }
    }
}

/// A power reading: it changes every `update_ms` to the mean over the `window_ms` before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// Time between two new values.
    pub update_ms: f64,
    /// Time that a value averages over; 0 for the power of that instant.
    pub window_ms: f64,
}

/// What fields of another scope than the GPU's tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// 1 for the module, 2 for the memory.
    pub scope: u32,
    /// Its power.
    pub power: Curve,
    /// Its counter (field 191).
    #[serde(default)]
    pub counter: Option<Counter>,
    /// Its average power (field 185).
    #[serde(default)]
    pub average: Option<Sensor>,
    /// Its instant power (field 186).
    #[serde(default)]
    pub instant: Option<Sensor>,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its UUID.
    pub uuid: String,
    /// Its PCI bus id, for example `00000000:3B:00.0`.
    pub pci_bus_id: String,
    /// Its product name.
    pub name: String,
    /// CUDA compute capability, major and minor.
    pub capability: (i32, i32),
    /// Its true power.
    pub power: Curve,
    /// What its counter and sensors multiply the truth by.
    #[serde(default = "one")]
    pub gain: f64,
    /// The total-energy counter and field 83.
    #[serde(default)]
    pub counter: Option<Counter>,
    /// What `nvmlDeviceGetPowerUsage` reads.
    #[serde(default)]
    pub power_usage: Option<Sensor>,
    /// Field 185.
    #[serde(default)]
    pub average: Option<Sensor>,
    /// Field 186.
    #[serde(default)]
    pub instant: Option<Sensor>,
    /// Module and memory.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// UUIDs of its MIG instances; MIG is on where there are any. `None`: it knows no MIG.
    #[serde(default)]
    pub mig: Option<Vec<String>>,
    /// What else it tells, by time; the last that has begun holds.
    #[serde(default)]
    pub states: Vec<State>,
}

fn one() -> f64 {
    1.0
}

impl Device {
    /// A Hopper GPU of constant power with a counter of 20 ms, a 1 s average power and one state.
    pub fn new(index: u32, watts: f64) -> Self {
        Self {
            uuid: format!("GPU-{index:08}-fake"),
            pci_bus_id: format!("00000000:{:02X}:00.0", 0x3b + index),
            name: format!("Fake GPU {index}"),
            capability: (9, 0),
            power: Curve::constant(watts),
            gain: 1.0,
            counter: Some(Counter::default()),
            power_usage: Some(Sensor { update_ms: 100.0, window_ms: 1000.0 }),
            average: None,
            instant: None,
            scopes: Vec::new(),
            mig: None,
            states: vec![State::default()],
        }
    }
}

/// Utilisation, memory, clocks and the like from one moment on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Since when, s.
    pub from_s: f64,
    /// Busy share, percent.
    pub gpu_percent: u32,
    /// Share of time in which memory was read or written, percent.
    pub memory_percent: u32,
    /// Bytes in use.
    pub memory_used: u64,
    /// Bytes in all.
    pub memory_total: u64,
    /// Core temperature, °C.
    pub temperature_c: u32,
    /// SM clock, MHz.
    pub sm_mhz: u32,
    /// Memory clock, MHz.
    pub memory_mhz: u32,
    /// Throttle reasons as NVML's bits.
    pub throttle: u64,
    /// Enforced power limit, mW.
    pub power_limit_mw: u32,
    /// Performance state, 0 to 15.
    pub performance_state: u32,
    /// Processes with work on it.
    pub processes: Vec<u32>,
}

impl Default for State {
    /// A GPU at work.
    fn default() -> Self {
        Self {
            from_s: 0.0,
            gpu_percent: 87,
            memory_percent: 40,
            memory_used: 6 << 30,
            memory_total: 24 << 30,
            temperature_c: 61,
            sm_mhz: 1980,
            memory_mhz: 2619,
            throttle: 0,
            power_limit_mw: 700_000,
            performance_state: 0,
            processes: vec![4242],
        }
    }
}

/// Something that goes wrong with calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The function's name, or `*` for every function that takes a device.
    pub call: String,
    /// The device's index; `None` for all.
    pub device: Option<u32>,
    /// Since when, s.
    pub from_s: f64,
    /// Until when, s; `None` for good.
    pub until_s: Option<f64>,
    /// So many calls of the function (with the device) answer before it begins.
    pub after_calls: u64,
    /// What is returned: one of [`code`]; 0 answers as usual, after the hang.
    pub code: u32,
    /// How long the call takes before it answers, s; a minute at most.
    pub hang_s: f64,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            call: "*".to_owned(),
            device: None,
            from_s: -1e9,
            until_s: None,
            after_calls: 0,
            code: 0,
            hang_s: 0.0,
        }
    }
}
