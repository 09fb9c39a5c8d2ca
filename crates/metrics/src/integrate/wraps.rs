//! How often a counter wrapped between two readings that lie far apart.
//!
//! Refuses to guess: the powers seen elsewhere in the trace bound the power in between, and only where they allow one
//! number of wraps is it taken.

use ai_energy_core::clock::Stamp;

use super::points::weighted_median;
use crate::stats::quantile;

/// The power between two readings may lie this far outside what was seen elsewhere, as a factor to each side.
const SLACK: f64 = 1.25;

/// Powers over less time than this show a counter's ticks more than the power.
const SHORTEST_SECONDS: f64 = 0.05;

/// Fewer powers than this bound nothing.
const FEWEST: usize = 10;

/// Wraps between two readings that lie far apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wraps {
    pub(super) from: Stamp,
    pub(super) to: Stamp,
    /// How many, the one that shows as a drop included; `None` where several numbers fit, or none does.
    pub(super) count: Option<u64>,
}

/// The powers of a trace, from intervals that are too short for a wrap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PowerRange {
    low: f64,
    high: f64,
}

impl PowerRange {
    /// From readings in microjoules; `None` where too few of them tell.
    pub(super) fn of(readings: &[(Stamp, u64)], wrap: Option<u64>) -> Option<Self> {
        let wrap = wrap? as f64 + 1.0;
        // Longer than the usual pace: such an interval may itself hide a wrap.
        let usual = 4.0 * usual_spacing(readings);
        let mut powers: Vec<f64> = readings
            .windows(2)
            .filter_map(|pair| {
                let seconds = pair[1].0.seconds_since(pair[0].0).0;
                let rise = pair[1].1.checked_sub(pair[0].1)? as f64;
                (seconds >= SHORTEST_SECONDS && seconds <= usual && rise < wrap / 2.0)
                    .then_some(rise / seconds)
            })
            .collect();
        powers.sort_by(f64::total_cmp);
        (powers.len() >= FEWEST)
            .then(|| Self { low: quantile(&powers, 0.01) / SLACK, high: quantile(&powers, 0.99) * SLACK })
    }
}

/// The distance of readings that half of the time was not exceeded: a burst of readings hardly counts.
fn usual_spacing(readings: &[(Stamp, u64)]) -> f64 {
    let spans = readings.windows(2).map(|pair| pair[1].0.seconds_since(pair[0].0).0);
    weighted_median(spans.map(|span| (span, span)).collect())
}

/// Wraps beyond what a rise in microjoules over so many seconds shows: `Some(0)` where the powers seen allow none,
/// `None` where they allow several numbers, or no number fits them.
pub(super) fn unseen_wraps(rise: u64, seconds: f64, wrap: u64, range: &PowerRange) -> Option<u64> {
    let period = wrap as f64 + 1.0;
    let most = ((range.high * seconds - rise as f64) / period).floor();
    if most < 1.0 {
        return Some(0);
    }
    let least = ((range.low * seconds - rise as f64) / period).ceil().max(0.0);
    (least == most).then_some(most as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_possible_number_of_wraps_is_taken() {
        let range = &PowerRange { low: 90e6, high: 110e6 };
        let wraps = |rise, seconds| unseen_wraps(rise, seconds, 999_999_999, range);
        assert_eq!(wraps(10_000_000, 0.1), Some(0), "no wrap is possible");
        assert_eq!(wraps(0, 20.0), Some(2), "2000 J at 90 to 110 W");
        assert_eq!(wraps(500_000_000, 100.0), None, "9 or 10 wraps: nobody knows");
        let wide = &PowerRange { low: 5e6, high: 110e6 };
        assert_eq!(unseen_wraps(60_000_000, 10.0, 999_999_999, wide), None, "a wrap or none: nobody knows");
        assert_eq!(wraps(200_000_000, 15.0), None, "neither one wrap nor two fit");
    }

    #[test]
    fn a_burst_of_readings_does_not_make_the_pace() {
        let moments = (0..150).map(|step| 2 * step).chain((1..40).map(|step| 300 + 100 * step));
        let readings: Vec<(Stamp, u64)> = moments.map(|ms| (Stamp(ms * 1_000_000), ms * 1000)).collect();
        assert!((usual_spacing(&readings) - 0.1).abs() < 1e-9);
        assert!(PowerRange::of(&readings, Some(1_000_000_000)).is_some());
    }
}
