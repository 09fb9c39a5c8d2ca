//! Integration against what is known exactly: constant and changing powers, wraps, resets, ticks, lost sources.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::Stamp;
use ai_energy_core::energy::{Channel, ChannelKind, Domain};
use ai_energy_core::figure::Provenance;
use ai_energy_metrics::integrate::{Curve, Integral, Window};
use common::{add, at, channel, counter, moments, power, record, summary};
use proptest::prelude::*;

fn window(start: f64, end: f64) -> Window {
    Window { start: at(start), end: at(end) }
}

fn energy(channel: &Channel, readings: &[(Stamp, u64)], window: Window) -> Result<Integral, String> {
    Curve::new(channel, readings)?.energy(channel, window)
}

/// Readings at `moments` of a counter that ticks every `tick` seconds under `watts`.
fn ticking(moments: impl Iterator<Item = f64>, tick: f64, watts: f64) -> Vec<(Stamp, u64)> {
    moments.map(|when| (at(when), ((when / tick).floor() * tick * watts * 1e6) as u64)).collect()
}

#[test]
fn a_ramp_of_power_is_exact_to_the_trapezoid() {
    let channel = power("p", Domain::Gpu);
    let readings: Vec<_> =
        (0..=10).map(|second| (at(f64::from(second)), second as u64 * 1_000_000)).collect();
    let found = energy(&channel, &readings, window(2.5, 7.5)).unwrap();
    assert!((found.joules - (7.5 * 7.5 - 2.5 * 2.5) / 2.0).abs() < 1e-9);
}

#[test]
fn the_1_s_average_read_as_instant_power_would_lose_a_load_s_first_half_second() {
    // 50 W until 1 s, then 250 W: a mean over the last second reaches it only at 2 s.
    let readings: Vec<_> = (0..=60)
        .map(|tenth| {
            let when = f64::from(tenth) / 10.0;
            (at(when), ((50.0 + 200.0 * (when - 1.0).clamp(0.0, 1.0)) * 1e6) as u64)
        })
        .collect();
    let joules = |averaging_ms| {
        let channel = channel("p", Domain::Gpu, ChannelKind::Power { averaging_ms });
        energy(&channel, &readings, window(1.0, 6.0)).unwrap()
    };
    let truth = 250.0 * 5.0;
    assert!((joules(None).joules - truth).abs() > 50.0, "as instant power");
    let undone = joules(Some(1000));
    assert!((undone.joules - truth).abs() < 0.1, "as what it is: {undone:?}");
    assert!(undone.random_ci95 > 0.0 && undone.random_ci95 < 30.0, "{undone:?}");
}

#[test]
fn a_source_that_ends_or_begins_within_the_window_gives_no_energy() {
    let channel = counter("nvml:gpu0:energy", Domain::Gpu);
    let readings = ticking((0..=123).map(|tenth| f64::from(tenth) / 10.0), 0.001, 100.0);
    let lost = energy(&channel, &readings, window(0.0, 60.0)).unwrap_err();
    assert_eq!(lost, "source nvml:gpu0:energy was lost at 12.3 s of 60.0 s");
    let late = energy(&channel, &readings[20..], window(1.0, 5.0)).unwrap_err();
    assert!(late.contains("first read 1.000 s after"), "{late}");
    assert!(energy(&channel, &[], window(0.0, 1.0)).unwrap_err().contains("no reading"));
}

#[test]
fn a_counter_that_stands_still_is_not_zero_joules() {
    let channel = counter("c", Domain::Gpu);
    let readings = [(at(0.0), 77), (at(1.0), 77), (at(2.0), 77)];
    assert!(energy(&channel, &readings, window(0.5, 1.5)).unwrap_err().contains("did not move"));
}

#[test]
fn a_reset_is_bridged_marked_and_in_the_interval() {
    for wrap in [None, Some(262_143_328_850)] {
        let channel = channel("c", Domain::Gpu, ChannelKind::Counter { wrap_microjoules: wrap });
        let mut readings: Vec<_> = (0..=100_u32)
            .map(|tenth| (at(f64::from(tenth) / 10.0), 5_000_000_000 + u64::from(tenth) * 10_000_000))
            .collect();
        for reading in &mut readings[50..] {
            reading.1 -= 5_000_000_000 + 495_000_000;
        }
        let found = energy(&channel, &readings, window(0.0, 10.0)).unwrap();
        assert!((found.joules - 1000.0).abs() < 1e-6, "{found:?}");
        assert!(
            found.random_ci95 > 1.0 && found.random_ci95 < 100.0,
            "ticks, and what bridging errs by: {found:?}"
        );
        assert_eq!(found.provenance, Provenance::Estimated);
        assert!(found.remark.unwrap().contains("reset at 5.0 s"));
        let before = energy(&channel, &readings, window(0.0, 4.5)).unwrap();
        assert_eq!((before.provenance, before.remark), (Provenance::Measured, None));
    }
}

