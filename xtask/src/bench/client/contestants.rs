//! Who is measured, and how each is called: the floor, this program, and the peers that are installed.
//!
//! Refuses to judge what they say of themselves.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use super::cost::{self, Cost};
use crate::bench::Scratch;
use crate::bench::agreement::{requests_of, stamps};
use crate::bench::server::Server;
use crate::succeeds;

/// The cores of simulator and reader.
pub(super) const CORES: [&str; 2] = ["0", "1"];

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) streams: u32,
    pub(super) requests: u32,
    pub(super) tokens: u32,
    pub(super) streaming: bool,
}

/// Who reads.
#[derive(Debug, Clone)]
pub(super) enum Contestant {
    Floor(PathBuf),
    Ours(PathBuf),
    VllmRs(PathBuf),
    Aiperf(PathBuf),
}

/// What one request saw, in milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its id, or the number behind it where the program keeps no id.
    pub(super) id: String,
    pub(super) ttft: f64,
    pub(super) gaps: Vec<f64>,
    /// Instants, where the program tells such.
    pub(super) sides: Option<Sides>,
}

/// Both ends of a time to first token, ms on the client's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    pub(super) sent: f64,
    pub(super) first: f64,
}

/// What a turn brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    /// CPU time, the start-up left out, s.
    pub(super) cpu: f64,
    /// How long the load ran, s.
    pub(super) load: Option<f64>,
    /// From the program's start to its end, less the load, s.
    pub(super) beyond: Option<f64>,
    pub(super) peak_mib: Option<f64>,
    pub(super) seen: Vec<Seen>,
}

impl Contestant {
    /// The name in the tables.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Floor(_) => "floor",
            Self::Ours(_) => "ours",
            Self::VllmRs(_) => "vllm-rs",
            Self::Aiperf(_) => "aiperf",
        }
    }

    /// The peers that are there: each by its variable, else by the PATH.
    pub(super) fn peers() -> Vec<Self> {
        let found = |variable: &str, name: &str| -> Option<PathBuf> {
            let program = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
            succeeds(&program.to_string_lossy(), &["--version"]).then_some(program)
        };
        let rust = found("AI_ENERGY_BENCH_VLLM_RS", "vllm-rs").map(Self::VllmRs);
        let python = found("AI_ENERGY_BENCH_AIPERF", "aiperf").map(Self::Aiperf);
        rust.into_iter().chain(python).collect()
    }

    /// Takes a turn against a server; `start_up` is the CPU time of a turn of one token, where the program does not tell
    /// the load's own.
    ///
    /// # Errors
    /// The program fails, or does not tell what it must.
    pub(super) fn turn(&self, server: &Server, load: Load, pinned: bool, start_up: f64) -> Result<Turn> {
        let scratch = Scratch::new(self.name())?;
        let folder = scratch.0.as_path();
        let core = pinned.then_some(CORES[1]);
        let (program, arguments) = match self {
            Self::Floor(program) => (program, floor(server, load)),
            Self::Ours(program) => (program, ours(server, load, folder)),
            Self::VllmRs(program) => (program, vllm_rs(server, load, &tokenizer(folder)?, folder)),
            Self::Aiperf(program) => (program, aiperf(server, load, &tokenizer(folder)?, folder)),
        };
        let (cost, said) = cost::of(program, &arguments, core, folder)?;
        match self {
            Self::Floor(_) => floor_turn(&said, cost),
            Self::Ours(_) => our_turn(&folder.join("runs"), cost),
            Self::VllmRs(_) => vllm_rs_turn(folder, cost, start_up),
            Self::Aiperf(_) => aiperf_turn(folder, cost, start_up),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn floor(server: &Server, load: Load) -> Vec<String> {
    words(&format!("bench floor {} {} {}", server.address, load.streams, load.tokens))
}

fn ours(server: &Server, load: Load, folder: &Path) -> Vec<String> {
    let Load { streams, requests, tokens, streaming } = load;
    let mut all = words(&format!(
        "run --quiet --dataset synthetic -n {requests} -c {streams} --max-tokens {tokens} --endpoint http://{}/v1 \
         metrics.enabled=false backend.server.stream={streaming} --output-dir",
        server.address
    ));
    all.push(folder.join("runs").display().to_string());
    all
}

fn vllm_rs(server: &Server, load: Load, tokenizer: &str, folder: &Path) -> Vec<String> {
    let Load { streams, requests, tokens, .. } = load;
    words(&format!(
        "bench serve --backend openai-chat --base-url http://{} --endpoint /v1/chat/completions --model simulated \
         --dataset-name random --random-input-len 8 --random-output-len {tokens} --tokenizer {tokenizer} \
         --num-prompts {requests} --max-concurrency {streams} --disable-tqdm --no-steady-state --save-result \
         --save-detailed --result-dir {} --result-filename told.json",
        server.address,
        folder.display()
    ))
}

fn aiperf(server: &Server, load: Load, tokenizer: &str, folder: &Path) -> Vec<String> {
    let Load { streams, requests, tokens, .. } = load;
    words(&format!(
        "profile -m simulated -u http://{} --endpoint-type chat --streaming --concurrency {streams} --request-count \
         {requests} --tokenizer {tokenizer} --isl 8 --osl {tokens} --ui none --no-gpu-telemetry --no-server-metrics \
         --export-level records --artifact-dir {}",
        server.address,
        folder.join("told").display()
    ))
}

/// A tokenizer of a few words, since both peers want one before they send anything.
fn tokenizer(folder: &Path) -> Result<String> {
    let folder = folder.join("tokenizer");
    std::fs::create_dir_all(&folder)?;
    let words = ["[UNK]", "how", "long", "is", "a", "token", "of", "text", "here"];
    let vocabulary: serde_json::Map<String, Value> =
        words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), json!(id))).collect();
    let model = json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"});
    let whole = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null, "model": model});
    std::fs::write(folder.join("tokenizer.json"), whole.to_string())?;
    let class = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    std::fs::write(folder.join("tokenizer_config.json"), class.to_string())?;
    Ok(folder.display().to_string())
}

