//! Whole runs, and what goes wrong in them: losses, faults, hangs, a driver that is loaded anew.

use std::time::Duration;

use ai_energy_core::ReadFault;
use ai_energy_core::energy::Domain;
use ai_energy_fake_nvml::{Counter, Fault, code};
use ai_energy_metrics::{SummaryOptions, discover, summarize};

use crate::common;
use crate::support::{changed, faulty, gpus, live, options, read_at, run, source};

#[test]
fn a_run_measures_the_power_of_both_gpus_within_its_interval() {
    let (_fake, roots) = live(&gpus(2));
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let seconds = summary.duration.value.unwrap();
    let gpu = summary.domain(Domain::Gpu).unwrap();
    let (joules, ci95) = (gpu.energy.value.unwrap(), gpu.energy.ci95.unwrap());
    assert!(
        (joules - 750.0 * seconds).abs() <= ci95,
        "{joules} ± {ci95} J in {seconds} s of 250 W and 500 W"
    );
    let energy_readings = record.readings.iter().filter(|reading| reading.channel == 0).count() as u64;
    assert!(energy_readings > record.sampler.rounds + 3, "the burst before the load is in the record");
    assert_eq!(gpu.energy.source, "NVML total-energy counter of 2 devices");
    let power = summary.energy.channels.iter().find(|channel| channel.channel == "nvml:gpu1:power").unwrap();
    assert!(!power.counts);
    assert!((power.energy.value.unwrap() - 500.0 * seconds).abs() < 1e-3 * seconds, "{power:?}");
    let cost = &record.sampler.sources[0];
    assert!(cost.calls.unwrap() >= 4 * cost.reads, "two calls for each of two GPUs: {cost:?}");
    assert_eq!(record.gpu_samples[1].state.index, 1);
    assert!(!summary.warnings.iter().any(|warning| warning.id == "cross_check"), "{:?}", summary.warnings);
}

#[test]
fn nvml_is_initialised_once_and_a_reading_takes_two_calls() {
    let (fake, mut source) = source(&gpus(1));
    let before = fake.calls();
    for step in 0..10 {
        read_at(&fake, &mut *source, f64::from(step)).1.unwrap();
    }
    let after = fake.calls();
    assert_eq!((before["nvmlInit_v2"], after["nvmlInit_v2"]), (1, 1));
    let total = |calls: &std::collections::BTreeMap<String, u64>| calls.values().sum::<u64>();
    assert_eq!(total(&after) - total(&before), 20, "no call to find the device again");
}

#[test]
fn a_gpu_that_falls_off_the_bus_leaves_the_other_and_no_domain_energy() {
    let lost = Fault { device: Some(0), from_s: 0.25, code: code::GPU_IS_LOST, ..Fault::default() };
    let quick = changed(gpus(2), |gpu| gpu.counter = Some(Counter { tick_ms: 1.0, ..Counter::default() }));
    let (_fake, roots) = live(&faulty(quick, lost.clone()));
    let record = run(discover(&options(), &roots));
    let summary = summarize(&record, &SummaryOptions::default());
    let gpu = summary.domain(Domain::Gpu).unwrap();
    assert_eq!(gpu.energy.value, None, "not 0 J");
    let reason = gpu.energy.reason.clone().unwrap();
    assert!(
        reason.contains("nvml:gpu0:energy was lost at") && reason.contains("GPU 0: device fell off"),
        "{reason}"
    );
    let other = summary.energy.channels.iter().find(|channel| channel.channel == "nvml:gpu1:energy").unwrap();
    assert!(other.energy.value.is_some(), "{other:?}");
    assert!(summary.warnings.iter().any(|warning| warning.id == "source_lost"));
    let (fake, mut only) = source(&faulty(gpus(1), Fault { from_s: 1.0, ..lost }));
    assert!(
        matches!(read_at(&fake, &mut *only, 2.0).1, Err(ReadFault::Gone(_))),
        "the only GPU is gone for good"
    );
    let calls = fake.calls().values().sum::<u64>();
    assert_eq!(only.gpu_states()[0].temperature_c, None);
    assert_eq!(fake.calls().values().sum::<u64>(), calls, "a lost GPU is asked nothing more");
}

#[test]
fn a_reading_that_fails_once_keeps_neither_the_other_values_nor_the_next_reading() {
    let fault = Fault {
        call: "nvmlDeviceGetTotalEnergyConsumption".into(),
        from_s: 1.0,
        until_s: Some(2.0),
        code: code::UNKNOWN,
        ..Fault::default()
    };
    let (fake, mut source) = source(&faulty(gpus(1), fault));
    let (values, result) = read_at(&fake, &mut *source, 1.5);
    assert!(matches!(result, Err(ReadFault::Transient(_))));
    assert_eq!(values, [("gpu0:power".to_owned(), 250_000_000)]);
    let (values, result) = read_at(&fake, &mut *source, 2.5);
    assert_eq!((values.len(), result), (2, Ok(())));
}

#[test]
fn a_driver_that_hangs_neither_hangs_the_run_nor_passes_for_0_joules() {
    let hang =
        Fault { call: "nvmlDeviceGetPowerUsage".into(), from_s: 0.15, hang_s: 20.0, ..Fault::default() };
    let (_fake, roots) = live(&faulty(gpus(1), hang));
    let begin = std::time::Instant::now();
    let record = run(discover(&options(), &roots));
    assert!(begin.elapsed() < Duration::from_secs(20), "the run ended before the driver answered");
    assert!(record.sampler.faults[0].message.contains("hangs"), "{:?}", record.sampler.faults);
    let summary = summarize(&record, &SummaryOptions::default());
    let gpu = summary.domain(Domain::Gpu).unwrap();
    assert_eq!(gpu.energy.value, None);
    assert!(gpu.energy.reason.as_ref().unwrap().contains("hangs"), "{:?}", gpu.energy.reason);
}

#[test]
fn a_driver_that_is_loaded_anew_starts_its_counter_again_and_the_figure_says_so() {
    let script = changed(gpus(1), |gpu| {
        gpu.counter = Some(Counter { start_mj: 5_000_000, tick_ms: 20.0, resets_s: vec![6.0] });
    });
    let (fake, mut source) = source(&script);
    let mut record = common::record();
    let readings: Vec<(f64, u64)> =
        common::moments().map(|moment| (moment, read_at(&fake, &mut *source, moment).0[0].1)).collect();
    common::add(&mut record, source.channels()[0].clone(), readings);
    let energy = common::summary(&record).domain(Domain::Gpu).unwrap().energy.clone();
    let (joules, ci95) = (energy.value.unwrap(), energy.ci95.unwrap());
    assert!((joules - 2500.0).abs() <= ci95, "{joules} ± {ci95}");
    assert!(energy.reason.unwrap().contains("reset"));
    assert_eq!(energy.provenance, ai_energy_core::figure::Provenance::Estimated);
}
