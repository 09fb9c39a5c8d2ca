//! What is read of a GPU: counters, powers and scopes, and its state.

use ai_energy_core::energy::{ChannelKind, Domain, Scope as Joules};
use ai_energy_fake_nvml::{Counter, Curve, Fault, Scope, Script, Sensor, State, code};
use ai_energy_metrics::discover;

use crate::common;
use crate::support::{changed, faulty, gpus, library, options, read_at, source};

#[test]
fn everything_that_a_gpu_tells_of_its_state_is_kept() {
    let throttled =
        State { from_s: 5.0, throttle: 4 | 0x40, sm_mhz: 1100, processes: vec![7, 9], ..State::default() };
    let script = changed(gpus(1), |gpu| gpu.states.push(throttled.clone()));
    let (fake, mut source) = source(&script);
    let before = source.calls().unwrap();
    let logged = fake.calls().values().sum::<u64>();
    let first = &source.gpu_states()[0];
    assert_eq!((first.utilization_percent, first.memory_utilization_percent), (Some(87.0), Some(40.0)));
    assert_eq!((first.memory_used_mib, first.memory_total_mib), (Some(6144.0), Some(24576.0)));
    assert_eq!(
        (first.temperature_c, first.power_draw_w, first.power_limit_w),
        (Some(61.0), Some(250.0), Some(700.0))
    );
    assert_eq!((first.compute_clock_mhz, first.memory_clock_mhz), (Some(1980), Some(2619)));
    assert_eq!((first.performance_state, first.throttle_reasons.as_deref()), (Some(0), Some([].as_slice())));
    assert_eq!(first.process_ids.as_deref(), Some([4242].as_slice()));
    let calls = fake.calls().values().sum::<u64>() - logged;
    assert_eq!(source.calls().unwrap() - before, calls, "calls are counted as the library sees them");
    fake.set_time(6.0).unwrap();
    let later = &source.gpu_states()[0];
    let words = ["software_power_cap".to_owned(), "hardware_thermal_slowdown".to_owned()];
    assert_eq!(
        (later.throttle_reasons.as_deref(), later.compute_clock_mhz),
        (Some(words.as_slice()), Some(1100))
    );
    assert_eq!(later.process_ids.as_deref(), Some([7, 9].as_slice()));
}

#[test]
fn a_state_that_cannot_be_told_is_absent_and_not_0() {
    let script = faulty(
        gpus(1),
        Fault { call: "nvmlDeviceGetClockInfo".into(), code: code::NOT_SUPPORTED, ..Fault::default() },
    );
    let (_fake, mut source) = source(&script);
    let state = &source.gpu_states()[0];
    assert_eq!((state.compute_clock_mhz, state.temperature_c), (None, Some(61.0)));
}

/// A Grace Hopper module: the GPU, its memory and the module are told apart.
fn module() -> Script {
    let sensor = Some(Sensor { update_ms: 100.0, window_ms: 25.0 });
    let scope = |scope, watts| Scope {
        scope,
        power: Curve::constant(watts),
        counter: Some(Counter { start_mj: 10, tick_ms: 10.0, resets_s: Vec::new() }),
        average: None,
        instant: sensor,
    };
    changed(gpus(1), |gpu| {
        gpu.instant = sensor;
        gpu.scopes = vec![scope(1, 600.0), scope(2, 60.0)];
    })
}

#[test]
fn gpu_module_and_memory_are_read_apart_and_only_the_gpu_counts() {
    let (fake, mut source) = source(&module());
    let channels = source.channels().to_vec();
    let told: Vec<(&str, Joules, Domain, bool)> = channels
        .iter()
        .map(|channel| (channel.name.as_str(), channel.instrument.scope, channel.domain, channel.counts))
        .collect();
    let expected = [
        ("nvml:gpu0:energy", Joules::Accelerator, Domain::Gpu, true),
        ("nvml:gpu0:module_energy", Joules::Module, Domain::Node, false),
        ("nvml:gpu0:memory_energy", Joules::AcceleratorPart, Domain::Gpu, false),
        ("nvml:gpu0:power", Joules::Accelerator, Domain::Gpu, false),
        ("nvml:gpu0:instant_power", Joules::Accelerator, Domain::Gpu, false),
        ("nvml:gpu0:module_power", Joules::Module, Domain::Node, false),
        ("nvml:gpu0:memory_power", Joules::AcceleratorPart, Domain::Gpu, false),
    ];
    assert_eq!(told, expected);
    assert_eq!(channels[1].instrument.contains, [Domain::Gpu, Domain::Cpu], "Grace lies within the module");
    let (values, result) = read_at(&fake, &mut *source, 2.0);
    result.unwrap();
    let value = |name: &str| values.iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!(value("gpu0:energy"), 1_000_000_000 + 500_000_000);
    assert_eq!((value("gpu0:module_energy"), value("gpu0:memory_energy")), (1_200_010_000, 120_010_000));
    assert_eq!((value("gpu0:module_power"), value("gpu0:memory_power")), (600_000_000, 60_000_000));
}

