//! When a step's requests are due and how its bound moves: the planned side of the load, computed before it begins.
//!
//! A law's gaps of mean 1, added up, are arrivals of a process of rate 1. The rate that changes with time, λ(t), has the
//! mean number of arrivals Λ(t) = ∫λ; the instants are Λ⁻¹ of those arrivals (time rescaling: Brown et al., Neural
//! Computation 14, 2002), so a ramp is exact and not a row of small steps. Refuses to know clocks.

use std::time::Duration;

use super::{Arrivals, Step};
use crate::draw::Draw;

/// Streams of the load's seed begin here, one a step; think times have others.
const FIRST_STEP: u64 = 1 << 32;

/// Most planned requests of a step: more would only fill the memory.
const MOST: usize = 50_000_000;

/// The instants of an open step since its begin, in order, `number` being its place in the plan; empty for other steps.
/// There are at most `prompts` where neither a count nor a duration bounds them.
pub fn instants(step: &Step, seed: u64, number: usize, prompts: usize) -> Vec<Duration> {
    let Arrivals::Open { rate, from, law } = &step.arrivals else {
        return Vec::new();
    };
    let end = step.duration_seconds.unwrap_or(f64::INFINITY);
    let most = step.requests.unwrap_or(if end.is_finite() { MOST } else { prompts }).min(MOST);
    let ramp = Ramp { from: from.unwrap_or(*rate), to: *rate, over: end };
    let (mut draw, mut gaps) = (Draw::new(seed, FIRST_STEP + number as u64), law.gaps());
    let mut arrivals = 0.0;
    let mut planned = Vec::new();
    while planned.len() < most {
        arrivals += gaps.next(&mut draw);
        match ramp.time_of(arrivals).filter(|time| *time < end) {
            Some(time) => planned.push(Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX)),
            None => break,
        }
    }
    planned
}

/// A rate that changes linearly.
struct Ramp {
    from: f64,
    to: f64,
    over: f64,
}

impl Ramp {
    /// When the mean number of arrivals reaches `arrivals`, s; `None` where it never does. From Λ(t) = f·t + (r − f)·t²/2D,
    /// written so that neither equal rates nor a rate of 0 at the begin divide by nothing.
    fn time_of(&self, arrivals: f64) -> Option<f64> {
        let slope = if self.over.is_finite() { (self.to - self.from) / self.over } else { 0.0 };
        if arrivals <= 0.0 {
            return Some(0.0);
        }
        let root = self.from * self.from + 2.0 * slope * arrivals;
        let time = 2.0 * arrivals / (self.from + libm::sqrt(root));
        (root >= 0.0 && time.is_finite()).then_some(time)
    }
}

/// Most requests in flight over a step: the bound at its begin (`None`: no bound), and each later change with its instant.
pub fn bounds(step: &Step) -> (Option<usize>, Vec<(Duration, usize)>) {
    let (Arrivals::Closed { concurrency, from: Some(from) }, Some(duration)) =
        (&step.arrivals, step.duration_seconds)
    else {
        return (step.most_in_flight(), Vec::new());
    };
    let (begin, end) = ((*from).max(1), (*concurrency).max(1));
    let changes = begin.abs_diff(end);
    let at = |change: usize| {
        // Each level holds for an equal part of the step; the last one from its part's begin on.
        let time = duration * change as f64 / (changes + 1) as f64;
        let level = if end > begin { begin + change } else { begin - change };
        (Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX), level)
    };
    (Some(begin), (1..=changes).map(at).collect())
}

/// The instants of a trace's next requests, from the first one's on, as far as the step goes.
pub fn trace_instants(step: &Step, timeline: &[Duration]) -> Vec<Duration> {
    let first = timeline.first().copied().unwrap_or_default();
    let end = step.duration().unwrap_or(Duration::MAX);
    let most = step.requests.unwrap_or(timeline.len());
    let since = timeline.iter().take(most).map(|at| at.saturating_sub(first));
    since.take_while(|at| *at < end).collect()
}

#[cfg(test)]
mod tests;
