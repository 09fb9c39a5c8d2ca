//! Validity: each check answers, and its verdict follows from what was seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::energy::{Domain, GpuSample, GpuState, Scope};
use ai_energy_core::record::{ErrorClass, Phase, PhaseKind, Suspension};
use ai_energy_core::summary::{Summary, Verdict};
use ai_energy_core::{Provenance, RunRecord};
use common::{add, at, constant, counter, failed, measured, moments, power, record, summary};
use serde_json::json;

fn verdict(found: &Summary, name: &str) -> Verdict {
    check(found, name).0
}

fn check(found: &Summary, name: &str) -> (Verdict, String, String) {
    let check = found.validity.checks.iter().find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}"));
    (check.verdict, check.detail.clone(), check.remedy.clone())
}

/// What a GPU tells at a second of the load.
type State = Box<dyn Fn(u32) -> GpuState>;

/// A GPU seen once a second through the load, as `state` makes it of the second.
fn watched(state: impl Fn(u32) -> GpuState) -> Summary {
    let mut record = measured();
    record.gpu_samples =
        (0..12).map(|second| GpuSample { at: at(f64::from(second) + 0.5), state: state(second) }).collect();
    summary(&record)
}

#[test]
fn every_check_has_its_own_name_says_something_and_warns_with_a_remedy() {
    let mut bad = measured();
    bad.requests.push(failed(2, ErrorClass::Server));
    bad.sampler.longest_gap_seconds = Some(5.0);
    for record in [measured(), record(), bad] {
        let found = summary(&record).validity;
        let mut names: Vec<&str> = found.checks.iter().map(|check| check.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), found.checks.len());
        for check in &found.checks {
            assert!(!check.detail.is_empty(), "{check:?}");
            let wants_remedy = matches!(check.verdict, Verdict::Warning | Verdict::Invalid);
            assert!(!wants_remedy || !check.remedy.is_empty(), "{check:?}");
        }
    }
}

#[test]
fn the_verdict_is_the_worst_that_is_known_and_unknown_without_energy() {
    assert_eq!(summary(&record()).validity.verdict, Verdict::Unknown, "nothing was measured");
    let mut slept = measured();
    slept.sampler.suspensions.push(Suspension { after: at(5.0), before: at(5.1), seconds: 60.0 });
    let found = summary(&slept);
    assert_eq!((found.validity.verdict, verdict(&found, "suspension")), (Verdict::Invalid, Verdict::Invalid));
    slept.sampler.suspensions[0] = Suspension { after: at(0.1), before: at(0.2), seconds: 60.0 };
    assert_eq!(verdict(&summary(&slept), "suspension"), Verdict::Ok, "before the load");
    let mut fake = measured();
    fake.synthetic = true;
    assert_eq!(summary(&fake).validity.verdict, Verdict::Invalid);
}

#[test]
fn a_model_alone_is_a_warning_and_an_instrument_beside_it_is_not() {
    let mut model = record();
    let mut channel = counter("cpu_model:load", Domain::Cpu);
    channel.provenance = Provenance::Estimated;
    add(&mut model, channel, constant(50.0));
    assert_eq!(verdict(&summary(&model), "energy_source"), Verdict::Warning);
    let (found, detail, _) = check(&summary(&measured()), "energy_source");
    assert_eq!((found, detail.as_str()), (Verdict::Ok, "GPU, CPU measured, RAM modelled"));
}

#[test]
fn a_window_is_judged_by_its_ticks() {
    // Read every 0.1 s, a tick is no longer than two readings.
    assert_eq!(verdict(&summary(&measured()), "window_length"), Verdict::Warning, "50 ticks");
    let mut short = measured();
    short.phases = vec![Phase { kind: PhaseKind::Load, start: at(1.0), end: at(1.9) }];
    assert_eq!(verdict(&summary(&short), "window_length"), Verdict::Invalid, "not even ten");
}

