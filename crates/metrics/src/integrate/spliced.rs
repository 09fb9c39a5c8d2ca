//! The curve of a channel over a run that had breaks: each segment's own curve, one after another without the breaks.
//!
//! Energy is the sum over the segments, each integrated from its own readings; what a counter counted in a break is in none of
//! them. Refuses to bridge: a segment whose readings do not span its part of a window leaves no energy.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Channel;
use ai_energy_core::segment::Shift;

use super::{Curve, Integral, Window};

/// A segment's curve and its place.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    /// Where it holds on the run's clock. The first one also holds before the load, the last one after it.
    holds: Window,
    /// From the run's clock to the segment's.
    shift: Shift,
    curve: Curve,
}

impl Part {
    fn own(&self, at: Stamp) -> Stamp {
        self.shift.of(at.clamp(self.holds.start, self.holds.end))
    }
}

/// The curves of a run's segments.
#[derive(Debug, Clone, PartialEq)]
pub struct SplicedCurve(Vec<Part>);

impl SplicedCurve {
    /// Joins curves: for each segment its curve, its load on its own clock, and where that begins on the run's.
    pub(crate) fn new(curves: Vec<(Curve, Window, Stamp)>) -> Self {
        let count = curves.len();
        let part = |(place, (curve, load, at)): (usize, (Curve, Window, Stamp))| {
            let length = load.end.0.saturating_sub(load.start.0);
            let start = if place == 0 { Stamp(0) } else { at };
            let end = if place + 1 == count { Stamp(u64::MAX) } else { Stamp(at.0.saturating_add(length)) };
            Part { holds: Window { start, end }, shift: Shift::between(at, load.start), curve }
        };
        Self(curves.into_iter().enumerate().map(part).collect())
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        let reached = self.0.iter().filter(|part| part.holds.start <= at);
        reached
            .map(|part| part.curve.joules_at(part.own(at)) - part.curve.joules_at(part.own(part.holds.start)))
            .sum()
    }

    pub(super) fn span(&self) -> (Stamp, Stamp) {
        let outer = |part: Option<&Part>, end: fn((Stamp, Stamp)) -> Stamp| {
            part.map_or(Stamp(0), |part| part.shift.back().of(end(part.curve.span())))
        };
        (outer(self.0.first(), |span| span.0), outer(self.0.last(), |span| span.1))
    }

    pub(super) fn tick_seconds(&self) -> Option<f64> {
        self.0.iter().filter_map(|part| part.curve.tick_seconds()).reduce(f64::max)
    }

