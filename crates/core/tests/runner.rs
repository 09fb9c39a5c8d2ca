//! The runner against backends that misbehave in known ways.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ai_energy_core::fakes::{FakeBackend, FakeSource};
use ai_energy_core::record::{Ending, Generation, RequestError, TokenCount, TokenCountSource};
use ai_energy_core::runner::{self, Stop};
use ai_energy_core::{
    Domain, EnergySource, ErrorClass, Observer, PhaseKind, Plan, ReadFault, RequestRecord, Stamp,
};
use common::{Scripted, parts, plan, quick};

fn fail(mut generation: Generation) -> Generation {
    let error = RequestError { class: ErrorClass::Server, message: "no".to_owned(), status: Some(500) };
    generation.error = Some(error);
    generation
}

#[tokio::test]
async fn keeps_exactly_the_asked_number_in_flight_and_runs_each_prompt_once() {
    let (backend, most) = Scripted::new(|_, generation| generation);
    let record = runner::run(plan(4), parts(backend, 13)).await;
    assert_eq!(most.load(Ordering::SeqCst), 4);
    let mut indices: Vec<_> = record.requests.iter().map(|request| request.prompt_index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..13).collect::<Vec<_>>());
    assert_eq!(record.ending, Ending::Complete);
    assert!(record.synthetic, "a fake part marks the record");
}

#[tokio::test]
async fn the_window_is_the_measured_requests_and_readings_enclose_it() {
    let record = runner::run(plan(2), parts(quick(), 6)).await;
    let (start, end) = record.load_window().unwrap();
    assert_eq!(
        record.requests.iter().map(|request| request.scheduled).min().map(|first| first >= start),
        Some(true)
    );
    assert_eq!(record.requests.iter().map(|request| request.generation.end).max(), Some(end));
    assert!(record.readings.first().unwrap().at <= start);
    assert!(record.readings.last().unwrap().at >= end);
    assert!(record.readings.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[tokio::test]
async fn three_failures_in_a_row_end_the_run_and_keep_what_was_measured() {
    let (backend, _) =
        Scripted::new(|index, generation| if index >= 2 { fail(generation) } else { generation });
    let record = runner::run(plan(1), parts(backend, 50)).await;
    assert_eq!(record.ending, Ending::TooManyFailures { in_a_row: 3 });
    assert_eq!(record.requests.iter().filter(|request| request.succeeded()).count(), 2);
    assert_eq!(record.requests.len(), 5);
}

#[tokio::test]
async fn failures_that_are_not_in_a_row_do_not_end_the_run() {
    let (backend, _) =
        Scripted::new(|index, generation| if index % 3 == 2 { generation } else { fail(generation) });
    let record = runner::run(plan(1), parts(backend, 9)).await;
    assert_eq!(record.ending, Ending::Complete);
    assert_eq!(record.requests.iter().filter(|request| request.failed()).count(), 6);
}

#[tokio::test]
async fn failures_ending_the_run_cancel_what_is_in_flight_without_counting_it_as_failed() {
    let (backend, _) = Scripted::new(|_, generation| fail(generation));
    let record = runner::run(plan(8), parts(backend, 40)).await;
    assert!(matches!(record.ending, Ending::TooManyFailures { .. }));
    let failed = record.requests.iter().filter(|request| request.failed()).count();
    let cancelled = record.requests.iter().filter(|request| request.cancelled()).count();
    assert_eq!(failed + cancelled, record.requests.len());
    assert!(failed >= 3 && record.requests.len() < 40);
}

/// Stops the run once a number of requests ended.
struct StopAfter {
    stop: Stop,
    left: AtomicUsize,
}

impl Observer for StopAfter {
    fn request_ended(&self, _record: &RequestRecord) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stop.cancel();
        }
    }
}

