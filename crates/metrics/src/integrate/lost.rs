//! What a counter lost, by a reset or in a machine's sleep, is bridged with the power right before and after.
//!
//! How wrong such a bridge is, is asked of the same trace: over every stretch of the window that is as long, the bridge
//! is compared with what was counted. Refuses to bridge without a power beside the loss.

use ai_energy_core::clock::Stamp;

use super::Window;
use super::points::Points;

/// The power beside a loss is a mean over the loss' own length, and no fewer than so many usual distances of readings.
const BESIDE: f64 = 4.0;

/// Of fewer comparisons no quantile is taken: then all that was bridged is in doubt.
const FEWEST: usize = 20;

/// What happened between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The counter began anew.
    Reset,
    /// The machine slept.
    Sleep,
}

/// Energy between two readings that was not counted, or not for the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Loss {
    /// The point before it.
    pub(super) index: usize,
    pub(super) why: Why,
    pub(super) from: Stamp,
    pub(super) to: Stamp,
    pub(super) joules: f64,
}

/// Fills in what each loss most likely was; `points` are as if nothing had been spent in them.
pub(super) fn bridge(points: &mut Points, losses: &mut [Loss], usual_watts: f64) {
    let spacing = points.usual_spacing();
    let lost = |index: usize| losses.iter().any(|loss| loss.index == index);
    let found: Vec<f64> = losses
        .iter()
        .map(|loss| {
            let seconds = loss.to.seconds_since(loss.from).0;
            let watts = beside(points, loss.index, loss.index + 1, BESIDE * spacing, &lost);
            seconds * watts.unwrap_or(usual_watts)
        })
        .collect();
    for (loss, joules) in losses.iter_mut().zip(found) {
        loss.joules = joules;
        points.0[loss.index + 1..].iter_mut().for_each(|point| point.joules += joules);
    }
}

/// Mean of the powers on both sides of a stretch; of one where the other has none.
fn beside(points: &Points, from: usize, to: usize, least: f64, lost: &dyn Fn(usize) -> bool) -> Option<f64> {
    let seconds = points.between(from, to).0.max(least);
    let clear = |range: std::ops::Range<usize>| !range.clone().any(lost);
    let before = points.before(from, seconds).filter(|begin| clear(*begin..from));
    let after = points.after(to, seconds).filter(|end| clear(to..*end));
    let before = before.and_then(|begin| points.watts(begin, from));
    let after = after.and_then(|end| points.watts(to, end));
    match (before, after) {
        (Some(before), Some(after)) => Some(f64::midpoint(before, after)),
        (one, other) => one.or(other),
    }
}

/// Half the width of the 95 % interval of what bridged a loss, J: of the stretches of the window that are as long, 95 %
/// would have been bridged this well. All of it where there are too few of them.
pub(super) fn doubt(points: &Points, losses: &[Loss], loss: &Loss, window: Window) -> f64 {
    let spacing = points.usual_spacing();
    let lost = |index: usize| losses.iter().any(|loss| loss.index == index);
    let seconds = loss.to.seconds_since(loss.from).0;
    let within = |index: &usize| points.0[*index].at >= window.start && points.0[*index].at <= window.end;
    let wrong = (0..points.len()).filter(within).filter_map(|from| {
        let to = points.after(from, 0.9 * seconds).filter(within)?;
        let (long, joules) = points.between(from, to);
        // A stretch may only stand for the loss if it is as long and was counted.
        if long > 1.5 * seconds || (from..to).any(lost) {
            return None;
        }
        let watts = beside(points, from, to, BESIDE * spacing, &lost)?;
        Some((joules - watts * long).abs() * seconds / long)
    });
    let mut wrong: Vec<f64> = wrong.collect();
    wrong.sort_by(f64::total_cmp);
    if wrong.len() < FEWEST { loss.joules } else { crate::stats::quantile(&wrong, 0.95) }
}
