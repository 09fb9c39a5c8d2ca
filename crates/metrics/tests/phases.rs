//! Gross, idle and net energy of a run's stretches, by arithmetic on records made by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::{Phase, PhaseKind};
use ai_energy_core::summary::{EnergySplit, Stretch};
use ai_energy_core::{RunRecord, Summary};
use common::{add, at, counter, measured, power, record, request, summary};
use proptest::prelude::*;

fn close(figure: &Figure, expected: f64) {
    let value = figure.value.unwrap_or_else(|| panic!("no value: {figure:?}"));
    assert!(
        (value - expected).abs() < 1e-3 * expected.abs().max(1.0),
        "{value} is not {expected}: {figure:?}"
    );
}

/// Idle for 3 s from 1 s on, a load of 10 s from 5 s on, idle for 3 s from 15.5 s on.
fn phases(record: &mut RunRecord) {
    record.plan.idle_seconds = 3.0;
    record.phases = [
        (PhaseKind::IdleBefore, 1.0, 4.0),
        (PhaseKind::Load, 5.0, 15.0),
        (PhaseKind::Drain, 13.0, 15.0),
        (PhaseKind::IdleAfter, 15.5, 18.5),
    ]
    .map(|(kind, start, end)| Phase { kind, start: at(start), end: at(end) })
    .to_vec();
    record.requests = vec![request(0, 5.0, 13.0), request(1, 7.0, 15.0)];
    record.plan.load.concurrency = 2;
}

/// A counter read every 10 ms from 0 s to 20 s: `before` W up to the load, `load` W more within it, `after` W from then.
fn profile(before: f64, load: f64, after: f64) -> impl Iterator<Item = (f64, u64)> {
    (0..=2000).map(move |step| {
        let when = f64::from(step) / 100.0;
        let joules =
            before * when.min(15.0) + load * (when - 5.0).clamp(0.0, 10.0) + after * (when - 15.0).max(0.0);
        (when, (joules * 1e6).round() as u64)
    })
}

fn run(before: f64, load: f64, after: f64) -> Summary {
    let mut record = record();
    phases(&mut record);
    add(&mut record, counter("nvml:gpu0:energy", Domain::Gpu), profile(before, load, after));
    summary(&record)
}

fn gpu(summary: &Summary, stretch: Stretch) -> &EnergySplit {
    summary.energy.phase(stretch).unwrap().domain(Domain::Gpu).unwrap()
}

#[test]
fn gross_is_idle_and_net() {
    let found = run(60.0, 240.0, 60.0);
    let load = gpu(&found, Stretch::Load);
    close(&load.gross, 3000.0);
    close(&load.idle, 600.0);
    close(&load.net, 2400.0);
    close(&load.mean_power, 300.0);
    close(&load.peak_power, 300.0);
    assert_eq!(load.gross, found.domain(Domain::Gpu).unwrap().energy, "the load is the run's window");
    assert_eq!(load.gross.provenance, Provenance::Measured);
    assert_eq!((load.idle.provenance, load.net.provenance), (Provenance::Derived, Provenance::Derived));
    let total = &found.energy.phase(Stretch::Load).unwrap().total;
    close(&total.net, 2400.0);
    close(&gpu(&found, Stretch::IdleBefore).gross, 180.0);
    let idle = &found.energy.idle[0];
    close(&idle.before, 60.0);
    close(&idle.after, 60.0);
    assert!(idle.drift.value.unwrap().abs() <= idle.drift.ci95.unwrap());
    close(&found.energy.efficiency.gpu_net_per_request, 1200.0);
    close(&found.energy.efficiency.net_per_output_token, 30.0);
}

#[test]
fn idle_power_that_moved_is_interpolated_and_its_drift_is_in_the_interval() {
    let steady = run(60.0, 240.0, 60.0);
    let moved = run(60.0, 240.0, 80.0);
    close(&moved.energy.idle[0].drift, 20.0);
    // The idles' settled parts lie around 3 s and 17.5 s; the load's middle at 10 s is 7 of 14.5 s after the first.
    close(&gpu(&moved, Stretch::Load).idle, 10.0 * (60.0 + 20.0 * 7.0 / 14.5));
    let (narrow, wide) =
        (gpu(&steady, Stretch::Load).net.ci95.unwrap(), gpu(&moved, Stretch::Load).net.ci95.unwrap());
    assert!(wide >= 100.0 && wide > narrow + 90.0, "half of 20 W over 10 s: {narrow} {wide}");
}

#[test]
fn a_gain_scales_gross_and_idle_alike_and_stands_in_net_once() {
    let mut record = record();
    phases(&mut record);
    let mut channel = counter("nvml:gpu0:energy", Domain::Gpu);
    channel.gain_ci95 = Some(0.05);
    add(&mut record, channel, profile(100.0, 100.0, 100.0));
    let found = summary(&record);
    let load = gpu(&found, Stretch::Load);
    let ci95 = load.net.ci95.unwrap();
    assert!((50.0..100.0).contains(&ci95), "5 % of 1000 J net, not of 2000 J gross: {ci95}");
}

