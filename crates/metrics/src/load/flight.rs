//! How many requests were in flight when. Refuses to know why.

use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::{RunRecord, Stamp};

use crate::integrate::Window;

/// The number of requests between sending and end, as a step function of time.
#[derive(Debug)]
pub(crate) struct Flight {
    /// From each moment on, so many.
    levels: Vec<(Stamp, i64)>,
}

impl Flight {
    /// From the requests that were sent. A request that never was, for want of a connection, counts from when it was due.
    /// Those of warm-up and cool-down were in flight too.
    pub(crate) fn new(record: &RunRecord) -> Self {
        let mut changes: Vec<(Stamp, i64)> = Vec::with_capacity(2 * record.requests.len());
        for request in record.requests.iter().chain(&record.unmeasured) {
            let generation = &request.generation;
            let begin = generation.sent.or(request.offer.admitted).unwrap_or(request.scheduled);
            changes.push((begin.min(generation.end), 1));
            changes.push((generation.end, -1));
        }
        // At one moment ends come first: a slot that changes hands is not two.
        changes.sort_unstable();
        let mut level = 0;
        let levels = changes.into_iter().map(|(at, change)| {
            level += change;
            (at, level)
        });
        Self { levels: levels.collect() }
    }

    /// From each moment on, so many.
    pub(crate) fn levels(&self) -> &[(Stamp, i64)] {
        &self.levels
    }

    /// Most at a time within a window.
    pub(crate) fn peak(&self, window: Window) -> f64 {
        let within = self.levels.iter().filter(|(at, _)| *at >= window.start && *at <= window.end);
        let before = self.levels.partition_point(|(at, _)| *at <= window.start);
        let at_start =
            before.checked_sub(1).and_then(|place| self.levels.get(place)).map_or(0, |(_, level)| *level);
        within.map(|(_, level)| *level).chain([at_start]).max().unwrap_or(0) as f64
    }

    /// Mean over a window, by time.
    pub(crate) fn mean_over(&self, window: Window) -> f64 {
        let from = self.levels.partition_point(|(at, _)| *at <= window.start).saturating_sub(1);
        let mut sum = 0.0;
        for (place, (at, level)) in self.levels.iter().enumerate().skip(from) {
            let begin = (*at).max(window.start);
            let end = self.levels.get(place + 1).map_or(window.end, |(next, _)| (*next).min(window.end));
            if begin >= window.end {
                break;
            }
            sum += *level as f64 * end.seconds_since(begin).0;
        }
        sum / window.seconds()
    }

    /// [`Flight::mean_over`] as a figure.
    pub(crate) fn mean(&self, window: Window) -> Figure {
        let source = "requests between sending and end, over time";
        Figure::new(self.mean_over(window), "request", Provenance::Measured, source)
    }
}