/// A counter of 1000 J that is read ten times a second except from 10 s to 40 s, under a power by time.
fn paused(watts: impl Fn(f64) -> f64) -> (Channel, Vec<(Stamp, u64)>) {
    let kind = ChannelKind::Counter { wrap_microjoules: Some(999_999_999) };
    let (mut joules, mut readings) = (0.0, Vec::new());
    for tenth in 0..500_u32 {
        if !(100..400).contains(&tenth) {
            readings.push((at(f64::from(tenth) / 10.0), (joules * 1e6) as u64 % 1_000_000_000));
        }
        joules += watts(f64::from(tenth) / 10.0) / 10.0;
    }
    (channel("c", Domain::Cpu, kind), readings)
}

#[test]
fn wraps_are_counted_though_they_were_not_polled_in_time() {
    let (channel, readings) = paused(|when| if when % 2.0 < 1.0 { 98.0 } else { 102.0 });
    let found = energy(&channel, &readings, window(0.0, 45.0)).unwrap();
    assert!((found.joules - 4500.0).abs() <= found.random_ci95, "three wraps within the pause: {found:?}");
    assert_eq!(
        found.provenance,
        Provenance::Estimated,
        "the number of wraps follows from powers seen elsewhere"
    );
    assert!(found.remark.unwrap().contains("times while it was not read for 30.1 s"));
}

#[test]
fn a_pause_in_which_the_counter_may_have_wrapped_twice_or_thrice_gives_no_energy() {
    let (channel, readings) = paused(|when| if when % 2.0 < 1.0 { 60.0 } else { 140.0 });
    let reason = energy(&channel, &readings, window(0.0, 45.0)).unwrap_err();
    assert!(reason.contains("wrapped more than once"), "{reason}");
    assert!(energy(&channel, &readings, window(0.0, 9.0)).is_ok(), "before the pause all is known");
}

#[test]
fn the_tick_is_found_by_a_burst_and_not_below_what_stood_still() {
    let channel = counter("c", Domain::Gpu);
    let burst = (0..150).map(|step| f64::from(step) * 0.002);
    let steady = (0..100).map(|step| 0.4 + f64::from(step) * 0.1);
    let readings = ticking(burst.chain(steady), 0.0705, 300.0);
    let tick = Curve::new(&channel, &readings).unwrap().tick_seconds().unwrap();
    assert!((0.0705..0.0705 + 0.005).contains(&tick), "{tick}");
    let slow = ticking((0..200).map(|step| f64::from(step) * 0.1), 0.5, 300.0);
    let tick = Curve::new(&channel, &slow).unwrap().tick_seconds().unwrap();
    assert!((0.5..=0.6 + 1e-9).contains(&tick), "{tick}");
}

/// Ascending moments over `0..=20` s at irregular steps, so that they span every window of the tests.
fn irregular() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.002..0.4f64, 150..300).prop_map(|steps| {
        let scale = 20.0 / steps.iter().sum::<f64>();
        let mut when = 0.0;
        let mut moments = vec![0.0];
        moments.extend(steps.iter().map(|step| {
            when += step * scale;
            when
        }));
        moments.push(20.5);
        moments
    })
}

