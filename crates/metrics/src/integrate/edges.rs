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

/// And over so many readings.
const LEAST_READINGS: usize = 4;

/// Readings that the load's power beside an edge is taken over.
const NEAR: usize = 4;

/// One end of a load, as a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) at: Stamp,
    /// The idle power beside it, W.
    pub(super) watts: f64,
    /// What the power changes by there, W.
    pub(super) step: f64,
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
    let age = tick.age();
    let read_by = |point: &Point| point.at.seconds() + age <= at.seconds();
    let near = points.0.iter().rposition(read_by)?;
    let few = near.checked_sub(LEAST_READINGS)?;
    let from = points.before(near, GOOD_TICKS * tick.upper).unwrap_or(0).min(few);
    if points.between(from, near).0 < LEAST_TICKS * tick.upper {
        return None;
    }
    let idling = Idling { from, to: near, watts: points.watts(from, near)? };
    let seconds = at.seconds_since(points.0[near].at).0;
    let variance = variance(points, &idling, seconds, tick);
    let joules = points.0[near].joules + idling.watts * seconds;
    let last = points.0[near].at;
    let keeps = |point: &Point| point.at <= last || (point.at > at && point.joules > joules);
    let load = (near + 1, (near + 1 + NEAR).min(points.len() - 1));
    let step = points.watts(load.0, load.1).map_or(0.0, |load| load - idling.watts);
    let edge = Edge { at, watts: idling.watts, step, variance };
    insert(points, keeps_all(points, keeps), Point { at, joules });
    Some(edge)
}

/// Puts the end of a load into the curve; `None` where the idling after it does not tell.
pub(super) fn end(points: &mut Points, at: Stamp, tick: Tick) -> Option<Edge> {
    let age = tick.age();
    let read_after = |point: &Point| point.at.seconds() + age >= at.seconds() + tick.upper;
    let near = points.0.iter().position(read_after)?;
    let last = points.len() - 1;
    let few = Some(near + LEAST_READINGS).filter(|few| *few <= last)?;
    let to = points.after(near, GOOD_TICKS * tick.upper).unwrap_or(last).max(few);
    if points.between(near, to).0 < LEAST_TICKS * tick.upper {
        return None;
    }
    let idling = Idling { from: near, to, watts: points.watts(near, to)? };
    let seconds = points.0[near].at.seconds_since(at).0;
    let variance = variance(points, &idling, seconds, tick);
    let joules = points.0[near].joules - idling.watts * seconds;
    let first = points.0[near].at;
    let keeps = |point: &Point| point.at >= first || (point.at < at && point.joules < joules);
    let load = points.0.partition_point(|point| point.at < at).saturating_sub(1);
    let step = points.watts(load.saturating_sub(NEAR), load).map_or(0.0, |load| load - idling.watts);
    let edge = Edge { at, watts: idling.watts, step, variance };
    insert(points, keeps_all(points, keeps), Point { at, joules });
    Some(edge)
}

fn keeps_all(points: &Points, keeps: impl Fn(&Point) -> bool) -> Vec<Point> {
    points.0.iter().filter(|point| keeps(point)).copied().collect()
}

fn insert(points: &mut Points, mut kept: Vec<Point>, point: Point) {
    kept.insert(kept.partition_point(|other| other.at < point.at), point);
    points.0 = kept;
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
