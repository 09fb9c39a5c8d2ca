//! Points of a counter's curve, and the mean powers between them.
//!
//! Refuses to know where a point comes from.

use ai_energy_core::clock::Stamp;

use super::locate;

/// Energy at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) at: Stamp,
    /// Since the first reading, wraps undone.
    pub(super) joules: f64,
}

/// Points by time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Points(pub(super) Vec<Point>);

impl Points {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn last(&self) -> Option<Point> {
        self.0.last().copied()
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        match self.locate(at) {
            Some((below, share)) => {
                let (from, to) = (self.0[below].joules, self.0[below + 1].joules);
                from + share * (to - from)
            }
            None if self.0.first().is_none_or(|first| at < first.at) => 0.0,
            None => self.last().map_or(0.0, |point| point.joules),
        }
    }

    pub(super) fn locate(&self, at: Stamp) -> Option<(usize, f64)> {
        locate(|index| self.0[index].at, self.len(), at)
    }

    /// Seconds from one point to the next.
    pub(super) fn seconds(&self, index: usize) -> f64 {
        self.between(index, index + 1).0
    }

    /// Seconds and joules from one point to a later one.
    pub(super) fn between(&self, from: usize, to: usize) -> (f64, f64) {
        let (from, to) = (self.0[from], self.0[to]);
        (to.at.seconds_since(from.at).0, to.joules - from.joules)
    }

    /// Mean power from one point to a later one; `None` where they are of one moment.
    pub(super) fn watts(&self, from: usize, to: usize) -> Option<f64> {
        let (seconds, joules) = self.between(from, to);
        (seconds > 0.0).then(|| joules / seconds)
    }

    /// Seconds between the two points around a moment, in the mean over all moments of a range of segments: a burst of
    /// readings hardly counts.
    pub(super) fn spacing(&self, segments: std::ops::Range<usize>) -> f64 {
        let spans = || segments.clone().map(|index| self.seconds(index));
        let whole: f64 = spans().sum();
        if whole > 0.0 { spans().map(|span| span * span).sum::<f64>() / whole } else { 0.0 }
    }

    /// The distance of points that half of the time is not exceeded: neither a burst nor a gap makes it.
    pub(super) fn usual_spacing(&self) -> f64 {
        let spans = (0..self.len().saturating_sub(1)).map(|index| (self.seconds(index), self.seconds(index)));
        weighted_median(spans.collect())
    }

    /// The usual power: half of the time it was lower.
    pub(super) fn usual_watts(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let segments = 0..self.len().saturating_sub(1);
        let powers = segments
            .filter(|index| counts(*index))
            .filter_map(|index| Some((self.watts(index, index + 1)?, self.seconds(index))));
        weighted_median(powers.collect())
    }

    /// The first point so many seconds or more after this one.
    pub(super) fn after(&self, from: usize, seconds: f64) -> Option<usize> {
        (from + 1..self.len()).find(|index| self.between(from, *index).0 >= seconds)
    }

    /// The last point so many seconds or more before this one.
    pub(super) fn before(&self, to: usize, seconds: f64) -> Option<usize> {
        (0..to).rev().find(|index| self.between(*index, to).0 >= seconds)
    }
}

/// The value below which half of the weight lies; 0 of none.
pub(super) fn weighted_median(mut values: Vec<(f64, f64)>) -> f64 {
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let middle = values.iter().find(|(_, weight)| {
        sum += weight;
        sum >= half
    });
    middle.map_or(0.0, |(value, _)| *value)
}
