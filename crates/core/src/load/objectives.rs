//! Service-level objectives: what a request has to keep to count as good.
//!
//! Refuses to judge a request; the metrics crate does.

use serde::{Deserialize, Serialize};

/// Upper limits on a request's latencies, ms. A request is good that keeps all that are set. Goodput is the number of
/// good requests a second (DistServe, OSDI 2024).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Objectives {
    /// Time to first token, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Time per output token after the first, the request's mean, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
    /// Every single time between two tokens, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_ms: Option<f64>,
    /// The whole request, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2e_ms: Option<f64>,
}

impl Objectives {
    /// Names and limits of those that are set.
    pub fn set(&self) -> Vec<(&'static str, f64)> {
        let all =
            [("ttft", self.ttft_ms), ("tpot", self.tpot_ms), ("itl", self.itl_ms), ("e2e", self.e2e_ms)];
        all.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect()
    }

    /// `true` where none is set.
    pub fn is_empty(&self) -> bool {
        self.set().is_empty()
    }

    /// In words, for example `ttft 500 ms, tpot 50 ms`.
    pub fn words(&self) -> String {
        let each: Vec<String> =
            self.set().into_iter().map(|(name, limit)| format!("{name} {limit} ms")).collect();
        each.join(", ")
    }
}
