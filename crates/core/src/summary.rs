//! What follows from a record: the figures that reports show. Computed by the metrics crate, from the record alone.
//!
//! Field names and units are a contract: `benchmark_report.json` serialises this under `figures`.

mod attribution;
mod codecarbon;
mod curves;
mod health;
mod load;
mod phases;
mod validity;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::energy::Domain;
use crate::figure::Figure;
use crate::record::{ErrorClass, TokenCountSource};

pub use attribution::{PrefillDecode, RequestShare, RequestShares};
pub use codecarbon::CodeCarbonMethod;
pub use curves::{Curves, DomainPower, RequestTimes, TimeBin};
pub use health::{CalibratedClient, ClientBound, Health, Lateness, Sign, ThreadCpu};
pub use load::{Goodput, InterTokenBasis, LoadFigures, Part, ServerFigures, Slice};
pub use phases::{DomainSplit, Efficiency, EnergySplit, IdlePower, PhaseEnergy, Stretch};
pub use validity::{Validity, ValidityCheck, Verdict};

/// Version of the summary's shape; rises when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// How many requests there were and how they ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counts {
    /// All requests that were started.
    pub total: usize,
    /// Complete, with tokens.
    pub successful: usize,
    /// Ended in an error.
    pub failed: usize,
    /// Ended by us before they were complete; neither successful nor failed.
    pub cancelled: usize,
    /// Failed and cancelled ones by class.
    pub errors: BTreeMap<ErrorClass, usize>,
}

/// Tokens of the successful requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tokens {
    /// Prompt tokens; `None` where no request has a count.
    pub prompt: Option<u64>,
    /// Generated tokens; `None` where no request has a count.
    pub completion: Option<u64>,
    /// Prompt tokens that came from the server's cache; `None` where it does not say.
    pub cached_prompt: Option<u64>,
    /// Requests by where their completion count comes from.
    pub completion_sources: BTreeMap<TokenCountSource, usize>,
    /// Successful requests without any completion count.
    pub uncounted: usize,
    /// Generated tokens by the server's own counters over the load, every client's; `None` where it has none.
    #[serde(default)]
    pub server_completion: Option<u64>,
    /// Prompt tokens by the server's own counters over the load; `None` where it has none.
    #[serde(default)]
    pub server_prompt: Option<u64>,
}

/// A distribution with exact percentiles (linear interpolation between order statistics, Hyndman–Fan type 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Distribution {
    /// Unit of every value below.
    pub unit: String,
    /// Number of observations.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Half the width of the mean's 95 % interval (Student's t); `None` below two observations.
    pub mean_ci95: Option<f64>,
    /// Sample standard deviation; `None` below two observations.
    pub standard_deviation: Option<f64>,
    /// Smallest.
    pub min: f64,
    /// Median: half of the values lie below.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// Latencies of the successful requests, in seconds; `None` where nothing could be observed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Latency {
    /// From sending to the first token of any channel. Where the instant was planned beforehand, as in an open loop,
    /// from that instant: what a request waited in the client is part of its latency.
    pub time_to_first_token: Option<Distribution>,
    /// The same to the first token of the answer.
    pub time_to_first_content: Option<Distribution>,
    /// Between consecutive chunks with tokens, all requests together. Where the server counts a chunk's tokens, the
    /// time before it is split equally among them.
    pub inter_token: Option<Distribution>,
    /// (last chunk − first token) ÷ tokens after the first chunk, one value a request. Those are N − n of N tokens where
    /// the first chunk's n are counted, else N − N/k in k chunks: N − 1 for one token a chunk. None for a single chunk.
    pub time_per_output_token: Option<Distribution>,
    /// The same to the end.
    pub end_to_end: Option<Distribution>,
    /// From the planned instant to when a bound on requests in flight let the request go; `None` without planned instants.
    #[serde(default)]
    pub queueing: Option<Distribution>,
    /// From when the request could go to sending: the client's own delay.
    pub schedule_lag: Option<Distribution>,
    /// Why these latencies are the client's as well as the server's; `None` where the client is not known to have limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_bound: Option<String>,
}

/// Work per time over the load window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Throughput {
    /// Generated tokens per second.
    pub output_tokens_per_second: Figure,
    /// Prompt and generated tokens per second.
    pub total_tokens_per_second: Figure,
    /// Successful requests per second.
    pub requests_per_second: Figure,
}

/// Energy of one domain over the load window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DomainEnergy {
    /// What it was spent in.
    pub domain: Domain,
    /// Energy, J.
    pub energy: Figure,
    /// Mean power, W.
    pub mean_power: Figure,
    /// Largest power seen between two readings, W.
    pub peak_power: Figure,
    /// Energy per successful request, J.
    pub per_request: Figure,
    /// Energy per generated token, J.
    pub per_output_token: Figure,
}

