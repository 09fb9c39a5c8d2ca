//! The load in equal slices by time, for a look at how it went. Refuses to judge any of them.

use ai_energy_core::Stamp;
use ai_energy_core::chunks::Unpacked;
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::Slice;

use super::flight::Flight;
use crate::blocks::by_block;
use crate::integrate::Window;
use crate::latency::time_to_first_token;
use crate::stats::distribution;
use crate::tokens::Tokens;

/// Most slices of a load.
const MOST: f64 = 120.0;

/// Lengths of a slice, s; for longer loads, whole multiples of the last one.
const LENGTHS: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The length of a slice and the slices.
pub(super) fn slices(requests: &[&RequestRecord], flight: &Flight, window: Window) -> (f64, Vec<Slice>) {
    let least = window.seconds() / MOST;
    let length = LENGTHS.into_iter().find(|length| *length >= least);
    let length = length.unwrap_or_else(|| (least / 60.0).ceil() * 60.0);
    let count = (window.seconds() / length).ceil().max(1.0) as usize;
    let place = |at: Stamp| {
        let place = (at.seconds_since(window.start).0 / length) as usize;
        (at >= window.start && at <= window.end).then_some(place.min(count - 1))
    };
    let mut slices: Vec<Slice> = (0..count).map(|number| empty(number, length, flight, window)).collect();
    let mut first_tokens: Vec<Vec<f64>> = vec![Vec::new(); count];
    for request in requests {
        if let Some(number) = place(request.scheduled) {
            slices[number].due += 1;
            let seen = Some(*request).filter(|request| request.succeeded());
            first_tokens[number].extend(seen.and_then(time_to_first_token));
        }
        if let Some(number) = place(request.generation.end) {
            slices[number].succeeded += usize::from(request.succeeded());
            slices[number].failed += usize::from(request.failed());
        }
    }
    for tokens in output_tokens(requests, count, &place) {
        slices.iter_mut().zip(tokens).for_each(|(slice, tokens)| slice.output_tokens += tokens);
    }
    for (slice, values) in slices.iter_mut().zip(first_tokens) {
        slice.time_to_first_token = distribution(values, "s");
    }
    (length, slices)
}

/// The tokens that came in each slice, for each block of requests.
fn output_tokens(
    requests: &[&RequestRecord],
    slices: usize,
    place: &(impl Fn(Stamp) -> Option<usize> + Sync),
) -> Vec<Vec<f64>> {
    by_block(requests, |block| {
        let (mut sums, mut room) = (vec![0.0; slices], Unpacked::default());
        for request in block {
            Tokens::of(&request.generation, &mut room).by_place(place, |number, tokens| {
                if let Some(sum) = number.and_then(|number: usize| sums.get_mut(number)) {
                    *sum += tokens;
                }
            });
        }
        sums
    })
}

fn empty(number: usize, length: f64, flight: &Flight, window: Window) -> Slice {
    let at = |seconds: f64| Stamp(window.start.0 + (seconds * 1e9) as u64);
    let (start, end) = (at(number as f64 * length), at((number + 1) as f64 * length).min(window.end));
    let mean = if end > start { flight.mean_over(Window { start, end }) } else { 0.0 };
    Slice {
        start_seconds: number as f64 * length,
        due: 0,
        succeeded: 0,
        failed: 0,
        output_tokens: 0.0,
        mean_concurrency: mean,
        time_to_first_token: None,
    }
}
