//! What charts and tables of single requests are drawn from: power over time, requests in flight, each request's times.
//!
//! Kept apart from the figures and out of their JSON: a run may have a million requests, and most readers draw nothing.
//! Computed by the metrics crate when reports are to be written. Refuses to carry intervals; the figures have them.

use crate::energy::Domain;

/// Series and single values of a run. Empty where nobody asked for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curves {
    /// Mean power of each domain whose energy is known, over equal stretches of the whole run.
    pub power: Vec<DomainPower>,
    /// Length of such a stretch, s; 0 where there is none.
    pub power_step_seconds: f64,
    /// Requests in flight: from each moment, s since the run's origin, so many.
    pub in_flight: Vec<(f64, f64)>,
    /// One for each measured request, in the record's order.
    pub requests: Vec<RequestTimes>,
    /// How many tokens of the requests that succeeded came how long after the one before, by bins of equal ratio that adjoin.
    pub inter_token: Vec<TimeBin>,
}

/// How many times lie within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeBin {
    /// Least time in it, s. Shorter ones are in the shortest bin that there is, a microsecond long.
    pub from: f64,
    /// From this time on a value is in the next bin, s.
    pub to: f64,
    /// How many.
    pub count: u64,
}

/// Mean power of one domain over time.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainPower {
    /// What it was drawn in.
    pub domain: Domain,
    /// The middle of each stretch, s since the run's origin, and the mean power in it, W.
    pub points: Vec<(f64, f64)>,
}

/// Times of one request in seconds; `None` where the moment was not seen. Where its instant was planned beforehand they
/// count from it, else from sending. Those of a failed request end with its error and are in no figure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RequestTimes {
    /// To the first token of any channel.
    pub time_to_first_token: Option<f64>,
    /// Mean time between tokens: that before each chunk split among its tokens.
    pub mean_inter_token: Option<f64>,
    /// (last chunk − first token) ÷ tokens after the first chunk.
    pub time_per_output_token: Option<f64>,
    /// To the end.
    pub end_to_end: Option<f64>,
    /// From the planned instant to when a bound on requests in flight let it go.
    pub queueing: Option<f64>,
    /// From when it could go to sending: the client's own delay.
    pub schedule_lag: Option<f64>,
}