#[tokio::test]
async fn a_stop_keeps_what_ended_and_marks_the_rest_cancelled() {
    let mut parts = parts(quick(), 100);
    parts.observers.push(Arc::new(StopAfter { stop: parts.stop.clone(), left: AtomicUsize::new(5) }));
    let record = runner::run(plan(2), parts).await;
    assert_eq!(record.ending, Ending::Interrupted);
    assert!(record.requests.iter().filter(|request| request.succeeded()).count() >= 5);
    assert!(record.requests.len() < 100);
    assert_eq!(record.requests.iter().filter(|request| request.failed()).count(), 0);
}

#[tokio::test]
async fn a_stop_after_the_last_request_interrupts_nothing() {
    let mut parts = parts(quick(), 3);
    parts.observers.push(Arc::new(StopAfter { stop: parts.stop.clone(), left: AtomicUsize::new(3) }));
    assert_eq!(runner::run(plan(1), parts).await.ending, Ending::Complete);
}

#[tokio::test]
async fn tokens_that_the_server_did_not_count_are_counted_by_the_tokenizer() {
    let (backend, _) = Scripted::new(|index, mut generation: Generation| {
        generation.text = Some("one two three".to_owned());
        if index == 0 {
            generation.completion_tokens = Some(TokenCount { tokens: 9, source: TokenCountSource::Chunks });
        }
        generation
    });
    let record = runner::run(plan(1), parts(backend, 2)).await;
    let counts: Vec<_> =
        record.requests.iter().map(|request| request.generation.completion_tokens.unwrap()).collect();
    assert_eq!(counts[0], TokenCount { tokens: 3, source: TokenCountSource::Tokenizer });
    assert_eq!(counts[1], TokenCount { tokens: 4, source: TokenCountSource::Server });
    assert!(
        record.requests.iter().all(|request| request.generation.text.is_none()),
        "texts are dropped unless kept"
    );
}

/// A source that fails now and then and dies later.
struct Dying {
    channels: Vec<ai_energy_core::Channel>,
    reads: usize,
}

impl EnergySource for Dying {
    fn channels(&self) -> &[ai_energy_core::Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        self.reads += 1;
        match self.reads {
            1 => {
                out(0, 7);
                Ok(())
            }
            2 => Err(ReadFault::Transient("busy".to_owned())),
            _ => Err(ReadFault::Gone("lost".to_owned())),
        }
    }
}

#[tokio::test]
async fn a_source_that_dies_is_told_and_others_are_read_on() {
    let mut parts = parts(quick(), 10);
    let channels = FakeSource::new(Domain::Cpu, 1.0).channels().to_vec();
    parts.sources.sources.push(Box::new(Dying { channels, reads: 0 }));
    let record = runner::run(plan(1), parts).await;
    assert_eq!(record.channels.len(), 2);
    assert_eq!(record.readings.iter().filter(|reading| reading.channel == 1).count(), 1);
    assert!(record.readings.iter().filter(|reading| reading.channel == 0).count() > 3);
    let fault = &record.sampler.faults[0];
    assert_eq!((fault.channel.as_str(), fault.count, fault.gone), ("fake:cpu", 2, true));
    assert_eq!(fault.message, "lost", "what ended the source, not what disturbed it before");
}

#[tokio::test]
async fn a_record_survives_its_journey_through_json() {
    let record = runner::run(plan(2), parts(quick(), 3)).await;
    let text = serde_json::to_string(&record).unwrap();
    let back: ai_energy_core::RunRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(back, record);
}

#[tokio::test]
async fn a_stop_keeps_the_tokens_that_running_requests_had_seen() {
    let slow = FakeBackend { first_token: Duration::from_millis(1), inter_token: Duration::from_millis(20) };
    let mut plan = plan(1);
    plan.generation.max_new_tokens = Some(1000);
    let parts = parts(slow, 1);
    let stop = parts.stop.clone();
    let tally = Arc::clone(&parts.tally);
    tokio::spawn(async move {
        while tally.tokens() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    });
    let record = runner::run(plan, parts).await;
    assert!(record.requests[0].cancelled());
    assert!(record.requests[0].generation.chunks.len() >= 3, "what was seen is kept");
}

