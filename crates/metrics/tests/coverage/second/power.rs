//! True powers of the second generator: straight lines and jumps with exact integrals.
//!
//! Three families that accelerators under inference show: levels that switch at random with exponential dwell, batches
//! that begin high and decline as their requests end, and a level that warms up and leaks more. Refuses to know how
//! any of it is read.

/// Random numbers of the second generator: a permuted congruential generator (PCG-XSH-RR).
pub(crate) struct Dice {
    state: u64,
    stream: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self { state: 0, stream: (seed << 1) | 1 };
        dice.bits();
        dice.state = dice.state.wrapping_add(0x4d59_5df4_d0f3_3173 ^ seed.rotate_left(32));
        dice.bits();
        dice
    }

    fn bits(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.stream);
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// Evenly within 0 to 1, neither included.
    fn unit(&mut self) -> f64 {
        (f64::from(self.bits()) + 0.5) / 4_294_967_296.0
    }

    pub(crate) fn even(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Evenly on a logarithmic scale.
    pub(crate) fn decades(&mut self, low: f64, high: f64) -> f64 {
        (self.even(low.ln(), high.ln())).exp()
    }

    /// Of this mean, as waiting times are.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Of mean 0 and variance 1 (Marsaglia's polar method).
    pub(crate) fn gauss(&mut self) -> f64 {
        loop {
            let (x, y) = (self.even(-1.0, 1.0), self.even(-1.0, 1.0));
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// One of `count`.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count - 1)
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

#[derive(Clone, Copy)]
struct Knot {
    at: f64,
    watts: f64,
    joules: f64,
}

/// A power from 0 s on.
pub(crate) struct Power {
    knots: Vec<Knot>,
}

impl Power {
    fn starting(watts: f64) -> Self {
        Self { knots: vec![Knot { at: 0.0, watts, joules: 0.0 }] }
    }

    fn last(&self) -> Knot {
        self.knots[self.knots.len() - 1]
    }

    fn line(&mut self, seconds: f64, watts: f64) {
        let last = self.last();
        let joules = last.joules + seconds * (last.watts + watts) / 2.0;
        self.knots.push(Knot { at: last.at + seconds, watts, joules });
    }

    fn jump(&mut self, watts: f64) {
        let last = self.last();
        self.knots.push(Knot { watts, ..last });
    }

    /// A piece of a line, with random deviations of this share that each last some milliseconds.
    fn rippled(&mut self, dice: &mut Dice, (seconds, from, to): (f64, f64, f64), ripple: f64) {
        let mut done = 0.0;
        while done < seconds {
            let step = if ripple > 0.0 { dice.even(0.003, 0.013) } else { seconds };
            let step = step.min(seconds - done).max(1e-6);
            let at = |done: f64| from + (to - from) * (done / seconds).min(1.0);
            let factor = (1.0 + ripple * dice.gauss()).clamp(0.1, 3.0);
            self.jump(at(done) * factor);
            self.line(step, at(done + step) * factor);
            done += step;
        }
    }

    /// Exact joules from 0 s to `at`.
    pub(crate) fn joules(&self, at: f64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.at <= at).max(1);
        let from = self.knots[after - 1];
        let slope = self.knots.get(after).map_or(0.0, |to| (to.watts - from.watts) / (to.at - from.at));
        let seconds = at - from.at;
        from.joules + seconds * (from.watts + slope * seconds / 2.0)
    }
}

/// How the power of a load goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Family {
    /// Levels that switch at random.
    Switching,
    /// Batches.
    Batches,
    /// A level that warms up.
    Warming,
}

pub(crate) const FAMILIES: [Family; 3] = [Family::Switching, Family::Batches, Family::Warming];

/// One run's power and when its load began and ended.
pub(crate) struct Run {
    pub(crate) power: Power,
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

/// Idling, a load of `seconds` whose power has this ripple, and idling for longer than anybody looks.
pub(crate) fn run(dice: &mut Dice, family: Family, seconds: f64, ripple: f64) -> Run {
    let most = dice.decades(120.0, 1000.0);
    let idle = most * dice.even(0.08, 0.3);
    let mut power = Power::starting(idle);
    power.line(dice.even(2.5, 4.5), idle);
    let begin = power.last().at;
    let end = begin + seconds;
    match family {
        Family::Switching => switching(dice, &mut power, end, most, ripple),
        Family::Batches => batches(dice, &mut power, end, most, ripple),
        Family::Warming => warming(dice, &mut power, end, most, ripple),
    }
    power.jump(idle * dice.even(1.0, 1.15));
    let after = power.last().watts;
    power.line(60.0, after);
    Run { power, begin, end }
}

fn switching(dice: &mut Dice, power: &mut Power, end: f64, most: f64, ripple: f64) {
    let levels: Vec<(f64, f64)> =
        (0..2 + dice.pick(4)).map(|_| (most * dice.even(0.35, 1.0), dice.decades(0.15, 2.5))).collect();
    let mut level = dice.pick(levels.len());
    while power.last().at < end {
        let (watts, dwell) = levels[level];
        let seconds = dice.wait(dwell).min(end - power.last().at).max(1e-6);
        power.rippled(dice, (seconds, watts, watts), ripple);
        level = (level + 1 + dice.pick(levels.len() - 1)) % levels.len();
    }
}

fn batches(dice: &mut Dice, power: &mut Power, end: f64, most: f64, ripple: f64) {
    let usual = dice.decades(0.25, 2.5);
    let low = most * dice.even(0.4, 0.85);
    while power.last().at < end {
        let seconds = usual * (0.25 * dice.gauss()).exp();
        let part = (end - power.last().at).min(seconds).max(1e-6);
        let (peak, trough) = (most * dice.even(0.9, 1.0), low * dice.even(0.9, 1.1));
        power.rippled(dice, (part, peak, peak + (trough - peak) * part / seconds), ripple);
    }
}

fn warming(dice: &mut Dice, power: &mut Power, end: f64, most: f64, ripple: f64) {
    let (leak, slowness) = (dice.even(0.05, 0.2), dice.even(4.0, 25.0));
    let (cold, begin) = (most / (1.0 + leak), power.last().at);
    let watts = |since: f64| cold * (1.0 + leak * (1.0 - (-since / slowness).exp()));
    while power.last().at < end {
        let from = power.last().at - begin;
        let seconds = 0.2_f64.min(end - power.last().at).max(1e-6);
        power.rippled(dice, (seconds, watts(from), watts(from + seconds)), ripple);
    }
}
