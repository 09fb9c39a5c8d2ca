//! Signs that the client limits, each held against thresholds: calibrated ones where there are such, else stated defaults.
//!
//! A delay is judged by its 99th percentile, or by its 90th where fewer than a hundred were seen: a single hiccup of the
//! machine says nothing about the client. Refuses to know where a sign was observed.

use ai_energy_core::client::{ClientUsage, Limit, Threshold, Thresholds};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{ClientBound, Sign};

use crate::stats::quantile;

/// Observations from which on the 99th percentile is more than the largest one.
const ENOUGH_FOR_P99: u64 = 100;

/// Share of a calibrated limit from which on a load comes near it.
const NEAR: f64 = 0.8;

/// What signs are made of.
pub(super) struct Seen<'a> {
    pub(super) client: &'a ClientUsage,
    /// The client's own delay before each request, s.
    pub(super) own_delays: Vec<f64>,
    /// Requests for which this machine gave no socket.
    pub(super) refused_sockets: usize,
    pub(super) cpu_share: Figure,
    pub(super) streams: Option<f64>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) requests_per_second: Option<f64>,
}

/// Where the thresholds come from, in words.
pub(super) fn basis(client: &ClientUsage) -> String {
    match &client.calibration {
        Some(limits) => format!("calibrated on this machine, {}", limits.made_at),
        None if client.uncalibrated.is_empty() => "stated defaults".to_owned(),
        None => format!("stated defaults: {}", client.uncalibrated),
    }
}

/// Every sign that can be looked at.
pub(super) fn signs(seen: &Seen<'_>) -> Vec<Sign> {
    let limits = seen.client.calibration.as_ref();
    let thresholds = limits.map(|limits| limits.thresholds).unwrap_or_default();
    let mut signs = Vec::new();
    signs.extend(sockets(seen.refused_sockets));
    signs.extend(event_loop(seen.client, &thresholds));
    signs.extend(own_delay(&seen.own_delays, &thresholds));
    signs.extend(processors(&seen.cpu_share, seen.client.cores, &thresholds));
    if let Some(limits) = limits {
        let load = [
            ("calibrated_streams", "streams at a time", "stream", seen.streams, limits.streams),
            ("calibrated_tokens", "tokens/s", "token/s", seen.tokens_per_second, limits.tokens_per_second),
            (
                "calibrated_requests",
                "requests/s",
                "request/s",
                seen.requests_per_second,
                limits.requests_per_second,
            ),
        ];
        let known = load.into_iter().filter_map(|(name, words, unit, value, limit)| {
            Some(against_limit(
                name,
                words,
                Figure::new(value?, unit, Provenance::Derived, "the load"),
                limit,
            ))
        });
        signs.extend(known);
    }
    signs
}

fn judge(value: f64, threshold: Threshold) -> ClientBound {
    if value >= threshold.yes {
        ClientBound::Yes
    } else if value >= threshold.maybe {
        ClientBound::Maybe
    } else {
        ClientBound::No
    }
}

fn sockets(refused: usize) -> Option<Sign> {
    let value = Figure::new(refused as f64, "request", Provenance::Measured, "errors of class client_limit");
    (refused > 0).then(|| Sign {
        name: "sockets".to_owned(),
        value,
        maybe_from: None,
        yes_from: Some(1.0),
        verdict: ClientBound::Yes,
        words: format!("this machine gave {refused} requests no socket"),
    })
}

/// The share of delays that is judged, and its name.
fn judged(count: u64) -> (f64, &'static str) {
    if count >= ENOUGH_FOR_P99 { (0.99, "p99") } else { (0.9, "p90") }
}

fn delay(name: &str, what: &str, percentile: &str, figure: Figure, threshold: Threshold) -> Option<Sign> {
    let seconds = figure.value?;
    let verdict = judge(seconds, threshold);
    Some(Sign {
        name: name.to_owned(),
        value: figure,
        maybe_from: Some(threshold.maybe),
        yes_from: Some(threshold.yes),
        verdict,
        words: format!(
            "{what} {percentile} {}{}",
            milliseconds(seconds),
            against(verdict, threshold, milliseconds)
        ),
    })
}

fn event_loop(client: &ClientUsage, thresholds: &Thresholds) -> Option<Sign> {
    let delays = client.event_loop.as_ref()?;
    let (share, percentile) = judged(delays.count);
    // The class's lower bound: what is surely reached.
    let (lower, _) = delays.quantile_ns(share)?;
    let figure = Figure::new(lower as f64 * 1e-9, "s", Provenance::Measured, delays.instrument.as_str());
    delay("event_loop_delay", "event loop", percentile, figure, thresholds.event_loop_seconds)
}

fn own_delay(delays: &[f64], thresholds: &Thresholds) -> Option<Sign> {
    let (share, percentile) = judged(delays.len() as u64);
    let mut sorted = delays.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let value = (!sorted.is_empty()).then(|| quantile(&sorted, share))?;
    let figure = Figure::new(value, "s", Provenance::Measured, "stamps of the requests that were sent");
    delay("own_delay", "own delay", percentile, figure, thresholds.own_delay_seconds)
}

fn processors(share: &Figure, cores: Option<f64>, thresholds: &Thresholds) -> Option<Sign> {
    let value = share.value?;
    let verdict = judge(value, thresholds.cpu_share);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let of = cores.map_or(String::new(), |cores| match cores {
        1.0 => " of 1 core".to_owned(),
        _ => format!(" of {cores:.0} cores"),
    });
    let precise = if value < 0.1 { format!("{:.1} %", value * 100.0) } else { percent(value) };
    Some(Sign {
        name: "cpu_share".to_owned(),
        value: share.clone(),
        maybe_from: Some(thresholds.cpu_share.maybe),
        yes_from: Some(thresholds.cpu_share.yes),
        verdict,
        words: format!("{precise}{of}{}", against(verdict, thresholds.cpu_share, percent)),
    })
}

/// A load near or beyond what the calibration found. Never `yes`: a run may have more processors than the calibration had,
/// and the other signs tell whether it limited.
fn against_limit(name: &str, words: &str, value: Figure, limit: Limit) -> Sign {
    let from = if limit.reached { limit.value * NEAR } else { limit.value };
    let seen = value.value.unwrap_or_default();
    let verdict = if seen > from { ClientBound::Maybe } else { ClientBound::No };
    let known = if limit.reached { "is this client's limit" } else { "is the most that the calibration saw" };
    Sign {
        name: name.to_owned(),
        value,
        maybe_from: Some(from),
        yes_from: None,
        verdict,
        words: format!("{seen:.0} {words}, where {:.0} {known}", limit.value),
    }
}

/// What a sign that is beyond a threshold was held against.
fn against(verdict: ClientBound, threshold: Threshold, show: fn(f64) -> String) -> String {
    match verdict {
        ClientBound::Yes => format!(" (limits from {})", show(threshold.yes)),
        ClientBound::Maybe => {
            format!(" (may limit from {}, limits from {})", show(threshold.maybe), show(threshold.yes))
        }
        _ => String::new(),
    }
}

fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    match value {
        value if value < 1.0 => format!("{value:.2} ms"),
        value if value < 10.0 => format!("{value:.1} ms"),
        value => format!("{value:.0} ms"),
    }
}
