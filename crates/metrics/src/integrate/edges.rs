//! The ends of a load, where idling is seen on their far side: its power is known there, and the load's is what is left.
//!
//! Between two readings a counter tells how much was spent, and not when. Where a load begins, what lies before was
//! idling at a power that the readings before show; where it ends, the same holds of what comes after. So the energy at
//! the edge follows from a reading that saw idling alone, and its doubt is of the idle power, not of the load's. Refuses
//! where too little idling was read.

use ai_energy_core::clock::Stamp;

use super::fresh::Tick;
use super::points::{Point, Points};
use crate::budget::Changes;

/// Idle power is a mean over so many ticks where there are as many, and over no fewer than the second number.
const GOOD_TICKS: f64 = 10.0;
const LEAST_TICKS: f64 = 4.0;

/// And over so many usual distances of readings.
const LEAST_READINGS: f64 = 4.0;

/// One end of a load, as a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) at: Stamp,
    /// The idle power beside it, W.
    pub(super) watts: f64,
    /// Variance of the energy there, J².
    pub(super) variance: f64,
}

/// Idling between two points, as seen from an edge.
struct Idling {
    from: usize,
    to: usize,
    watts: f64,
}

/// Puts the begin of a load into the curve; `None` where the idling before it does not tell.
pub(super) fn begin(points: &mut Points, at: Stamp, tick: Tick) -> Option<Edge> {
    let age = tick.likely() / 2.0;
    let read_by = |point: &Point| point.at.seconds() + age <= at.seconds();
    let near = points.0.iter().rposition(read_by)?;
    let (long, least) = spans(points, tick);
    let from = points.before(near, long).or_else(|| points.before(near, least).map(|_| 0))?;
    let idling = Idling { from, to: near, watts: points.watts(from, near)? };
    let seconds = at.seconds_since(points.0[near].at).0;
    let variance = variance(points, &idling, seconds, tick);
    let joules = points.0[near].joules + idling.watts * seconds;
    let keeps = |point: &Point| point.at <= points.0[near].at || (point.at > at && point.joules > joules);
    Some(insert(points, keeps_all(points, keeps), Point { at, joules }, idling.watts, variance))
}

/// Puts the end of a load into the curve; `None` where the idling after it does not tell.
pub(super) fn end(points: &mut Points, at: Stamp, tick: Tick) -> Option<Edge> {
    let age = tick.likely() / 2.0;
    let read_after = |point: &Point| point.at.seconds() + age >= at.seconds() + tick.upper;
    let near = points.0.iter().position(read_after)?;
    let (long, least) = spans(points, tick);
    let last = points.len() - 1;
    let to = points.after(near, long).or_else(|| points.after(near, least).map(|_| last))?;
    let idling = Idling { from: near, to, watts: points.watts(near, to)? };
    let seconds = points.0[near].at.seconds_since(at).0;
    let variance = variance(points, &idling, seconds, tick);
    let joules = points.0[near].joules - idling.watts * seconds;
    let keeps = |point: &Point| point.at >= points.0[near].at || (point.at < at && point.joules < joules);
    Some(insert(points, keeps_all(points, keeps), Point { at, joules }, idling.watts, variance))
}

/// How long idling is wanted, and how long it has to be, s.
fn spans(points: &Points, tick: Tick) -> (f64, f64) {
    let readings = LEAST_READINGS * points.usual_spacing();
    ((GOOD_TICKS * tick.upper).max(readings), (LEAST_TICKS * tick.upper).max(readings))
}

fn keeps_all(points: &Points, keeps: impl Fn(&Point) -> bool) -> Vec<Point> {
    points.0.iter().filter(|point| keeps(point)).copied().collect()
}

fn insert(points: &mut Points, mut kept: Vec<Point>, point: Point, watts: f64, variance: f64) -> Edge {
    kept.insert(kept.partition_point(|other| other.at < point.at), point);
    points.0 = kept;
    Edge { at: point.at, watts, variance }
}

/// Variance of the energy at an edge so many seconds beside a point of its idling. The ages of both ends of the idling
/// err in its power, one of them also in the point itself; what the idle power does meanwhile is as it did before.
fn variance(points: &Points, idling: &Idling, seconds: f64, tick: Tick) -> f64 {
    let (span, _) = points.between(idling.from, idling.to);
    let reach = seconds / span;
    let age = (tick.likely() * idling.watts).powi(2) / 12.0 * ((1.0 + reach).powi(2) + reach.powi(2));
    let segments = idling.from..idling.to;
    let spacing = points.spacing(segments.clone());
    let even = segments.filter(|index| points.seconds(*index) >= spacing / 4.0);
    let powers: Vec<f64> = even.filter_map(|index| points.watts(index, index + 1)).collect();
    // Ages make two ends of each power wrong, and follow the sampler's pace at times.
    let ages = 2.0 * (tick.likely() * idling.watts / spacing).powi(2) / 3.0;
    let changes = Changes::of(&powers).without_noise(ages);
    let step = (changes.step - 2.0 * ages).max(0.0);
    age + seconds.powi(2) * (changes.noise * (spacing / seconds.max(1e-9)).min(1.0) + step)
}
