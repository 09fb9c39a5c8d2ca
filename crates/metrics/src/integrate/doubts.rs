//! What the energy of a counter over a window may be wrong by.
//!
//! Turns what the readings show into the terms of the error budget. Refuses to know their formulas.

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Instrument;

use super::Window;
use super::counter::CounterCurve;
use super::fresh::Tick;
use super::lost;
use super::points::{Point, Points};
use crate::budget::{Budget, Cause, Changes, Cut, tick_variance};

/// Readings to each side of a window's end that tell the power around it.
const NEAR: usize = 4;

/// Readings to each side of a window's end that tell how noisy the power is.
const FAR: usize = 40;

/// So many ticks between two readings are too many to be counted by their energy.
const MANY_TICKS: f64 = 2.5;

/// Then powers are told over so many ticks, in which the ages of both ends hardly count.
const BLOCK_TICKS: f64 = 12.0;

/// One end of the window.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// The power around it, W.
    watts: f64,
    /// Variance of what the ages of the readings around it make, J².
    age_variance: f64,
}

/// Ticks and cuts at both ends, what the sensor does not see, and what was bridged.
pub(super) fn budget(curve: &CounterCurve, instrument: &Instrument, window: Window) -> Budget {
    let mut budget = Budget::default();
    let [from, to] = [window.start, window.end].map(|end| add_end(curve, &mut budget, end));
    if let Some(tick) = curve.tick {
        // What values are older than the curve takes them for cancels where the powers at both ends are the same.
        let shift = tick.older() * (from.watts - to.watts).powi(2);
        budget.add_ages(from.age_variance + to.age_variance + shift);
        add_unseen(curve, &mut budget, instrument, window, tick);
    }
    for loss in curve.losses.iter().filter(|loss| window.overlaps(loss.from, loss.to)) {
        let doubt = lost::doubt(&curve.points, &curve.losses, loss, window);
        budget.add_half_width(Cause::Bridged, doubt);
    }
    budget
}

/// Adds what cutting at one end of the window may be wrong by; returns what ages need.
fn add_end(curve: &CounterCurve, budget: &mut Budget, end: Stamp) -> End {
    if let Some(edge) = curve.edges.iter().find(|edge| edge.at == end) {
        return End { watts: edge.watts, age_variance: edge.variance };
    }
    let points = &curve.points;
    let Some((below, share)) = points.locate(end).or_else(|| Some((points.len().checked_sub(2)?, 1.0)))
    else {
        return End::default();
    };
    let seconds = points.seconds(below);
    let between = points.watts(below, below + 1).unwrap_or(0.0);
    let last = points.len() - 1;
    let around =
        [(below.saturating_sub(NEAR), below), (below, below + 1), (below + 1, (below + 1 + NEAR).min(last))];
    let [before, _, after] = around.map(|(from, to)| points.watts(from, to));
    let watts = [before.or(after).unwrap_or(between), between, after.or(before).unwrap_or(between)];
    let mean = (watts[0] + watts[2]) / 2.0;
    let Some(tick) = curve.tick else {
        budget.add_half_width(Cause::Tick, largest_step(points));
        return End::default();
    };
    // Beyond the last reading the curve goes on from it: one age it is.
    let share_of_ages = if below + 1 == last { 0.0 } else { share };
    let age_variance = tick_variance([tick.lower, tick.upper], mean, share_of_ages, seconds);
    let tick = tick.likely();
    let noise = noise_of(points, below, tick, seconds);
    // Both ends of a mean power are of some age, each with tick²/12.
    let ages = around.map(|(from, to)| {
        let (seconds, _) = points.between(from, to);
        if seconds > 0.0 { (tick * mean / seconds).powi(2) / 6.0 } else { 0.0 }
    });
    budget.add_variance(Cause::Edge, Cut { seconds, share, watts, noise, ages }.variance());
    if curve.unread.contains(&end) {
        // The power steps right here, and nobody read what it stepped to: all that the load's own power leaves open.
        let (load, part) =
            if before.unwrap_or(0.0) > after.unwrap_or(0.0) { (before, share) } else { (after, 1.0 - share) };
        budget.add_half_width(Cause::Edge, (load.unwrap_or(between) - between).abs() * seconds * part);
    }
    End { watts: mean, age_variance }
}