#[test]
fn idle_power_that_drifts_is_a_warning_and_unmeasured_is_unknown() {
    assert_eq!(verdict(&summary(&measured()), "idle_drift"), Verdict::Unknown);
    let build = |after: f64| {
        let mut record = record();
        record.phases = [
            (PhaseKind::IdleBefore, 0.0, 3.0),
            (PhaseKind::Load, 3.0, 8.0),
            (PhaseKind::IdleAfter, 8.0, 11.0),
        ]
        .map(|(kind, start, end)| Phase { kind, start: at(start), end: at(end) })
        .to_vec();
        let joules = |when: f64| 60.0 * when.min(8.0) + after * (when - 8.0).max(0.0);
        let readings = (0..=1200).map(|step| f64::from(step) / 100.0);
        add(&mut record, counter("c", Domain::Gpu), readings.map(|when| (when, (joules(when) * 1e6) as u64)));
        summary(&record)
    };
    assert_eq!(verdict(&build(62.0), "idle_drift"), Verdict::Ok);
    let (drifted, detail, _) = check(&build(90.0), "idle_drift");
    assert_eq!(drifted, Verdict::Warning);
    assert!(detail.contains("60.0 W before") && detail.contains("90.0 W after"), "{detail}");
}

#[test]
fn gpus_that_are_held_down_change_clocks_or_limits_warm_up_or_have_company_are_told() {
    let plain = |_| GpuState {
        throttle_reasons: Some(Vec::new()),
        compute_clock_mhz: Some(1980),
        power_limit_w: Some(700.0),
        process_ids: Some(vec![7]),
        temperature_c: Some(60.0),
        ..GpuState::default()
    };
    let names = ["throttling", "clocks", "power_limit", "other_processes", "temperature"];
    let well = watched(plain);
    for name in names {
        assert_eq!(verdict(&well, name), Verdict::Ok, "{name}: {:?}", check(&well, name));
        assert_eq!(verdict(&summary(&measured()), name), Verdict::Unknown, "{name} without a look");
    }
    let later = |second: u32| second >= 6;
    let worse: [(&str, State); 5] = [
        (
            "throttling",
            Box::new(move |second| GpuState {
                throttle_reasons: Some(if later(second) {
                    vec!["hardware_thermal_slowdown".to_owned()]
                } else {
                    vec![]
                }),
                ..plain(second)
            }),
        ),
        (
            "clocks",
            Box::new(move |second| GpuState {
                compute_clock_mhz: Some(if later(second) { 1200 } else { 1980 }),
                ..plain(second)
            }),
        ),
        (
            "power_limit",
            Box::new(move |second| GpuState {
                power_limit_w: Some(if later(second) { 500.0 } else { 700.0 }),
                ..plain(second)
            }),
        ),
        (
            "other_processes",
            Box::new(move |second| GpuState {
                process_ids: Some(if second == 6 { vec![7, 8] } else { vec![7] }),
                ..plain(second)
            }),
        ),
        (
            "temperature",
            Box::new(move |second| GpuState {
                temperature_c: Some(40.0 + 3.0 * f64::from(second)),
                ..plain(second)
            }),
        ),
    ];
    for (name, state) in worse {
        let found = watched(state);
        assert_eq!(verdict(&found, name), Verdict::Warning, "{:?}", check(&found, name));
        for other in names.iter().filter(|other| **other != name) {
            assert_eq!(verdict(&found, other), Verdict::Ok, "{name} is not {other}");
        }
        assert_eq!(found.validity.verdict, Verdict::Warning);
    }
    let idles = watched(|second| GpuState {
        throttle_reasons: Some(vec!["idle".to_owned()]),
        compute_clock_mhz: Some(345),
        ..plain(second)
    });
    assert_eq!(verdict(&idles, "throttling"), Verdict::Ok, "idling is not being held down");
    assert_eq!(verdict(&idles, "clocks"), Verdict::Unknown, "an idle clock tells nothing of the load's");
}

