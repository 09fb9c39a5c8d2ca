//! What a streamed token costs the client in CPU time, beside `curl`, which reads the same stream and looks at nothing.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

use super::server::Server;
use super::{Scratch, quantile};
use crate::{say, succeeds};

/// Tokens of the long stream; the short one has one, and the difference is what tokens cost.
const TOKENS: u32 = 20_000;
const ROUNDS: usize = 5;

/// Prints CPU microseconds a token for one stream, ours and curl's.
pub(super) fn run(program: &Path) -> Result<()> {
    let timing = ["--ttft", "0ms", "--inter-token", "0ms", "--max-model-len", "100000"];
    let server = Server::start(program, &timing)?;
    let ours = per_token(|tokens| our_cpu(program, &server, tokens))?;
    say(&format!(
        "client: {ours:.2} µs of CPU a streamed token (one stream of {TOKENS} tokens, start-up taken off)"
    ));
    if succeeds("curl", &["--version"]) {
        let theirs = per_token(|tokens| curl_cpu(&server, tokens))?;
        say(&format!("client: curl {theirs:.2} µs a token for the same bytes, ratio {:.2}", ours / theirs));
    }
    Ok(())
}

fn per_token(cpu: impl Fn(u32) -> Result<f64>) -> Result<f64> {
    let median = |tokens| -> Result<f64> {
        let mut all = (0..ROUNDS).map(|_| cpu(tokens)).collect::<Result<Vec<_>>>()?;
        Ok(quantile(&mut all, 0.5))
    };
    Ok((median(TOKENS)? - median(1)?) / f64::from(TOKENS) * 1e6)
}

fn our_cpu(program: &Path, server: &Server, tokens: u32) -> Result<f64> {
    let scratch = Scratch::new("client")?;
    cpu_seconds(&format!(
        "'{}' run --quiet --endpoint http://{}/v1 -n 1 --max-tokens {tokens} --output-dir '{}' metrics.enabled=false",
        program.display(),
        server.address,
        scratch.0.display()
    ))
}

fn curl_cpu(server: &Server, tokens: u32) -> Result<f64> {
    let body = format!(
        r#"{{"model":"simulated","messages":[{{"role":"user","content":"x"}}],"stream":true,"max_tokens":{tokens}}}"#
    );
    cpu_seconds(&format!(
        "curl -sN -o /dev/null -H 'Content-Type: application/json' -d '{body}' http://{}/v1/chat/completions",
        server.address
    ))
}

/// User and system time of a shell command, as bash's `time` tells it.
fn cpu_seconds(command: &str) -> Result<f64> {
    let timed = format!("TIMEFORMAT='%3U %3S'; time {command} >/dev/null");
    let output = Command::new("bash").args(["-c", &timed]).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{command}` failed: {text}");
    let line = text.lines().last().context("bash told no time")?;
    let times: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum())
}
