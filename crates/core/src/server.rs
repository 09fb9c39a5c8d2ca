//! What a server says of itself while it serves, on the run's own timeline.
//!
//! Refuses to know any server's names for it; backends read them.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// A look at a server's own metrics; `None` where it does not say. Totals are since the server started and over all its
/// clients.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSample {
    /// When the answer was there.
    #[serde(rename = "at_ns")]
    pub at: Stamp,
    /// Requests being computed.
    pub running: Option<f64>,
    /// Requests waiting for room.
    pub waiting: Option<f64>,
    /// Share of the key-value cache in use, 0 to 1.
    pub cache_use: Option<f64>,
    /// Requests that were put back for want of cache, in total.
    pub preemptions: Option<f64>,
    /// Tokens looked up in the prefix cache, in total.
    pub prefix_queries: Option<f64>,
    /// Of those, tokens found, in total.
    pub prefix_hits: Option<f64>,
    /// Sum of its own times to first token, s.
    pub ttft_seconds_sum: Option<f64>,
    /// How many times that sum holds.
    pub ttft_count: Option<f64>,
}
