//! The curve of a power: straight lines between readings (the trapezoid rule), cut exactly at a window's ends; and a
//! sensor's own averaging undone.
//!
//! A value that averages over the last A seconds is the energy of those seconds: `E(t) = A·m(t) + E(t − A)`. Followed
//! back to the first reading, before which the power is taken as steady, this gives the energy up to each reading
//! without the average's delay and without its smearing of the window's ends. Averages shorter than two readings'
//! distance are taken as the power itself; what they do not see is in the budget.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Instrument;

use super::{Known, Window, locate};
use crate::budget::{Budget, Cause, Changes};

/// Idle power after a load is told by so many readings at least.
const LEAST_IDLE: usize = 4;

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
    pub(super) fn new(
        readings: &[(Stamp, u64)],
        averaging_ms: Option<u32>,
        instrument: &Instrument,
        known: &Known,
    ) -> Self {
        let gain = instrument.gain_factor.unwrap_or(1.0);
        let spacing = usual_spacing(readings);
        let span = f64::from(averaging_ms.unwrap_or(0)) * 1e-3;
        let averaging_seconds = (spacing > 0.0 && span >= 2.0 * spacing).then_some(span);
        let mut curve = Self { points: Vec::with_capacity(readings.len() + 1), averaging_seconds };
        // In the mean, a value is half an update period old when it is read, and one that is taken as the power itself
        // is of the middle of what it averages over.
        let own = if averaging_seconds.is_some() { 0.0 } else { span / 2.0 };
        let lag = ((instrument.update_period_ms.unwrap_or(0.0) * 0.5e-3 + own) * 1e9).round() as u64;
        let value = |(at, microwatts): &(Stamp, u64)| {
            (Stamp(at.0.saturating_sub(lag)), *microwatts as f64 * 1e-6 * gain)
        };
        let mut values: Vec<(Stamp, f64)> = readings.iter().map(value).collect();
        if averaging_seconds.is_none() {
            known.idle_until.iter().chain(&known.idle_from).for_each(|edge| step_at(&mut values, *edge, lag));
        }
        let edge = known.idle_until.filter(|_| averaging_seconds.is_some());
        for (at, watts) in values {
            if let Some(edge) = edge.filter(|edge| at.0 + lag > edge.0) {
                // Read after the load's begin: what lies before it is known from before.
                curve.begin_load(edge);
                if at <= edge {
                    continue;
                }
            }
            let joules = curve.next_joules(at, watts);
            curve.points.push(Point { at, watts, joules });
        }
        if let Some((at, _)) = readings.last().filter(|_| lag > 0) {
            curve.hold(*at);
        }
        if let Some(edge) = known.idle_from.filter(|_| averaging_seconds.is_some()) {
            let update = instrument.update_period_ms.map_or(2 * lag, |period| (period * 1e6) as u64);
            curve.end_load(edge, Stamp(edge.0 + update - lag.min(update)));
        }
        curve
    }

    /// Goes on to the load's begin at the idle power that was read last; once.
    fn begin_load(&mut self, edge: Stamp) {
        if let Some(last) = self.points.last().copied().filter(|last| last.at < edge) {
            let joules = last.joules + last.watts * edge.seconds_since(last.at).0;
            self.points.push(Point { at: edge, watts: last.watts, joules });
        }
    }

    /// Puts in the load's end by the idle power after it, from `idle` on; leaves the curve as it is where that was
    /// hardly read.
    fn end_load(&mut self, edge: Stamp, idle: Stamp) {
        let Some(near) = self.points.iter().position(|point| point.at >= idle) else { return };
        let (from, last) = (self.points[near], self.points[self.points.len() - 1]);
        let seconds = last.at.seconds_since(from.at).0;
        if self.points.len() - near <= LEAST_IDLE || seconds <= 0.0 {
            return;
        }
        let watts = (last.joules - from.joules) / seconds;
        let joules = from.joules - watts * from.at.seconds_since(edge).0;
        let before = self.points.partition_point(|point| point.at < edge);
        let above = self.points[..before]
            .iter()
            .rposition(|point| point.joules < joules)
            .map_or(0, |index| index + 1);
        self.points.splice(above..near, [Point { at: edge, watts: from.watts, joules }]);
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
        let inside = self.points.iter().enumerate().filter(|(index, point)| {
            // Of two values at a step, the one within the window.
            let outside = if point.at == window.start {
                self.points.get(index + 1).is_some_and(|next| next.at == point.at)
            } else {
                point.at == window.end && *index > 0 && self.points[index - 1].at == point.at
            };
            point.at >= window.start && point.at <= window.end && !outside
        });
        for (_, point) in inside {
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
            // Of several updates between two readings one was read.
            let seen = if *seconds > update { seen * update / *seconds } else { seen };
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
        let mut aged = self.aged(window.end, span);
        aged.extend(self.aged(window.start, span));
        budget.add_variance(Cause::Age, age_variance(&aged, update));
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

    /// The values that the energy up to `end` rests on, one a span back to the first reading.
    fn aged(&self, end: Stamp, span: f64) -> Vec<Aged> {
        let step = Stamp((span * 1e9).round().max(1.0) as u64);
        let (mut at, mut found) = (end, Vec::new());
        while let Some((below, _)) = locate(|index| self.points[index].at, self.points.len(), at) {
            let (from, to) = (self.points[below], self.points[below + 1]);
            let between = to.at.seconds_since(from.at).0;
            found.push(Aged { between, watts: span * (to.watts - from.watts) / between });
            match at.0.checked_sub(step.0) {
                Some(before) => at = Stamp(before),
                None => break,
            }
        }
        found
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

/// A value between two readings: their distance, s, and what a second of its age makes, W.
#[derive(Debug, Clone, Copy)]
struct Aged {
    between: f64,
    watts: f64,
}

/// Variance of what the ages of these values make together, J²: each is up to an update period old, or as old as the
/// distance of its readings where that period is not known. Timers of sensors and samplers drift against each other, so
/// that ages of values a span apart are taken as independent.
fn age_variance(aged: &[Aged], update: Option<f64>) -> f64 {
    let alone = |value: &Aged| (value.watts * update.unwrap_or(value.between)).powi(2) / 12.0;
    aged.iter().map(alone).sum()
}

/// Makes a step of the power at a load's end: values that may hold some of both sides go, and each side's nearest holds
/// up to it. Leaves the values as they are where one side has none.
fn step_at(values: &mut Vec<(Stamp, f64)>, edge: Stamp, reach: u64) {
    let (low, high) = (Stamp(edge.0.saturating_sub(reach)), Stamp(edge.0 + reach));
    let from = values.partition_point(|(at, _)| *at <= low);
    let to = values.partition_point(|(at, _)| *at < high).max(from);
    let (Some(before), Some(after)) = (from.checked_sub(1).map(|index| values[index].1), values.get(to))
    else {
        return;
    };
    let sides = [(edge, before), (edge, after.1)];
    values.splice(from..to, sides);
}

/// Seconds between the two readings around a moment, in the mean over all moments: a burst of readings hardly counts.
fn usual_spacing(readings: &[(Stamp, u64)]) -> f64 {
    let spans = || readings.windows(2).map(|pair| pair[1].0.seconds_since(pair[0].0).0);
    let whole: f64 = spans().sum();
    if whole > 0.0 { spans().map(|span| span * span).sum::<f64>() / whole } else { 0.0 }
}