#[test]
fn a_server_elsewhere_is_not_measured_here_unless_the_source_can_see_it() {
    let at_host = |mut record: RunRecord| {
        record.backend.endpoint = Some("http://10.1.2.3:8000/v1".to_owned());
        summary(&record)
    };
    assert_eq!(verdict(&at_host(measured()), "server_host"), Verdict::Warning);
    let mut remote = record();
    add(&mut remote, power("prometheus:node", Domain::Gpu), moments().map(|when| (when, 1_000_000)));
    assert_eq!(verdict(&at_host(remote), "server_host"), Verdict::Ok);
    assert_eq!(verdict(&summary(&measured()), "server_host"), Verdict::Ok);
}

#[test]
fn the_clients_own_share_is_told_and_a_large_one_warned_of() {
    let client = |cpu: f64| {
        let mut record = measured();
        record.client.load_cpu_seconds = Some(cpu);
        record.environment.insert("cpu_count".to_owned(), json!(4));
        check(&summary(&record), "client")
    };
    let (small, detail, _) = client(0.4);
    assert_eq!(small, Verdict::Ok);
    assert!(detail.contains("1.00 %") && detail.contains("5.0 J of the processors' 500 J"), "{detail}");
    assert_eq!(client(8.0).0, Verdict::Warning);
    assert_eq!(verdict(&summary(&measured()), "client"), Verdict::Unknown);
}

#[test]
fn readings_that_disagree_and_a_costly_sampler_are_told() {
    let build = |watts: u64| {
        let mut record = measured();
        let mut other = power("nvml:gpu0:power", Domain::Gpu);
        (other.counts, other.device_id) = (false, record.channels[0].device_id.clone());
        add(&mut record, other, moments().map(|when| (when, watts * 1_000_000)));
        record.sampler.cpu_seconds = Some(if watts == 300 { 0.01 } else { 5.0 });
        summary(&record)
    };
    let (agree, differ) = (build(300), build(400));
    for (name, bad) in [("counter_against_power", Verdict::Warning), ("sampler_cost", Verdict::Warning)] {
        assert_eq!((verdict(&agree, name), verdict(&differ, name)), (Verdict::Ok, bad), "{name}");
    }
}

#[test]
fn a_single_device_that_is_lost_is_named_though_its_source_lives() {
    let build = |last: f64| {
        let mut record = measured();
        add(
            &mut record,
            counter("nvml:gpu1:energy", Domain::Gpu),
            constant(200.0).filter(|(when, _)| *when < last),
        );
        record.sampler.longest_gap_seconds = Some(0.1);
        check(&summary(&record), "sampling")
    };
    assert_eq!(build(20.0).0, Verdict::Ok);
    let (found, detail, remedy) = build(5.0);
    assert_eq!(found, Verdict::Warning);
    assert!(detail.contains("nvml:gpu1:energy") && !detail.contains("gpu0"), "{detail}");
    assert!(remedy.contains("metrics.gpu_ids"), "{remedy}");
}

#[test]
fn parts_that_took_more_than_the_whole_machine_are_a_contradiction() {
    // GPU 300 W and CPU 50 W by counters, RAM 10 W ± 50 % by a model, over 10 s: 3600 ± 50 J.
    let build = |watts: f64, scope: Scope| {
        let mut record = measured();
        let mut meter = counter("wall_meter:inlet", Domain::Node);
        meter.instrument.scope = scope;
        add(&mut record, meter, constant(watts));
        check(&summary(&record), "node_against_parts")
    };
    assert_eq!(build(420.0, Scope::Node).0, Verdict::Ok, "fans and losses beside the parts");
    assert_eq!(build(357.0, Scope::Node).0, Verdict::Ok, "within the memory model's own interval");
    let (found, detail, remedy) = build(300.0, Scope::Node);
    assert_eq!(found, Verdict::Warning);
    assert!(
        detail.contains("GPU + CPU + RAM took 3600.0 ±") && detail.contains("machine 3000.0 ±"),
        "{detail}"
    );
    assert!(remedy.contains("same machine"), "{remedy}");
    assert_eq!(build(300.0, Scope::Platform).0, Verdict::Unknown, "a platform need not contain the GPU");
    assert_eq!(verdict(&summary(&measured()), "node_against_parts"), Verdict::Unknown);
}
