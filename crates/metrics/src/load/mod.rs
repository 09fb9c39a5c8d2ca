//! How the load went: concurrency, goodput, the steady part, steps and slices by time.
//!
//! Every figure follows from the requests' stamps. Refuses to know energy.

pub(crate) mod flight;
mod goodput;
mod part;
mod server;
mod slices;
pub(crate) mod steady;

use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::{Distribution, LoadFigures, Part};
use ai_energy_core::{RunRecord, Stamp};

use crate::integrate::Window;
use crate::latency::basis;
use flight::Flight;
use steady::Steady;

/// The load's figures; the default where nothing was run. `ttft` is the client's own time to first token.
pub(crate) fn load(record: &RunRecord, window: Option<Window>, ttft: Option<&Distribution>) -> LoadFigures {
    let Some(window) = window else {
        return LoadFigures::default();
    };
    let requests: Vec<&RequestRecord> = record.requests.iter().collect();
    let flight = Flight::new(record);
    let objectives = &record.plan.load.objectives;
    let Steady { bounds, rule } = steady::steady(record, window);
    let part = |name: &str, window: Window| part::part(name, &requests, &flight, window, objectives);
    let (slice_seconds, slices) = slices::slices(&requests, &flight, window);
    LoadFigures {
        start_seconds: window.start.seconds(),
        offered: record.plan.load.words(),
        planned_rate: planned_rate(record),
        sent_rate: sent_rate(&requests),
        peak_concurrency: Figure::new(
            flight.peak(window),
            "request",
            Provenance::Measured,
            "requests between sending and end",
        ),
        mean_concurrency: flight.mean(window),
        inter_token_basis: basis(&requests),
        goodput: goodput::goodput(&requests, objectives, window.seconds()),
        steady: bounds.map(|bounds| part("steady", bounds)),
        steady_rule: rule,
        steps: steps(record, window, &part),
        slice_seconds,
        slices,
        server: server::server(record, window, ttft),
    }
}

/// The measured steps by when their requests were due; empty where there is only one.
fn steps(record: &RunRecord, window: Window, part: &dyn Fn(&str, Window) -> Part) -> Vec<Part> {
    let measured: Vec<(usize, ai_energy_core::load::Step)> = record.plan.load.measured().collect();
    if measured.len() < 2 {
        return Vec::new();
    }
    let first = |number: usize| -> Option<Stamp> {
        let of = record.requests.iter().filter(|request| request.offer.step as usize == number);
        of.map(|request| request.scheduled).min()
    };
    let begun: Vec<(String, Stamp)> =
        measured.into_iter().filter_map(|(number, step)| Some((step.name, first(number)?))).collect();
    let ends = begun.iter().skip(1).map(|(_, start)| *start).chain([window.end]);
    let windows =
        begun.iter().zip(ends).map(|((name, start), end)| part(name, Window { start: *start, end }));
    windows.collect()
}

/// The rate of planned instants, where all measured steps had such.
fn planned_rate(record: &RunRecord) -> Figure {
    let planned: Vec<Stamp> = record
        .requests
        .iter()
        .filter(|request| request.offer.planned)
        .map(|request| request.scheduled)
        .collect();
    let (Some(first), Some(last)) = (planned.iter().min(), planned.iter().max()) else {
        return Figure::unavailable("request/s", "a closed loop plans no rate: the server's answers set it");
    };
    rate_between(planned.len(), (*first, *last), "planned instants, first to last")
}

/// The rate of sending, by the same rule as the planned one: what it falls behind by is what was sent late, and the time in which
/// the last answers come is in neither.
fn sent_rate(requests: &[&RequestRecord]) -> Figure {
    let sent: Vec<Stamp> = requests.iter().filter_map(|request| request.generation.sent).collect();
    let (Some(first), Some(last)) = (sent.iter().min(), sent.iter().max()) else {
        return Figure::unavailable("request/s", "no request was sent");
    };
    rate_between(sent.len(), (*first, *last), "moments of sending, first to last")
}

/// Pauses a second between so many instants.
fn rate_between(instants: usize, (first, last): (Stamp, Stamp), source: &str) -> Figure {
    let seconds = last.seconds_since(first).0;
    if seconds <= 0.0 {
        return Figure::unavailable("request/s", "a single instant has no rate");
    }
    Figure::new((instants - 1) as f64 / seconds, "request/s", Provenance::Derived, source)
}
