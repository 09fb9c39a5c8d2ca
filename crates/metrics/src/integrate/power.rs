//! The curve of a power: straight lines between readings (the trapezoid rule), cut exactly at a window's ends; and a
//! sensor's own averaging undone.
//!
//! A value that averages over the last A seconds is the energy of those seconds: `E(t) = A·m(t) + E(t − A)`. Followed
//! back to the first reading, before which the power is taken as steady, this gives the energy up to each reading
//! without the average's delay and without its smearing of the window's ends. Averages shorter than two readings'
//! distance are taken as the power itself; what they do not see is in the budget.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Instrument;

use super::{Window, locate};
use crate::budget::{Budget, Cause, Changes};

/// A power's energy as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerCurve {
    points: Vec<Point>,
    /// The span that is undone; `None` where values are taken as the power itself.
    averaging_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: Stamp,
    watts: f64,
    /// Since the first reading.
    joules: f64,
}

impl PowerCurve {
    /// Builds the curve from readings in microwatts, by time, each multiplied by `gain`.
    pub(super) fn new(readings: &[(Stamp, u64)], averaging_ms: Option<u32>, instrument: &Instrument) -> Self {
        let gain = instrument.gain_factor.unwrap_or(1.0);
        let spacing = usual_spacing(readings);
        let span = f64::from(averaging_ms.unwrap_or(0)) * 1e-3;
        let averaging_seconds = (spacing > 0.0 && span >= 2.0 * spacing).then_some(span);
        let mut curve = Self { points: Vec::with_capacity(readings.len() + 1), averaging_seconds };
        // In the mean, a value is half an update period old when it is read, and one that is taken as the power itself
        // is of the middle of what it averages over.
        let own = if averaging_seconds.is_some() { 0.0 } else { span / 2.0 };
        let lag = ((instrument.update_period_ms.unwrap_or(0.0) * 0.5e-3 + own) * 1e9).round() as u64;
        for (at, microwatts) in readings {
            let (at, watts) = (Stamp(at.0.saturating_sub(lag)), *microwatts as f64 * 1e-6 * gain);
            let joules = curve.next_joules(at, watts);
            curve.points.push(Point { at, watts, joules });
        }
        if let Some((at, _)) = readings.last().filter(|_| lag > 0) {
            curve.hold(*at);
        }
        curve
    }

    /// Goes on as it went over the last averaging span or from the last reading until `at`.
    fn hold(&mut self, at: Stamp) {
        let Some(last) = self.points.last().copied() else { return };
        let seconds = at.seconds_since(last.at).0;
        let watts = match self.averaging_seconds {
            Some(span) => (last.joules - self.joules_before(last.at, span / 4.0)) / (span / 4.0),
            None => last.watts,
        };
        self.points.push(Point { at, watts: last.watts, joules: last.joules + watts * seconds });
    }

    /// Energy up to the reading that comes after those that are there.
    fn next_joules(&self, at: Stamp, watts: f64) -> f64 {
        let Some(last) = self.points.last() else { return 0.0 };
        let lines = (last.watts + watts) / 2.0;
        let Some(span) = self.averaging_seconds else {
            return last.joules + lines * at.seconds_since(last.at).0;
        };
        let unseen = at.seconds_since(last.at).0 - span;
        let before = if unseen > 0.0 { last.joules + lines * unseen } else { self.joules_before(at, span) };
        span * watts + before
    }

    /// Energy up to `seconds` before `at`; before the first reading the power is taken as that reading's.
    fn joules_before(&self, at: Stamp, seconds: f64) -> f64 {
        let Some(first) = self.points.first() else { return 0.0 };
        let since_first = at.seconds_since(first.at).0 - seconds;
        if since_first < 0.0 {
            return first.watts * since_first;
        }
        self.joules_at(Stamp(at.0.saturating_sub((seconds * 1e9).round() as u64)))
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        match locate(|index| self.points[index].at, self.points.len(), at) {
            Some((below, share)) => {
                let (from, to) = (self.points[below], self.points[below + 1]);
                if self.averaging_seconds.is_some() {
                    return from.joules + share * (to.joules - from.joules);
                }
                let watts = from.watts + share * (to.watts - from.watts);
                from.joules + (from.watts + watts) / 2.0 * at.seconds_since(from.at).0
            }
            None if at < self.span().0 => 0.0,
            None => self.points.last().map_or(0.0, |point| point.joules),
        }
    }

