//! Stressors of whole runs: several devices, a source that dies, a machine that sleeps, all through the summary.

use ai_energy_core::RunRecord;
use ai_energy_core::energy::{Channel, Domain, EnergyReading};
use ai_energy_core::record::{Phase, PhaseKind, Suspension};
use ai_energy_core::summary::Stretch;

use super::{Dice, Judged, Make, Meter, Outcome, Power, Scene, any, gpu, run, scene};
use crate::common::{at, counter, record, request, summary};

/// A record whose load is the scene's window.
fn loaded(scene: &Scene) -> RunRecord {
    let mut record = record();
    let middle = f64::midpoint(scene.from, scene.to);
    record.phases = vec![
        Phase { kind: PhaseKind::Load, start: at(scene.from), end: at(scene.to) },
        Phase { kind: PhaseKind::Drain, start: at(middle), end: at(scene.to) },
    ];
    if scene.idles {
        record.phases.push(Phase { kind: PhaseKind::IdleBefore, start: at(1.5), end: at(scene.from) });
    }
    if scene.idles && scene.last > scene.to {
        record.phases.push(Phase { kind: PhaseKind::IdleAfter, start: at(scene.to), end: at(scene.last) });
    }
    record.requests = vec![request(0, scene.from, middle), request(1, scene.from, scene.to)];
    record
}

fn add(record: &mut RunRecord, channel: Channel, readings: Vec<(ai_energy_core::Stamp, u64)>) {
    let number = u16::try_from(record.channels.len()).unwrap();
    record.channels.push(channel);
    let readings = readings.into_iter().map(|(at, value)| EnergyReading { channel: number, at, value });
    record.readings.extend(readings);
    record.readings.sort_by_key(|reading| reading.at);
}

/// The domain's figure, once its parts add up to it and it to the total.
fn judged(record: &RunRecord, truth: f64) -> Judged {
    let found = summary(record);
    let domain = found.domain(Domain::Gpu).ok_or("no domain")?;
    let Some(joules) = domain.energy.value else {
        assert!(found.energy.total.value.is_none(), "a total without a domain that was lost");
        return Err(domain.energy.reason.clone().unwrap_or_default());
    };
    let close = |sum: f64| assert!((sum - joules).abs() < 1e-9 * joules, "{sum} J beside {joules} J");
    close(found.energy.channels.iter().filter_map(|channel| channel.energy.value).sum());
    close(found.energy.total.value.unwrap());
    let parts = [Stretch::Ramp, Stretch::Steady, Stretch::Drain];
    let phases = found.energy.phases.iter().filter(|phase| parts.contains(&phase.phase));
    close(phases.map(|phase| phase.total.gross.value.unwrap_or(0.0)).sum());
    close(found.energy.requests.shares.iter().filter_map(|share| share.gpu_joules).sum());
    Ok(Outcome { joules, ci95: domain.energy.ci95.unwrap_or(0.0), truth })
}

/// Two to eight devices of one design, whose gains are one draw.
pub(super) fn devices(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let first = scene(dice, (4.0, 12.0), 0.03, own);
    let stated = dice.decades(0.005, 0.08);
    let gain = 1.0 + stated / 1.96 * dice.gauss();
    let mut record = loaded(&first);
    let mut truth = 0.0;
    let scale = dice.even(0.2, 1.0);
    for number in 0..2 + dice.pick(7) {
        // The first device's load, and others of the same length that begin with it.
        let family = any(dice);
        let own = run(dice, family, (first.run.end - first.run.begin) * scale.max(0.2), 0.03);
        let power: &Power = if number == 0 { &first.run.power } else { &own.power };
        truth += power.joules(first.to) - power.joules(first.from);
        let make = Make { gain, ..Make::plain(dice) };
        let meter = Meter::counter(dice, power, &make, first.last + 1.0);
        let readings = first.read(dice, &meter, 0.1);
        let channel = counter(&format!("nvml:gpu{number}:energy"), Domain::Gpu);
        add(&mut record, Channel { gain_ci95: Some(stated), ..channel }, readings);
    }
    judged(&record, truth)
}

/// A source that is not read any more, or that repeats its last value from then on: the load has no figure, and what
/// lies before has one.
pub(super) fn dying(dice: &mut Dice) -> Judged {
    let mut scene = scene(dice, (8.0, 20.0), 0.03, false);
    let make = Make::plain(dice);
    let mut meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let death = dice.even(scene.from + 3.0, scene.to - 1.5);
    let freezes = dice.chance(0.5);
    if freezes {
        meter.frozen = vec![(death, f64::INFINITY)];
    }
    let mut readings = scene.read(dice, &meter, 0.1);
    if !freezes {
        readings.retain(|(when, _)| *when < at(death));
    }
    let mut record = loaded(&scene);
    add(&mut record, gpu(), readings.clone());
    let refused = judged(&record, scene.truth());
    assert!(refused.is_err(), "a load that nobody measured to its end has a figure");
    scene.to = death - dice.even(0.3, 1.0);
    scene.judge(&gpu(), &readings)
}

/// The run's clock stands still while the machine sleeps; the counter went on, or began anew.
pub(super) fn suspended(dice: &mut Dice) -> Judged {
    let own = dice.chance(0.5);
    let scene = scene(dice, (5.0, 20.0), 0.03, own);
    let make = Make::plain(dice);
    let mut meter = Meter::counter(dice, &scene.run.power, &make, scene.last + 1.0);
    let asleep = dice.even(scene.from + 0.5, scene.to - 0.5);
    let slept = dice.decades(5.0, 5000.0);
    let restarts = dice.chance(0.3);
    if restarts {
        meter.resets = vec![asleep];
    }
    let mut readings = scene.read(dice, &meter, 0.1);
    let meanwhile = (slept * dice.even(1.0, 20.0) * 1e3) as u64 * 1000;
    if !restarts {
        readings.iter_mut().filter(|(when, _)| *when > at(asleep)).for_each(|reading| reading.1 += meanwhile);
    }
    let mut record = loaded(&scene);
    let after = readings.iter().rev().find(|(when, _)| *when <= at(asleep)).ok_or("no reading")?.0;
    let before = readings.iter().find(|(when, _)| *when > at(asleep)).ok_or("no reading")?.0;
    record.sampler.suspensions = vec![Suspension { after, before, seconds: slept }];
    add(&mut record, gpu(), readings);
    judged(&record, scene.truth())
}
