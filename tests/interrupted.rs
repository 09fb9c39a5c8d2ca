//! Signals: what was measured is written, and the exit code says which signal it was.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use support::signalled;

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
