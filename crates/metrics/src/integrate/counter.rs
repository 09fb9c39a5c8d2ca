//! The curve of an energy counter: wraps undone, resets bridged, ticks found.
//!
//! Between two readings the counter is taken to rise steadily. One wrap between two readings is undone exactly. Several
//! cannot be seen: their number is what the powers seen elsewhere allow, and where these allow several numbers, an
//! interval in which the usual power could have wrapped the counter gives no energy.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::{Channel, Instrument};

use super::wraps::{PowerRange, unseen_wraps};
use super::{Window, locate, median};
use crate::budget::{Budget, Cause, Changes, Cut, tick_variance};

/// Readings to each side of a window's end that tell the power around it.
const NEAR: usize = 4;

/// Readings to each side of a window's end that tell how noisy the power is.
const FAR: usize = 40;

/// More than any one device draws: a drop of the counter that would need more to be a wrap is a reset.
const IMPLAUSIBLE_WATTS: f64 = 10_000.0;

/// A counter's tick of energy may show within less time than it took; powers are judged over no less than this.
const SHORTEST_JUDGED_SECONDS: f64 = 0.2;

/// A counter's energy as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterCurve {
    points: Vec<Point>,
    resets: Vec<Reset>,
    wrap_joules: Option<f64>,
    followed: Vec<Wraps>,
}

/// Wraps between two readings that the powers seen elsewhere tell the number of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wraps {
    from: Stamp,
    to: Stamp,
    count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: Stamp,
    /// Since the first reading, wraps undone.
    joules: f64,
}

/// A drop that is no wrap: what was counted between the two readings is lost and bridged with the usual power.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reset {
    from: Stamp,
    to: Stamp,
    bridged_joules: f64,
}

/// One end of a window.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// The power around it, W.
    watts: f64,
    /// Variance of what the ages of the readings around it make, J².
    age_variance: f64,
}

/// What happened from one reading to the next.
enum Step {
    Rise(u64),
    Reset,
}

