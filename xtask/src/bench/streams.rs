//! The client at many streams beside the floor: CPU time a streamed token, the simulator on one core and the reader on
//! another, turn by turn in one run. Refuses to know how either reads.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

use super::server::Server;
use super::{Scratch, quantile};
use crate::{say, shell, succeeds};

/// Streams, tokens of each, the pause between two of them, and the most that a token may cost: a multiple of the floor, or µs.
const LOADS: [(u32, u32, &str, Bar); 4] = [
    (64, 2000, "1ms", Bar::Floors(1.3)),
    (256, 500, "10ms", Bar::Floors(1.3)),
    (1000, 300, "10ms", Bar::Floors(1.3)),
    (64, 2000, "0ms", Bar::Micros(1.0)),
];
const ROUNDS: usize = 3;

/// What is aimed at.
#[derive(Clone, Copy)]
enum Bar {
    Floors(f64),
    Micros(f64),
}

/// Prints a row a load: floor, ours, their ratio and the bar.
pub(super) fn run(root: &Path, program: &Path) -> Result<()> {
    shell(root, "cargo", &["build", "--release", "--quiet", "--package", "xtask"])?;
    let floor = crate::target(root).join("release/xtask");
    let pinned = succeeds("taskset", &["-c", "0,1", "true"]);
    let how = if pinned {
        "simulator on core 0, reader on core 1"
    } else {
        "cores not pinned: no taskset, or one core"
    };
    say(&format!("streams: µs of CPU a streamed token while the load runs, median of {ROUNDS}; {how}"));
    say("  streams  every   tokens    floor     ours    ratio  bar");
    for (streams, tokens, every, bar) in LOADS {
        let (mut lowest, mut ours, total) = (Vec::new(), Vec::new(), f64::from(streams) * f64::from(tokens));
        for _ in 0..ROUNDS {
            let timing = ["--ttft", "5ms", "--inter-token", every, "--max-model-len", "100000"];
            let server = Server::start_on(program, &timing, pinned.then_some("0"))?;
            lowest.push(floor_cpu(&floor, &server, streams, tokens, pinned)? / total * 1e6);
            ours.push(our_cpu(program, &server, streams, tokens, pinned)? / total * 1e6);
        }
        let (lowest, ours) = (quantile(&mut lowest, 0.5), quantile(&mut ours, 0.5));
        let (bar, met) = match bar {
            Bar::Floors(most) => (format!("{most} × floor"), ours <= most * lowest),
            Bar::Micros(most) => (format!("{most} µs"), ours <= most),
        };
        let met = if met { "met" } else { "not met" };
        say(&format!(
            "  {streams:>7}  {every:>5}  {total:>7}  {lowest:>7.2}  {ours:>7.2}  {:>7.2}  {bar}, {met}",
            ours / lowest
        ));
    }
    Ok(())
}

fn on_core(program: &Path, pinned: bool) -> Command {
    if !pinned {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(program);
    command
}

fn floor_cpu(floor: &Path, server: &Server, streams: u32, tokens: u32, pinned: bool) -> Result<f64> {
    let mut command = on_core(floor, pinned);
    let output = command
        .args(["bench", "floor", &server.address, &streams.to_string(), &tokens.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the floor failed: {said}");
    Ok(said.trim().strip_prefix("cpu ").context("the floor told no time")?.parse()?)
}

/// CPU seconds of the whole process from the first request to the last byte, the journal included.
fn our_cpu(program: &Path, server: &Server, streams: u32, tokens: u32, pinned: bool) -> Result<f64> {
    let scratch = Scratch::new("streams")?;
    let (number, tokens) = (streams.to_string(), tokens.to_string());
    let output = on_core(program, pinned)
        .args([
            "run",
            "--quiet",
            "--dataset",
            "synthetic",
            "-n",
            &number,
            "-c",
            &number,
            "--max-tokens",
            &tokens,
        ])
        .args(["--endpoint", &format!("http://{}/v1", server.address)])
        .args(["--output-dir", &scratch.0.to_string_lossy(), "metrics.enabled=false"])
        .output()?;
    ensure!(output.status.success(), "the run failed: {}", String::from_utf8_lossy(&output.stderr));
    let run = std::fs::read_dir(&scratch.0)?.next().context("no run folder")??.path();
    let record = std::fs::read_to_string(run.join("record.json"))?;
    let told = record.split("\"load_cpu_seconds\":").nth(1).context("the record tells no CPU time")?;
    Ok(told.split([',', '}']).next().unwrap_or_default().trim().parse()?)
}