    pub(super) fn moments(&self, window: Window) -> Vec<Stamp> {
        let within = |part: &Part, at: Stamp| {
            let at = part.shift.back().of(at);
            (at >= part.holds.start && at <= part.holds.end).then_some(at)
        };
        let overlapping = self.0.iter().filter_map(|part| Some((part, overlap(part, window)?)));
        overlapping
            .flat_map(|(part, own)| {
                part.curve.moments(own).into_iter().filter_map(move |at| within(part, at)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The sum over the segments that the window touches. Errors of their own add in quadrature; the gain is one
    /// instrument's and adds up.
    pub(super) fn energy(&self, channel: &Channel, window: Window) -> Result<Integral, String> {
        let mut sum: Option<Integral> = None;
        for (number, part) in self.0.iter().enumerate() {
            let Some(own) = overlap(part, window) else { continue };
            let energy = part
                .curve
                .energy(channel, own)
                .map_err(|reason| format!("segment {}: {reason}", number + 1))?;
            sum = Some(match sum {
                None => energy,
                Some(sum) => Integral {
                    joules: sum.joules + energy.joules,
                    random_ci95: sum.random_ci95.hypot(energy.random_ci95),
                    gain_ci95: sum.gain_ci95.zip(energy.gain_ci95).map(|(one, other)| one + other),
                    provenance: sum.provenance.weaker(energy.provenance),
                    remark: match (sum.remark, energy.remark) {
                        (Some(one), Some(other)) if one != other => Some(format!("{one}; {other}")),
                        (one, other) => one.or(other),
                    },
                },
            });
        }
        sum.ok_or_else(|| format!("no segment of the run holds this stretch of {}", channel.name))
    }
}

/// What a segment holds of the window, on its own clock.
fn overlap(part: &Part, window: Window) -> Option<Window> {
    let (start, end) = (window.start.max(part.holds.start), window.end.min(part.holds.end));
    (end > start).then(|| Window { start: part.shift.of(start), end: part.shift.of(end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::energy::{ChannelKind, Domain, Instrument};
    use ai_energy_core::figure::Provenance;

    const SECOND: u64 = 1_000_000_000;

    fn channel(kind: ChannelKind) -> Channel {
        Channel {
            name: "x:0".to_owned(),
            domain: Domain::Cpu,
            device: String::new(),
            device_id: String::new(),
            kind,
            provenance: Provenance::Measured,
            source: "x".to_owned(),
            gain_ci95: Some(0.01),
            counts: true,
            instrument: Instrument::default(),
        }
    }

    /// A counter of so many watts from `from` s to `to` s, read ten times a second, which begins at `microjoules`.
    fn counted(channel: &Channel, from: u64, to: u64, watts: u64, microjoules: u64) -> Curve {
        let tenth = SECOND / 10;
        let reading = |n: u64| (Stamp(from * SECOND + n * tenth), microjoules + n * watts * 100_000);
        let readings: Vec<_> = (0..=(to - from) * 10).map(reading).collect();
        Curve::new(channel, &readings).unwrap()
    }

    #[test]
    fn each_segment_is_integrated_apart_and_what_was_counted_in_the_break_is_left_out() {
        let channel = channel(ChannelKind::Counter { wrap_microjoules: None });
        // 10 W from 0 s to 4 s; then, after a break in which a megajoule was counted and on another clock, 30 W from 50 s on.
        let first = counted(&channel, 0, 5, 10, 0);
        let second = counted(&channel, 48, 60, 30, 1_000_000_000_000);
        let load = |from: u64, to: u64| Window { start: Stamp(from * SECOND), end: Stamp(to * SECOND) };
        let spliced = Curve::Spliced(SplicedCurve::new(vec![
            (first, load(1, 4), Stamp(SECOND)),
            (second, load(50, 58), Stamp(4 * SECOND)),
        ]));
        let whole = spliced.energy(&channel, load(1, 12)).unwrap();
        assert!((whole.joules - (3.0 * 10.0 + 8.0 * 30.0)).abs() < 1e-6, "{whole:?}");
        assert!((whole.gain_ci95.unwrap() - 2.7).abs() < 1e-6);
        let one = spliced.energy(&channel, load(1, 4)).unwrap();
        let other = spliced.energy(&channel, load(4, 12)).unwrap();
        assert!((whole.random_ci95 - one.random_ci95.hypot(other.random_ci95)).abs() < 1e-9);
        assert!((one.joules - 30.0).abs() < 1e-6 && (other.joules - 240.0).abs() < 1e-6);
        let across = spliced.joules_at(Stamp(5 * SECOND)) - spliced.joules_at(Stamp(3 * SECOND));
        assert!((across - 40.0).abs() < 1e-6, "{across}");
        let moments = spliced.moments(load(3, 5));
        assert!(moments.windows(2).all(|pair| pair[0] <= pair[1]) && moments.len() >= 20, "{moments:?}");
        // Before the load the first segment speaks, after it the last one.
        assert!((spliced.energy(&channel, load(0, 1)).unwrap().joules - 10.0).abs() < 1e-6);
        assert!((spliced.energy(&channel, load(12, 13)).unwrap().joules - 30.0).abs() < 1e-6);
    }

    #[test]
    fn a_segment_that_was_not_read_to_its_end_leaves_no_energy_and_is_named() {
        let channel = channel(ChannelKind::Counter { wrap_microjoules: None });
        let load = |from: u64, to: u64| Window { start: Stamp(from * SECOND), end: Stamp(to * SECOND) };
        let spliced = Curve::Spliced(SplicedCurve::new(vec![
            (counted(&channel, 0, 3, 10, 0), load(1, 4), Stamp(SECOND)),
            (counted(&channel, 0, 9, 10, 0), load(1, 8), Stamp(4 * SECOND)),
        ]));
        let reason = spliced.energy(&channel, load(1, 11)).unwrap_err();
        assert!(reason.contains("segment 1") && reason.contains("lost"), "{reason}");
        assert!(spliced.energy(&channel, load(4, 11)).is_ok());
    }
}
