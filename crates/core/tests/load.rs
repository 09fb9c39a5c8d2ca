//! How the runner follows a plan: what is sent when, what waits, what is measured. Nothing here asserts how fast it is.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ai_energy_core::load::{Arrivals, Law, LoadPlan, Step, instants};
use ai_energy_core::prompt::FollowUp;
use ai_energy_core::record::{Ending, ErrorClass, Generation, RequestError};
use ai_energy_core::runner::{self, Parts};
use ai_energy_core::{PhaseKind, Plan, RequestRecord, RunRecord, Stamp};
use common::{Scripted, parts, plan, quick};

fn with(steps: Vec<Step>) -> Plan {
    let load = LoadPlan { steps, seed: 5, ..LoadPlan::default() };
    Plan { load, ..plan(1) }
}

async fn run(steps: Vec<Step>, parts: Parts) -> RunRecord {
    runner::run(with(steps), parts).await
}

fn scheduled(record: &RunRecord) -> Vec<Stamp> {
    let mut stamps: Vec<Stamp> = record.requests.iter().map(|request| request.scheduled).collect();
    stamps.sort_unstable();
    stamps
}

fn indices(requests: &[RequestRecord]) -> Vec<usize> {
    let mut indices: Vec<usize> = requests.iter().map(|request| request.prompt_index).collect();
    indices.sort_unstable();
    indices
}

#[tokio::test]
async fn an_open_loop_sends_at_the_planned_instants_whatever_the_backend_does() {
    let (backend, _) = Scripted::new(|_, generation| generation);
    let step = Step { requests: Some(40), ..Step::open(400.0) };
    let record = run(vec![step.clone()], parts(backend, 40)).await;
    let planned = instants(&step, 5, 0, 40);
    let stamps = scheduled(&record);
    let since: Vec<Duration> = stamps.iter().map(|stamp| stamp.since(stamps[0])).collect();
    let expected: Vec<Duration> = planned.iter().map(|at| *at - planned[0]).collect();
    assert_eq!(since, expected, "to the nanosecond, since planned stamps are not measured ones");
    for request in &record.requests {
        assert!(request.offer.planned && request.generation.sent.unwrap() >= request.scheduled);
        assert_eq!(request.offer.admitted, Some(request.scheduled), "without a bound nothing waits");
    }
    assert_eq!(record.ending, Ending::Complete);
}

#[tokio::test]
async fn a_bound_makes_planned_requests_wait_and_says_since_when_they_could_go() {
    let (backend, most) = Scripted::new(|_, generation| generation);
    let step = Step { requests: Some(20), max_in_flight: Some(2), ..Step::open(1e6) };
    let record = run(vec![step], parts(backend, 20)).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    let ends: Vec<Stamp> = record.requests.iter().map(|request| request.generation.end).collect();
    let waited = record.requests.iter().filter(|request| request.offer.admitted.unwrap() > request.scheduled);
    let waited: Vec<&RequestRecord> = waited.collect();
    assert!(waited.len() >= 15, "all but the first few: {}", waited.len());
    for request in waited {
        assert!(ends.contains(&request.offer.admitted.unwrap()), "the end of another let it go");
        assert!(request.generation.sent.unwrap() >= request.offer.admitted.unwrap());
    }
}

#[tokio::test]
async fn warm_up_and_cool_down_are_sent_with_prompts_of_their_own_and_not_measured() {
    let (backend, _) = Scripted::new(|_, generation| generation);
    let mut parts = parts(backend, 6);
    let spare = common::parts(quick(), 106).prompts.split_off(100);
    parts.script.spare = spare;
    let of = |kind, requests| Step { kind, requests: Some(requests), ..Step::closed(2) };
    let measured = Step { drain: false, ..of(PhaseKind::Load, 6) };
    let warm_up = Step { pause_seconds: 0.01, ..of(PhaseKind::Warmup, 4) };
    let record = run(vec![warm_up, measured, of(PhaseKind::Cooldown, 3)], parts).await;
    assert_eq!(indices(&record.requests), [0, 1, 2, 3, 4, 5]);
    let (warm, cool): (Vec<_>, Vec<_>) =
        record.unmeasured.iter().cloned().partition(|request| request.offer.phase == PhaseKind::Warmup);
    assert_eq!((indices(&warm), indices(&cool)), (vec![100, 101, 102, 103], vec![100, 101, 102]));
    let (start, _) = record.load_window().unwrap();
    let warmed = record.phase(PhaseKind::Warmup).unwrap();
    assert!(start.since(warmed.end) < Duration::from_secs(30) && warmed.end <= start);
    assert!(warm.iter().all(|request| request.generation.end <= start));
    let last = warm.iter().map(|request| request.generation.end).max().unwrap();
    assert!(start.since(last) >= Duration::from_millis(10), "the pause lies between");
    assert!(record.phase(PhaseKind::Cooldown).is_some() && record.phase(PhaseKind::Drain).is_none());
    let ids: std::collections::BTreeSet<&str> =
        record.requests.iter().chain(&record.unmeasured).map(|request| request.id.as_str()).collect();
    assert_eq!(ids.len(), 13, "names stay unique");
}