    pub(super) fn span(&self) -> (Stamp, Stamp) {
        let first = self.points.first().map_or(Stamp(0), |point| point.at);
        (first, self.points.last().map_or(first, |point| point.at))
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = Stamp> {
        self.points.iter().map(|point| point.at)
    }

    /// What the window's energy may be wrong by.
    pub(super) fn budget(&self, instrument: &Instrument, window: Window) -> Budget {
        let update = instrument.update_period_ms.map(|period| period * 1e-3);
        match self.averaging_seconds {
            Some(span) => self.average_budget(span, update, window),
            None => {
                self.sample_budget(update.unwrap_or(0.0), instrument.seen_fraction.unwrap_or(0.0), window)
            }
        }
    }

    /// Of values that are the power itself at their moment: what happens between them.
    fn sample_budget(&self, update: f64, seen: f64, window: Window) -> Budget {
        let mut budget = Budget::default();
        // Readings of one update tell nothing apart: one of them stands for its period.
        let mut kept: Vec<Point> = Vec::new();
        for point in self.points.iter().filter(|point| point.at >= window.start && point.at <= window.end) {
            if kept.last().is_none_or(|last| point.at.seconds_since(last.at).0 > 0.9 * update) {
                kept.push(*point);
            }
        }
        let (mut noise, mut steps) = (0.0, 0.0);
        let values: Vec<f64> = kept.iter().map(|point| point.watts).collect();
        let changes = Changes::of(&values);
        let spans: Vec<f64> = kept.windows(2).map(|pair| pair[1].at.seconds_since(pair[0].at).0).collect();
        for (pair, seconds) in kept.windows(2).zip(&spans) {
            let left = ((pair[1].watts - pair[0].watts).powi(2) - 2.0 * changes.noise).max(0.0);
            noise += Changes { step: 0.0, ..changes }.integral_variance(*seconds, *seconds, seen);
            steps += Changes { noise: 0.0, step: left }.integral_variance(*seconds, *seconds, seen);
        }
        let whole: f64 = spans.iter().sum();
        // The ends between two readings are of the same kind as what lies between.
        let scale = if whole > 0.0 { (window.seconds() / whole).max(1.0) } else { 1.0 };
        budget.add_variance(Cause::Unseen, noise * scale);
        budget.add_variance(Cause::Sampling, steps * scale);
        if kept.len() < 2 {
            budget.add_half_width(Cause::Sampling, self.largest_difference(window) * window.seconds() / 2.0);
        }
        budget
    }

    fn largest_difference(&self, window: Window) -> f64 {
        let around = self.points.windows(2).filter(|pair| window.overlaps(pair[0].at, pair[1].at));
        around.map(|pair| (pair[1].watts - pair[0].watts).abs()).fold(0.0, f64::max)
    }

    /// Of an average that was undone: every value that the energies up to both ends rest on may be an update period
    /// old, and the average began with what nobody read.
    fn average_budget(&self, span: f64, update: Option<f64>, window: Window) -> Budget {
        let mut budget = Budget::default();
        let age: f64 =
            [window.start, window.end].iter().map(|end| self.age_variance(*end, span, update)).sum();
        budget.add_variance(Cause::Age, age);
        budget.add_variance(Cause::Before, self.before_variance(span));
        let gaps = self.points.windows(2).filter(|pair| window.overlaps(pair[0].at, pair[1].at));
        let unseen: f64 = gaps
            .map(|pair| {
                (pair[1].at.seconds_since(pair[0].at).0 - span, (pair[1].watts - pair[0].watts).powi(2))
            })
            .filter(|(unseen, _)| *unseen > 0.0)
            .map(|(unseen, step)| Changes { noise: 0.0, step }.integral_variance(unseen, unseen, 0.0))
            .sum();
        budget.add_variance(Cause::Sampling, unseen);
        budget
    }

    fn age_variance(&self, end: Stamp, span: f64, update: Option<f64>) -> f64 {
        let step = Stamp((span * 1e9).round().max(1.0) as u64);
        let (mut at, mut sum) = (end, 0.0);
        while let Some((below, _)) = locate(|index| self.points[index].at, self.points.len(), at) {
            let (from, to) = (self.points[below], self.points[below + 1]);
            let between = to.at.seconds_since(from.at).0;
            let slope = (to.watts - from.watts) / between;
            sum += (span * slope * update.unwrap_or(between)).powi(2) / 12.0;
            match at.0.checked_sub(step.0) {
                Some(before) => at = Stamp(before),
                None => break,
            }
        }
        sum
    }

    /// Of a power whose energy over s seconds has the variance d·s, an average over A changes by 2·d·s/A² within s; the
    /// energy of a part of the unread span, its whole known, has d·A/6 in the mean.
    fn before_variance(&self, span: f64) -> f64 {
        let first = self.span().0;
        let early = || self.points.windows(2).take_while(|pair| pair[1].at.seconds_since(first).0 <= span);
        let count = early().count().max(1) as f64;
        let diffusion = early()
            .map(|pair| {
                let seconds = pair[1].at.seconds_since(pair[0].at).0.max(1e-6);
                (pair[1].watts - pair[0].watts).powi(2) * span.powi(2) / (2.0 * seconds)
            })
            .sum::<f64>()
            / count;
        2.0 * diffusion * span / 6.0
    }
}

/// Seconds between the two readings around a moment, in the mean over all moments: a burst of readings hardly counts.
fn usual_spacing(readings: &[(Stamp, u64)]) -> f64 {
    let spans = || readings.windows(2).map(|pair| pair[1].0.seconds_since(pair[0].0).0);
    let whole: f64 = spans().sum();
    if whole > 0.0 { spans().map(|span| span * span).sum::<f64>() / whole } else { 0.0 }
}
