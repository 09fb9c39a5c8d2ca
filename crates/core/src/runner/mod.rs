//! Drives a run: starts the sampler, offers the load, waits for what is in flight, and hands back the record.
//!
//! Refuses to know what a figure is, where results go, and any concrete part.

mod idle;
mod load;
mod look;
mod probe;
mod sampler;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Check, Tally};
use crate::client::{ClientLimits, ClientLook, ClientMeter, Traffic};
use crate::clock::{Clock, Stamp};
use crate::dataset::DatasetInfo;
use crate::energy::{SourceDiscovery, UnavailableSource};
use crate::observer::Observer;
use crate::phase::{Phase, PhaseKind};
use crate::plan::Plan;
use crate::prompt::FormattedPrompt;
use crate::record::{
    ClientUsage, Ending, GridIntensity, RequestRecord, RunRecord, SamplerStats, ServerCounters, TokenCount,
    TokenCountSource,
};
use crate::store::{StoredText, needs_counting};
use serde_json::{Map, Value};

pub use load::Script;
pub use sampler::{Sampled, Sampler};
pub use tokio_util::sync::CancellationToken as Stop;

/// Most readings of a server's counters after the load, and the pause between two.
const COUNTER_READS: u32 = 10;
const COUNTER_PAUSE: Duration = Duration::from_millis(100);

/// Longest time for counting tokens after the load, and after a load that was stopped.
const COUNTING: Duration = Duration::from_secs(120);
const COUNTING_AFTER_STOP: Duration = Duration::from_secs(5);

/// What a run is made of.
pub struct Parts {
    /// What runs the model; already validated.
    pub backend: Arc<dyn Backend>,
    /// What to send, one request each, in this order.
    pub prompts: Vec<Arc<FormattedPrompt>>,
    /// What the load holds beside them.
    pub script: Script,
    /// Where they come from.
    pub dataset: DatasetInfo,
    /// What validation looked at.
    pub checks: Vec<Check>,
    /// What to read while the load runs, and what cannot be read.
    pub sources: SourceDiscovery,
    /// Who watches.
    pub observers: Vec<Arc<dyn Observer>>,
    /// The run's clock.
    pub clock: Clock,
    /// Ends the load when cancelled; what was measured is kept.
    pub stop: Stop,
    /// Live counts for a progress line.
    pub tally: Arc<Tally>,
    /// Reads what this process uses; `None` leaves that unknown.
    pub meter: Option<Arc<dyn ClientMeter>>,
    /// What a calibration of this client found, else why there is none.
    pub calibration: Result<ClientLimits, String>,
    /// Wall time at the clock's origin, RFC 3339, UTC.
    pub started_at: String,
    /// The grid's intensity at the time, where a service was asked.
    pub grid: Option<GridIntensity>,
    /// The machine and the programs, for the record.
    pub environment: Map<String, Value>,
    /// Things the user should know that were seen before the run.
    pub warnings: Vec<String>,
}

