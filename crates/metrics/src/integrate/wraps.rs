//! How often a counter wrapped between two readings that lie far apart.
//!
//! Refuses to guess: the powers seen elsewhere in the trace bound the power in between, and only where they allow one
//! number of wraps is it taken.

use ai_energy_core::clock::Stamp;

use crate::stats::quantile;

/// The power between two readings may lie this far outside what was seen elsewhere, as a factor to each side.
const SLACK: f64 = 1.25;

/// Powers over less time than this show a counter's ticks more than the power.
const SHORTEST_SECONDS: f64 = 0.05;

/// Fewer powers than this bound nothing.
const FEWEST: usize = 10;

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
        let mut spans: Vec<f64> =
            readings.windows(2).map(|pair| pair[1].0.seconds_since(pair[0].0).0).collect();
        spans.sort_by(f64::total_cmp);
        // Longer than the usual pace: such an interval may itself hide a wrap.
        let usual = 4.0 * quantile(&spans, 0.5);
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

/// Wraps beyond what a rise in microjoules shows, where exactly one number of them fits the powers seen: `None` for
/// none, and where several numbers fit or no number does.
pub(super) fn unseen_wraps(
    rise: u64,
    seconds: f64,
    wrap: Option<u64>,
    range: Option<&PowerRange>,
) -> Option<u64> {
    let (range, period) = (range?, wrap? as f64 + 1.0);
    let most = ((range.high * seconds - rise as f64) / period).floor();
    let least = ((range.low * seconds - rise as f64) / period).ceil().max(0.0);
    (least == most && most >= 1.0).then_some(most as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_possible_number_of_wraps_is_taken() {
        let range = Some(&PowerRange { low: 90e6, high: 110e6 });
        let wraps = |rise, seconds| unseen_wraps(rise, seconds, Some(999_999_999), range);
        assert_eq!(wraps(10_000_000, 0.1), None, "no wrap is needed");
        assert_eq!(wraps(0, 20.0), Some(2), "2000 J at 90 to 110 W");
        assert_eq!(wraps(500_000_000, 100.0), None, "9 or 10 wraps: nobody knows");
        assert_eq!(wraps(500_000_000, 11.0), None, "neither no wrap nor one fits");
        assert_eq!(unseen_wraps(0, 20.0, None, range), None);
        assert_eq!(unseen_wraps(0, 20.0, Some(999_999_999), None), None);
    }
}
