//! How the load went: how much was in flight, how many requests were good, how it changed with time.
//!
//! Refuses to know how any of it is found.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Counts, Distribution, Latency};
use crate::figure::Figure;
use crate::load::Objectives;

/// What one value of the inter-token time stands on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum InterTokenBasis {
    /// No chunks were seen: not streamed, or nothing succeeded.
    #[default]
    Unseen,
    /// The server counts the tokens of every chunk; the time before a chunk is split equally among them.
    Counted,
    /// Chunks are not counted, and there are about as many of them as tokens: one token a chunk.
    OneAChunk,
    /// Chunks are not counted and hold several tokens each: the time before a chunk is split by the request's mean number
    /// of tokens a chunk. The mean over a request is exact, single values are not.
    Split,
}

/// How many requests kept the objectives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Goodput {
    /// The objectives.
    pub objectives: Objectives,
    /// Requests that kept all of them.
    pub good: usize,
    /// Requests that could be judged: all but those that we cancelled. Failed ones are not good.
    pub judged: usize,
    /// Good ones among the judged, 0 to 1. Its interval is Wilson's (JASA 22, 1927), the wider side of it.
    pub share: Figure,
    /// Good requests a second of the load window.
    pub rate: Figure,
    /// Requests that missed an objective, by its name; one may miss several. Failures are under `failed`.
    pub misses: BTreeMap<String, usize>,
}

/// Figures of a part of the load: its steady part, or one of its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// When it began, s since the run's origin.
    pub start_seconds: f64,
    /// Its length, s.
    pub duration: Figure,
    /// The requests that were due in it.
    pub counts: Counts,
    /// Their latencies.
    pub latency: Latency,
    /// Tokens generated within it, by when they came, a second. The interval is of the means of ten equal stretches.
    pub output_tokens_per_second: Figure,
    /// Requests that ended well within it, a second; the interval likewise.
    pub requests_per_second: Figure,
    /// Mean number of requests in flight.
    pub mean_concurrency: Figure,
    /// Of the requests due in it, how many kept the objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Goodput>,
}

/// What happened in a slice of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Slice {
    /// Its begin, s since the load's.
    pub start_seconds: f64,
    /// Requests that were due.
    pub due: usize,
    /// Requests that ended well.
    pub succeeded: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Tokens that came.
    pub output_tokens: f64,
    /// Mean number of requests in flight.
    pub mean_concurrency: f64,
    /// Time to first token of the requests that were due, s; `None` where none of them has one.
    pub time_to_first_token: Option<Distribution>,
}

/// What the server said of itself over the load, beside what the client saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerFigures {
    /// Looks at its metrics.
    pub looks: usize,
    /// Requests being computed: mean and most of the looks within the load.
    pub mean_running: Figure,
    /// Most of them.
    pub peak_running: Figure,
    /// Requests waiting for room: mean and most.
    pub mean_waiting: Figure,
    /// Most of them.
    pub peak_waiting: Figure,
    /// Largest share of the key-value cache in use.
    pub peak_cache_use: Figure,
    /// Share of the looked-up prompt tokens that the prefix cache held.
    pub prefix_hit_share: Figure,
    /// Requests that were put back for want of cache.
    pub preemptions: Figure,
    /// Mean of its own times to first token, s.
    pub mean_ttft: Figure,
    /// The client's mean time to first token less the server's, s: the way there and back, and what waits in either. Only
    /// where the server counts as many as the client.
    pub ttft_beyond_server: Figure,
}

/// How the load went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LoadFigures {
    /// When the load began, s since the run's origin.
    pub start_seconds: f64,
    /// What was offered, in words.
    pub offered: String,
    /// Requests a second that were planned; unavailable in a closed loop, which plans none.
    pub planned_rate: Figure,
    /// Requests a second that were sent, from the first to the last sending.
    pub sent_rate: Figure,
    /// Most requests in flight at a time.
    pub peak_concurrency: Figure,
    /// Mean number of requests in flight over the load.
    pub mean_concurrency: Figure,
    /// What the inter-token time stands on.
    pub inter_token_basis: InterTokenBasis,
    /// How many requests kept the objectives; `None` where none are set.
    pub goodput: Option<Goodput>,
    /// The steady part; `None` where there is none.
    pub steady: Option<Part>,
    /// How the steady part was found, or why there is none.
    pub steady_rule: String,
    /// The measured steps, where there are several.
    pub steps: Vec<Part>,
    /// Length of a slice, s.
    pub slice_seconds: f64,
    /// The load in equal slices by time.
    pub slices: Vec<Slice>,
    /// What the server said of itself; `None` where it says nothing.
    pub server: Option<ServerFigures>,
}
