//! The second generator's stressors, one thing that goes wrong each, read as the shipped sampler reads.
//!
//! Shares no code and no constant with the error budget, nor with the first generator. Half of the windows are the
//! load's own, whose ends are steps of the power; the others lie anywhere within it.

mod meter;
mod power;
mod whole;

use ai_energy_core::Stamp;
use ai_energy_core::energy::{Channel, ChannelKind, Domain};
use ai_energy_metrics::integrate::{Curve, Known, Window};

use crate::common::{at, channel, counter};
use crate::judge::{Judged, Outcome};
use meter::{Make, Meter, rounds};
use power::{Dice, FAMILIES, Family, Power, Run, run};

pub(crate) type Case = fn(&mut Dice) -> Judged;

/// Every stressor by its name. A figure of a dead source is refused by design and is not among them.
pub(crate) const STRESSORS: [(&str, Case); 13] = [
    ("ticks", ticks),
    ("the load's own edges", edges),
    ("gain", gain),
    ("unseen time", unseen),
    ("sampling jitter of a power", jitter),
    ("1 s average", average),
    ("gaps", gaps),
    ("wraps, also several in a gap", wraps),
    ("resets", resets),
    ("stale repeats", stale),
    ("devices with a common gain", whole::devices),
    ("a source that dies, before it does", whole::dying),
    ("a machine that sleeps", whole::suspended),
];

/// One case.
pub(crate) fn case(case: Case, seed: u64) -> Judged {
    case(&mut Dice::new(seed))
}

/// A run, the window that is asked for, and until when it is read.
struct Scene {
    run: Run,
    from: f64,
    to: f64,
    last: f64,
    /// The window is the load, and idling lies before it.
    idles: bool,
}

impl Scene {
    fn truth(&self) -> f64 {
        self.run.power.joules(self.to) - self.run.power.joules(self.from)
    }

    /// Readings of a meter as a sampler takes them that begins 1 s into the idling.
    fn read(&self, dice: &mut Dice, meter: &Meter, interval: f64) -> Vec<(Stamp, u64)> {
        let moments = rounds(dice, 1.0, meter.burst(1.0, 3, 0.4), interval, self.last);
        moments.into_iter().map(|when| (at(when), meter.read(when))).collect()
    }

    fn judge(&self, channel: &Channel, readings: &[(Stamp, u64)]) -> Judged {
        let window = Window { start: at(self.from), end: at(self.to) };
        let idle_from = (self.last > self.run.end).then_some(at(self.run.end));
        let known = Known { idle_until: Some(at(self.run.begin)), idle_from, sleeps: Vec::new() };
        let found = Curve::with(channel, readings, &known)?.energy(channel, window)?;
        let ci95 = found.ci95().ok_or("no interval")?;
        Ok(Outcome { joules: found.joules, ci95, truth: self.truth() })
    }
}

fn any(dice: &mut Dice) -> Family {
    FAMILIES[dice.pick(FAMILIES.len())]
}

/// A load of so many seconds with a window that is the load, or lies within it.
fn scene(dice: &mut Dice, seconds: (f64, f64), ripple: f64, own_edges: bool) -> Scene {
    let family = any(dice);
    let long = dice.even(seconds.0, seconds.1);
    let run = run(dice, family, if own_edges { long } else { long + 4.0 }, ripple);
    let from = if own_edges { run.begin } else { run.begin + dice.even(0.2, 3.5) };
    let to = if own_edges { run.end } else { from + long };
    // With idling after the load reading goes on; else the last reading comes right after it.
    let last = if dice.chance(0.5) { to + dice.even(1.0, 3.0) } else { to };
    Scene { run, from, to, last, idles: own_edges }
}

fn gpu() -> Channel {
    counter("nvml:gpu0:energy", Domain::Gpu)
}

/// Short windows of quiet loads.
fn ticks(dice: &mut Dice) -> Judged {
    let scene = scene(dice, (2.0, 6.0), 0.0, false);
    let make = Make::plain(dice);
    let meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let readings = scene.read(dice, &meter, 0.1);
    scene.judge(&gpu(), &readings)
}

/// Short windows that begin and end with the load, at any pace of reading.
fn edges(dice: &mut Dice) -> Judged {
    let scene = scene(dice, (2.0, 8.0), 0.02, true);
    let make = Make::plain(dice);
    let meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let interval = dice.decades(0.05, 0.5);
    let readings = scene.read(dice, &meter, interval);
    scene.judge(&gpu(), &readings)
}

/// Long windows with a stated gain, of which the device's own is one draw.
fn gain(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (15.0, 40.0), 0.03, own);
    let stated = dice.decades(0.01, 0.08);
    let make = Make { gain: 1.0 + stated / 1.96 * dice.gauss(), ..Make::plain(dice) };
    let meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let readings = scene.read(dice, &meter, 0.1);
    scene.judge(&Channel { gain_ci95: Some(stated), ..gpu() }, &readings)
}

