//! Requests as a bootstrap sees them: each one's own times, tokens and share of the energy.
//!
//! Refuses to keep more than a bootstrap needs: of very many requests a random part stands for all.

use std::collections::HashMap;

use ai_energy_core::chunks::Unpacked;
use ai_energy_core::comparison::{ComparedRun, RequestPoint, RequestPoints, RunIdentity};
use ai_energy_core::draw::Draw;
use ai_energy_core::record::Ending;
use ai_energy_core::summary::{RequestShare, Summary};
use ai_energy_core::{RequestRecord, RunRecord};

use crate::latency::{end_to_end, gaps, time_per_output_token, time_to_first_token};

/// Most requests that are kept of a run.
const MOST_REQUESTS: usize = 20_000;
/// Most times between tokens that are kept of a run, all requests together.
const MOST_GAPS: usize = 100_000;
/// Seed and lane of the choice of requests. Fixed, so that a comparison says the same each time; the same places are
/// chosen of two runs with as many requests, so that pairs stay pairs.
const SEED: u64 = 0x0063_6f6d_7061_7265;
const LANE: u64 = 1;

/// A run from its record and summary; `settings` is its resolved config, flattened by the caller.
pub fn compared_run(label: String, record: &RunRecord, summary: Summary) -> ComparedRun {
    let identity = RunIdentity {
        backend: Some(record.backend.backend.clone()),
        model: Some(record.backend.model.clone()),
        server: record.backend.server.clone(),
        dataset: Some(record.dataset.name.clone()),
        dataset_sha256: Some(record.dataset.sha256.clone()).filter(|hash| !hash.is_empty()),
        host: record.environment.get("hostname").and_then(|name| name.as_str()).map(str::to_owned),
        ending: Some(ending_word(&record.ending).to_owned()),
        synthetic: record.synthetic,
    };
    ComparedRun {
        label,
        requests: Some(request_points(&record.requests, &summary.energy.requests.shares)),
        summary: Some(Box::new(summary)),
        channels: record.channels.clone(),
        identity,
        ..ComparedRun::default()
    }
}

fn ending_word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::TooManyFailures { .. } => "too_many_failures",
        Ending::Interrupted => "interrupted",
        Ending::Unfinished => "unfinished",
    }
}

/// The successful requests by prompt, each with its share of the energy where there is one.
pub fn request_points(requests: &[RequestRecord], shares: &[RequestShare]) -> RequestPoints {
    let mut done: Vec<&RequestRecord> = requests.iter().filter(|request| request.succeeded()).collect();
    // Prompts that were sent several times keep the order they were planned in.
    done.sort_by_key(|request| (request.prompt_index, request.scheduled));
    let of = done.len();
    let chosen = chosen(&done);
    let by_id: HashMap<&str, &RequestShare> = shares.iter().map(|share| (share.id.as_str(), share)).collect();
    let mut room = Unpacked::default();
    let points = chosen
        .into_iter()
        .map(|place| point(done[place], by_id.get(done[place].id.as_str()).copied(), &mut room));
    RequestPoints { points: points.collect(), of }
}

/// The places of the requests to keep, in order.
fn chosen(done: &[&RequestRecord]) -> Vec<usize> {
    let most = {
        let sum: usize = done.iter().map(|request| request.generation.chunks.len()).sum();
        let mean = (sum / done.len().max(1)).max(1);
        MOST_REQUESTS.min((MOST_GAPS / mean).max(1))
    };
    if done.len() <= most {
        return (0..done.len()).collect();
    }
    let mut places = Draw::new(SEED, LANE).sample(done.len(), most);
    places.sort_unstable();
    places
}

fn point(request: &RequestRecord, share: Option<&RequestShare>, room: &mut Unpacked) -> RequestPoint {
    let generation = &request.generation;
    let mut between = Vec::new();
    gaps(request, room, |gap, times| between.push((gap, times)));
    RequestPoint {
        prompt_index: request.prompt_index,
        planned: request.offer.planned,
        ttft: time_to_first_token(request),
        tpot: time_per_output_token(request),
        e2e: end_to_end(request),
        gaps: between,
        prompt_tokens: generation.prompt_tokens.map(|count| count.tokens),
        output_tokens: generation.completion_tokens.map(|count| count.tokens),
        gpu_joules: share.and_then(|share| share.gpu_joules),
        total_joules: share.and_then(|share| share.total_joules),
    }
}
