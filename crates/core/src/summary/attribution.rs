//! Energy by what it was spent on: reading prompts, generating tokens, and each request.
//!
//! Refuses to know the method; every block names its own, or says why none could carry it.

use serde::{Deserialize, Serialize};

use super::Distribution;
use crate::energy::Domain;
use crate::figure::Figure;

/// Energy of the load by kind of work. Prefill, decode and other add up to the domain's energy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct PrefillDecode {
    /// The domain that was split; `None` where none could be.
    pub domain: Option<Domain>,
    /// How, in one sentence; empty where it was not done.
    pub method: String,
    /// Energy that grows with prompt tokens, J.
    pub prefill: Figure,
    /// Energy that grows with generated tokens, J.
    pub decode: Figure,
    /// The rest: idle power and what follows neither, J.
    pub other: Figure,
    /// Energy of one more prompt token, J.
    pub per_prefill_token: Figure,
    /// Energy of one more generated token, J.
    pub per_decode_token: Figure,
    /// Power that stays without any token, W.
    pub other_power: Figure,
    /// Intervals that the load was cut into.
    pub intervals: usize,
    /// Length of one, s.
    pub interval_seconds: Option<f64>,
    /// Share of the differences between intervals that tokens explain, 0 to 1.
    pub r_squared: Option<f64>,
}

/// Energy given to one request, J. `None` where the domain's energy is not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RequestShare {
    /// The request's id.
    pub id: String,
    /// GPU energy.
    pub gpu_joules: Option<f64>,
    /// CPU energy.
    pub cpu_joules: Option<f64>,
    /// RAM energy.
    pub ram_joules: Option<f64>,
    /// Of all domains that make the total.
    pub total_joules: Option<f64>,
}

/// How energy was shared among requests that ran together. The shares of all requests, failed ones included, add up to
/// the domains' energy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct RequestShares {
    /// The method in one sentence; empty where nothing was shared.
    pub method: String,
    /// Why nothing was shared.
    pub reason: Option<String>,
    /// Total energy of each successful request.
    pub total: Option<Distribution>,
    /// GPU energy of each successful request.
    pub gpu: Option<Distribution>,
    /// One for each request, in the record's order. Kept out of the summary's JSON: a file of its own holds them.
    #[serde(skip)]
    pub shares: Vec<RequestShare>,
}