/// Runs `plan` with `parts` and returns everything observed. Does not fail: what goes wrong stands in the record.
pub async fn run(plan: Plan, mut parts: Parts) -> RunRecord {
    let (clock, stop, backend) = (parts.clock, parts.stop.clone(), Arc::clone(&parts.backend));
    let (meter, calibration) =
        (parts.meter.take(), std::mem::replace(&mut parts.calibration, Err(String::new())));
    let SourceDiscovery { sources, unavailable, warnings } = std::mem::take(&mut parts.sources);
    parts.warnings.extend(warnings);
    let observers: Arc<[Arc<dyn Observer>]> = std::mem::take(&mut parts.observers).into();
    let synthetic_sources = sources.iter().any(|source| source.is_synthetic());
    let sampler = Sampler::start(sources, clock, plan.sampling_interval_ms, Arc::clone(&observers)).await;
    let idling = idle::Idling {
        seconds: plan.idle_seconds,
        clock,
        stop: stop.clone(),
        observers: Arc::clone(&observers),
    };
    let idle_before = idling.measure(PhaseKind::IdleBefore).await;

    let (mut record, prompts, script, tally) = begun(plan, parts, unavailable);
    record.synthetic |= synthetic_sources;
    record.phases.extend(idle_before);
    observers.iter().for_each(|observer| observer.run_started(&record));
    let offered = load::Offered {
        backend: Arc::clone(&backend),
        prompts,
        script,
        clock,
        stop: stop.clone(),
        tally,
        observers,
    };
    let warm_up = load::warm_up(&record.plan, &offered).await;
    let counters_before = settled_counters(&*backend, warm_up.is_some(), None).await;
    let looking = look::Looking::start(Arc::clone(&backend), clock).await;
    let watch = ClientWatch::start(&*backend, meter, clock);
    let outcome = load::measured(&record.plan, &offered, warm_up.as_ref().map(|(_, outcome)| outcome)).await;
    record.client = watch.finish(&*backend, clock, calibration).await;
    // Asked before idling: another client's tokens after the load are none of this run's.
    let counters_after = match counters_before {
        Some(before) if outcome.cool_down.is_none() => {
            let full = answered(&outcome.requests).map(|tokens| before.generation_tokens + tokens);
            settled_counters(&*backend, true, full).await
        }
        // A server counts the cool-down's tokens too.
        _ => None,
    };
    record.server_samples = looking.finish(&*backend, clock).await;
    record.server_counters = counters_before.zip(counters_after).map(|(before, after)| [before, after]);
    let idle_after = idling.measure(PhaseKind::IdleAfter).await;
    let last = idle_after.map_or(outcome.end, |phase| phase.end);
    keep_sampled(&mut record, sampler.finish(outcome.start, outcome.end, last).await);
    let warmed = warm_up.as_ref().map(|(phase, _)| *phase);
    record.phases = phases(idle_before, warmed, &outcome, idle_after);
    record.unmeasured = warm_up.map(|(_, warmed)| warmed.unmeasured).unwrap_or_default();
    record.unmeasured.extend(outcome.unmeasured);
    record.warnings.extend(outcome.warnings);
    (record.requests, record.ending) = (outcome.requests, outcome.ending);
    count_tokens(&*backend, &mut record, outcome.texts, stop.is_cancelled()).await;
    backend.close().await;
    record.backend = backend.info();
    record.synthetic |= record.backend.synthetic;
    record
}

/// The record as far as it is known before the load, and the parts that the load takes.
fn begun(
    plan: Plan,
    parts: Parts,
    unavailable_sources: Vec<UnavailableSource>,
) -> (RunRecord, Vec<Arc<FormattedPrompt>>, Script, Arc<Tally>) {
    let backend = parts.backend.info();
    let record = RunRecord {
        plan,
        started_at: parts.started_at,
        synthetic: backend.synthetic,
        backend,
        dataset: parts.dataset,
        checks: parts.checks,
        server_counters: None,
        server_samples: Vec::new(),
        phases: Vec::new(),
        requests: Vec::new(),
        unmeasured: Vec::new(),
        channels: Vec::new(),
        readings: Vec::new(),
        unavailable_sources,
        gpu_states: Vec::new(),
        gpu_samples: Vec::new(),
        sampler: SamplerStats::default(),
        client: ClientUsage::default(),
        grid: parts.grid,
        segments: Vec::new(),
        ending: Ending::Unfinished,
        warnings: parts.warnings,
        environment: parts.environment,
    };
    (record, parts.prompts, parts.script, parts.tally)
}

fn keep_sampled(record: &mut RunRecord, sampled: Sampled) {
    record.channels = sampled.channels;
    record.readings = sampled.readings;
    record.gpu_states = sampled.gpu_states;
    record.gpu_samples = sampled.gpu_samples;
    record.sampler = sampled.stats;
}

/// Counts the tokens that no server counted, and forgets texts that are not to be kept. Bounded, and shorter after a
/// stop: reports are waiting.
async fn count_tokens(
    backend: &dyn Backend,
    record: &mut RunRecord,
    texts: Vec<(usize, StoredText)>,
    stopped: bool,
) {
    let limit = if stopped { COUNTING_AFTER_STOP } else { COUNTING };
    let counting = count_missing_tokens(backend, &mut record.requests, texts);
    if tokio::time::timeout(limit, counting).await.is_err() {
        let seconds = limit.as_secs();
        record.warnings.push(format!("counting tokens took longer than {seconds} s and was given up"));
    }
    if !record.plan.keep_text {
        let all = record.requests.iter_mut().chain(&mut record.unmeasured);
        all.for_each(|request| request.generation.text = None);
    }
}

