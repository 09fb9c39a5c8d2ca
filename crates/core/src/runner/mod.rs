//! Drives a run: starts the sampler, offers the load, waits for what is in flight, and hands back the record.
//!
//! Refuses to know what a figure is, where results go, and any concrete part.

mod idle;
mod load;
mod sampler;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, BackendInfo, Check, Tally};
use crate::clock::Clock;
use crate::dataset::DatasetInfo;
use crate::energy::SourceDiscovery;
use crate::observer::Observer;
use crate::phase::{Phase, PhaseKind};
use crate::plan::Plan;
use crate::prompt::FormattedPrompt;
use crate::record::{
    ClientUsage, GridIntensity, RequestRecord, RunRecord, ServerCounters, TokenCount, TokenCountSource,
};
use serde_json::{Map, Value};

pub use sampler::Sampler;
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
pub async fn run(plan: Plan, parts: Parts) -> RunRecord {
    let Parts { sources, observers, clock, .. } = parts;
    let SourceDiscovery { sources, unavailable, warnings: source_warnings } = sources;
    let observers: Arc<[Arc<dyn Observer>]> = observers.into();
    let mut warnings = parts.warnings;
    warnings.extend(source_warnings);
    let stop = parts.stop.clone();
    let counters_before = parts.backend.token_counters().await;
    let synthetic_sources = sources.iter().any(|source| source.is_synthetic());
    let sampler = Sampler::start(sources, clock, plan.sampling_interval_ms, Arc::clone(&observers)).await;
    let idling = idle::Idling {
        seconds: plan.idle_seconds,
        clock,
        stop: stop.clone(),
        observers: Arc::clone(&observers),
    };
    let idle_before = idling.measure(PhaseKind::IdleBefore).await;

    let offered = load::Offered {
        backend: Arc::clone(&parts.backend),
        prompts: parts.prompts,
        clock,
        stop: parts.stop,
        tally: parts.tally,
        observers,
    };
    let cpu_before = process_cpu_seconds();
    let outcome = load::closed_loop(&plan, offered).await;
    let client = ClientUsage { load_cpu_seconds: Some(process_cpu_seconds() - cpu_before) };
    // Asked before idling: another client's tokens after the load are none of this run's.
    let counters_after = settled_counters(&*parts.backend, counters_before.is_some()).await;
    let idle_after = idling.measure(PhaseKind::IdleAfter).await;
    let last = idle_after.map_or(outcome.end, |phase| phase.end);
    let sampled = sampler.finish(outcome.start, outcome.end, last).await;

    let phases = phases(idle_before, &outcome, idle_after);
    let mut requests = outcome.requests;
    let counting = count_missing_tokens(&*parts.backend, &mut requests);
    // Bounded, and shorter after a stop: reports are waiting.
    let limit = if stop.is_cancelled() { COUNTING_AFTER_STOP } else { COUNTING };
    if tokio::time::timeout(limit, counting).await.is_err() {
        warnings.push(format!("counting tokens took longer than {} s and was given up", limit.as_secs()));
    }
    if !plan.keep_text {
        requests.iter_mut().for_each(|request| request.generation.text = None);
    }
    parts.backend.close().await;
    let backend: BackendInfo = parts.backend.info();
    RunRecord {
        synthetic: backend.synthetic || synthetic_sources,
        plan,
        started_at: parts.started_at,
        backend,
        dataset: parts.dataset,
        checks: parts.checks,
        server_counters: counters_before.zip(counters_after).map(|(before, after)| [before, after]),
        phases,
        requests,
        channels: sampled.channels,
        readings: sampled.readings,
        unavailable_sources: unavailable,
        gpu_states: sampled.gpu_states,
        gpu_samples: sampled.gpu_samples,
        sampler: sampled.stats,
        client,
        grid: parts.grid,
        ending: outcome.ending,
        warnings,
        environment: parts.environment,
    }
}

/// The run's phases by their begin.
fn phases(idle_before: Option<Phase>, outcome: &load::Outcome, idle_after: Option<Phase>) -> Vec<Phase> {
    let load = Phase { kind: PhaseKind::Load, start: outcome.start, end: outcome.end };
    let drain = outcome.drain.map(|start| Phase { kind: PhaseKind::Drain, start, end: outcome.end });
    idle_before.into_iter().chain([load]).chain(drain).chain(idle_after).collect()
}

/// CPU time of the whole process so far, s.
fn process_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The server's counters once they stand still: servers publish them a moment after the last byte. Bounded, since
/// other clients may keep the server busy.
async fn settled_counters(backend: &dyn Backend, has_counters: bool) -> Option<ServerCounters> {
    if !has_counters {
        return None;
    }
    let mut last = backend.token_counters().await?;
    for _ in 0..COUNTER_READS {
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
async fn count_missing_tokens(backend: &dyn Backend, requests: &mut [RequestRecord]) {
    for request in requests {
        let generation = &mut request.generation;
        let counted =
            matches!(&generation.completion_tokens, Some(count) if count.source != TokenCountSource::Chunks);
        if !counted
            && generation.error.is_none()
            && let Some(text) = &generation.text
            && let Some(tokens) = backend.count_tokens(text).await
        {
            generation.completion_tokens = Some(TokenCount { tokens, source: TokenCountSource::Tokenizer });
        }
    }
}
