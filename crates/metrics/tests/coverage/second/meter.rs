//! Instruments of the second generator: what a device shows at each moment, built beforehand as a list of values.
//!
//! Ticks, update periods and windows are drawn from the published ranges (arXiv 2312.02741; NVIDIA's documentation):
//! counters move every 10 to 100 ms, sensors renew their value every 20 to 100 ms and see all, a half or a quarter of
//! it, or average over 1 s. Values are whole milliunits, as the driver's are.

use super::power::{Dice, Power};

/// A counter or power sensor: what it shows from each moment on.
pub(crate) struct Meter {
    shown: Vec<(f64, u64)>,
    /// Stretches in which an old value is repeated.
    pub(crate) frozen: Vec<(f64, f64)>,
    /// Moments at which the counter starts again at 0.
    pub(crate) resets: Vec<f64>,
    /// Values lie below this.
    pub(crate) modulus: Option<u64>,
}

/// What a counter is made of.
pub(crate) struct Make {
    pub(crate) gain: f64,
    /// Seconds between two values.
    pub(crate) tick: f64,
    /// Share of each tick that is seen, at its end.
    pub(crate) seen: f64,
    /// Relative deviation of each tick's length.
    pub(crate) unsteady: f64,
}

impl Make {
    /// A counter that sees all and is exact but for its tick.
    pub(crate) fn plain(dice: &mut Dice) -> Self {
        Self { gain: 1.0, tick: dice.decades(0.01, 0.1), seen: 1.0, unsteady: dice.even(0.0, 0.02) }
    }
}

fn milli(value: f64) -> u64 {
    ((value * 1e3).round().max(0.0) as u64) * 1000
}

impl Meter {
    fn new(shown: Vec<(f64, u64)>) -> Self {
        Self { shown, frozen: Vec::new(), resets: Vec::new(), modulus: None }
    }

    /// A counter in microjoules until `end`; it ran for long before.
    pub(crate) fn counter(dice: &mut Dice, power: &Power, make: &Make, end: f64) -> Self {
        let before = dice.decades(1e3, 1e8);
        let (mut at, mut joules) = (make.tick * dice.even(-1.0, 0.0), 0.0);
        let mut shown = vec![(-1.0, milli(before))];
        while at < end {
            let next = at + make.tick * (1.0 + make.unsteady * dice.gauss()).clamp(0.5, 1.5);
            let from = next - make.seen * (next - at);
            joules += (power.joules(next.max(0.0)) - power.joules(from.max(0.0))) / make.seen;
            shown.push((next, milli(before + make.gain * joules)));
            at = next;
        }
        Self::new(shown)
    }

    /// A power in microwatts that is renewed every `period` with the mean of the `window` before.
    pub(crate) fn sensor(dice: &mut Dice, power: &Power, period: f64, window: f64, end: f64) -> Self {
        let mut shown = Vec::new();
        let mut at = period * dice.even(-1.0, 0.0);
        while at < end {
            let mean = (power.joules(at.max(window)) - power.joules(at.max(window) - window)) / window;
            shown.push((at, milli(mean)));
            at += period;
        }
        Self::new(shown)
    }

    fn raw(&self, at: f64) -> u64 {
        let after = self.shown.partition_point(|(from, _)| *from <= at).max(1);
        self.shown[after - 1].1
    }

    /// What a reading at this moment gives.
    pub(crate) fn read(&self, at: f64) -> u64 {
        let mut at = at;
        while let Some((from, _)) = self.frozen.iter().find(|(from, to)| at > *from && at < *to) {
            at = *from;
        }
        let value = self.raw(at);
        let since =
            self.resets.iter().copied().filter(|reset| *reset <= at).fold(f64::NEG_INFINITY, f64::max);
        let value = if since > 0.0 { value - self.raw(since) } else { value };
        self.modulus.map_or(value, |modulus| value % modulus)
    }

    /// How long a burst takes until it has seen `changes` changes, at most `limit`.
    pub(crate) fn burst(&self, from: f64, changes: usize, limit: f64) -> f64 {
        let later = self.shown.iter().filter(|(at, _)| *at > from).nth(changes - 1);
        later.map_or(limit, |(at, _)| (at - from + 0.002).min(limit))
    }
}

/// When a sampler reads: a burst, then at a steady pace with the lateness of a timer and of a busy machine, and once
/// right after `end`.
pub(crate) fn rounds(dice: &mut Dice, from: f64, burst: f64, interval: f64, end: f64) -> Vec<f64> {
    let mut moments = Vec::new();
    let mut at = from;
    while at < from + burst {
        moments.push(at);
        at += 0.002 + dice.wait(0.0002);
    }
    let mut due = at;
    while due < end {
        let late = if dice.chance(0.03) { dice.wait(0.01) } else { dice.wait(0.0003) };
        let now = due + late;
        if now >= end {
            break;
        }
        moments.push(now);
        due = (due + interval).max(now);
    }
    moments.push(end + 0.0002 + dice.wait(0.001));
    moments
}