/// The run's phases by their begin.
fn phases(
    idle_before: Option<Phase>,
    warm_up: Option<Phase>,
    outcome: &load::Outcome,
    idle_after: Option<Phase>,
) -> Vec<Phase> {
    let load = Phase { kind: PhaseKind::Load, start: outcome.start, end: outcome.end };
    let drain = outcome.drain.map(|start| Phase {
        kind: PhaseKind::Drain,
        start: start.min(outcome.end),
        end: outcome.end,
    });
    let before = idle_before.into_iter().chain(warm_up);
    before.chain([load]).chain(drain).chain(outcome.cool_down).chain(idle_after).collect()
}

/// Watches this process over the load.
struct ClientWatch {
    probe: probe::Probe,
    meter: Option<Arc<dyn ClientMeter>>,
    look: Option<ClientLook>,
    traffic: Option<Traffic>,
    begin: Stamp,
    cpu_seconds: f64,
}

impl ClientWatch {
    fn start(backend: &dyn Backend, meter: Option<Arc<dyn ClientMeter>>, clock: Clock) -> Self {
        let look = meter.as_ref().map(|meter| meter.look());
        let (probe, traffic) = (probe::Probe::start(clock), backend.traffic());
        Self { probe, meter, look, traffic, begin: clock.now(), cpu_seconds: process_cpu_seconds() }
    }

    async fn finish(
        self,
        backend: &dyn Backend,
        clock: Clock,
        calibration: Result<ClientLimits, String>,
    ) -> ClientUsage {
        let (cpu_seconds, end, traffic) =
            (process_cpu_seconds() - self.cpu_seconds, clock.now(), backend.traffic());
        let looks = self.look.zip(self.meter.map(|meter| meter.look()));
        let used = looks.map(|(before, after)| ClientUsage::between(&before, &after)).unwrap_or_default();
        ClientUsage {
            load_cpu_seconds: Some(cpu_seconds),
            looked: Some([self.begin, end]),
            event_loop: self.probe.finish().await,
            traffic: traffic.zip(self.traffic).map(|(after, before)| after.since(before)),
            uncalibrated: calibration.as_ref().err().cloned().unwrap_or_default(),
            calibration: calibration.ok(),
            ..used
        }
    }
}

/// CPU time of the whole process so far, s.
fn process_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The tokens that the server itself counted in its answers; `None` where it did not count all, or an answer broke off.
fn answered(requests: &[RequestRecord]) -> Option<u64> {
    let counted = |request: &RequestRecord| {
        let count =
            request.generation.completion_tokens.filter(|count| count.source == TokenCountSource::Server);
        count.filter(|_| request.succeeded()).map(|count| u64::from(count.tokens))
    };
    requests.iter().map(counted).sum()
}

/// The server's counters; once they stand still, where `busy` says that it has just worked: servers publish them a moment
/// after the last byte. Nothing is waited for where `full`, what it must have generated by now, is in them. Bounded, since
/// other clients may keep the server busy.
async fn settled_counters(backend: &dyn Backend, busy: bool, full: Option<u64>) -> Option<ServerCounters> {
    let mut last = backend.token_counters().await?;
    let settled = full.is_some_and(|full| last.generation_tokens >= full);
    for _ in 0..if busy && !settled { COUNTER_READS } else { 0 } {
        tokio::time::sleep(COUNTER_PAUSE).await;
        let now = backend.token_counters().await?;
        if now == last {
            break;
        }
        last = now;
    }
    Some(last)
}

/// Where the server gave no count, asks the backend's tokenizer, after the load so that it costs no latency.
async fn count_missing_tokens(
    backend: &dyn Backend,
    requests: &mut [RequestRecord],
    stored: Vec<(usize, StoredText)>,
) {
    let mut stored = stored.into_iter().peekable();
    for (place, request) in requests.iter_mut().enumerate() {
        let elsewhere = stored.next_if(|(of, _)| *of == place).and_then(|(_, text)| text.read().ok());
        if needs_counting(request)
            && let Some(text) = request.generation.text.as_ref().or(elsewhere.as_ref())
            && let Some(tokens) = backend.count_tokens(text).await
        {
            let count = TokenCount { tokens, source: TokenCountSource::Tokenizer };
            request.generation.completion_tokens = Some(count);
        }
    }
}
