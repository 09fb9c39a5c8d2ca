//! Which readings of a counter are fresh, and how often it moves.
//!
//! A counter moves tick by tick. A value that is repeated for much longer than a tick is an old one that somebody handed
//! out again: such repeats are no readings, and neither is the first of them, since nobody knows how old it was then.
//! Refuses to know joules.

use ai_energy_core::clock::Stamp;

/// A value that stood for so many ticks was not renewed. Two, since a tick may be missed once.
const STALE_TICKS: f64 = 2.0;

/// How long a counter's values stand, s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tick {
    /// The longest time that a value was seen unchanged, stale repeats apart.
    pub(super) lower: f64,
    /// The shortest time in which two neighbouring changes were seen for sure; never below `lower`.
    pub(super) upper: f64,
}

impl Tick {
    /// As it most likely is: amid its bounds.
    pub(super) fn likely(self) -> f64 {
        f64::midpoint(self.lower, self.upper)
    }

    /// How old a value is in the mean at least, s.
    pub(super) fn age(self) -> f64 {
        self.lower / 2.0
    }

    /// Mean square of how much older than that it is in the mean, each length of the tick within the bounds as likely,
    /// s²: a third of the square of half the bounds' distance.
    pub(super) fn older(self) -> f64 {
        ((self.upper - self.lower) / 2.0).powi(2) / 3.0
    }
}

/// A counter's readings without stale repeats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fresh {
    pub(super) readings: Vec<(Stamp, u64)>,
    pub(super) tick: Option<Tick>,
    /// When the last value was first seen, where it stood to the end for longer than any other but stale ones.
    pub(super) stands_since: Option<Stamp>,
}

impl Fresh {
    /// From readings by time.
    pub(super) fn of(readings: &[(Stamp, u64)]) -> Self {
        let changes: Vec<usize> =
            (1..readings.len()).filter(|index| readings[*index].1 != readings[index - 1].1).collect();
        let since = |from: usize, to: usize| readings[to].0.seconds_since(readings[from].0).0;
        // Two neighbouring changes, seen from the reading before the first to the reading of the second, are at least
        // one tick apart.
        let upper = changes.windows(2).map(|pair| since(pair[0] - 1, pair[1])).reduce(f64::min);
        let Some(upper) = upper else {
            return Self { readings: readings.to_vec(), tick: None, stands_since: None };
        };
        let stands = |pair: &[usize]| since(pair[0], pair[1] - 1);
        let stale = |seconds: f64| seconds > STALE_TICKS * upper;
        let lower = changes.windows(2).map(stands).filter(|seconds| !stale(*seconds)).fold(0.0, f64::max);
        let mut kept = readings[..changes[0]].to_vec();
        for pair in changes.windows(2).filter(|pair| !stale(stands(pair))) {
            kept.extend_from_slice(&readings[pair[0]..pair[1]]);
        }
        let last = changes[changes.len() - 1];
        kept.extend_from_slice(&readings[last..]);
        let stood = since(last, readings.len() - 1);
        let longest = changes.windows(2).map(stands).fold(upper, f64::max);
        let stands_since = (stood > STALE_TICKS * longest).then(|| readings[last].0);
        Self { readings: kept, tick: Some(Tick { lower, upper: upper.max(lower) }), stands_since }
    }
}
