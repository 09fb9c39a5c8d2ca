//! How far the client's times are from the server's truth, request by request and token by token.
//!
//! The simulator's delays are random and unknown to the client; each request is paired by its id.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::server::Server;
use super::{Scratch, quantile};
use crate::say;

const DELAYS: [&str; 8] = [
    "--ttft",
    "uniform:5ms..80ms",
    "--inter-token",
    "lognormal:6ms,0.6",
    "--tokens-per-chunk",
    "uniform:1..3",
    "--jitter",
    "exponential:200us",
];

/// What this client promises on a quiet machine, ms: time to first token p50 and p99, gaps p50 and p99.
const LIMITS_MS: [f64; 4] = [1.0, 5.0, 1.0, 5.0];

/// Compares at concurrency 1 and 32 and prints the errors.
pub(super) fn run(program: &Path) -> Result<()> {
    say("agreement: |client − server's truth|, paired by request id");
    say("  concurrency  requests  tokens     TTFT p50    TTFT p99     ITL p50     ITL p99");
    for (concurrency, requests) in [(1, 24), (32, 256)] {
        let seed = std::process::id().to_string();
        let server = Server::start(program, &[&DELAYS[..], &["--seed", &seed]].concat())?;
        let scratch = Scratch::new("agreement")?;
        measure(program, &server, &scratch.0, concurrency, requests)?;
        let mut errors = compare(&requests_of(&scratch.0)?, &server.get("/truth")?)?;
        let found = [
            quantile(&mut errors.ttft, 0.5),
            quantile(&mut errors.ttft, 0.99),
            quantile(&mut errors.gaps, 0.5),
            quantile(&mut errors.gaps, 0.99),
        ];
        let shown = found.map(|error| format!("{error:>8.3} ms")).join(" ");
        say(&format!("  {concurrency:>11}  {:>8}  {:>6}  {shown}", errors.ttft.len(), errors.tokens));
        let within = found.iter().zip(LIMITS_MS).all(|(error, limit)| *error < limit);
        ensure!(within, "an error is above the limits of 1 ms at the median and 5 ms at the 99th percentile");
    }
    Ok(())
}

fn measure(program: &Path, server: &Server, folder: &Path, concurrency: u32, requests: u32) -> Result<()> {
    let status = Command::new(program)
        .args(["run", "--quiet", "--dataset", "synthetic", "--max-tokens", "64"])
        .args(["--endpoint", &format!("http://{}/v1", server.address)])
        .args(["--concurrency", &concurrency.to_string(), "--num-samples", &requests.to_string()])
        .args(["--output-dir", &folder.to_string_lossy()])
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the run ended with {status}");
    Ok(())
}

/// The lines of the one `requests.jsonl` below a folder.
pub(super) fn requests_of(folder: &Path) -> Result<Vec<Value>> {
    let run = std::fs::read_dir(folder)?.next().context("no run folder")??.path();
    let text = std::fs::read_to_string(run.join("requests.jsonl"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Errors in milliseconds.
#[derive(Default)]
struct Errors {
    ttft: Vec<f64>,
    gaps: Vec<f64>,
    tokens: u64,
}

fn compare(requests: &[Value], truth: &Value) -> Result<Errors> {
    let truths: HashMap<&str, &Value> = truth["requests"]
        .as_array()
        .context("no truth")?
        .iter()
        .filter_map(|entry| Some((entry["request_id"].as_str()?, entry)))
        .collect();
    let mut errors = Errors::default();
    for request in requests {
        let id = request["id"].as_str().context("a request without id")?;
        let truth = truths.get(id).with_context(|| format!("the server never saw {id}"))?;
        let client = span(&request["sent_ns"], &request["first_token_ns"])?;
        let server = span(&truth["arrival_ns"], &truth["first_token_ns"])?;
        errors.ttft.push((client - server).abs());
        let seen = stamps(&request["chunks"]);
        let written: Vec<Value> = truth["writes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|write| write[2] != "eos")
            .cloned()
            .collect();
        let written = times(&Value::Array(written), 0);
        ensure!(seen.len() == written.len(), "{id}: {} chunks seen, {} written", seen.len(), written.len());
        let gap = |pair: &[f64]| pair[1] - pair[0];
        errors.gaps.extend(seen.windows(2).zip(written.windows(2)).map(|(c, s)| (gap(c) - gap(s)).abs()));
        errors.tokens += truth["completion_tokens"].as_u64().unwrap_or(0);
        ensure!(
            request["completion_tokens"]["tokens"] == truth["completion_tokens"],
            "{id}: token counts differ: {} and {}",
            request["completion_tokens"],
            truth["completion_tokens"]
        );
    }
    Ok(errors)
}

/// Milliseconds between two stamps.
fn span(from: &Value, to: &Value) -> Result<f64> {
    let from = from.as_u64().context("a stamp is missing")?;
    let to = to.as_u64().context("a stamp is missing")?;
    Ok((to as f64 - from as f64) / 1e6)
}

/// When the chunks of a request came, in milliseconds.
pub(super) fn stamps(chunks: &Value) -> Vec<f64> {
    let gaps = chunks["gaps_ns"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let mut at = 0;
    let mut all = Vec::new();
    for gap in chunks["first_ns"].as_u64().into_iter().chain(gaps) {
        at += gap;
        all.push(at as f64 / 1e6);
    }
    all
}

/// The stamps of a list of arrays, at one position of each, in milliseconds.
pub(super) fn times(list: &Value, position: usize) -> Vec<f64> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry[position].as_u64())
        .map(|ns| ns as f64 / 1e6)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_those_of_paired_requests() {
        let requests = [json!({"id": "b", "sent_ns": 0, "first_token_ns": 3_000_000,
            "chunks": {"first_ns": 3_000_000, "gaps_ns": [2_000_000]}, "completion_tokens": {"tokens": 3}})];
        let truth = json!({"requests": [
            {"request_id": "a", "arrival_ns": 0, "first_token_ns": 9, "writes": []},
            {"request_id": "b", "arrival_ns": 10, "first_token_ns": 2_000_010, "completion_tokens": 3,
             "writes": [[2_000_010, 1, "content"], [4_500_010, 1, "content"], [4_600_000, 1, "eos"]]}]});
        let errors = compare(&requests, &truth).unwrap();
        assert_eq!((errors.ttft.len(), errors.gaps.len(), errors.tokens), (1, 1, 3));
        assert!((errors.ttft[0] - 1.0).abs() < 1e-9 && (errors.gaps[0] - 0.5).abs() < 1e-9);
        let strange = [json!({"id": "c"})];
        assert!(compare(&strange, &truth).is_err());
    }
}