#[test]
fn the_steady_part_begins_when_all_slots_hold_a_request_with_a_token_and_the_parts_tile_the_load() {
    let found = run(60.0, 240.0, 60.0);
    let times: Vec<(Stretch, f64, f64)> = found
        .energy
        .phases
        .iter()
        .map(|phase| (phase.phase, phase.start_seconds, phase.duration.value.unwrap()))
        .collect();
    let expected = [
        (Stretch::IdleBefore, 1.0, 3.0),
        (Stretch::Load, 5.0, 10.0),
        (Stretch::Ramp, 5.0, 2.5),
        (Stretch::Steady, 7.5, 5.5),
        (Stretch::Drain, 13.0, 2.0),
        (Stretch::IdleAfter, 15.5, 3.0),
    ];
    assert_eq!(times.len(), expected.len());
    for (found, expected) in times.iter().zip(expected) {
        assert_eq!(found.0, expected.0);
        assert!((found.1 - expected.1).abs() + (found.2 - expected.2).abs() < 1e-6, "{found:?} {expected:?}");
    }
}

#[test]
fn what_was_not_idled_for_has_no_net_and_says_why() {
    let found = summary(&measured());
    let load = gpu(&found, Stretch::Load);
    close(&load.gross, 3000.0);
    for figure in [&load.idle, &load.net, &found.energy.efficiency.net_per_request] {
        assert_eq!(figure.value, None);
        assert!(figure.reason.as_deref().unwrap().contains("metrics.idle_seconds"), "{figure:?}");
    }
    assert!(found.energy.idle.is_empty());
}

#[test]
fn net_that_cannot_be_told_from_idling_is_neither_zero_nor_negative() {
    let none = run(60.0, 0.0, 60.0);
    let net = &gpu(&none, Stretch::Load).net;
    match net.value {
        Some(value) => {
            assert!(value > 0.0 && net.reason.as_deref().unwrap().contains("may be nothing"), "{net:?}");
        }
        None => assert!(net.reason.as_deref().unwrap().contains("cannot be told from idling"), "{net:?}"),
    }
    let busy_idle = run(300.0, -200.0, 300.0);
    let net = &gpu(&busy_idle, Stretch::Load).net;
    assert_eq!(net.value, None);
    assert!(net.reason.as_deref().unwrap().contains("idling drew more than the load"), "{net:?}");
}

#[test]
fn a_model_of_constant_power_leaves_the_total_its_net() {
    let mut record = record();
    phases(&mut record);
    add(&mut record, counter("nvml:gpu0:energy", Domain::Gpu), profile(60.0, 240.0, 60.0));
    let mut ram = power("ram_model:modules", Domain::Ram);
    (ram.provenance, ram.gain_ci95) = (Provenance::Estimated, Some(0.5));
    add(&mut record, ram, (0..=200).map(|tenth| (f64::from(tenth) / 10.0, 10_000_000)));
    let found = summary(&record);
    let load = found.energy.phase(Stretch::Load).unwrap();
    assert_eq!(load.domain(Domain::Ram).unwrap().net.value, None, "a constant is all idle");
    close(&load.total.gross, 3100.0);
    close(&load.total.net, 2400.0);
    assert_eq!(load.total.net.provenance, Provenance::Estimated);
}

#[test]
fn a_sensor_that_averages_longer_than_it_idled_tells_no_idle_power() {
    let mut record = record();
    phases(&mut record);
    let mut slow = power("nvml:gpu0:power", Domain::Gpu);
    slow.kind = ai_energy_core::energy::ChannelKind::Power { averaging_ms: Some(5000) };
    add(&mut record, slow, (0..=200).map(|tenth| (f64::from(tenth) / 10.0, 60_000_000)));
    let found = summary(&record);
    let reason = gpu(&found, Stretch::Load).net.reason.clone().unwrap();
    assert!(reason.contains("too short for a sensor"), "{reason}");
}

#[test]
fn one_side_alone_gives_idle_power_with_a_remark() {
    let mut record = record();
    phases(&mut record);
    record.phases.pop();
    add(&mut record, counter("nvml:gpu0:energy", Domain::Gpu), profile(60.0, 240.0, 60.0));
    let found = summary(&record);
    let net = &gpu(&found, Stretch::Load).net;
    close(net, 2400.0);
    assert!(net.reason.as_deref().unwrap().contains("one side"), "{net:?}");
    assert_eq!(found.energy.idle[0].after.value, None);
}

proptest! {
    #[test]
    fn ramp_steady_and_drain_add_up_to_the_load(
        steps in proptest::collection::vec(0_u64..50_000_000, 200..201), first in 5.0_f64..8.0, second in 8.0_f64..12.9,
    ) {
        let mut record = record();
        phases(&mut record);
        record.requests = vec![request(0, first, 13.0), request(1, second, 15.0)];
        let mut sum = 0;
        let readings = steps.iter().enumerate().map(|(number, step)| {
            sum += step;
            (number as f64 / 10.0, sum)
        });
        add(&mut record, counter("c", Domain::Gpu), readings.collect::<Vec<_>>());
        let found = summary(&record);
        let gross = |stretch| found.energy.phase(stretch).map_or(0.0, |phase| phase.total.gross.value.unwrap());
        let parts = gross(Stretch::Ramp) + gross(Stretch::Steady) + gross(Stretch::Drain);
        prop_assert!((parts - gross(Stretch::Load)).abs() < 1e-6, "{} {}", parts, gross(Stretch::Load));
    }
}
