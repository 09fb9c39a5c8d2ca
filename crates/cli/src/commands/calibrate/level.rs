//! Runs one level and holds what the client stamped against the simulator's truth.
//!
//! Errors are of receiving: when the client stamped a token less when the simulator wrote it. A simulator that is late
//! itself makes no error, since its truth is stamped at the write. Refuses to judge.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ai_energy_backends_vllm::{Options, ServerOptions, VllmBackend};
use ai_energy_core::load::{Arrivals, Law, LoadPlan, Step};
use ai_energy_core::runner::{self, Parts, Script};
use ai_energy_core::{
    Clock, DatasetInfo, Fault, FormattedPrompt, GenerationParams, Message, Plan, PromptContent,
    RequestRecord, Role, RunRecord, SourceDiscovery, Stamp, Stop,
};
use ai_energy_metrics::stats::quantile;
use ai_energy_metrics::{ProcessMeter, SummaryOptions, summarize};
use ai_energy_simulator::{ServerClock, Truth};

use super::cores::Cores;
use super::ladder::Trial;
use super::simulator::Server;
use crate::calibration::Level;

/// Runs a level.
///
/// # Errors
/// The simulator cannot be started or does not answer.
pub(super) async fn run(trial: &Trial, program: &Path, cores: &Cores, stop: &Stop) -> Result<Level, Fault> {
    let server = Server::start(program, &trial.arguments(), cores)?;
    // Before the run's clock, whose origin it has to tell.
    let servers = ServerClock::start();
    let clock = Clock::start();
    let origin = servers.at(clock.instant(Stamp(0)));
    let options = Options {
        endpoint: format!("http://{}/v1", server.address),
        model: "simulated".to_owned(),
        server: ServerOptions { api_key_env: String::new(), ..ServerOptions::default() },
    };
    let backend = VllmBackend::new(options)?;
    let record = runner::run(plan(trial), parts(trial, backend, clock, stop.clone())).await;
    let truth = server.truth().await?;
    Ok(level(trial, &record, &truth.requests, origin))
}

fn plan(trial: &Trial) -> Plan {
    let arrivals = Arrivals::Open { rate: trial.rate, from: None, law: Law::Constant };
    let step = Step { arrivals, requests: Some(trial.requests), ..Step::closed(1) };
    Plan {
        name: "calibration".to_owned(),
        run_id: "calibration".to_owned(),
        load: LoadPlan { max_consecutive_failures: 0, steps: vec![step], ..LoadPlan::default() },
        generation: GenerationParams {
            max_new_tokens: Some(trial.tokens),
            min_new_tokens: None,
            ..GenerationParams::default()
        },
        sampling_interval_ms: 1000,
        idle_seconds: 0.0,
        keep_text: false,
    }
}

fn parts(trial: &Trial, backend: VllmBackend, clock: Clock, stop: Stop) -> Parts {
    let message = Message { role: Role::User, content: "How fast are you?".to_owned() };
    let prompt = FormattedPrompt::plain(PromptContent::Chat(vec![message]));
    let prompts = (0..trial.requests).map(|index| Arc::new(FormattedPrompt { index, ..prompt.clone() }));
    Parts {
        backend: Arc::new(backend),
        prompts: prompts.collect(),
        script: Script::default(),
        dataset: DatasetInfo {
            name: "calibration".to_owned(),
            kind: "calibration".to_owned(),
            revision: None,
            sha256: String::new(),
            rows: None,
        },
        checks: Vec::new(),
        sources: SourceDiscovery::default(),
        observers: Vec::new(),
        clock,
        stop,
        tally: Arc::default(),
        meter: Some(Arc::new(ProcessMeter::default())),
        calibration: Err(String::new()),
        started_at: crate::place::rfc3339(SystemTime::now()),
        grid: None,
        environment: serde_json::Map::new(),
        warnings: Vec::new(),
    }
}

/// What the level was like. `origin` is the run's origin on the simulator's clock, ns.
fn level(trial: &Trial, record: &RunRecord, truth: &[Truth], origin: u64) -> Level {
    let summary = summarize(record, &SummaryOptions::default());
    let truths: HashMap<&str, &Truth> =
        truth.iter().map(|truth| (truth.request_id.as_str(), truth)).collect();
    let pairs: Vec<(&RequestRecord, &Truth)> = record
        .requests
        .iter()
        .filter(|request| request.succeeded())
        .filter_map(|request| Some((request, *truths.get(request.id.as_str())?)))
        .collect();
    let first = pairs.iter().filter_map(|(request, truth)| first_token_error(request, truth, origin));
    let between = pairs.iter().flat_map(|(request, truth)| gap_errors(request, truth));
    let failed = summary.counts.failed;
    Level {
        ladder: trial.ladder.word().to_owned(),
        streams: summary.load.peak_concurrency.value.map_or(0, |peak| peak as usize),
        asked_per_second: trial.asked_per_second(),
        tokens_per_second: plateau(&pairs)
            .or(summary.throughput.output_tokens_per_second.value)
            .unwrap_or_default(),
        requests_per_second: summary.throughput.requests_per_second.value.unwrap_or_default(),
        requests: summary.counts.successful,
        cpu_share: summary.health.cpu_share.value.unwrap_or_default(),
        event_loop_seconds: summary.health.event_loop_delay.p99.value.unwrap_or_default(),
        own_delay_seconds: summary.health.own_delay.p99.value,
        ttft_error_seconds: percentiles(first.collect()),
        inter_token_error_seconds: percentiles(between.collect()),
        simulator_behind: is_behind(trial, &pairs),
        held: failed == 0,
        remark: if failed > 0 { format!("{failed} requests failed") } else { String::new() },
    }
}