#[tokio::test]
async fn a_closed_loop_of_some_duration_goes_round_the_prompts_and_ends() {
    let (backend, most) = Scripted::new(|_, generation| generation);
    let step = Step { duration_seconds: Some(0.3), ..Step::closed(3) };
    let record = run(vec![step], parts(backend, 4)).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(record.requests.len() > 4, "prompts are used again: {}", record.requests.len());
    let (start, end) = record.load_window().unwrap();
    assert!(end.since(start) >= Duration::from_millis(300));
    assert!(record.requests.iter().all(|request| request.scheduled.since(start) < Duration::from_secs(30)));
    assert_eq!(record.ending, Ending::Complete);
}

#[tokio::test]
async fn steps_follow_one_another_with_their_own_concurrency_and_number() {
    let (backend, most) = Scripted::new(|_, generation| generation);
    let step = |concurrency, requests| Step { requests: Some(requests), ..Step::closed(concurrency) };
    let record = run(vec![step(1, 3), step(5, 10), step(2, 4)], parts(backend, 17)).await;
    assert_eq!(most.load(Ordering::SeqCst), 5);
    assert_eq!(indices(&record.requests), (0..17).collect::<Vec<_>>());
    let of = |number| -> Vec<RequestRecord> {
        record.requests.iter().filter(|request| request.offer.step == number).cloned().collect()
    };
    assert_eq!((of(0).len(), of(1).len(), of(2).len()), (3, 10, 4));
    assert_eq!(indices(&of(1)), (3..13).collect::<Vec<_>>());
    for (before, after) in [(of(0), of(1)), (of(1), of(2))] {
        let end = before.iter().map(|request| request.generation.end).max().unwrap();
        assert!(after.iter().all(|request| request.scheduled >= end), "a step drains before the next");
    }
}

#[tokio::test]
async fn a_ramp_of_concurrency_raises_the_bound_as_time_goes() {
    let (backend, most) = Scripted::new(|_, generation| generation);
    let step = Step {
        arrivals: Arrivals::Closed { concurrency: 6, from: Some(1) },
        duration_seconds: Some(0.6),
        ..Step::closed(6)
    };
    let record = run(vec![step], parts(backend, 4)).await;
    assert_eq!(most.load(Ordering::SeqCst), 6);
    let first = scheduled(&record)[0];
    let early = record.requests.iter().filter(|request| request.scheduled.since(first).as_millis() < 99);
    let in_flight_early =
        early.map(|request| (request.scheduled, request.generation.end)).collect::<Vec<_>>();
    let overlapping = in_flight_early.iter().any(|(begin, _)| {
        in_flight_early.iter().filter(|(other, end)| other <= begin && begin < end).count() > 1
    });
    assert!(!overlapping, "one at a time before the first rise");
}

#[tokio::test]
async fn a_trace_is_followed_at_its_own_instants() {
    let (backend, _) = Scripted::new(|_, generation| generation);
    let mut parts = parts(backend, 4);
    let at = Duration::from_millis;
    parts.script.timeline = vec![at(500), at(500), at(520), at(590)];
    let record = run(vec![Step { arrivals: Arrivals::Trace, ..Step::closed(1) }], parts).await;
    let mut by_prompt: Vec<(usize, Stamp)> =
        record.requests.iter().map(|request| (request.prompt_index, request.scheduled)).collect();
    by_prompt.sort_unstable();
    let since: Vec<Duration> = by_prompt.iter().map(|(_, stamp)| stamp.since(by_prompt[0].1)).collect();
    assert_eq!(since, [at(0), at(0), at(20), at(90)], "from the first one's instant on");
}