/// The floor tells its own times.
fn floor_turn(said: &str, cost: Cost) -> Result<Turn> {
    let told = said.trim().strip_prefix("cpu ").context("the floor told no time")?;
    let (cpu, load) = told.split_once(" load ").context("the floor told no load")?;
    let (cpu, load) = (cpu.parse()?, load.parse()?);
    Ok(Turn { cpu, load: Some(load), peak_mib: cost.peak_mib, ..Turn::default() })
}

/// CPU time of the whole process from the first request to the last byte, the journal included.
fn our_turn(runs: &Path, cost: Cost) -> Result<Turn> {
    let run = std::fs::read_dir(runs)?.next().context("no run folder")??.path();
    let record: Value = serde_json::from_str(&std::fs::read_to_string(run.join("record.json"))?)?;
    let record = &record["record"];
    let cpu = record["client"]["load_cpu_seconds"].as_f64().context("the record tells no CPU time")?;
    let phases = record["phases"].as_array().context("the record has no phases")?;
    let load = phases.iter().find(|phase| phase["kind"] == "load").context("the record has no load")?;
    let stamp = |name: &str| load[name].as_f64().context("the load has no bounds");
    let seconds = (stamp("end_ns")? - stamp("start_ns")?) / 1e9;
    let seen = requests_of(runs)?.iter().map(our_request).collect::<Result<_>>()?;
    let beyond = Some(cost.wall_seconds - seconds);
    Ok(Turn { cpu, load: Some(seconds), beyond, peak_mib: cost.peak_mib, seen })
}

fn our_request(request: &Value) -> Result<Seen> {
    let ms = |name: &str| request[name].as_f64().map(|ns| ns / 1e6).context("a stamp is missing");
    let id = request["id"].as_str().context("a request without id")?.to_owned();
    ensure!(request["error"].is_null(), "request {id} failed: {}", request["error"]);
    let gaps = stamps(&request["chunks"]).windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A whole answer has no moment of a first token.
    let sides = Sides { sent: ms("sent_ns")?, first: ms("first_token_ns").unwrap_or(f64::NAN) };
    Ok(Seen { id, ttft: sides.first - sides.sent, gaps, sides: Some(sides) })
}

fn vllm_rs_turn(folder: &Path, cost: Cost, start_up: f64) -> Result<Turn> {
    let told: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("told.json"))?)?;
    ensure!(told["failed"] == 0, "vllm-rs says that {} requests failed", told["failed"]);
    let load = told["duration"].as_f64().context("vllm-rs told no duration")?;
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    let (ttfts, gaps) = (list("ttfts"), list("itls"));
    let seen = ttfts.iter().zip(&gaps).zip(0_u32..).map(|((ttft, gaps), number)| Seen {
        id: number.to_string(),
        ttft: ttft.as_f64().unwrap_or(f64::NAN) * 1e3,
        gaps: gaps.as_array().into_iter().flatten().filter_map(Value::as_f64).map(|gap| gap * 1e3).collect(),
        sides: None,
    });
    Ok(Turn {
        cpu: cost.cpu_seconds - start_up,
        load: Some(load),
        beyond: Some(cost.wall_seconds - load),
        peak_mib: cost.peak_mib,
        seen: seen.collect(),
    })
}

fn aiperf_turn(folder: &Path, cost: Cost, start_up: f64) -> Result<Turn> {
    let lines = std::fs::read_to_string(folder.join("told/profile_export.jsonl"))?;
    let records: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let wall =
        |name: &'static str| records.iter().filter_map(move |record| record["metadata"][name].as_f64());
    let first = wall("request_start_ns").fold(f64::INFINITY, f64::min);
    let load = (wall("request_end_ns").fold(0.0, f64::max) - first) / 1e9;
    let seen = records.iter().filter_map(|record| {
        let id = record["metadata"]["x_request_id"].as_str()?.to_owned();
        let ttft = record["metrics"]["time_to_first_token"]["value"].as_f64()?;
        Some(Seen { id, ttft, gaps: Vec::new(), sides: None })
    });
    let seen = seen.collect();
    let (cpu, beyond) = (cost.cpu_seconds - start_up, Some(cost.wall_seconds - load));
    Ok(Turn { cpu, load: Some(load), beyond, peak_mib: cost.peak_mib, seen })
}