impl CounterCurve {
    /// Builds the curve from readings in microjoules, by time, each multiplied by `gain`.
    pub(super) fn new(readings: &[(Stamp, u64)], wrap: Option<u64>, gain: f64) -> Self {
        let unit = 1e-6 * gain;
        let steps: Vec<Step> = readings.windows(2).map(|pair| step(pair[0], pair[1], wrap)).collect();
        let bridging_watts = median_watts(readings, &steps);
        let range = PowerRange::of(readings, wrap);
        let mut followed = Vec::new();
        let mut points = Vec::with_capacity(readings.len());
        let mut resets = Vec::new();
        // Whole microjoules stay integers until the end, so that a counter of years loses no digits.
        let (mut microjoules, mut bridged) = (0_u64, 0.0);
        points.extend(readings.first().map(|(at, _)| Point { at: *at, joules: 0.0 }));
        for (pair, step) in readings.windows(2).zip(&steps) {
            let (from, to) = (pair[0].0, pair[1].0);
            match step {
                Step::Rise(rise) => {
                    microjoules += rise;
                    let seconds = to.seconds_since(from).0;
                    if let Some(count) = unseen_wraps(*rise, seconds, wrap, range.as_ref()) {
                        microjoules += count * wrap.map_or(0, |wrap| wrap + 1);
                        followed.push(Wraps { from, to, count: count + 1 });
                    }
                }
                Step::Reset => {
                    let joules = gain * bridging_watts * to.seconds_since(from).0;
                    bridged += joules;
                    resets.push(Reset { from, to, bridged_joules: joules });
                }
            }
            points.push(Point { at: to, joules: microjoules as f64 * unit + bridged });
        }
        Self { points, resets, followed, wrap_joules: wrap.map(|wrap| (wrap as f64 + 1.0) * unit) }
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        match self.locate(at) {
            Some((below, share)) => {
                let (from, to) = (self.points[below].joules, self.points[below + 1].joules);
                from + share * (to - from)
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

    fn locate(&self, at: Stamp) -> Option<(usize, f64)> {
        locate(|index| self.points[index].at, self.points.len(), at)
    }

    /// Seconds that a value can be old. Two neighbouring changes are at most one tick apart if they are seen from the
    /// reading before the first to the reading of the second, so the smallest such span bounds the tick from above;
    /// the longest time that a value was seen unchanged bounds it from below.
    pub(super) fn tick_seconds(&self) -> Option<f64> {
        self.tick_bounds().map(|(_, upper)| upper)
    }

    /// The tick as it most likely is: amid its bounds.
    fn likely_tick(&self) -> Option<f64> {
        self.tick_bounds().map(|(lower, upper)| f64::midpoint(lower, upper))
    }

    /// The tick's bounds, the upper one never below the lower.
    fn tick_bounds(&self) -> Option<(f64, f64)> {
        let points = &self.points;
        let changes: Vec<usize> =
            (1..points.len()).filter(|k| points[*k].joules != points[k - 1].joules).collect();
        let upper = changes
            .windows(2)
            .map(|pair| points[pair[1]].at.seconds_since(points[pair[0] - 1].at).0)
            .reduce(f64::min)?;
        let unchanged = changes.iter().zip(changes.iter().skip(1));
        let lower = unchanged.map(|(from, to)| points[to - 1].at.seconds_since(points[*from].at).0);
        let lower = lower.fold(0.0, f64::max);
        Some((lower, upper.max(lower)))
    }

    /// Whether the window has an energy at all.
    pub(super) fn check(&self, channel: &Channel, window: Window) -> Result<(), String> {
        let name = &channel.name;
        if window.end > window.start && self.joules_at(window.end) <= self.joules_at(window.start) {
            return Err(format!(
                "counter {name} did not move in {:.3} s: the window is shorter than its tick, or nothing is counted",
                window.seconds()
            ));
        }
        let Some(wrap) = self.wrap_joules else {
            return Ok(());
        };
        let watts = self.usual_watts();
        let known = |from: Stamp| self.followed.iter().any(|wraps| wraps.from == from);
        let doubtful = self.points.windows(2).find(|pair| {
            window.overlaps(pair[0].at, pair[1].at)
                && !known(pair[0].at)
                && watts * pair[1].at.seconds_since(pair[0].at).0 > wrap / 2.0
        });
        match doubtful {
            Some(pair) => Err(format!(
                "counter {name} was not read for {:.1} s and may have wrapped more than once in them",
                pair[1].at.seconds_since(pair[0].at).0
            )),
            None => Ok(()),
        }
    }

    fn usual_watts(&self) -> f64 {
        median(self.points.windows(2).filter_map(|pair| {
            let seconds = pair[1].at.seconds_since(pair[0].at).0;
            (seconds > 0.0).then(|| (pair[1].joules - pair[0].joules) / seconds)
        }))
    }

    /// What the window's energy may be wrong by: ticks and cuts at both ends, what the sensor does not see, and all of
    /// what was bridged.
    pub(super) fn budget(&self, instrument: &Instrument, window: Window) -> Budget {
        let mut budget = Budget::default();
        let tick = self.likely_tick();
        let [from, to] = [window.start, window.end].map(|end| self.add_end(&mut budget, end, tick));
        if let Some(tick) = tick {
            // Ages take off half a tick in the mean at both ends, which cancels where the powers are the same.
            let difference = (tick / 2.0 * (from.watts - to.watts)).powi(2);
            budget.add_ages(from.age_variance + to.age_variance + difference);
            self.add_unseen(&mut budget, instrument, window, tick);
        }
        let within = self.resets.iter().filter(|reset| window.overlaps(reset.from, reset.to));
        within.for_each(|reset| budget.add_half_width(Cause::Bridged, reset.bridged_joules));
        budget
    }

    /// Adds what cutting at one end of the window may be wrong by; returns what ages need.
    fn add_end(&self, budget: &mut Budget, end: Stamp, tick: Option<f64>) -> End {
        let Some((below, share)) =
            self.locate(end).or_else(|| Some((self.points.len().checked_sub(2)?, 1.0)))
        else {
            return End::default();
        };
        let seconds = self.seconds(below);
        let between = self.watts(below).unwrap_or(0.0);
        let last = self.points.len() - 1;
        let around = [
            (below.saturating_sub(NEAR), below),
            (below, below + 1),
            (below + 1, (below + 1 + NEAR).min(last)),
        ];
        let [before, _, after] = around.map(|(from, to)| self.mean_watts(from, to));
        let watts = [before.or(after).unwrap_or(between), between, after.or(before).unwrap_or(between)];
        let mean = (watts[0] + watts[2]) / 2.0;
        let Some(tick) = tick else {
            budget.add_half_width(Cause::Tick, self.largest_step());
            return End::default();
        };
        let noise = self.noise_of(below, tick, seconds);
        // Both ends of a mean power are of some age, each with tick²/12.
        let ages = around.map(|(from, to)| {
            let seconds = self.points[to].at.seconds_since(self.points[from].at).0;
            if seconds > 0.0 { (tick * mean / seconds).powi(2) / 6.0 } else { 0.0 }
        });
        budget.add_variance(Cause::Edge, Cut { seconds, share, watts, noise, ages }.variance());
        End { watts: mean, age_variance: tick_variance(tick, mean, share, seconds) }
    }

    /// Variance of the noise of a mean power over `seconds` around a reading, W², ages of values left out.
    fn noise_of(&self, around: usize, tick: f64, seconds: f64) -> f64 {
        let far = around.saturating_sub(FAR)..(around + FAR).min(self.points.len() - 1);
        let spans = || far.clone().map(|index| self.seconds(index));
        let spacing = spans().map(|span| span * span).sum::<f64>() / spans().sum::<f64>().max(1e-9);
        // A burst that looked for the tick shows single ticks, and no power.
        let even = far.clone().filter(|index| self.seconds(*index) >= spacing / 4.0);
        let powers: Vec<f64> = even.filter_map(|index| self.watts(index)).collect();
        let mean = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
        if spacing <= 0.0 || seconds <= 0.0 {
            return 0.0;
        }
        let ages = (tick * mean / spacing).powi(2) / 3.0;
        // Ages that follow the sampler's pace are not as even as that: what they may still make is no noise.
        Changes::of(&powers).without_noise(2.0 * ages).noise * (spacing / seconds).min(1.0)
    }

    /// Mean power from one reading to a later one; `None` where they are of one moment.
    fn mean_watts(&self, from: usize, to: usize) -> Option<f64> {
        let (from, to) = (self.points.get(from)?, self.points.get(to)?);
        let seconds = to.at.seconds_since(from.at).0;
        (seconds > 0.0).then(|| (to.joules - from.joules) / seconds)
    }

    /// Adds what a sensor that sees a part of the time misses, from how the power changes from tick to tick. A counter
    /// moves by whole ticks, so that the energy between two changes is of a whole number of them.
    fn add_unseen(&self, budget: &mut Budget, instrument: &Instrument, window: Window, tick: f64) {
        let Some(seen) = instrument.seen_fraction.filter(|seen| *seen < 1.0) else { return };
        let within = |point: &&Point| point.at >= window.start && point.at <= window.end;
        let mut joules: Vec<f64> = self.points.iter().filter(within).map(|point| point.joules).collect();
        joules.dedup();
        let mean = (self.joules_at(window.end) - self.joules_at(window.start)) / window.seconds();
        if joules.len() < 2 || tick <= 0.0 || mean <= 0.0 {
            return;
        }
        let steps = joules.windows(2).map(|pair| pair[1] - pair[0]);
        let ticks = |step: f64| (step / (tick * mean)).round().max(1.0);
        let count: f64 = steps.clone().map(ticks).sum();
        let spacing = tick * count / (joules.len() - 1) as f64;
        let powers: Vec<f64> = steps.map(|step| step / (tick * ticks(step))).collect();
        let changes = Changes::of(&powers);
        // Too few ticks to tell noise from steps: then it may all be noise.
        let noise = if changes.noise == 0.0 { changes.step / 2.0 } else { changes.noise };
        let changes = Changes { noise, step: 0.0 };
        budget.add_variance(Cause::Unseen, changes.integral_variance(window.seconds(), spacing, seen));
    }

    fn seconds(&self, index: usize) -> f64 {
        self.points[index + 1].at.seconds_since(self.points[index].at).0
    }

    /// Mean power from one reading to the next; `None` where both are of one moment.
    fn watts(&self, index: usize) -> Option<f64> {
        let seconds = self.seconds(index);
        (seconds > 0.0).then(|| (self.points[index + 1].joules - self.points[index].joules) / seconds)
    }

    fn largest_step(&self) -> f64 {
        self.points.windows(2).map(|pair| pair[1].joules - pair[0].joules).fold(0.0, f64::max)
    }

    /// Says that a reset lies in the window, or wraps that were not seen.
    pub(super) fn remark(&self, window: Window) -> Option<String> {
        let mut remarks = Vec::new();
        let mut within = self.resets.iter().filter(|reset| window.overlaps(reset.from, reset.to));
        if let Some(first) = within.next() {
            let joules = first.bridged_joules + within.map(|reset| reset.bridged_joules).sum::<f64>();
            remarks.push(format!(
                "the counter was reset at {:.1} s; {joules:.3} J of the figure bridge what was lost with the usual power",
                first.to.seconds_since(window.start).0
            ));
        }
        let followed = self.followed.iter().filter(|wraps| window.overlaps(wraps.from, wraps.to));
        remarks.extend(followed.map(|wraps| {
            format!(
                "the counter wrapped {} times while it was not read for {:.1} s, by the powers seen before and after",
                wraps.count,
                wraps.to.seconds_since(wraps.from).0
            )
        }));
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

fn step(from: (Stamp, u64), to: (Stamp, u64), wrap: Option<u64>) -> Step {
    if to.1 >= from.1 {
        return Step::Rise(to.1 - from.1);
    }
    let most = IMPLAUSIBLE_WATTS * to.0.seconds_since(from.0).0.max(SHORTEST_JUDGED_SECONDS) * 1e6;
    match wrap.and_then(|wrap| wrap.checked_sub(from.1)) {
        Some(left) if (left as f64 + to.1 as f64) <= most => Step::Rise(left + to.1 + 1),
        _ => Step::Reset,
    }
}

/// The usual power of a trace whose resets are left out.
fn median_watts(readings: &[(Stamp, u64)], steps: &[Step]) -> f64 {
    median(readings.windows(2).zip(steps).filter_map(|(pair, step)| {
        let seconds = pair[1].0.seconds_since(pair[0].0).0;
        match step {
            Step::Rise(rise) if seconds > 0.0 => Some(*rise as f64 * 1e-6 / seconds),
            _ => None,
        }
    }))
}
