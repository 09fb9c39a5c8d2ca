//! Makes a run's folder of any size through the journal that runs write with: `large_folder DIR REQUESTS SEED`.
//!
//! A thousand requests at a time, a hundred tokens each; every time is drawn from the seed in nanoseconds, so that hardly two
//! are alike. Two counters are read ten times a second meanwhile. Exists for `cargo xtask bench results`. Refuses to be a
//! run: its record says synthetic.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use ai_energy_core::draw::Draw;
use ai_energy_core::record::{
    Chunk, FinishReason, Generation, Offer, OutputChannel, TokenCount, TokenCountSource,
};
use ai_energy_core::{Channel, EnergyReading, Observer, RequestRecord, RunRecord, Stamp};
use ai_energy_reporters::Journal;
use ai_energy_reporters::journal::{Context, write_record};
use serde_json::{Value, json};

const SLOTS: usize = 1000;
const TOKENS: u64 = 100;
const SECOND: u64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, requests, seed] = arguments.as_slice() else {
        return Err("large_folder DIR REQUESTS SEED".into());
    };
    let folder = Path::new(folder);
    let context = Context { figures: json!({}), ..Context::default() };
    let journal = Arc::new(Journal::create(folder, context.clone())?);
    let end = requests_into(&journal, requests.parse()?, seed.parse()?);
    readings_into(&journal, end)?;
    journal.finish()?;
    let record: RunRecord = serde_json::from_value(head(end))?;
    write_record(folder, &record, &context)?;
    Ok(())
}

/// Hands the requests to the journal, slot after slot; when the last one ended, ns.
fn requests_into(journal: &Journal, requests: usize, seed: u64) -> u64 {
    let mut draw = Draw::new(seed, 0);
    let mut between = |from: u64, to: u64| from + (draw.fraction() * (to - from) as f64) as u64;
    let mut free = [SECOND; SLOTS];
    for number in 0..requests {
        let slot = &mut free[number % SLOTS];
        let scheduled = *slot;
        let sent = scheduled + between(20_000, 120_000);
        let mut at = sent + between(30_000_000, 180_000_000);
        let first = at;
        let mut chunks = Vec::with_capacity(TOKENS as usize);
        for _ in 0..TOKENS {
            chunks.push(Chunk { at: Stamp(at), channel: OutputChannel::Content, tokens: None });
            at += between(4_000_000, 9_900_000);
        }
        let end = chunks.last().map_or(first, |chunk| chunk.at.0) + between(1_000, 90_000);
        *slot = end + between(10_000, 60_000);
        let count = |tokens| Some(TokenCount { tokens, source: TokenCountSource::Server });
        let generation = Generation {
            sent: Some(Stamp(sent)),
            first_byte: Some(Stamp(first - 10_000)),
            first_token: Some(Stamp(first)),
            first_content: Some(Stamp(first)),
            end: Stamp(end),
            chunks: chunks.into(),
            prompt_tokens: count(between(100, 900) as u32),
            completion_tokens: count(TOKENS as u32),
            finish_reason: Some(FinishReason::Length),
            response_id: Some(format!("chatcmpl-{number:032x}")),
            bytes_received: between(18_000, 26_000),
            ..Generation::default()
        };
        let id = format!("large-20260101-000000-abcd-{number:06}");
        let mut request = RequestRecord {
            id,
            prompt_index: number,
            scheduled: Stamp(scheduled),
            offer: Offer::default(),
            generation,
        };
        request.generation.chunks.pack();
        journal.request_ended(&request);
    }
    free.into_iter().max().unwrap_or(SECOND)
}

/// Two counters, ten readings a second from a second before the load to a second after it.
fn readings_into(journal: &Journal, end: u64) -> Result<(), Box<dyn Error>> {
    let counter = |name: &str, domain: &str| -> Result<Channel, serde_json::Error> {
        serde_json::from_value(json!({
            "name": name, "domain": domain, "device": "a made counter", "device_id": name,
            "kind": {"kind": "counter", "wrap_microjoules": null}, "provenance": "measured",
            "source": "a made counter", "gain_ci95": 0.05, "counts": true,
        }))
    };
    let channels = [counter("nvml:gpu0:energy", "gpu")?, counter("rapl:package-0", "cpu")?];
    for round in 0..=(end + SECOND) / (SECOND / 10) {
        let at = Stamp(round * (SECOND / 10));
        // 400 W and 90 W, in µJ.
        let reading = |channel, watts: u64| EnergyReading { channel, at, value: at.0 / 1000 * watts };
        journal.readings(&channels, &[reading(0, 400), reading(1, 90)]);
    }
    Ok(())
}

/// The rest of the record.
fn head(end: u64) -> Value {
    json!({
        "plan": {
            "name": "large", "run_id": "large-20260101-000000-abcd",
            "load": {"concurrency": SLOTS, "max_consecutive_failures": 3, "seed": 0},
            "generation": {}, "sampling_interval_ms": 100, "keep_text": false,
        },
        "started_at": "2026-01-01T00:00:00Z",
        "backend": {"backend": "vllm", "model": "made", "endpoint": null, "device": null, "server": null,
            "synthetic": true, "details": {}},
        "dataset": {"name": "made", "kind": "synthetic", "revision": null, "sha256": "", "rows": null},
        "checks": [],
        "phases": [{"kind": "load", "start_ns": SECOND, "end_ns": end}],
        "unavailable_sources": [], "gpu_states": [],
        "sampler": {"rounds": 0, "cpu_seconds": null, "longest_gap_seconds": null, "faults": []},
        "ending": {"kind": "complete"}, "synthetic": true, "warnings": [], "environment": {},
    })
}