/// Variance of the noise of a mean power over `seconds` around a reading, W², ages of values left out.
fn noise_of(points: &Points, around: usize, tick: f64, seconds: f64) -> f64 {
    let far = around.saturating_sub(FAR)..(around + FAR).min(points.len() - 1);
    let spacing = points.spacing(far.clone());
    // A burst that looked for the tick shows single ticks, and no power.
    let even = far.filter(|index| points.seconds(*index) >= spacing / 4.0);
    let powers: Vec<f64> = even.filter_map(|index| points.watts(index, index + 1)).collect();
    let mean = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
    if spacing <= 0.0 || seconds <= 0.0 {
        return 0.0;
    }
    let ages = (tick * mean / spacing).powi(2) / 3.0;
    // Ages that follow the sampler's pace are not as even as that: what they may still make is no noise.
    Changes::of(&powers).without_noise(2.0 * ages).noise * (spacing / seconds).min(1.0)
}

/// Adds what a sensor that sees a part of the time misses, from how the power changes.
fn add_unseen(
    curve: &CounterCurve,
    budget: &mut Budget,
    instrument: &Instrument,
    window: Window,
    tick: Tick,
) {
    let Some(seen) = instrument.seen_fraction.filter(|seen| *seen < 1.0) else { return };
    let tick = tick.likely();
    // The load's edges and the curve's end lie between ticks.
    let read = |at: Stamp| at != curve.span().1 && curve.edges.iter().all(|edge| edge.at != at);
    let within = |at: Stamp| at >= window.start && at <= window.end && read(at);
    let points: Vec<Point> = curve.points.0.iter().filter(|point| within(point.at)).copied().collect();
    let mean = (curve.joules_at(window.end) - curve.joules_at(window.start)) / window.seconds();
    if points.len() < 2 || tick <= 0.0 || mean <= 0.0 {
        return;
    }
    let spacing = curve.points.usual_spacing();
    let seen_powers = if spacing >= MANY_TICKS * tick {
        by_time(&points, spacing.max(BLOCK_TICKS * tick), tick * mean)
    } else {
        by_ticks(&points, tick, mean)
    };
    let Some((changes, spacing)) = seen_powers else { return };
    // Too few ticks to tell noise from steps: then it may all be noise.
    let noise = if changes.noise == 0.0 { changes.step / 2.0 } else { changes.noise };
    let noise = Changes { noise, step: 0.0 }.integral_variance(window.seconds(), spacing, seen);
    // A step anywhere within a tick is counted as if it lay where the sensor looks.
    let edges = curve.edges.iter().filter(|edge| edge.at >= window.start && edge.at <= window.end);
    let own: f64 = edges.map(|edge| (edge.step * tick).powi(2)).sum();
    let steps = changes.step * tick.powi(2) * window.seconds() / spacing;
    budget.add_variance(Cause::Unseen, noise + (1.0 - seen).powi(2) / 12.0 * (own + steps));
}

/// How the power changes from tick to tick, and their distance: a counter moves by whole ticks, so that the energy
/// between two changes is of a whole number of them.
fn by_ticks(points: &[Point], tick: f64, mean: f64) -> Option<(Changes, f64)> {
    let mut joules: Vec<f64> = points.iter().map(|point| point.joules).collect();
    joules.dedup();
    if joules.len() < 2 {
        return None;
    }
    let steps = joules.windows(2).map(|pair| pair[1] - pair[0]);
    let ticks = |step: f64| (step / (tick * mean)).round().max(1.0);
    let count: f64 = steps.clone().map(ticks).sum();
    let spacing = tick * count / (joules.len() - 1) as f64;
    let powers: Vec<f64> = steps.map(|step| step / (tick * ticks(step))).collect();
    Some((Changes::of(&powers), spacing))
}

/// The same where many ticks lie between two readings, whose number energy then does not tell: over stretches of
/// `block` seconds or more. Ages make noise of a third of (a tick's joules ÷ block)² where they are independent, and
/// none where they follow the sampler's pace; half of it is taken off, so that either is wrong by a few percent.
fn by_time(points: &[Point], block: f64, tick_joules: f64) -> Option<(Changes, f64)> {
    let mut ends: Vec<Point> = Vec::new();
    for point in points {
        if ends.last().is_none_or(|last| point.at.seconds_since(last.at).0 >= block * 0.99) {
            ends.push(*point);
        }
    }
    let ends = Points(ends);
    let segments = 0..ends.len().checked_sub(2)? + 1;
    let powers: Vec<f64> = segments.clone().filter_map(|index| ends.watts(index, index + 1)).collect();
    let spacing = ends.spacing(segments);
    let ages = (tick_joules / spacing).powi(2) / 3.0;
    Some((Changes::of(&powers).without_noise(ages / 2.0), spacing))
}

fn largest_step(points: &Points) -> f64 {
    points.0.windows(2).map(|pair| pair[1].joules - pair[0].joules).fold(0.0, f64::max)
}