/// Sensors that see a quarter or a half of an unsteady load.
fn unseen(dice: &mut Dice) -> Judged {
    let (own, ripple) = (dice.chance(0.5), dice.even(0.1, 0.4));
    let scene = scene(dice, (8.0, 30.0), ripple, own);
    let (tick, seen) = if dice.chance(0.5) { (0.1, 0.25) } else { (0.02, 0.5) };
    let make = Make { gain: 1.0, tick, seen, unsteady: 0.0 };
    let meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let readings = scene.read(dice, &meter, 0.1);
    let mut channel = gpu();
    channel.instrument.seen_fraction = Some(seen);
    channel.instrument.update_period_ms = Some(tick * 1e3);
    scene.judge(&channel, &readings)
}

fn power_channel(averaging_ms: u32, update_ms: f64, seen: f64) -> Channel {
    let kind = ChannelKind::Power { averaging_ms: Some(averaging_ms) };
    let mut channel = channel("nvml:gpu0:power", Domain::Gpu, kind);
    channel.instrument.update_period_ms = Some(update_ms);
    channel.instrument.seen_fraction = Some(seen);
    channel
}

/// A power that is read at uneven moments and seldom, while the load changes.
fn jitter(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (8.0, 25.0), 0.05, own);
    let (update, window) = [(0.02, 0.01), (0.1, 0.1)][dice.pick(2)];
    let meter = Meter::sensor(dice, &scene.run.power, update, window, scene.last + 1.0);
    let interval = dice.even(0.1, 0.3);
    let mut readings = scene.read(dice, &meter, interval);
    // A sampler on a busy machine: every fifth reading or so is dropped.
    let (first, last) = (at(scene.from), at(scene.to));
    readings.retain(|(when, _)| *when <= first || *when >= last || !dice.chance(0.2));
    scene.judge(&power_channel((window * 1e3) as u32, update * 1e3, window / update), &readings)
}

/// The average over the last second, over windows that are the load's own.
fn average(dice: &mut Dice) -> Judged {
    let scene = scene(dice, (4.0, 20.0), 0.05, true);
    let meter = {
        // A timer of the nominal period, but for some tenths of a percent.
        let period = 0.1 * (1.0 + 0.003 * dice.gauss());
        Meter::sensor(dice, &scene.run.power, period, 1.0, scene.last + 1.0)
    };
    let readings = scene.read(dice, &meter, 0.1);
    scene.judge(&power_channel(1000, 100.0, 1.0), &readings)
}

/// Takes `count` stretches of these lengths out of the readings.
fn punch(
    dice: &mut Dice,
    readings: &mut Vec<(Stamp, u64)>,
    scene: &Scene,
    count: usize,
    lengths: (f64, f64),
) {
    for _ in 0..count {
        let hole = dice.even(1.6, scene.last - 0.1);
        let until = (hole + dice.even(lengths.0, lengths.1)).min(scene.last - 0.05);
        readings.retain(|(when, _)| *when < at(hole) || *when > at(until));
    }
}

/// A sampler that is held up again and again.
fn gaps(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (6.0, 20.0), 0.03, own);
    let make = Make::plain(dice);
    let meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let mut readings = scene.read(dice, &meter, 0.1);
    let count = 3 + dice.pick(15);
    punch(dice, &mut readings, &scene, count, (0.2, 1.5));
    scene.judge(&gpu(), &readings)
}

/// A counter that wraps often, and a pause in which it may do so several times.
fn wraps(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (10.0, 25.0), 0.03, own);
    let make = Make::plain(dice);
    let mut meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let usual = scene.truth() / (scene.to - scene.from);
    let modulus = (usual * dice.decades(1.0, 6.0) * 1e6) as u64;
    meter.modulus = Some(modulus);
    let mut readings = scene.read(dice, &meter, 0.1);
    punch(dice, &mut readings, &scene, 1, (0.5, 6.0));
    let kind = ChannelKind::Counter { wrap_microjoules: Some(modulus - 1) };
    scene.judge(&channel("rapl:package-0", Domain::Cpu, kind), &readings)
}

/// A counter that starts again at 0 once or more often within the window.
fn resets(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (5.0, 20.0), 0.03, own);
    let make = Make::plain(dice);
    let mut meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let long = scene.to - scene.from;
    meter.resets = vec![scene.from + long * dice.even(0.05, 0.4), scene.from + long * dice.even(0.6, 0.95)];
    meter.resets.truncate(1 + dice.pick(2));
    let mut readings = scene.read(dice, &meter, 0.1);
    punch(dice, &mut readings, &scene, 2, (0.2, 0.8));
    scene.judge(&gpu(), &readings)
}

/// A counter whose old value is repeated for a while, now and then.
fn stale(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (6.0, 20.0), 0.03, own);
    let make = Make::plain(dice);
    let mut meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    meter.frozen = (0..1 + dice.pick(5))
        .map(|_| {
            let from = dice.even(1.6, scene.to - 0.2);
            (from, (from + dice.even(0.3, 2.0)).min(scene.to - 0.1))
        })
        .collect();
    let readings = scene.read(dice, &meter, 0.1);
    scene.judge(&gpu(), &readings)
}
