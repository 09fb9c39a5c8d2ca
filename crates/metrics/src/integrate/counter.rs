//! The curve of an energy counter: wraps undone, losses bridged, stale repeats left out, ticks found.
//!
//! Between two readings the counter is taken to rise steadily. A value is up to a tick old when it is read and half a
//! tick in the mean, so the curve lies half of the tick's lower bound before the readings. One wrap between two readings is undone exactly.
//! Several cannot be seen: their number is what the powers seen elsewhere allow, and where these allow several numbers,
//! an interval in which the counter could have wrapped unseen gives no energy.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Channel;

use super::edges::{self, Edge};
use super::fresh::{Fresh, Tick};
use super::lost::{self, Loss, Why};
use super::points::{Point, Points};
use super::wraps::{PowerRange, Wraps, unseen_wraps};
use super::{Known, Window};

/// More than any one device draws: a drop of the counter that would need more to be a wrap is a reset.
const IMPLAUSIBLE_WATTS: f64 = 10_000.0;

/// A counter's tick of energy may show within less time than it took; powers are judged over no less than this.
const SHORTEST_JUDGED_SECONDS: f64 = 0.2;

/// Readings that the power at the end of the trace is taken over, in usual distances and in ticks.
const HOLD_READINGS: f64 = 3.0;
const HOLD_TICKS: f64 = 4.0;

/// A value may stand for so many times the longest that it was seen to before the counter is taken for dead.
const DEAD_TIMES: f64 = 2.0;

/// A counter's energy as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterCurve {
    pub(super) points: Points,
    pub(super) tick: Option<Tick>,
    pub(super) edges: Vec<Edge>,
    /// Ends of the load beside which too little idling was read.
    pub(super) unread: Vec<Stamp>,
    pub(super) losses: Vec<Loss>,
    wrap_joules: Option<f64>,
    wraps: Vec<Wraps>,
    dead: Option<Dead>,
}

/// The counter gave one value from some moment on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dead {
    since: Stamp,
    /// A window that ends so much later has an energy all the same, s.
    borne: f64,
}

/// What happened from one reading to the next.
enum Step {
    Rise { microjoules: u64, dropped: bool },
    Lost(Why),
}

impl CounterCurve {
    /// Builds the curve from readings in microjoules, by time, each multiplied by `gain`.
    pub(super) fn new(readings: &[(Stamp, u64)], wrap: Option<u64>, gain: f64, known: &Known) -> Self {
        let Fresh { readings: fresh, tick, stands_since } = Fresh::of(readings);
        let unit = 1e-6 * gain;
        let range = PowerRange::of(&fresh, wrap);
        let (mut wraps, mut losses) = (Vec::new(), Vec::new());
        let mut points = Points(Vec::with_capacity(fresh.len() + 3));
        // Whole microjoules stay integers until the end, so that a counter of years loses no digits.
        let mut sum = 0_u64;
        points.0.extend(fresh.first().map(|(at, _)| Point { at: *at, joules: 0.0 }));
        for (index, pair) in fresh.windows(2).enumerate() {
            let (from, to) = (pair[0].0, pair[1].0);
            match step(pair[0], pair[1], wrap, known) {
                Step::Lost(why) => losses.push(Loss { index, why, from, to, joules: 0.0 }),
                Step::Rise { microjoules, dropped } => {
                    sum += microjoules;
                    let unseen = wrap.zip(range.as_ref()).map(|(wrap, range)| {
                        unseen_wraps(microjoules, to.seconds_since(from).0, wrap, range)
                    });
                    if let Some(unseen) = unseen.filter(|unseen| *unseen != Some(0)) {
                        sum += unseen.unwrap_or(0) * wrap.map_or(0, |wrap| wrap + 1);
                        let count = unseen.map(|unseen| unseen + u64::from(dropped));
                        wraps.push(Wraps { from, to, count });
                    }
                }
            }
            points.0.push(Point { at: to, joules: sum as f64 * unit });
        }
        let bounded = range.is_some();
        let mut curve = Self {
            points,
            tick,
            edges: Vec::new(),
            unread: Vec::new(),
            losses,
            wrap_joules: wrap.filter(|_| !bounded).map(|wrap| (wrap as f64 + 1.0) * unit),
            wraps,
            dead: stands_since.zip(tick).map(|(since, tick)| Dead { since, borne: DEAD_TIMES * tick.upper }),
        };
        curve.bridge();
        curve.place(known);
        curve
    }

    fn bridge(&mut self) {
        if self.losses.is_empty() {
            return;
        }
        let usual = self.points.usual_watts(|index| !self.losses.iter().any(|loss| loss.index == index));
        lost::bridge(&mut self.points, &mut self.losses, usual);
    }