#[tokio::test]
async fn a_conversation_goes_on_after_thinking_and_carries_what_was_said() {
    let (backend, _) = Scripted::new(|_, mut generation: Generation| {
        generation.text = Some("answer".to_owned());
        generation
    });
    let mut parts = parts(backend, 2);
    let say = |message: &str| FollowUp {
        message: message.to_owned(),
        think: Duration::from_millis(15),
        target_output_tokens: Some(2),
    };
    parts.script.follow_ups = HashMap::from([(1, Arc::from(vec![say("second"), say("third")]))]);
    let record = run(vec![Step::closed(1)], parts).await;
    assert_eq!(indices(&record.requests), [0, 1, 1, 1]);
    let turns: Vec<&RequestRecord> =
        record.requests.iter().filter(|request| request.offer.conversation.is_some()).collect();
    assert_eq!(
        turns.iter().map(|request| request.offer.conversation.unwrap().turn).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    for pair in turns.windows(2) {
        assert_eq!(pair[1].scheduled.since(pair[0].generation.end), Duration::from_millis(15));
        assert!(pair[1].generation.sent.unwrap() >= pair[1].scheduled);
    }
    assert_eq!(turns[2].generation.completion_tokens.unwrap().tokens, 2);
}

#[tokio::test]
async fn a_failed_warm_up_ends_the_run_before_anything_is_measured() {
    let (backend, _) = Scripted::new(|_, mut generation: Generation| {
        let error = RequestError { class: ErrorClass::Server, message: "no".to_owned(), status: Some(500) };
        generation.error = Some(error);
        generation
    });
    let warm_up = Step { kind: PhaseKind::Warmup, requests: Some(9), ..Step::closed(1) };
    let record = run(vec![warm_up, Step::closed(1)], parts(backend, 5)).await;
    assert_eq!(record.ending, Ending::TooManyFailures { in_a_row: 3 });
    assert_eq!((record.requests.len(), record.unmeasured.len()), (0, 3));
}

#[tokio::test]
async fn a_stop_ends_an_open_loop_that_still_waits_for_its_instants() {
    let parts = parts(quick(), 2);
    let stop = parts.stop.clone();
    let step = Step {
        arrivals: Arrivals::Open { rate: 0.001, from: None, law: Law::Constant },
        requests: Some(2),
        ..Step::closed(1)
    };
    let tally = Arc::clone(&parts.tally);
    tokio::spawn(async move {
        while tally.tokens() < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    });
    let record = run(vec![step], parts).await;
    assert_eq!(record.ending, Ending::Interrupted);
    assert_eq!(record.requests.len(), 1, "the second was due in a quarter of an hour");
}

#[test]
fn plans_that_contradict_themselves_are_refused_with_the_key_and_a_remedy() {
    let refused = |step: Step| {
        let faults = LoadPlan { steps: vec![step], ..LoadPlan::default() }.check().unwrap_err();
        assert!(faults.iter().all(|fault| !fault.remedy.is_empty()), "{faults:?}");
        faults.iter().map(|fault| fault.object.clone()).collect::<Vec<_>>()
    };
    let rate = |rate, from, law| Step { arrivals: Arrivals::Open { rate, from, law }, ..Step::closed(1) };
    assert_eq!(refused(Step { max_in_flight: Some(3), ..Step::closed(1) }), ["load.max_in_flight"]);
    assert_eq!(refused(Step { requests: Some(0), ..Step::closed(1) }), ["load.requests"]);
    assert_eq!(
        refused(Step { duration_seconds: Some(f64::NAN), ..Step::closed(1) }),
        ["load.duration_seconds"]
    );
    assert_eq!(refused(rate(0.0, None, Law::Poisson)), ["load.rate"]);
    assert_eq!(refused(rate(5.0, Some(1.0), Law::Poisson)), ["load.ramp_from"]);
    assert_eq!(refused(rate(5.0, None, Law::Gamma { burstiness: 0.0 })), ["load.burstiness"]);
    assert_eq!(refused(Step { kind: PhaseKind::Warmup, ..Step::closed(1) }), ["load.steps"]);
    assert_eq!(LoadPlan::default().check(), Ok(()));
}
