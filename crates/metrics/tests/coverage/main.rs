//! The stated 95 % intervals against a generator of truth: in how many of many random cases they hold it, per stressor.
//!
//! An interval that is too narrow covers less than 93 %; one that is wider than its causes demand covers more than 97 %
//! or has errors that are small beside it. `cargo xtask bench energy` runs the full number of cases.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![allow(clippy::print_stdout, reason = "a coverage is worth more than that it passed")]

#[path = "../common/mod.rs"]
mod common;
mod judge;
mod second;
mod truth;

use ai_energy_core::Stamp;
use ai_energy_core::energy::{Channel, ChannelKind, Domain};
use ai_energy_metrics::integrate::{Curve, Window};
use common::{channel, counter as counter_channel};
use judge::{Found, Judged, Outcome, Seeds};
use truth::{Draw, counter, part_time_counter, sensor, stamp};

/// The suite's seeds are those that the formulas were made with: a regression shows, and the verdict never changes by
/// chance. The full run takes its seeds from [`SEED`] and [`FULL_CASES`].
const SUITE: Seeds = Seeds { first: 0, cases: 500 };

/// Environment variables that `cargo xtask bench energy` hands on: the first seed, and how many of them.
const SEED: &str = "AI_ENERGY_COVERAGE_SEED";
const FULL_CASES: &str = "AI_ENERGY_COVERAGE_CASES";

fn judge(channel: &Channel, readings: &[(Stamp, u64)], from: f64, to: f64, truth: f64) -> Judged {
    let window = Window { start: stamp(from), end: stamp(to) };
    let found = Curve::new(channel, readings)?.energy(channel, window)?;
    Ok(Outcome { joules: found.joules, ci95: found.ci95().unwrap(), truth })
}

fn with_gain(mut channel: Channel, ci95: f64) -> Channel {
    channel.gain_ci95 = Some(ci95);
    channel
}

/// Short windows under a steady load: the ticks decide.
fn ticks(draw: &mut Draw) -> Judged {
    let (power, begin, _) = draw.power(8.0, 0.0);
    let tick = draw.between(0.01, 0.1);
    let phase = draw.between(0.0, tick);
    let (from, seconds) = (begin + draw.between(0.5, 2.0), draw.between(2.0, 5.0));
    let moments = draw.moments(1.0, from + seconds, 0.1, 0.1);
    let readings = counter(&power, 1.0, tick, phase, &moments);
    let truth = power.energy(from + seconds) - power.energy(from);
    judge(&counter_channel("nvml:gpu0:energy", Domain::Gpu), &readings, from, from + seconds, truth)
}

/// Long windows with an uncalibrated sensor: its gain decides.
fn gain(draw: &mut Draw) -> Judged {
    let (power, begin, end) = draw.power(30.0, 0.05);
    let moments = draw.moments(1.0, end, 0.1, 0.1);
    // Published: uncalibrated cards differ from external meters by some 5 % in 95 of 100 cases.
    let factor = 1.0 + draw.normal(0.0255);
    let readings = counter(&power, factor, 0.05, 0.0, &moments);
    let truth = power.energy(end) - power.energy(begin);
    judge(&with_gain(counter_channel("nvml:gpu0:energy", Domain::Gpu), 0.05), &readings, begin, end, truth)
}

/// A sensor that sees 25 of every 100 ms of an unsteady load.
fn unseen(draw: &mut Draw) -> Judged {
    let unrest = draw.between(0.2, 0.4);
    let (power, begin, _) = draw.power(40.0, unrest);
    let (from, seconds) = (begin + draw.between(0.5, 2.0), draw.between(15.0, 35.0));
    let moments = draw.moments(1.0, from + seconds, 0.1, 0.05);
    let readings = part_time_counter(&power, 1.0, 0.1, 0.025, &moments);
    let mut channel = counter_channel("nvml:gpu0:energy", Domain::Gpu);
    channel.instrument.seen_fraction = Some(0.25);
    let truth = power.energy(from + seconds) - power.energy(from);
    judge(&channel, &readings, from, from + seconds, truth)
}

