//! Prefill and decode energy against a generator that knows them, and shares that add up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;
mod truth;

use ai_energy_core::energy::Domain;
use ai_energy_core::figure::Figure;
use ai_energy_core::record::{ErrorClass, Phase, PhaseKind, RequestError};
use common::{add, at, constant, counter, measured, record, request, summary};
use proptest::prelude::*;
use truth::{Load, Rng, generate};

fn covers(figure: &Figure, truth: f64) -> Option<bool> {
    Some((figure.value? - truth).abs() <= figure.ci95?)
}

#[test]
fn known_prefill_and_decode_energies_lie_within_their_intervals_in_19_of_20_cases() {
    let (mut told, mut prefill, mut decode, mut other) = (0, 0, 0, 0);
    let mut widths = Vec::new();
    for seed in 0..300 {
        let (record, truth) = generate(&mut Rng::new(seed), &Load::default());
        let found = summary(&record).energy.prefill_decode;
        let Some(covered) = covers(&found.prefill, truth.prefill_joules) else {
            continue;
        };
        told += 1;
        prefill += usize::from(covered);
        decode += usize::from(covers(&found.decode, truth.decode_joules).unwrap());
        other += usize::from(covers(&found.other, truth.other_joules).unwrap());
        widths.push(found.decode.ci95.unwrap() / truth.decode_joules);
    }
    assert!(told >= 250, "most loads carry the split: {told} of 300");
    widths.sort_by(f64::total_cmp);
    eprintln!(
        "prefill {prefill}, decode {decode}, other {other} of {told}; median width {}",
        widths[widths.len() / 2]
    );
    assert!(
        widths[widths.len() / 2] < 0.15,
        "an interval that covers all says nothing: {}",
        widths[widths.len() / 2]
    );
    for (what, covered) in [("prefill", prefill), ("decode", decode), ("other", other)] {
        let share = covered as f64 / told as f64;
        assert!(share >= 0.92, "{what}: {covered} of {told}");
    }
}

#[test]
fn prefill_decode_and_other_add_up_to_the_domain() {
    let (record, _) = generate(&mut Rng::new(7), &Load::default());
    let found = summary(&record);
    let split = &found.energy.prefill_decode;
    let parts = [&split.prefill, &split.decode, &split.other].map(|figure| figure.value.unwrap());
    let gross = found.domain(Domain::Gpu).unwrap().energy.value.unwrap();
    assert!((parts.iter().sum::<f64>() - gross).abs() < 1e-9 * gross, "{parts:?} {gross}");
    assert!(parts.iter().all(|joules| *joules >= 0.0));
    assert!(split.method.contains("least squares") && split.intervals >= 20);
}

/// The reason why a load is not split.
fn refusal(load: &Load, change: impl FnOnce(&mut ai_energy_core::RunRecord)) -> String {
    let (mut record, _) = generate(&mut Rng::new(3), load);
    change(&mut record);
    let split = summary(&record).energy.prefill_decode;
    assert_eq!((split.prefill.value, split.decode.value, split.other.value), (None, None, None));
    split.prefill.reason.unwrap()
}

#[test]
fn loads_that_cannot_carry_the_split_are_refused_with_the_reason() {
    let short = Load { requests: 8, ..Load::default() };
    assert!(refusal(&short, |_| ()).contains("too few intervals"));
    let coarse = Load { tick_seconds: 4.0, ..Load::default() };
    assert!(refusal(&coarse, |_| ()).contains("tick"), "a coarse tick");
    let alike = Load {
        slots: 1,
        prompt: (64, 64),
        output: (10, 10),
        decode_seconds: 0.005,
        jitter: 0.0,
        ..Load::default()
    };
    let alike = refusal(&Load { requests: 3000, ..alike }, |_| ());
    assert!(alike.contains("one proportion") || alike.contains("explain"), "{alike}");
    let deaf = Load { prefill_joules: 0.0, decode_joules: 0.0, noise: 0.3, ..Load::default() };
    assert!(refusal(&deaf, |_| ()).contains("explain"), "power that does not follow tokens");
    let whole = refusal(&Load::default(), |record| {
        for request in &mut record.requests {
            request.generation.first_token = None;
            request.generation.chunks = ai_energy_core::Chunks::default();
        }
    });
    assert!(whole.contains("streaming"), "{whole}");
    let uncounted = refusal(&Load::default(), |record| record.requests[3].generation.prompt_tokens = None);
    assert!(uncounted.contains("prompt tokens"), "{uncounted}");
    let model = refusal(&Load::default(), |record| {
        record.channels[0].provenance = ai_energy_core::Provenance::Estimated;
    });
    assert!(model.contains("model"), "{model}");
}

#[test]
fn a_request_that_does_twice_the_work_gets_twice_the_energy() {
    let mut record = record();
    record.requests = vec![request(0, 1.0, 11.0), request(1, 1.0, 6.0)];
    add(&mut record, counter("c", Domain::Gpu), constant(300.0));
    let found = summary(&record).energy.requests;
    assert!(found.method.contains("in flight"));
    let joules: Vec<f64> = found.shares.iter().map(|share| share.gpu_joules.unwrap()).collect();
    // 5 s alone at 300 W, and half of 5 s together.
    assert!((joules[0] - 2250.0).abs() < 1e-6 && (joules[1] - 750.0).abs() < 1e-6, "{joules:?}");
    assert_eq!(found.shares[0].cpu_joules, None, "no processor was measured");
    assert_eq!(found.gpu.unwrap().count, 2);
}

#[test]
fn nothing_known_is_not_shared_and_says_why() {
    let found = summary(&record()).energy.requests;
    assert_eq!((found.shares.len(), found.reason.as_deref()), (0, Some("no energy is known")));
    let mut none = measured();
    none.requests.clear();
    assert_eq!(summary(&none).energy.requests.reason.as_deref(), Some("no request was run"));
}

proptest! {
    #[test]
    fn shares_of_all_requests_add_up_to_every_domain(
        spans in proptest::collection::vec((1.0_f64..10.5, 0.01_f64..5.0, any::<bool>()), 1..30), watts in 1.0_f64..900.0,
    ) {
        let mut record = record();
        record.requests = spans.iter().enumerate().map(|(number, (begin, length, fails))| {
            let mut request = request(number, *begin, (begin + length).min(11.0));
            if *fails {
                request.generation.error =
                    Some(RequestError { class: ErrorClass::Server, message: "no".into(), status: None });
            }
            request
        }).collect();
        record.phases = vec![Phase { kind: PhaseKind::Load, start: at(1.0), end: at(11.0) }];
        add(&mut record, counter("g", Domain::Gpu), constant(watts));
        add(&mut record, counter("c", Domain::Cpu), constant(watts / 3.0));
        let found = summary(&record);
        for (domain, pick) in [
            (Domain::Gpu, (|share| share.gpu_joules) as fn(&ai_energy_core::summary::RequestShare) -> Option<f64>),
            (Domain::Cpu, |share| share.cpu_joules),
        ] {
            let whole = found.domain(domain).unwrap().energy.value.unwrap();
            let parts: Vec<f64> = found.energy.requests.shares.iter().map(|share| pick(share).unwrap()).collect();
            prop_assert!(parts.iter().all(|joules| *joules >= 0.0));
            prop_assert!((parts.iter().sum::<f64>() - whole).abs() < 1e-9 * whole, "{:?} {}", parts, whole);
        }
    }
}