#[test]
fn grace_is_counted_neither_in_the_gpu_s_figure_nor_twice() {
    let (fake, mut source) = source(&module());
    let mut record = common::record();
    for channel in source.channels() {
        common::add(&mut record, channel.clone(), []);
    }
    for moment in common::moments() {
        let (values, _) = read_at(&fake, &mut *source, moment);
        for (name, value) in values {
            let channel =
                record.channels.iter().position(|found| found.name.ends_with(&name)).unwrap() as u16;
            let reading = ai_energy_core::energy::EnergyReading { channel, at: common::at(moment), value };
            record.readings.push(reading);
        }
    }
    let summary = common::summary(&record);
    let gpu = summary.domain(Domain::Gpu).unwrap().energy.value.unwrap();
    assert!((gpu - 2500.0).abs() < 10.0, "250 W for 10 s, not 600 W and not 850 W: {gpu}");
    assert_eq!(summary.energy.total.value, Some(gpu), "the module is in no total");
    assert!(!common::ids(&summary).contains(&"cross_check"), "scopes are not held against each other");
}

#[test]
fn the_1_s_average_is_never_stated_as_instant_power() {
    let cases = [
        ((9, 0), Some(1000), Some(25)),
        ((8, 6), Some(1000), Some(100)),
        ((8, 0), Some(25), Some(25)),
        ((7, 5), Some(100), Some(100)),
        ((7, 0), Some(10), Some(10)),
        ((12, 0), Some(1000), None),
    ];
    for (capability, usage, instant) in cases {
        let script = changed(gpus(1), |gpu| {
            gpu.capability = capability;
            gpu.instant = gpu.power_usage;
        });
        let (_fake, source) = source(&script);
        let channels = source.channels();
        assert_eq!(channels[0].kind, ChannelKind::Counter { wrap_microjoules: None });
        assert_eq!(channels[1].kind, ChannelKind::Power { averaging_ms: usage }, "{capability:?}");
        assert_eq!(channels[2].kind, ChannelKind::Power { averaging_ms: instant }, "{capability:?}");
        let told =
            (channels[0].device_id.as_str(), channels[0].counts, channels[1].counts, channels[2].counts);
        assert_eq!(told, ("GPU-00000000-fake", true, false, false));
    }
}

#[test]
fn what_reads_an_average_field_says_so_where_there_is_no_usual_power() {
    let script = changed(gpus(1), |gpu| gpu.average = gpu.power_usage.take());
    let (fake, mut source) = source(&script);
    assert_eq!(source.channels()[1].kind, ChannelKind::Power { averaging_ms: Some(1000) });
    assert_eq!(read_at(&fake, &mut *source, 3.0).0[1], ("gpu0:power".to_owned(), 250_000_000));
}

#[test]
fn power_counts_where_there_is_no_counter_and_neither_is_a_reason() {
    let no_counter = changed(gpus(1), |gpu| gpu.counter = None);
    let (_fake, roots) = library(&no_counter);
    let found = discover(&options(), &roots);
    let channels = found.sources[0].channels();
    assert_eq!((channels.len(), channels[0].name.as_str(), channels[0].counts), (1, "nvml:gpu0:power", true));
    let (_fake, roots) = library(&changed(no_counter, |gpu| gpu.power_usage = None));
    let found = discover(&options(), &roots);
    assert!(found.sources.is_empty());
    assert!(found.unavailable[0].reason.contains("neither energy"), "{:?}", found.unavailable);
}