/// A power that is read at uneven moments while the load changes.
fn jitter(draw: &mut Draw) -> Judged {
    let unrest = draw.between(0.0, 0.1);
    let (power, begin, _) = draw.power(30.0, unrest);
    let (from, seconds) = (begin + draw.between(0.5, 2.0), draw.between(10.0, 25.0));
    let interval = draw.between(0.1, 0.4);
    let moments = draw.moments(1.0, from + seconds, interval, 0.6);
    let readings = sensor(&power, 1.0, 0.02, 0.01, &moments);
    let mut channel = channel("nvml:gpu0:power", Domain::Gpu, ChannelKind::Power { averaging_ms: Some(10) });
    channel.instrument.update_period_ms = Some(20.0);
    let truth = power.energy(from + seconds) - power.energy(from);
    judge(&channel, &readings, from, from + seconds, truth)
}

/// A 1 s average over a window that begins and ends with the load's own steps.
fn average(draw: &mut Draw) -> Judged {
    let seconds = draw.between(4.0, 20.0);
    let unrest = draw.between(0.0, 0.1);
    let (power, begin, end) = draw.power(seconds, unrest);
    let moments = draw.moments(1.5, end, 0.1, 0.1);
    let readings = sensor(&power, 1.0, 0.1, 1.0, &moments);
    let mut channel =
        channel("nvml:gpu0:power", Domain::Gpu, ChannelKind::Power { averaging_ms: Some(1000) });
    channel.instrument.update_period_ms = Some(100.0);
    judge(&channel, &readings, begin, end, power.energy(end) - power.energy(begin))
}

/// A counter whose sampler is held up now and then, and which wraps; the window's ends lie anywhere.
fn gaps_and_wraps(draw: &mut Draw) -> Judged {
    let (power, begin, _) = draw.power(40.0, 0.1);
    let (from, seconds) = (begin + draw.between(2.0, 6.0), draw.between(10.0, 20.0));
    let mut moments = draw.moments(1.0, from + seconds + 3.0, 0.1, 0.1);
    for _ in 0..30 {
        let hole = draw.between(1.5, from + seconds + 2.0);
        let until = hole + draw.between(0.3, 1.0);
        moments.retain(|at| *at < hole || *at > until);
    }
    let tick = draw.between(0.01, 0.1);
    let wrap = 3_999_999_999;
    let mut readings = counter(&power, 1.0, tick, 0.0, &moments);
    readings.iter_mut().for_each(|reading| reading.1 %= wrap + 1);
    let kind = ChannelKind::Counter { wrap_microjoules: Some(wrap) };
    let truth = power.energy(from + seconds) - power.energy(from);
    judge(&channel("rapl:package-0", Domain::Cpu, kind), &readings, from, from + seconds, truth)
}

type Case = fn(&mut Draw) -> Judged;

const STRESSORS: [(&str, Case); 6] = [
    ("ticks", ticks),
    ("gain", gain),
    ("unseen time", unseen),
    ("sampling jitter", jitter),
    ("1 s average", average),
    ("gaps and wraps", gaps_and_wraps),
];

/// The oracle's width is the 95 % quantile of the errors: an interval may be a little narrower for chance, and wider where
/// the cases differ, but no more than this.
const WIDTH: std::ops::RangeInclusive<f64> = 0.9..=1.3;

/// Of a coverage of 95 % in so many cases, three standard deviations of chance to each side; 2 points at least.
fn allowed(cases: u64) -> std::ops::RangeInclusive<f64> {
    let chance = (3.0 * 100.0 * (0.95_f64 * 0.05 / cases as f64).sqrt()).max(2.0);
    95.0 - chance..=95.0 + chance
}

/// Ages of averages a span apart are taken as independent, though sensor and sampler are in step for a while: these
/// intervals are known to be a little wider than need be.
const A_LITTLE_WIDE: (&str, f64) = ("1 s average", 97.5);