/// Energy of one channel over the load window, counted or kept for a cross-check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChannelEnergy {
    /// The channel's name.
    pub channel: String,
    /// Its domain.
    pub domain: Domain,
    /// `true` where it counts towards the domain.
    pub counts: bool,
    /// Energy, J.
    pub energy: Figure,
    /// Readings used.
    pub readings: usize,
}

/// Energy of the run and what follows from it. Shares divide the window's whole energy by what succeeded in it, since
/// the energy of failed requests was spent for the successful ones' sake; `failed` counts stand beside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Energy {
    /// By domain: always GPU, CPU and RAM, each perhaps unavailable; the node where a source sees it.
    pub domains: Vec<DomainEnergy>,
    /// By channel.
    pub channels: Vec<ChannelEnergy>,
    /// Sum of the domains, J. Its reason names those that were never measured; unavailable where one was lost midway.
    pub total: Figure,
    /// GPU energy per successful request, J.
    pub gpu_per_request: Figure,
    /// GPU energy per generated token, J.
    pub gpu_per_output_token: Figure,
    /// Total energy per successful request, J.
    pub per_request: Figure,
    /// Total energy per generated token, J.
    pub per_output_token: Figure,
    /// Total energy per prompt or generated token, J.
    pub per_token: Figure,
    /// Generated tokens per joule of total energy.
    pub output_tokens_per_joule: Figure,
    /// Total energy per 1000 successful requests, Wh.
    pub wh_per_1000_requests: Figure,
    /// What servers reported by themselves, summed over the requests that carry it, J.
    pub server_reported: Option<Figure>,
    /// Idle power of each domain; empty where idling was not measured.
    #[serde(default)]
    pub idle: Vec<IdlePower>,
    /// Gross, idle and net energy of each stretch of the run.
    #[serde(default)]
    pub phases: Vec<PhaseEnergy>,
    /// What follows from energy, work and time.
    #[serde(default)]
    pub efficiency: Efficiency,
    /// Energy by kind of work.
    #[serde(default)]
    pub prefill_decode: PrefillDecode,
    /// Energy by request.
    #[serde(default)]
    pub requests: RequestShares,
}

impl Energy {
    /// The energy of one stretch of the run.
    pub fn phase(&self, phase: Stretch) -> Option<&PhaseEnergy> {
        self.phases.iter().find(|entry| entry.phase == phase)
    }
}

/// Emissions of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Carbon {
    /// CO2-equivalent of the total energy, g.
    pub emissions: Figure,
    /// Emissions per successful request, g.
    pub emissions_per_request: Figure,
    /// Emissions per generated token, g.
    pub emissions_per_output_token: Figure,
    /// Grid intensity used, g/kWh.
    pub intensity: Figure,
    /// Country, ISO 3166 alpha-3; `None` where unknown.
    pub country_iso_code: Option<String>,
    /// The country's name.
    pub country_name: Option<String>,
    /// Region within the country, where one was used.
    pub region: Option<String>,
    /// Year the intensity is of.
    pub intensity_year: Option<u16>,
    /// Licence and attribution of the intensity's source, where it has one.
    #[serde(default)]
    pub licence: Option<String>,
    /// Power usage effectiveness that the energy was multiplied by for the emissions.
    pub pue: f64,
    /// Water usage effectiveness, litres per kWh of the machine's energy, where it was given.
    #[serde(default)]
    pub wue: Option<f64>,
    /// Water used on site, L: total energy × water usage effectiveness.
    #[serde(default)]
    pub water: Figure,
}

/// Something the reader should know before trusting a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Warning {
    /// A short stable name, for example `window_too_short`.
    pub id: String,
    /// What was seen.
    pub message: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

/// All figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// Length of the load window, s.
    pub duration: Figure,
    /// Requests.
    pub counts: Counts,
    /// Tokens.
    pub tokens: Tokens,
    /// Latencies.
    pub latency: Latency,
    /// Throughput.
    pub throughput: Throughput,
    /// How the load went.
    #[serde(default)]
    pub load: LoadFigures,
    /// The client's health: whether latencies are the server's or the client's.
    #[serde(default)]
    pub health: Health,
    /// Energy.
    pub energy: Energy,
    /// Emissions.
    pub carbon: Carbon,
    /// The same run by CodeCarbon's method, with `metrics.type: codecarbon`.
    #[serde(default)]
    pub codecarbon: Option<CodeCarbonMethod>,
    /// Whether the energy figures can be relied on.
    #[serde(default)]
    pub validity: Validity,
    /// What to know.
    pub warnings: Vec<Warning>,
    /// What charts are drawn from; empty until reports are to be written, and never in the summary's JSON.
    #[serde(skip)]
    pub curves: Curves,
}

impl Summary {
    /// The energy of one domain, where the summary has it.
    pub fn domain(&self, domain: Domain) -> Option<&DomainEnergy> {
        self.energy.domains.iter().find(|entry| entry.domain == domain)
    }
}