proptest! {
    #[test]
    fn constant_power_gives_exact_joules(moments in irregular(), watts in 1.0..1000.0f64, a in 0.0..9.0f64, b in 10.0..20.0f64) {
        let truth = watts * (at(b).0 - at(a).0) as f64 * 1e-9;
        let counted: Vec<_> = moments.iter().map(|when| (at(*when), (watts * at(*when).0 as f64 * 1e-3).round() as u64)).collect();
        let by_counter = energy(&counter("c", Domain::Gpu), &counted, window(a, b)).unwrap();
        prop_assert!((by_counter.joules - truth).abs() < 3e-6, "{} {truth}", by_counter.joules);
        let sampled: Vec<_> = moments.iter().map(|when| (at(*when), (watts * 1e6).round() as u64)).collect();
        let by_power = energy(&power("p", Domain::Gpu), &sampled, window(a, b)).unwrap();
        prop_assert!((by_power.joules - truth).abs() < 2e-5, "{} {truth}", by_power.joules);
        prop_assert_eq!(by_power.random_ci95, 0.0);
    }

    #[test]
    fn a_ticking_counter_errs_by_a_tick_at_most_and_says_so(
        moments in irregular(), watts in 1.0..1000.0f64, tick in 0.001..0.3f64, a in 0.0..9.0f64, b in 10.0..20.0f64,
    ) {
        let readings = ticking(moments.into_iter(), tick, watts);
        let found = energy(&counter("c", Domain::Gpu), &readings, window(a, b)).unwrap();
        let error = (found.joules - watts * (b - a)).abs();
        prop_assert!(error <= tick * watts + 1e-5, "{error} > {} of a tick", tick * watts);
        // Readings tell when a tick fell to within their distance, 0.05 s on average: a sixth of the longest tick at each
        // end, and never nothing.
        prop_assert!(found.random_ci95 >= 0.05 * tick * watts, "{} of {}", found.random_ci95, tick * watts);
    }

    #[test]
    fn adjacent_windows_add_up(moments in irregular(), powers in prop::collection::vec(1_000_000u64..900_000_000, 400), cut in 5.0..15.0f64) {
        let sampled: Vec<_> = moments.iter().zip(&powers).map(|(when, value)| (at(*when), *value)).collect();
        let mut sum = 0;
        let counted: Vec<_> = sampled.iter().map(|(when, step)| { sum += step; (*when, sum) }).collect();
        for (channel, readings) in [(power("p", Domain::Gpu), &sampled), (counter("c", Domain::Gpu), &counted)] {
            let part = |from, to| energy(&channel, readings, window(from, to)).unwrap().joules;
            let whole = part(1.0, 19.0);
            prop_assert!((part(1.0, cut) + part(cut, 19.0) - whole).abs() < 1e-9 * whole.max(1.0));
        }
    }

    #[test]
    fn a_counter_that_wraps_reads_the_same(moments in irregular(), watts in 1.0..400.0f64, begin in 0u64..5_000_000_000, wrap in 1_000_000_000u64..3_000_000_000) {
        let plain: Vec<_> = moments.iter().map(|when| (at(*when), begin + (watts * when * 1e6) as u64)).collect();
        let wrapped: Vec<_> = plain.iter().map(|(when, value)| (*when, value % (wrap + 1))).collect();
        let kind = ChannelKind::Counter { wrap_microjoules: Some(wrap) };
        let a = energy(&counter("c", Domain::Cpu), &plain, window(0.5, 19.5)).unwrap();
        let b = energy(&channel("c", Domain::Cpu, kind), &wrapped, window(0.5, 19.5)).unwrap();
        prop_assert_eq!(a, b);
    }

    #[test]
    fn when_it_happened_does_not_matter(moments in irregular(), powers in prop::collection::vec(1_000_000u64..900_000_000, 400), by in 0u64..1_000_000_000_000) {
        let readings: Vec<_> = moments.iter().zip(&powers).map(|(when, value)| (at(*when), *value)).collect();
        let later: Vec<_> = readings.iter().map(|(when, value)| (Stamp(when.0 + by), *value)).collect();
        let here = window(3.0, 17.0);
        let there = Window { start: Stamp(here.start.0 + by), end: Stamp(here.end.0 + by) };
        let channel = power("p", Domain::Gpu);
        prop_assert_eq!(energy(&channel, &readings, here), energy(&channel, &later, there));
    }
}

#[test]
fn a_short_run_measured_over_a_stale_reading_is_a_gap_and_no_slow_tick() {
    let channel = counter("c", Domain::Gpu);
    let all = |step: u32| {
        f64::from(step) * if step < 300 { 0.002 } else { 0.05 } + if step < 300 { 0.0 } else { -14.4 }
    };
    let mut readings = ticking((0..400).map(all), 0.02, 300.0);
    let (stale, fresh) = (readings[320].1, energy(&channel, &readings, window(0.1, 5.0)).unwrap());
    readings[321..340].iter_mut().for_each(|reading| reading.1 = stale);
    let tick = Curve::new(&channel, &readings).unwrap().tick_seconds().unwrap();
    assert!(tick < 0.03, "the stale value was taken for a tick of {tick} s");
    let found = energy(&channel, &readings, window(0.1, 5.0)).unwrap();
    assert!((found.joules - fresh.joules).abs() < 0.1, "{found:?} is not {fresh:?}");
    let cut = energy(&channel, &readings, window(0.1, 2.0)).unwrap();
    assert!((cut.joules - 1.9 * 300.0).abs() <= cut.random_ci95, "an end within the stale stretch: {cut:?}");
}

#[test]
fn a_counter_that_gives_one_value_from_some_moment_on_was_lost_there() {
    let channel = counter("c", Domain::Gpu);
    let mut readings = ticking((0..200).map(|step| f64::from(step) * 0.05), 0.02, 300.0);
    let last = readings[100].1;
    readings[100..].iter_mut().for_each(|reading| reading.1 = last);
    let reason = energy(&channel, &readings, window(1.0, 9.0)).unwrap_err();
    assert!(reason.contains("was lost at 4.0 s of 8.0 s: it gave the same value"), "{reason}");
    assert!(energy(&channel, &readings, window(1.0, 4.9)).is_ok(), "before it all is known");
}