/// Tokens a second from when the last stream had begun to when the first one ended; `None` where there was no such time.
fn plateau(pairs: &[(&RequestRecord, &Truth)]) -> Option<f64> {
    let begin = pairs.iter().filter_map(|(request, _)| request.generation.first_token).max()?;
    let end = pairs.iter().map(|(request, _)| request.generation.end).min()?;
    let chunks = pairs.iter().flat_map(|(request, _)| request.generation.chunks.iter());
    let tokens = chunks.filter(|chunk| chunk.at > begin && chunk.at <= end).count();
    (end > begin).then(|| tokens as f64 / end.seconds_since(begin).0)
}

/// The simulator's own time between tokens, over the one asked for, beyond which it did not offer the level.
const BEHIND: f64 = 1.25;

/// Whether the simulator wrote tokens much more slowly than it was asked to.
fn is_behind(trial: &Trial, pairs: &[(&RequestRecord, &Truth)]) -> bool {
    let spans = pairs.iter().filter_map(|(_, truth)| {
        let (first, last) = (truth.writes.first()?, truth.writes.last()?);
        Some((last.at_ns.saturating_sub(first.at_ns) as f64, truth.writes.len().saturating_sub(1) as f64))
    });
    let (nanos, gaps) = spans.fold((0.0, 0.0), |sum, span| (sum.0 + span.0, sum.1 + span.1));
    gaps > 0.0 && nanos / gaps > BEHIND * trial.inter_token_us as f64 * 1e3
}

/// When the client stamped the first token less when the simulator wrote it, s.
fn first_token_error(request: &RequestRecord, truth: &Truth, origin: u64) -> Option<f64> {
    let (seen, written) = (request.generation.first_token?.0 + origin, truth.first_token_ns?);
    Some((seen as f64 - written as f64).abs() * 1e-9)
}

/// By how much the time between two chunks differs from that between their writes, s. None where chunks are not the
/// writes one by one.
fn gap_errors(request: &RequestRecord, truth: &Truth) -> Vec<f64> {
    let (chunks, writes) = (&request.generation.chunks, &truth.writes);
    if chunks.len() != writes.len() {
        return Vec::new();
    }
    let stamps: Vec<u64> = chunks.iter().map(|chunk| chunk.at.0).collect();
    let seen = stamps.windows(2).map(|pair| pair[1] as f64 - pair[0] as f64);
    let written = writes.windows(2).map(|pair| pair[1].at_ns as f64 - pair[0].at_ns as f64);
    seen.zip(written).map(|(seen, written)| (seen - written).abs() * 1e-9).collect()
}

/// Median and 99th percentile; `None` of nothing.
fn percentiles(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| [quantile(&values, 0.5), quantile(&values, 0.99)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::record::{Chunk, Generation, Offer, OutputChannel};
    use ai_energy_simulator::{Channel, TokenWrite};

    #[test]
    fn errors_are_stamps_less_writes_whatever_the_clocks_origin() {
        let chunk = |at| Chunk { at: Stamp(at), channel: OutputChannel::Content, tokens: None };
        let write = |at_ns| TokenWrite { at_ns, tokens: 1, channel: Channel::Content };
        let request = RequestRecord {
            id: "a".to_owned(),
            prompt_index: 0,
            scheduled: Stamp(0),
            offer: Offer::default(),
            generation: Generation {
                first_token: Some(Stamp(2_000_000)),
                chunks: vec![chunk(2_000_000), chunk(5_000_000)].into(),
                ..Generation::default()
            },
        };
        let truth = Truth {
            first_token_ns: Some(101_500_000),
            writes: vec![write(101_500_000), write(104_000_000)],
            ..Truth::default()
        };
        assert_eq!(first_token_error(&request, &truth, 100_000_000), Some(0.000_5));
        assert_eq!(gap_errors(&request, &truth), [0.000_5], "3 ms seen, 2.5 ms written");
        assert_eq!(plateau(&[(&request, &truth)]), None, "it has not ended after it began");
        let ended = Generation { end: Stamp(12_000_000), ..request.generation.clone() };
        let ended = RequestRecord { generation: ended, ..request.clone() };
        assert_eq!(plateau(&[(&ended, &truth)]), Some(100.0), "one token in 10 ms");
        let merged = Truth { writes: vec![write(1)], ..truth };
        assert!(gap_errors(&request, &merged).is_empty());
        assert_eq!(percentiles(vec![3.0, 1.0, 2.0]).unwrap()[0], 2.0);
    }
}
