//! A generator of truth: random powers with exact integrals, and instruments that read them as published ones do.
//!
//! Shares no code and no constant with the error budget. Gains, ticks, periods and windows are drawn from published
//! ranges (arXiv 2312.02741; NVIDIA's documentation of the 1 s average): counters move every 10 to 100 ms, sensors renew
//! their value every 100 ms from 25 or 100 ms before, gains of one design spread by some percent.

use ai_energy_core::Stamp;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A power in pieces, each constant, with the energy up to each.
pub(crate) struct Power {
    ends: Vec<f64>,
    watts: Vec<f64>,
    joules: Vec<f64>,
}

impl Power {
    fn new() -> Self {
        Self { ends: vec![0.0], watts: vec![0.0], joules: vec![0.0] }
    }

    fn push(&mut self, seconds: f64, watts: f64) {
        let (end, joules) = (self.end(), *self.joules.last().unwrap());
        self.ends.push(end + seconds);
        self.watts.push(watts);
        self.joules.push(joules + watts * seconds);
    }

    fn end(&self) -> f64 {
        *self.ends.last().unwrap()
    }

    /// Exact energy from 0 s to `to`.
    pub(crate) fn energy(&self, to: f64) -> f64 {
        let piece = self.ends.partition_point(|end| *end < to).clamp(1, self.ends.len() - 1);
        self.joules[piece - 1] + (to - self.ends[piece - 1]) * self.watts[piece]
    }
}

/// Draws of one case.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// A normal deviate by its standard deviation (Box and Muller).
    pub(crate) fn normal(&mut self, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        deviation * radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
    }

    /// 3 s of idling, a load in levels that each hold for a while, and idling again. `unrest` is the relative deviation
    /// of pieces of 5 to 20 ms from their level. Returns the power and when the load began and ended.
    pub(crate) fn power(&mut self, load_seconds: f64, unrest: f64) -> (Power, f64, f64) {
        let mut power = Power::new();
        let idle = self.between(55.0, 110.0);
        power.push(3.0, idle);
        let begin = power.end();
        let base = self.between(200.0, 650.0);
        while power.end() < begin + load_seconds {
            let level = base * self.between(0.8, 1.2);
            let until = (power.end() + self.between(0.3, 3.0)).min(begin + load_seconds);
            while power.end() < until {
                let piece = self.between(0.005, 0.02).min(until - power.end()).max(1e-6);
                let watts = (level * (1.0 + self.normal(unrest))).max(20.0);
                power.push(piece, watts);
            }
        }
        let end = power.end();
        power.push(3.0, idle);
        (power, begin, end)
    }

    /// Moments of reading: a burst of 0.3 s, then about every `interval` with `jitter` of it to each side, until `end`
    /// and once right after.
    pub(crate) fn moments(&mut self, from: f64, end: f64, interval: f64, jitter: f64) -> Vec<f64> {
        let mut moments: Vec<f64> = (0..150).map(|step| from + 0.002 * f64::from(step)).collect();
        let mut next = from + 0.3;
        while next < end {
            moments.push(next);
            next += interval * (1.0 + jitter * self.between(-1.0, 1.0));
        }
        moments.push(end + self.between(0.0005, 0.003));
        moments
    }
}

pub(crate) fn stamp(seconds: f64) -> Stamp {
    Stamp((seconds * 1e9).round() as u64)
}

/// A counter in microjoules that moves every `tick`, its ticks beginning at `phase`, seen at `moments`.
pub(crate) fn counter(power: &Power, gain: f64, tick: f64, phase: f64, moments: &[f64]) -> Vec<(Stamp, u64)> {
    let shown = |at: f64| (((at - phase) / tick).floor() * tick + phase).max(0.0);
    moments.iter().map(|at| (stamp(*at), (1e9 + gain * power.energy(shown(*at)) * 1e6) as u64)).collect()
}

/// A counter whose sensor sees `window` of every `period` and adds that mean for the whole period.
pub(crate) fn part_time_counter(
    power: &Power,
    gain: f64,
    period: f64,
    window: f64,
    moments: &[f64],
) -> Vec<(Stamp, u64)> {
    let mut sums = vec![0.0];
    let last = moments.last().unwrap();
    while (sums.len() as f64) * period <= *last {
        let end = sums.len() as f64 * period;
        let seen = power.energy(end) - power.energy(end - window);
        sums.push(sums[sums.len() - 1] + seen / window * period);
    }
    let value = |at: f64| 1e9 + gain * sums[(at / period).floor() as usize] * 1e6;
    moments.iter().map(|at| (stamp(*at), value(*at) as u64)).collect()
}

/// A power in microwatts that is renewed every `period` with the mean of the `window` before.
pub(crate) fn sensor(
    power: &Power,
    gain: f64,
    period: f64,
    window: f64,
    moments: &[f64],
) -> Vec<(Stamp, u64)> {
    let value = |at: f64| {
        let end = (at / period).floor() * period;
        gain * (power.energy(end) - power.energy(end - window)) / window * 1e6
    };
    moments.iter().map(|at| (stamp(*at), value(*at) as u64)).collect()
}
