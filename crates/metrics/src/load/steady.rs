//! Which part of the load was steady.
//!
//! In a closed loop the rule is ML.ENERGY's: from when every slot holds a request that has its first token to when the
//! first slot stays free. In an open loop there are no slots: the number of requests in flight has to have come to rest.
//! That is found by White's marginal standard error rule in batches (MSER: White, Simulation 69(6), 1997): of all points at
//! which the beginning could be cut off, the one that makes the mean of the rest surest. Where that is beyond the middle,
//! the load was still changing, as it does on a server that cannot follow, and no part is called steady.
//!
//! Refuses to find a steady part in a load whose plan changes.

use ai_energy_core::load::{Arrivals, Step};
use ai_energy_core::record::PhaseKind;
use ai_energy_core::{RunRecord, Stamp};

use super::flight::Flight;
use crate::integrate::Window;

/// Batches that the load is cut into for the rule of open loops.
const BATCHES: usize = 60;

/// Fewest requests due in a steady part: fewer tell nothing.
const FEWEST: usize = 10;

/// The steady part, and how it was found or why there is none.
pub(crate) struct Steady {
    pub(crate) bounds: Option<Window>,
    pub(crate) rule: String,
}

/// Finds the steady part of a load.
pub(crate) fn steady(record: &RunRecord, load: Window) -> Steady {
    let measured: Vec<Step> = record.plan.load.measured().map(|(_, step)| step).collect();
    let none = |rule: &str| Steady { bounds: None, rule: rule.to_owned() };
    let [step] = measured.as_slice() else {
        return none("the load has several steps: each is told apart");
    };
    if ramps(step) {
        return none("the load is planned to change all along");
    }
    let drain =
        record.phase(PhaseKind::Drain).map_or(load.end, |drain| drain.start.clamp(load.start, load.end));
    let part = Window { start: load.start, end: drain };
    if step.is_open() {
        return open(record, part);
    }
    match slots_busy(record).map(|full| full.clamp(load.start, drain)).filter(|full| *full < drain) {
        Some(start) => Steady {
            bounds: Some(Window { start, end: drain }),
            rule: "while every slot held a request, from the moment that all of them had a first token"
                .to_owned(),
        },
        None => none("there was no time at which every slot held a request with a first token"),
    }
}

fn ramps(step: &Step) -> bool {
    matches!(step.arrivals, Arrivals::Closed { from: Some(_), .. } | Arrivals::Open { from: Some(_), .. })
}

fn open(record: &RunRecord, part: Window) -> Steady {
    let none = |rule: String| Steady { bounds: None, rule };
    let due =
        |window: Window| record.requests.iter().filter(|request| window.holds(request.scheduled)).count();
    if part.end <= part.start || due(part) < FEWEST {
        return none(format!("fewer than {FEWEST} requests tell no steady part"));
    }
    let flight = Flight::new(record);
    let edge = |number: usize| {
        let nanos = (part.end.0 - part.start.0) as f64 * number as f64 / BATCHES as f64;
        Stamp(part.start.0 + nanos as u64)
    };
    let means: Vec<f64> = (0..BATCHES)
        .map(|number| Window { start: edge(number), end: edge(number + 1) })
        .map(|batch| if batch.end > batch.start { flight.mean_over(batch) } else { 0.0 })
        .collect();
    let cut = cut(&means);
    if cut > BATCHES / 2 {
        return none("requests in flight had not come to rest by the middle of the load".to_owned());
    }
    let bounds = Window { start: edge(cut), end: part.end };
    if due(bounds) < FEWEST {
        return none(format!("fewer than {FEWEST} requests tell no steady part"));
    }
    let rule = "from when the number of requests in flight had come to rest (marginal standard error rule) to the last arrival";
    Steady { bounds: Some(bounds), rule: rule.to_owned() }
}

/// How many values to cut off the begin so that the rest's squared deviations over its squared number are least. The last
/// few are never all that is left: their number alone would make any value small.
pub(crate) fn cut(values: &[f64]) -> usize {
    let last = values.len().saturating_sub(values.len() / 12 + 5);
    let error = |from: usize| {
        let rest = &values[from..];
        let n = rest.len() as f64;
        let mean = rest.iter().sum::<f64>() / n;
        rest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n * n)
    };
    let better = |best: (usize, f64), from: usize| {
        let error = error(from);
        if error < best.1 { (from, error) } else { best }
    };
    (0..=last).fold((0, f64::INFINITY), better).0
}

/// The first moment at which as many requests as there are slots have their first token and have not ended.
fn slots_busy(record: &RunRecord) -> Option<Stamp> {
    let mut events: Vec<(Stamp, i64)> = Vec::with_capacity(2 * record.requests.len());
    for request in &record.requests {
        let generation = &request.generation;
        // Without streaming the first token is not seen; then a slot counts as busy once its request is sent.
        if let Some(begin) = generation.first_token.or(generation.sent) {
            events.push((begin, 1));
            events.push((generation.end, -1));
        }
    }
    // At one moment ends come first: a slot that changes hands is not two.
    events.sort_unstable();
    let slots = i64::try_from(record.plan.load.concurrency.max(1)).ok()?;
    let mut busy = 0;
    events.into_iter().find_map(|(at, change)| {
        busy += change;
        (busy >= slots).then_some(at)
    })
}

#[cfg(test)]
mod tests;
