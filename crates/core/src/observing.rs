//! What observing a run cost and how it went: the sampler and its sources.
//!
//! Refuses to judge it: the summary does.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// What sampling cost and how it went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SamplerStats {
    /// Rounds of readings.
    pub rounds: u64,
    /// CPU time of the sampling thread, s; `None` where the system does not tell.
    pub cpu_seconds: Option<f64>,
    /// Longest time between two readings within the load phase, s; `None` where there were no two.
    pub longest_gap_seconds: Option<f64>,
    /// Failed readings, one entry a source.
    pub faults: Vec<SamplerFault>,
    /// What each source's readings cost.
    #[serde(default)]
    pub sources: Vec<SourceCost>,
    /// Pauses in which the whole machine slept. The run's clock stands still in them.
    #[serde(default)]
    pub suspensions: Vec<Suspension>,
}

/// What reading one source cost over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceCost {
    /// Name of the source's first channel.
    pub channel: String,
    /// Rounds in which it was read.
    pub reads: u64,
    /// Time spent in its readings, waiting included, s.
    pub seconds: f64,
    /// Calls into its driver; `None` where nobody counts them.
    pub calls: Option<u64>,
}

/// A pause in which the whole machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Suspension {
    /// The last reading before it, on the run's clock.
    #[serde(rename = "after_ns")]
    pub after: Stamp,
    /// The first reading since.
    #[serde(rename = "before_ns")]
    pub before: Stamp,
    /// How long it slept, s.
    pub seconds: f64,
}

/// Failed readings of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SamplerFault {
    /// Name of the source's first channel.
    pub channel: String,
    /// The first message, or the one that ended the source.
    pub message: String,
    /// How many readings failed.
    pub count: u64,
    /// `true` where the source was given up.
    pub gone: bool,
}
