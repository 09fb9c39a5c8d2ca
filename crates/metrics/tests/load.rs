//! Figures of the load by hand: concurrency, goodput, steps, slices, the steady part.

#![allow(clippy::unwrap_used)]

mod common;

use ai_energy_core::load::{Objectives, Step};
use ai_energy_core::record::{Chunk, Chunks, Offer, OutputChannel, PhaseKind, TokenCount, TokenCountSource};
use ai_energy_core::summary::{InterTokenBasis, LoadFigures};
use ai_energy_core::{ErrorClass, RequestRecord, RunRecord};
use ai_energy_metrics::{SummaryOptions, summarize};
use common::{at, failed, record, request};

/// A record of these requests whose load window is 0 to 100 s, with a drain from `drain` on.
fn of(requests: Vec<RequestRecord>, drain: f64) -> RunRecord {
    let mut record = record();
    record.phases.retain(|phase| phase.kind == PhaseKind::Load);
    record.phases[0].start = at(0.0);
    record.phases[0].end = at(100.0);
    let mut last = record.phases[0];
    (last.kind, last.start) = (PhaseKind::Drain, at(drain));
    record.phases.push(last);
    record.requests = requests;
    record
}

fn figures(record: &RunRecord) -> LoadFigures {
    summarize(record, &SummaryOptions::default()).load
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} instead of {expected}");
}

#[test]
fn concurrency_is_of_time_and_a_slot_that_changes_hands_is_one() {
    let requests = vec![request(0, 0.0, 50.0), request(1, 50.0, 100.0), request(2, 20.0, 40.0)];
    let load = figures(&of(requests, 100.0));
    close(load.peak_concurrency.value, 2.0);
    close(load.mean_concurrency.value, 1.2);
    // Two pauses between 0 and 50 s.
    close(load.sent_rate.value, 0.04);
    assert!(load.planned_rate.value.is_none() && load.planned_rate.reason.is_some());
}

#[test]
fn good_requests_keep_every_objective_and_failed_ones_are_none() {
    // Each has its first token 0.5 s after it was sent.
    let mut cancelled = failed(4, ErrorClass::Cancelled);
    cancelled.id = "c".to_owned();
    let mut waited = request(1, 10.0, 12.0);
    waited.offer = Offer { planned: true, admitted: Some(at(10.0)), ..Offer::default() };
    waited.scheduled = at(9.0);
    let requests =
        vec![request(0, 0.0, 2.0), waited, request(2, 20.0, 30.0), failed(3, ErrorClass::Server), cancelled];
    let mut record = of(requests, 100.0);
    record.plan.load.objectives =
        Objectives { ttft_ms: Some(600.0), e2e_ms: Some(5000.0), ..Objectives::default() };
    let goodput = figures(&record).goodput.unwrap();
    assert_eq!((goodput.good, goodput.judged), (1, 4));
    let misses: Vec<(&str, usize)> =
        goodput.misses.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(misses, [("e2e", 1), ("failed", 1), ("ttft", 1)], "waiting for its turn counts");
    close(goodput.share.value, 0.25);
    close(goodput.rate.value, 0.01);
    // Wilson's interval of 1 in 4 is 0.0456 to 0.6994.
    assert!((goodput.share.ci95.unwrap() - 0.4494).abs() < 1e-3, "{:?}", goodput.share.ci95);
    record.plan.load.objectives = Objectives { itl_ms: Some(100.0), ..Objectives::default() };
    for request in &mut record.requests {
        request.generation.chunks = Chunks::default();
    }
    let unseen = figures(&record).goodput.unwrap();
    assert!(unseen.share.value.is_none() && unseen.share.reason.is_some(), "what is not seen is not good");
}

#[test]
fn steps_have_the_requests_that_were_due_in_them_and_the_tokens_that_came() {
    let mut requests: Vec<RequestRecord> =
        (0..10).map(|n| request(n, n as f64 * 10.0, n as f64 * 10.0 + 15.0)).collect();
    for (number, request) in requests.iter_mut().enumerate() {
        request.offer.step = u32::from(number >= 4);
    }
    let mut record = of(requests, 100.0);
    record.plan.load.steps = vec![Step { name: "one".to_owned(), ..Step::closed(1) }, Step::closed(2)];
    let load = figures(&record);
    let names: Vec<(&str, usize)> =
        load.steps.iter().map(|step| (step.name.as_str(), step.counts.total)).collect();
    assert_eq!(names, [("one", 4), ("2 at a time", 6)]);
    close(load.steps[0].duration.value, 40.0);
    // Of the first four, those due at 0, 10 and 20 s end within 40 s.
    close(load.steps[0].requests_per_second.value, 3.0 / 40.0);
    assert_eq!(load.steady, None, "several steps have no common steady part");
    assert_eq!(load.slices.iter().map(|slice| slice.due).sum::<usize>(), 10);
    assert_eq!(load.slice_seconds, 1.0);
    let slice = &load.slices[12];
    assert!((slice.mean_concurrency - 2.0).abs() < 1e-9, "12 to 13 s: the second and the rest of the first");
}

