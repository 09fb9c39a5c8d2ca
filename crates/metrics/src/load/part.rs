//! Figures of a part of the load. Requests belong to the part that they were due in; tokens and ends to the one that they
//! came in, so that neither is counted for work done outside.
//!
//! Refuses to know how a part was chosen.

use ai_energy_core::Stamp;
use ai_energy_core::chunks::Unpacked;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::load::Objectives;
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::Part;

use super::flight::Flight;
use super::goodput::goodput;
use crate::blocks::by_block;
use crate::integrate::Window;
use crate::latency::latency;
use crate::stats::distribution;
use crate::summary::counts;
use crate::tokens::Tokens;

/// Stretches whose means make the interval of a rate (batch means).
const BATCHES: usize = 10;

/// The figures of what was due in a window.
pub(super) fn part(
    name: &str,
    requests: &[&RequestRecord],
    flight: &Flight,
    window: Window,
    objectives: &Objectives,
) -> Part {
    let due: Vec<&RequestRecord> =
        requests.iter().copied().filter(|request| window.holds(request.scheduled)).collect();
    let mut ends = [0.0; BATCHES];
    for request in requests.iter().filter(|request| request.succeeded()) {
        add(&mut ends, batch(window, request.generation.end), 1.0);
    }
    let known = requests.iter().any(|request| !request.generation.chunks.is_empty());
    let tokens_per_second = if known {
        rate(tokens(requests, window), window, "token/s", "tokens by when they came")
    } else {
        Figure::unavailable("token/s", "without streaming nobody sees when a token comes")
    };
    Part {
        name: name.to_owned(),
        start_seconds: window.start.seconds(),
        duration: Figure::new(window.seconds(), "s", Provenance::Measured, "monotonic clock"),
        counts: counts(due.iter().copied()),
        latency: latency(due.iter().copied()),
        output_tokens_per_second: tokens_per_second,
        requests_per_second: rate(ends, window, "request/s", "requests by when they ended well"),
        mean_concurrency: flight.mean(window),
        goodput: goodput(&due, objectives, window.seconds()),
    }
}

/// The stretch of the window that a moment falls into, where it falls into the window.
fn batch(window: Window, at: Stamp) -> Option<usize> {
    let place = at.seconds_since(window.start).0 / window.seconds() * BATCHES as f64;
    window.holds(at).then_some((place as usize).min(BATCHES - 1))
}

fn add(sums: &mut [f64; BATCHES], place: Option<usize>, amount: f64) {
    if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
        *sum += amount;
    }
}

/// The tokens of each stretch of the window.
fn tokens(requests: &[&RequestRecord], window: Window) -> [f64; BATCHES] {
    let of_blocks = by_block(requests, |block| {
        let (mut sums, mut room) = ([0.0; BATCHES], Unpacked::default());
        for request in block {
            let tokens = Tokens::of(&request.generation, &mut room);
            tokens.by_place(|at| batch(window, at), |place, amount| add(&mut sums, place, amount));
        }
        sums
    });
    let mut sums = [0.0; BATCHES];
    for block in of_blocks {
        sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
    }
    sums
}

/// Events a second over a window. Stretches of it are nearly independent where each is much longer than a request; their
/// means' spread, by Student's t, is the interval.
fn rate(sums: [f64; BATCHES], window: Window, unit: &str, source: &str) -> Figure {
    let seconds = window.seconds();
    let total: f64 = sums.iter().sum();
    let rates = sums.iter().map(|sum| sum / seconds * BATCHES as f64).collect();
    let figure = Figure::new(total / seconds, unit, Provenance::Derived, source);
    match distribution(rates, unit).and_then(|spread| spread.mean_ci95) {
        Some(ci95) => figure.with_ci95(ci95),
        None => figure,
    }
}