    /// Puts the curve as much before its readings as these are old in the mean, goes on to the last reading at the power
    /// there, and puts in the load's edges.
    fn place(&mut self, known: &Known) {
        let (Some(tick), Some(last)) = (self.tick, self.points.last()) else { return };
        let age = tick.age();
        let nanos = (age * 1e9).round() as u64;
        self.points.0.iter_mut().for_each(|point| point.at = Stamp(point.at.0.saturating_sub(nanos)));
        let end = self.points.len() - 1;
        let spacing = self.points.usual_spacing();
        let span = (HOLD_READINGS * spacing).max(HOLD_TICKS * tick.upper);
        let from = self.points.before(end, span).unwrap_or(0);
        let held = last.at.seconds_since(self.points.0[end].at).0;
        let watts = self.points.watts(from, end).unwrap_or(0.0);
        if held > 0.0 {
            self.points.0.push(Point { at: last.at, joules: last.joules + watts * held });
        }
        let begin = known.idle_until.and_then(|at| edges::begin(&mut self.points, at, tick));
        let end = known.idle_from.and_then(|at| edges::end(&mut self.points, at, tick));
        self.edges = begin.into_iter().chain(end).collect();
        let found = |at: &Stamp| self.edges.iter().any(|edge| edge.at == *at);
        self.unread = known.idle_until.into_iter().chain(known.idle_from).filter(|at| !found(at)).collect();
        // Points were moved and put in: a loss is where it was in time.
        for loss in &mut self.losses {
            loss.from = Stamp(loss.from.0.saturating_sub(nanos));
            loss.to = Stamp(loss.to.0.saturating_sub(nanos));
            loss.index = self.points.0.partition_point(|point| point.at <= loss.from).saturating_sub(1);
        }
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        self.points.joules_at(at)
    }

    pub(super) fn span(&self) -> (Stamp, Stamp) {
        let first = self.points.0.first().map_or(Stamp(0), |point| point.at);
        (first, self.points.last().map_or(first, |point| point.at))
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = Stamp> {
        self.points.0.iter().map(|point| point.at)
    }

    /// Seconds that a value can be old. Two neighbouring changes are at most one tick apart if they are seen from the
    /// reading before the first to the reading of the second, so the smallest such span bounds the tick from above;
    /// the longest time that a value was seen unchanged, stale repeats apart, bounds it from below.
    pub(super) fn tick_seconds(&self) -> Option<f64> {
        self.tick.map(|tick| tick.upper)
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
        if let Some(dead) = self.dead.filter(|dead| window.end.seconds_since(dead.since).0 > dead.borne) {
            return Err(format!(
                "source {name} was lost at {:.1} s of {:.1} s: it gave the same value from then on",
                dead.since.seconds_since(window.start).0,
                window.seconds()
            ));
        }
        let unclear =
            self.wraps.iter().find(|wraps| wraps.count.is_none() && window.overlaps(wraps.from, wraps.to));
        let seconds = unclear.map(|wraps| wraps.to.seconds_since(wraps.from).0);
        match seconds.or_else(|| self.unbounded(window)) {
            Some(seconds) => Err(format!(
                "counter {name} was not read for {seconds:.1} s and may have wrapped more than once in them"
            )),
            None => Ok(()),
        }
    }

    /// Where too few powers bound a gap's: the length of the first gap in which the usual power comes near a wrap.
    fn unbounded(&self, window: Window) -> Option<f64> {
        let wrap = self.wrap_joules?;
        let watts = self.points.usual_watts(|_| true);
        let near = |index: &usize| {
            let (from, to) = (self.points.0[*index].at, self.points.0[index + 1].at);
            window.overlaps(from, to) && watts * to.seconds_since(from).0 > wrap / 2.0
        };
        (0..self.points.len().saturating_sub(1)).find(near).map(|index| self.points.seconds(index))
    }

    /// Says that a loss lies in the window, or wraps that were not seen.
    pub(super) fn remark(&self, window: Window) -> Option<String> {
        let mut remarks = Vec::new();
        let of = |why: Why| {
            self.losses.iter().filter(move |loss| loss.why == why && window.overlaps(loss.from, loss.to))
        };
        for (why, what) in [(Why::Reset, "the counter was reset"), (Why::Sleep, "the machine slept")] {
            if let Some(first) = of(why).next() {
                let joules: f64 = of(why).map(|loss| loss.joules).sum();
                remarks.push(format!(
                    "{what} at {:.1} s; {joules:.3} J of the figure bridge what was lost with the power before and after",
                    first.to.seconds_since(window.start).0
                ));
            }
        }
        let followed = self.wraps.iter().filter(|wraps| window.overlaps(wraps.from, wraps.to));
        remarks.extend(followed.filter_map(|wraps| {
            Some(format!(
                "the counter wrapped {} times while it was not read for {:.1} s, by the powers seen before and after",
                wraps.count?,
                wraps.to.seconds_since(wraps.from).0
            ))
        }));
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

fn step(from: (Stamp, u64), to: (Stamp, u64), wrap: Option<u64>, known: &Known) -> Step {
    if known.slept(from.0, to.0) {
        return Step::Lost(Why::Sleep);
    }
    if to.1 >= from.1 {
        return Step::Rise { microjoules: to.1 - from.1, dropped: false };
    }
    let most = IMPLAUSIBLE_WATTS * to.0.seconds_since(from.0).0.max(SHORTEST_JUDGED_SECONDS) * 1e6;
    match wrap.and_then(|wrap| wrap.checked_sub(from.1)) {
        Some(left) if (left as f64 + to.1 as f64) <= most => {
            Step::Rise { microjoules: left + to.1 + 1, dropped: true }
        }
        _ => Step::Lost(Why::Reset),
    }
}