/// What of a stressor's figures lies outside its bar; empty where nothing does.
fn outside(name: &str, cases: u64, found: &Found) -> Vec<String> {
    let Found { held, width, spread: _, refused } = *found;
    let slightly = name == A_LITTLE_WIDE.0 && (95.0..=A_LITTLE_WIDE.1).contains(&held);
    // A counter that may have wrapped so or so often has no figure; elsewhere that must stay the exception.
    let most = if name.contains("several in a gap") { 60.0 } else { 1.0 };
    let checks = [
        (slightly || allowed(cases).contains(&held), format!("{held:.1} % of the intervals hold the truth")),
        (WIDTH.contains(&width), format!("intervals are {width:.2} of what the errors demand")),
        (refused <= most, format!("{refused:.1} % of the figures were refused")),
    ];
    checks.into_iter().filter(|(well, _)| !well).map(|(_, said)| said).collect()
}

fn first(seeds: Seeds) -> Vec<(&'static str, Found)> {
    println!("first generator");
    let run = |case: Case| move |seed: u64| case(&mut Draw::new(seed ^ 0x005e_ed00_0000));
    STRESSORS.iter().map(|(name, case)| (*name, judge::judge(name, seeds, run(*case)))).collect()
}

fn second(seeds: Seeds) -> Vec<(&'static str, Found)> {
    println!("second generator");
    let run = |case: second::Case| move |seed: u64| second::case(case, seed);
    second::STRESSORS.iter().map(|(name, case)| (*name, judge::judge(name, seeds, run(*case)))).collect()
}

fn check_all(cases: u64, found: &[(&str, Found)]) {
    for (name, found) in found {
        let outside = outside(name, cases, found);
        assert!(outside.is_empty(), "{name}: {}", outside.join("; "));
    }
}

#[test]
fn intervals_hold_the_truth_in_95_of_100_cases_under_every_stressor() {
    check_all(SUITE.cases, &first(SUITE));
}

#[test]
fn intervals_hold_the_truth_of_a_second_generator_that_shares_nothing_with_the_first() {
    check_all(SUITE.cases, &second(SUITE));
}

fn number(variable: &str) -> u64 {
    let text =
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: use cargo xtask bench"));
    text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
}

/// Errors by those stated, in the first generator's full run: a tail shows here that a coverage does not show.
const SPREAD: std::ops::RangeInclusive<f64> = 0.8..=1.25;

/// The full run fails only where a coverage is outside this, percent; what is outside its bar is marked in the table.
const WRONG: std::ops::RangeInclusive<f64> = 92.0..=98.0;

#[test]
#[ignore = "ten times the cases: cargo xtask bench energy"]
fn full() {
    let seeds = Seeds { first: number(SEED), cases: number(FULL_CASES) };
    println!("{} cases a stressor, seeds {} and on", seeds.cases, seeds.first);
    let (first, second) = (first(seeds), second(seeds));
    println!("\n| generator | stressor | hold the truth | width | rms | refused | outside the bar |");
    println!("|---|---|---|---|---|---|---|");
    let named = |generator: &'static str| move |found| (generator, found);
    let all = first.iter().map(named("first")).chain(second.iter().map(named("second")));
    let mut wrong = Vec::new();
    for (generator, (name, found)) in all {
        let Found { held, width, spread, refused } = *found;
        let mut outside = outside(name, seeds.cases, found);
        if generator == "first" && !SPREAD.contains(&spread) {
            outside.push(format!("errors are {spread:.2} of those stated"));
        }
        let outside = outside.join("; ");
        println!(
            "| {generator} | {name} | {held:.1} % | {width:.2} | {spread:.2} | {refused:.1} % | {outside} |"
        );
        if !WRONG.contains(&held) {
            wrong.push(format!("{name} of the {generator} generator: {held:.1} %"));
        }
    }
    assert!(wrong.is_empty(), "coverage outside {WRONG:?} %: {}", wrong.join(", "));
}
