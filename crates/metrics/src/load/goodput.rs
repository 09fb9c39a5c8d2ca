//! Which requests kept the objectives, and how sure their share is.
//!
//! Refuses to call good what could not be judged.

use std::collections::BTreeMap;

use ai_energy_core::chunks::Unpacked;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::load::Objectives;
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::Goodput;

use crate::latency::{end_to_end, gaps, time_per_output_token, time_to_first_token};

/// The two-sided 95 % point of the normal distribution.
const Z95: f64 = 1.959_963_985;

/// Goodput over `seconds`; `None` where no objective is set.
pub(super) fn goodput(requests: &[&RequestRecord], objectives: &Objectives, seconds: f64) -> Option<Goodput> {
    if objectives.is_empty() {
        return None;
    }
    let mut misses: BTreeMap<String, usize> = BTreeMap::new();
    let (mut good, mut judged, mut unseen) = (0, 0, 0);
    let mut room = Unpacked::default();
    for request in requests.iter().filter(|request| !request.cancelled()) {
        judged += 1;
        match missed(request, objectives, &mut room) {
            Some(missed) if missed.is_empty() => good += 1,
            Some(missed) => {
                missed.iter().for_each(|name| *misses.entry((*name).to_owned()).or_insert(0) += 1)
            }
            None => unseen += 1,
        }
    }
    let (share, rate) = if unseen > 0 {
        let reason = format!("of {unseen} requests the moments that an objective asks for were not seen");
        (Figure::unavailable("1", reason.clone()), Figure::unavailable("request/s", reason))
    } else {
        let share = share(good, judged);
        let rate = share.scaled(judged as f64 / seconds, "request/s");
        (share, rate)
    };
    Some(Goodput { objectives: *objectives, good, judged, share, rate, misses })
}

/// The objectives that a request missed; `None` where that cannot be seen.
fn missed(
    request: &RequestRecord,
    objectives: &Objectives,
    room: &mut Unpacked,
) -> Option<Vec<&'static str>> {
    if !request.succeeded() {
        return Some(vec!["failed"]);
    }
    let generation = &request.generation;
    let streamed = !generation.chunks.is_empty();
    let mut missed = Vec::new();
    for (name, limit) in objectives.set() {
        let value = match name {
            "ttft" => time_to_first_token(request)?,
            "e2e" => end_to_end(request)?,
            // A single token has no time after it, so it keeps any limit on it.
            "tpot" if streamed => time_per_output_token(request).unwrap_or(0.0),
            "itl" if streamed => longest_gap(request, room),
            _ => return None,
        };
        if value > limit * 1e-3 {
            missed.push(name);
        }
    }
    Some(missed)
}

fn longest_gap(request: &RequestRecord, room: &mut Unpacked) -> f64 {
    let mut longest = 0.0_f64;
    gaps(request, room, |gap, _| longest = longest.max(gap));
    longest
}

/// A share of independent yes and no with Wilson's 95 % interval, the wider side of it.
pub(crate) fn share(good: usize, judged: usize) -> Figure {
    if judged == 0 {
        return Figure::unavailable("1", "no request could be judged");
    }
    let (n, p) = (judged as f64, good as f64 / judged as f64);
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let source = "requests that kept the objectives, of those judged";
    Figure::new(p, "1", Provenance::Derived, source).with_ci95((centre + half - p).max(p - (centre - half)))
}