#[tokio::test]
async fn a_request_whose_task_dies_has_failed_and_is_not_forgotten() {
    let (backend, _) = Scripted::new(|index, generation| {
        assert!(index != 1, "this request's task dies on purpose");
        generation
    });
    let record = runner::run(plan(1), parts(backend, 4)).await;
    let mut indices: Vec<_> = record.requests.iter().map(|request| request.prompt_index).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2, 3]);
    let failed: Vec<_> = record.requests.iter().filter(|request| request.failed()).collect();
    assert_eq!((failed.len(), failed[0].prompt_index), (1, 1));
}

/// Stops the run as soon as a phase of this kind begins.
struct StopAt(PhaseKind, Stop);

impl Observer for StopAt {
    fn phase_started(&self, kind: PhaseKind, _at: Stamp, expected: Duration) {
        assert!(expected > Duration::ZERO);
        if kind == self.0 {
            self.1.cancel();
        }
    }
}

#[tokio::test]
async fn idling_is_measured_on_either_side_of_the_load_and_readings_enclose_it() {
    let plan = Plan { idle_seconds: 0.05, ..plan(2) };
    let record = runner::run(plan, parts(quick(), 6)).await;
    let kinds: Vec<_> = record.phases.iter().map(|phase| phase.kind).collect();
    assert_eq!(kinds, [PhaseKind::IdleBefore, PhaseKind::Load, PhaseKind::Drain, PhaseKind::IdleAfter]);
    let [before, load, drain, after] = record.phases[..] else { panic!("four phases") };
    for idle in [before, after] {
        assert!(idle.end.since(idle.start) >= Duration::from_millis(50), "{idle:?}");
    }
    assert!(before.end <= load.start && load.end <= after.start && drain.end == load.end);
    let mut ends: Vec<_> = record.requests.iter().map(|request| request.generation.end).collect();
    ends.sort_unstable();
    assert_eq!(drain.start, ends[4], "two slots: the fifth end of six leaves one free");
    assert!(record.readings.first().unwrap().at <= before.start);
    assert!(record.readings.last().unwrap().at >= after.end);
    assert!(record.client.load_cpu_seconds.unwrap() >= 0.0);
}

#[tokio::test]
async fn without_idle_seconds_nothing_idles() {
    let record = runner::run(plan(1), parts(quick(), 2)).await;
    assert_eq!(record.phase(PhaseKind::IdleBefore), None);
    assert_eq!(record.phase(PhaseKind::IdleAfter), None);
}

#[tokio::test]
async fn a_stop_ends_idling_at_once() {
    for kind in [PhaseKind::IdleBefore, PhaseKind::IdleAfter] {
        let mut parts = parts(quick(), 2);
        parts.observers.push(Arc::new(StopAt(kind, parts.stop.clone())));
        let plan =
            Plan { idle_seconds: if kind == PhaseKind::IdleBefore { 3600.0 } else { 0.02 }, ..plan(1) };
        let record = runner::run(plan, parts).await;
        let phase = record.phase(kind).unwrap();
        assert!(phase.end.since(phase.start) < Duration::from_secs(60), "{phase:?}");
        let (sent, ending) = match kind {
            PhaseKind::IdleBefore => (0, Ending::Interrupted),
            _ => (2, Ending::Complete),
        };
        assert_eq!((record.requests.len(), &record.ending), (sent, &ending), "{kind:?}");
        assert!(kind == PhaseKind::IdleAfter || record.phase(PhaseKind::IdleAfter).is_none());
    }
}

#[tokio::test]
async fn a_record_of_an_older_version_reads() {
    let record = runner::run(plan(1), parts(quick(), 1)).await;
    let mut value = serde_json::to_value(&record).unwrap();
    for key in ["client", "grid"] {
        assert!(value.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    assert!(value["plan"].as_object_mut().unwrap().remove("idle_seconds").is_some());
    let old: ai_energy_core::RunRecord = serde_json::from_value(value).unwrap();
    assert_eq!((old.plan.idle_seconds, old.client.load_cpu_seconds, old.grid), (0.0, None, None));
}
