//! What settings mean, and which of them contradict one another.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::args::ConfigSource;
use crate::resolve;
use ai_energy_core::load::PROFILES;

fn checked(inputs: &[&str]) -> Result<LoadPlan, Vec<Fault>> {
    let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
    let source = ConfigSource { inputs, ..ConfigSource::default() };
    let loaded = resolve::resolve_with(&source, &|_| None).unwrap();
    let is_default = |key: &str| *resolve::origin(&loaded, key) == ai_energy_config::Origin::Default;
    plan(&loaded.value.load, &is_default, false)
}

fn refused(inputs: &[&str]) -> Vec<String> {
    let faults = checked(inputs).unwrap_err();
    assert!(faults.iter().all(|fault| !fault.remedy.is_empty()), "{faults:?}");
    faults.into_iter().map(|fault| fault.object).collect()
}

#[test]
fn nothing_said_is_one_at_a_time_over_each_prompt_once() {
    let plan = checked(&[]).unwrap();
    assert_eq!((plan.steps, plan.concurrency), (vec![Step::closed(1)], 1));
}

#[test]
fn a_rate_is_an_open_loop_with_its_pattern_and_bound() {
    let inputs = ["load.rate=12.5", "load.pattern=gamma", "load.burstiness=0.5", "load.max_in_flight=64"];
    let plan = checked(&[&inputs[..], &["load.duration_seconds=30", "load.ramp_from=1"]].concat()).unwrap();
    let step = &plan.steps[0];
    let law = Law::Gamma { burstiness: 0.5 };
    assert_eq!(step.arrivals, Arrivals::Open { rate: 12.5, from: Some(1.0), law });
    assert_eq!((step.max_in_flight, step.duration_seconds), (Some(64), Some(30.0)));
    assert_eq!(plan.concurrency, 64);
    assert_eq!(checked(&["load.rate=2"]).unwrap().steps[0].arrivals, Step::open(2.0).arrivals);
}

#[test]
fn every_profile_gives_its_steps() {
    for profile in PROFILES {
        let plan = checked(&[&format!("load.profile={}", profile.name)]).unwrap();
        assert_eq!(plan.steps.len(), profile.steps.len(), "{}", profile.name);
        for (step, said) in plan.steps.iter().zip(profile.steps) {
            assert_eq!(step.arrivals, Arrivals::Closed { concurrency: said.concurrency, from: None });
            assert_eq!((step.requests, step.drain), (Some(said.requests), true));
        }
    }
    let requests = |name: &str| {
        let plan = checked(&[&format!("load.profile={name}")]).unwrap();
        plan.steps.iter().map(|step| step.requests.unwrap()).sum::<usize>()
    };
    assert_eq!((requests("power_test"), requests("pattern"), requests("multiphase")), (1440, 260, 78));
}

#[test]
fn steps_take_warm_up_before_and_cool_down_after_them() {
    let steps = "load.steps=[{rate: 5, duration_seconds: 10}, {concurrency: 8, requests: 20, name: peak}]";
    let around = ["load.warmup_seconds=3", "load.settle_seconds=1", "load.cooldown_seconds=2"];
    let plan = checked(&[&[steps], &around[..]].concat()).unwrap();
    let kinds: Vec<PhaseKind> = plan.steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [PhaseKind::Warmup, PhaseKind::Load, PhaseKind::Load, PhaseKind::Cooldown]);
    assert_eq!(plan.steps[0].arrivals, Step::open(5.0).arrivals);
    assert_eq!((plan.steps[0].duration_seconds, plan.steps[0].pause_seconds), (Some(3.0), 1.0));
    assert_eq!((plan.steps[2].name.as_str(), plan.steps[2].drain), ("peak", false));
    assert_eq!(plan.steps[3].arrivals, Arrivals::Closed { concurrency: 8, from: None });
}

#[test]
fn what_contradicts_itself_is_refused_with_its_key() {
    for (inputs, objects) in [
        (&["load.rate=2", "load.concurrency=4"][..], &["load.concurrency"][..]),
        (&["load.pattern=poisson"], &["load.pattern"]),
        (&["load.burstiness=2"], &["load.burstiness"]),
        (&["load.max_in_flight=2"], &["load.max_in_flight"]),
        (&["load.rate=2", "load.pattern=gamma"], &["load.burstiness"]),
        (&["load.rate=2", "load.burstiness=2"], &["load.burstiness"]),
        (&["load.rate=0"], &["load.rate"]),
        (&["load.rate=-3"], &["load.rate"]),
        (&["load.ramp_from=2"], &["load.ramp_from"]),
        (&["load.ramp_from=1.5", "load.duration_seconds=2"], &["load.ramp_from"]),
        (&["load.duration_seconds=0"], &["load.duration_seconds"]),
        (&["load.profile=light", "load.concurrency=4"], &["load.concurrency"]),
        (&["load.profile=light", "load.steps=[{concurrency: 1}]"], &["load.steps"]),
        (&["load.steps=[{concurrency: 1}]", "load.rate=2"], &["load.rate"]),
        (&["load.steps=[{concurrency: 1, rate: 1}]"], &["load.steps[0].rate"]),
        (&["load.steps=[{concurrency: 1}, {requests: 1}]"], &["load.steps[1].concurrency"]),
        (&["load.steps=[{concurrency: 1, input_tokens: 5}]"], &["load.steps[0].input_tokens"]),
        (&["load.warmup_requests=2", "load.warmup_seconds=1"], &["load.warmup_seconds"]),
        (&["load.settle_seconds=1"], &["load.settle_seconds"]),
        (&["load.cooldown_seconds=-1"], &["load.cooldown_seconds"]),
        (&["load.slo.ttft_ms=0", "load.slo.e2e_ms=-1"], &["load.slo.ttft_ms", "load.slo.e2e_ms"]),
    ] {
        assert_eq!(refused(inputs), objects, "{inputs:?}");
    }
}
