//! Signals: what was measured is written, and the exit code says which signal it was. A kill at any moment loses at most what
//! was in flight.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Bench, endpoint, quick, serve, signalled};

#[test]
fn an_interrupt_keeps_what_was_measured() {
    let (bench, done) = signalled("-INT", 8);
    let done = done.expect(130);
    assert!(done.out.to_lowercase().contains("interrupted"), "{}", done.out);
    let report = bench.report();
    let good = report["summary"]["successful_prompts"].as_u64().unwrap();
    assert!(good >= 5, "{report}");
    assert_eq!(report["summary"]["total_completion_tokens"], good * 20);
    assert_eq!(report["summary"]["failed_prompts"], 0, "what we ended ourselves has not failed");
}

#[test]
fn a_termination_has_its_own_code() {
    let (bench, done) = signalled("-TERM", 8);
    done.expect(143);
    assert!(bench.report()["summary"]["successful_prompts"].as_u64().unwrap() >= 5);
}

/// How many times the program is killed, and by how many threads at a time.
const KILLS: u64 = 50;
const THREADS: u64 = 5;

/// Requests in flight at a time.
const CONCURRENCY: usize = 3;

/// How long a request that the server ended may take into the journal, and how many more have to reach the server meanwhile.
const GRACE: Duration = Duration::from_millis(100);
const FURTHER: usize = 4 * CONCURRENCY;

#[test]
fn a_kill_at_any_of_fifty_moments_loses_at_most_what_was_in_flight() {
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                (thread..KILLS).step_by(THREADS as usize).map(killed_at).sum::<usize>()
            })
        })
        .collect();
    let kept: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(kept > 10 * KILLS as usize, "{kept} requests in all: the kills came too early to tell anything");
}

/// A number from 0 up to `below` that follows from a seed (SplitMix64).
fn drawn(seed: u64, below: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below
}

/// Kills one run at the moment of its seed, and says how many requests the server had ended by then and the journal holds.
fn killed_at(seed: u64) -> usize {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    let load = ["--dataset", "synthetic", "-n", "2000", "-c", "3", "--max-tokens", "4"];
    let mut command = bench.command(&[&["run", "--endpoint", &address], &load[..]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Every tenth before there is a load at all; the others after so many requests and a moment more.
    let early = seed % 10 == 9;
    let mut ended = BTreeSet::new();
    if early {
        std::thread::sleep(Duration::from_micros(drawn(seed, 200_000)));
    } else {
        let reached = 2 + drawn(seed, 60) as usize;
        wait_until(|| server.truth().len() >= reached);
        ended = server.truth().into_iter().filter(|it| it.end_ns.is_some()).map(|it| it.request_id).collect();
        let then = Instant::now();
        wait_until(|| then.elapsed() >= GRACE && server.truth().len() >= reached + FURTHER);
        std::thread::sleep(Duration::from_micros(drawn(seed + 1000, 20_000)));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "seed {seed}");
    let Ok(mut folders) = std::fs::read_dir(bench.path("benchmark_output")) else { return 0 };
    let Some(folder) = folders.next().map(|entry| entry.unwrap().path()) else { return 0 };
    let name = folder.to_str().unwrap();

    let cut = bench.run(&["verify", name]).expect(7);
    assert!(cut.out.contains("cut") || cut.out.contains("record.json"), "seed {seed}: {}", cut.out);
    let summarised = bench.run(&["summarize", name]);
    let begun = folder.join("record.json").exists();
    let expected: &[i32] = if begun { &[4, 5] } else { &[2] };
    assert!(
        expected.contains(&summarised.code.unwrap()),
        "seed {seed}: {:?} {}",
        summarised.code,
        summarised.err
    );
    assert!(!summarised.err.contains("panicked"), "seed {seed}: {}", summarised.err);
    if !begun {
        assert!(ended.len() <= 1, "seed {seed}: requests ended and there is no record");
        return 0;
    }
    bench.run(&["verify", name]).expect(0);
    let text = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    let kept: BTreeSet<String> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<&String> = ended.iter().filter(|id| id.contains('-') && !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "seed {seed}: {lost:?} ended and are not in the journal");
    let report = support::json(&folder.join("benchmark_report.json"));
    assert_eq!(report["summary"]["total_prompts"].as_u64(), Some(kept.len() as u64), "seed {seed}");
    ended.len()
}

fn wait_until(mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !reached() {
        assert!(Instant::now() < deadline, "the run does not come to its requests");
        std::thread::sleep(Duration::from_millis(3));
    }
}