#[test]
fn what_the_server_says_is_of_the_load_and_held_against_the_client() {
    use ai_energy_core::server::ServerSample;
    let sample = |seconds: f64, running: f64, count: f64, hits: f64| ServerSample {
        at: at(seconds),
        running: Some(running),
        cache_use: Some(running / 10.0),
        prefix_queries: Some(count * 100.0),
        prefix_hits: Some(hits),
        ttft_seconds_sum: Some(count * 0.4),
        ttft_count: Some(count),
        ..ServerSample::default()
    };
    let mut record = of(vec![request(0, 0.0, 50.0), request(1, 50.0, 100.0)], 100.0);
    assert_eq!(figures(&record).server, None);
    record.server_samples =
        vec![sample(0.0, 9.0, 5.0, 0.0), sample(30.0, 1.0, 6.0, 20.0), sample(101.0, 9.0, 7.0, 50.0)];
    // The look at 0 s is the load's first moment, the one at 101 s lies behind its end.
    let server = figures(&record).server.unwrap();
    close(server.mean_running.value, 5.0);
    close(server.peak_running.value, 9.0);
    close(server.peak_cache_use.value, 0.9);
    close(server.prefix_hit_share.value, 0.25);
    close(server.mean_ttft.value, 0.4);
    close(server.ttft_beyond_server.value, 0.1);
    assert!(server.preemptions.value.is_none() && server.mean_waiting.reason.is_some());
    record.server_samples[2].ttft_count = Some(8.0);
    let shared = figures(&record).server.unwrap();
    assert_eq!(shared.ttft_beyond_server.value, None, "somebody else's requests are among them");
    record.server_samples[2] = sample(101.0, 0.0, 1.0, 0.0);
    let anew = figures(&record).server.unwrap();
    assert_eq!((anew.mean_ttft.value, anew.prefix_hit_share.value), (None, None), "it started anew");
}

#[test]
fn an_open_loop_on_a_server_that_cannot_follow_has_no_steady_part() {
    let open = |length: &dyn Fn(usize) -> f64| {
        let requests = (0..90).map(|number| {
            let mut request = request(number, number as f64, (number as f64 + length(number)).min(100.0));
            request.offer = Offer { planned: true, admitted: Some(request.scheduled), ..Offer::default() };
            request
        });
        let mut record = of(requests.collect(), 90.0);
        record.plan.load.steps = vec![Step::open(1.0)];
        figures(&record)
    };
    let following = open(&|_| 8.0);
    let steady = following.steady.unwrap();
    assert!((2.0..20.0).contains(&steady.start_seconds), "{}", steady.start_seconds);
    close(Some(steady.start_seconds + steady.duration.value.unwrap()), 90.0);
    close(following.planned_rate.value, 1.0);
    let falling_behind = open(&|number| 2.0 + number as f64);
    assert_eq!(falling_behind.steady, None, "{}", falling_behind.steady_rule);
    assert!(falling_behind.steady_rule.contains("rest"), "{}", falling_behind.steady_rule);
}

#[test]
fn coalesced_chunks_are_split_by_what_is_known_and_the_basis_is_said() {
    let streamed = |counted: bool, tokens: u32| {
        let mut request = request(0, 0.0, 50.0);
        let chunk = |number: u32| Chunk {
            at: at(1.0 + f64::from(number)),
            channel: OutputChannel::Content,
            tokens: counted.then_some(4),
        };
        request.generation.chunks = (0..11).map(chunk).collect();
        request.generation.completion_tokens = Some(TokenCount { tokens, source: TokenCountSource::Server });
        let found = summarize(&of(vec![request], 100.0), &SummaryOptions::default());
        (found.load.inter_token_basis, found.latency.inter_token.unwrap().p50)
    };
    assert_eq!(streamed(true, 44), (InterTokenBasis::Counted, 0.25));
    assert_eq!(streamed(false, 44), (InterTokenBasis::Split, 0.25));
    assert_eq!(
        streamed(false, 12),
        (InterTokenBasis::OneAChunk, 1.0),
        "the token that ends the answer has no chunk"
    );
}
