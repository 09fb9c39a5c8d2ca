//! The client's health: whether a run's latencies are the server's, or those of the program that measured them.
//!
//! Refuses to know how any of it is found.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// Whether the client limited the load or its latencies.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ClientBound {
    /// Nothing was observed that could tell.
    #[default]
    Unknown,
    /// No sign of it.
    No,
    /// A sign is beyond the threshold from which on it may.
    Maybe,
    /// A sign is beyond the threshold from which on it does: latencies are the client's as well as the server's.
    Yes,
}

impl ClientBound {
    /// The word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            ClientBound::Unknown => "unknown",
            ClientBound::No => "no",
            ClientBound::Maybe => "maybe",
            ClientBound::Yes => "yes",
        }
    }
}

/// How late something was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Lateness {
    /// How many were observed.
    pub count: u64,
    /// Median, s.
    pub p50: Figure,
    /// 99th percentile, s.
    pub p99: Figure,
    /// Largest, s.
    pub max: Figure,
}

/// One sign that was held against its thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sign {
    /// A short stable name, for example `event_loop_delay`.
    pub name: String,
    /// What was seen.
    pub value: Figure,
    /// From this value on the client may limit; `None` where the sign has no such threshold.
    pub maybe_from: Option<f64>,
    /// From this value on it does.
    pub yes_from: Option<f64>,
    /// What this sign says alone.
    pub verdict: ClientBound,
    /// In words.
    pub words: String,
}

/// CPU time of the threads of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThreadCpu {
    /// Their name.
    pub name: String,
    /// How many there are.
    pub threads: usize,
    /// CPU time, s.
    pub cpu: Figure,
    /// Time in which they were ready to run and waited for a processor, s.
    pub waited: Figure,
}

/// What a calibration found of this client on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CalibratedClient {
    /// When it was made.
    pub made_at: String,
    /// Processors that the client had then.
    pub cores: f64,
    /// Streams at a time that it kept within its bounds.
    pub streams: Figure,
    /// Tokens a second.
    pub tokens_per_second: Figure,
    /// Requests a second.
    pub requests_per_second: Figure,
    /// Its error of the time to first token within those limits, s, p50.
    pub ttft_error_p50: Figure,
    /// The same, p99.
    pub ttft_error_p99: Figure,
    /// Its absolute error of the time between tokens, s, p50.
    pub inter_token_error_p50: Figure,
    /// The same, p99.
    pub inter_token_error_p99: Figure,
}

/// The client's health.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Health {
    /// Whether the client limited.
    pub client_bound: ClientBound,
    /// Why, in words: the signs that say `maybe` or `yes`, else what was looked at.
    pub reasons: Vec<String>,
    /// Where the thresholds come from.
    pub thresholds: String,
    /// Every sign that could be looked at.
    pub signs: Vec<Sign>,
    /// From when a request could go to sending, making a connection included.
    pub schedule_lag: Lateness,
    /// Making a connection, of the requests that needed one: names, TCP, a proxy, TLS.
    pub connecting: Lateness,
    /// The client's own delay before a request: schedule lag without making a connection.
    pub own_delay: Lateness,
    /// How late the load's event loop ran what was due.
    pub event_loop_delay: Lateness,
    /// CPU time of the process over the load, s.
    pub cpu: Figure,
    /// Of it in the program's own code, s.
    pub cpu_user: Figure,
    /// Of it in the kernel, s.
    pub cpu_system: Figure,
    /// Processors that the process may use.
    pub cores: Figure,
    /// CPU time as a share of what those gave, 0 to 1.
    pub cpu_share: Figure,
    /// CPU time a generated token, µs.
    pub cpu_per_output_token: Figure,
    /// CPU time by the threads' names.
    pub threads: Vec<ThreadCpu>,
    /// Connections that were made.
    pub connections_opened: Figure,
    /// Most open at a time.
    pub peak_connections: Figure,
    /// Requests that went out on a connection that had carried another one.
    pub requests_on_kept_connections: Figure,
    /// Bytes received by the sockets, heads and TLS included.
    pub bytes_received: Figure,
    /// Bytes sent.
    pub bytes_sent: Figure,
    /// What a calibration found; `None` where there is none that fits.
    pub calibration: Option<CalibratedClient>,
}
