//! Signals: what was measured is written, and the exit code says which signal it was.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bench, endpoint, quick, serve};

/// Starts a run that would take minutes, signals it once some requests ended, and returns what it did.
fn signalled(signal: &str) -> (Bench, support::Done) {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    let arguments = [
        "run",
        "--endpoint",
        &address,
        "--dataset",
        "synthetic",
        "-n",
        "5000",
        "-c",
        "2",
        "--max-tokens",
        "20",
    ];
    let mut command = bench.command(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.truth().len() < 8 {
        assert!(Instant::now() < deadline, "the run does not come to its requests");
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let done = support::done(child.wait_with_output().unwrap());
    (bench, done)
}

#[test]
fn an_interrupt_keeps_what_was_measured() {
    let (bench, done) = signalled("-INT");
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
    let (bench, done) = signalled("-TERM");
    done.expect(143);
    assert!(bench.report()["summary"]["successful_prompts"].as_u64().unwrap() >= 5);
}
