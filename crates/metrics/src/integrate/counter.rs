//! The curve of an energy counter: wraps undone, resets bridged, ticks found.
//!
//! Between two readings the counter is taken to rise steadily. One wrap between two readings is undone exactly;
//! several cannot be seen, so an interval in which the usual power could have wrapped the counter gives no energy.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Channel;

use super::{Window, locate};

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
        let mut points = Vec::with_capacity(readings.len());
        let mut resets = Vec::new();
        // Whole microjoules stay integers until the end, so that a counter of years loses no digits.
        let (mut microjoules, mut bridged) = (0_u64, 0.0);
        points.extend(readings.first().map(|(at, _)| Point { at: *at, joules: 0.0 }));
        for (pair, step) in readings.windows(2).zip(&steps) {
            let (from, to) = (pair[0].0, pair[1].0);
            match step {
                Step::Rise(rise) => microjoules += rise,
                Step::Reset => {
                    let joules = gain * bridging_watts * to.seconds_since(from).0;
                    bridged += joules;
                    resets.push(Reset { from, to, bridged_joules: joules });
                }
            }
            points.push(Point { at: to, joules: microjoules as f64 * unit + bridged });
        }
        Self { points, resets, wrap_joules: wrap.map(|wrap| (wrap as f64 + 1.0) * unit) }
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
        let points = &self.points;
        let changes: Vec<usize> =
            (1..points.len()).filter(|k| points[*k].joules != points[k - 1].joules).collect();
        let upper = changes
            .windows(2)
            .map(|pair| points[pair[1]].at.seconds_since(points[pair[0] - 1].at).0)
            .reduce(f64::min)?;
        let unchanged = changes.iter().zip(changes.iter().skip(1));
        let lower = unchanged.map(|(from, to)| points[to - 1].at.seconds_since(points[*from].at).0);
        Some(lower.fold(upper, f64::max))
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
        let doubtful = self.points.windows(2).find(|pair| {
            window.overlaps(pair[0].at, pair[1].at)
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

    /// Ticks and edges at both ends, and all of what was bridged, in quadrature.
    pub(super) fn random_ci95(&self, window: Window, joules: f64) -> f64 {
        let seconds = window.seconds();
        let tick = match self.tick_seconds() {
            Some(tick) if seconds > 0.0 => tick * joules / seconds,
            Some(_) => 0.0,
            None => self.largest_step(),
        };
        let bridged: f64 = self
            .resets
            .iter()
            .filter(|reset| window.overlaps(reset.from, reset.to))
            .map(|reset| reset.bridged_joules.powi(2))
            .sum();
        let edges = self.edge_joules(window.start).powi(2) + self.edge_joules(window.end).powi(2);
        (2.0 * tick.powi(2) + edges + bridged).sqrt()
    }

    fn largest_step(&self) -> f64 {
        self.points.windows(2).map(|pair| pair[1].joules - pair[0].joules).fold(0.0, f64::max)
    }

    /// What could lie on the wrong side of a window's end between two readings.
    fn edge_joules(&self, at: Stamp) -> f64 {
        self.locate(at).map_or(0.0, |(below, share)| {
            (self.points[below + 1].joules - self.points[below].joules) * share.min(1.0 - share)
        })
    }

    /// Says that a reset lies in the window.
    pub(super) fn remark(&self, window: Window) -> Option<String> {
        let mut within = self.resets.iter().filter(|reset| window.overlaps(reset.from, reset.to));
        let first = within.next()?;
        let joules = first.bridged_joules + within.map(|reset| reset.bridged_joules).sum::<f64>();
        Some(format!(
            "the counter was reset at {:.1} s; {joules:.3} J of the figure bridge what was lost with the usual power",
            first.to.seconds_since(window.start).0
        ))
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

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    if values.is_empty() { 0.0 } else { crate::stats::quantile(&values, 0.5) }
}