#[test]
fn a_load_between_two_idlings_is_exact_though_its_edges_lie_between_readings() {
    use ai_energy_metrics::integrate::Known;
    let channel = counter("c", Domain::Gpu);
    // 50 W, but 550 W from 5.07 s to 9.03 s; a tick of 1 ms, read 10 times a second.
    let joules = |when: f64| 50.0 * when + 500.0 * (when - 5.07).clamp(0.0, 3.96);
    let burst = (0..100).map(|step| f64::from(step) * 0.0005);
    let moments = burst.chain((1..140).map(|tenth| f64::from(tenth) / 10.0));
    let readings: Vec<_> =
        moments.map(|when| (at(when), (joules((when * 1e3).floor() / 1e3) * 1e6) as u64)).collect();
    let load = window(5.07, 9.03);
    let truth = 550.0 * 3.96;
    let blind = energy(&channel, &readings, load).unwrap();
    let known = Known { idle_until: Some(load.start), idle_from: Some(load.end), ..Known::default() };
    let seen = Curve::with(&channel, &readings, &known).unwrap().energy(&channel, load).unwrap();
    assert!((blind.joules - truth).abs() > 10.0, "{blind:?}");
    assert!((seen.joules - truth).abs() < 0.2 && seen.random_ci95 < 1.0, "{seen:?}");
}

#[test]
fn what_was_counted_in_a_machine_s_sleep_is_not_the_run_s() {
    use ai_energy_metrics::integrate::Known;
    let channel = counter("c", Domain::Gpu);
    let mut readings = ticking((0..200).map(|step| f64::from(step) * 0.05), 0.02, 300.0);
    readings[100..].iter_mut().for_each(|reading| reading.1 += 7_000_000_000);
    let known = Known { sleeps: vec![(readings[99].0, readings[100].0)], ..Known::default() };
    let curve = Curve::with(&channel, &readings, &known).unwrap();
    let found = curve.energy(&channel, window(1.0, 9.0)).unwrap();
    assert!((found.joules - 2400.0).abs() < found.random_ci95.max(10.0), "{found:?}");
    assert_eq!(found.provenance, Provenance::Estimated);
    assert!(found.remark.unwrap().contains("the machine slept at"));
}

#[test]
fn what_an_edge_between_two_readings_may_hide_is_in_the_interval() {
    let channel = counter("c", Domain::Cpu);
    let mut readings: Vec<_> =
        (0..=400_u32).map(|step| (at(f64::from(step) / 100.0), u64::from(step) * 10_000)).collect();
    // From 4 s to 5 s nobody reads, and 1000 J are counted: before or after 4.25 s, nobody knows.
    readings.push((at(5.0), 1_004_000_000));
    let found = energy(&channel, &readings, window(1.0, 4.25)).unwrap();
    assert!(found.random_ci95 >= 250.0, "{found:?}");
    let whole = energy(&channel, &readings, window(1.0, 4.0)).unwrap();
    assert!(whole.random_ci95 < 1.0, "{whole:?}");
}

#[test]
fn a_spike_between_two_powers_widens_the_interval() {
    let readings: Vec<_> = [100, 100, 500, 100, 100]
        .iter()
        .zip(0_u32..)
        .map(|(w, s)| (at(f64::from(s)), w * 1_000_000))
        .collect();
    let found = energy(&power("p", Domain::Gpu), &readings, window(0.0, 4.0)).unwrap();
    assert_eq!(found.joules, 800.0);
    // Two steps of 400 W, each anywhere within its second: 400² ÷ 12 each.
    let expected = 1.96 * (2.0 * 400.0_f64.powi(2) / 12.0).sqrt();
    assert!((found.random_ci95 - expected).abs() < 1e-9, "{found:?}");
}

#[test]
fn a_calibrated_gain_multiplies_counters_and_powers_alike_and_wraps_stay_undone() {
    let calibrated = |mut channel: Channel, factor: f64| {
        channel.instrument.gain_factor = Some(factor);
        channel
    };
    let wrapping = ChannelKind::Counter { wrap_microjoules: Some(199_999_999) };
    for (channel, value) in [
        (channel("meter:counter", Domain::Gpu, wrapping), None),
        (power("meter:power", Domain::Gpu), Some(100_000_000)),
    ] {
        let readings =
            || moments().map(|when| (when, value.unwrap_or((when * 1e8).round() as u64 % 200_000_000)));
        let joules = |factor: f64| {
            let mut record = record();
            add(&mut record, calibrated(channel.clone(), factor), readings());
            summary(&record).domain(Domain::Gpu).unwrap().energy.value.unwrap()
        };
        assert!((joules(1.0) - 1000.0).abs() < 1e-6, "{}", joules(1.0));
        assert!((joules(1.057) - 1057.0).abs() < 1e-6, "{}", joules(1.057));
    }
}
