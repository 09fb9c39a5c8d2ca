//! The terminal's summary: snapshots of what people see, and the laws of every width.

use std::path::PathBuf;

use ai_energy_core::{Figure, Written};
use ai_energy_reporters::{TerminalOptions, render, render_saved};
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::support::{self, Run};

fn shown(run: &Run) -> String {
    render(run.report(), &TerminalOptions::default())
}

fn plain(width: usize) -> TerminalOptions {
    TerminalOptions { width, color: false, unicode: false }
}

fn all_runs() -> [Run; 8] {
    [
        support::gpu_lost(),
        support::complete(),
        support::cpu_estimate_only(),
        support::nothing_measurable(),
        support::failures(),
        support::interrupted(),
        support::synthetic(),
        support::all_failed(),
    ]
}

#[test]
fn complete() {
    assert_snapshot!(shown(&support::complete()));
}

#[test]
fn cpu_estimate_only() {
    assert_snapshot!(shown(&support::cpu_estimate_only()));
}

#[test]
fn gpu_lost() {
    assert_snapshot!(shown(&support::gpu_lost()));
}

#[test]
fn what_validation_doubted_stands_among_the_notes() {
    let text = shown(&support::gpu_lost());
    let (_, notes) = text.split_once(" VALID ").unwrap();
    assert!(notes.contains("model served: the server lists no models"), "{notes}");
    assert!(!notes.contains("server ready"), "a check that went well is no note: {notes}");
}

#[test]
fn the_row_of_gaps_says_what_they_lie_between() {
    assert!(shown(&support::complete()).contains("between tokens"), "the server counts each chunk's tokens");
    assert!(shown(&support::gpu_lost()).contains("between chunks"), "it does not");
}

/// What an open loop adds below the latencies.
#[test]
fn an_open_loop_shows_what_was_in_flight_good_and_steady() {
    use ai_energy_core::load::Objectives;
    use ai_energy_core::summary::{Counts, Goodput, LoadFigures, Part};
    let figure = |value: f64, unit: &str| Figure::new(value, unit, ai_energy_core::Provenance::Derived, "");
    let mut run = support::complete();
    let latency = run.summary.latency.clone();
    let steady = Part {
        name: "steady".to_owned(),
        start_seconds: 13.5,
        duration: figure(58.0, "s"),
        counts: Counts::default(),
        latency,
        output_tokens_per_second: figure(174.0, "token/s").with_ci95(3.0),
        requests_per_second: figure(2.7, "request/s"),
        mean_concurrency: figure(2.1, "request"),
        goodput: None,
    };
    run.summary.load = LoadFigures {
        start_seconds: 1.5,
        planned_rate: figure(2.75, "request/s"),
        sent_rate: figure(2.69, "request/s"),
        peak_concurrency: figure(7.0, "request"),
        mean_concurrency: figure(2.05, "request"),
        goodput: Some(Goodput {
            objectives: Objectives { ttft_ms: Some(500.0), ..Objectives::default() },
            good: 185,
            judged: 200,
            share: figure(0.925, "1").with_ci95(0.045),
            rate: figure(2.49, "request/s").with_ci95(0.12),
            misses: [("failed".to_owned(), 2), ("ttft".to_owned(), 13)].into(),
        }),
        steps: vec![Part { name: "peak".to_owned(), ..steady.clone() }],
        steady: Some(steady),
        ..run.summary.load
    };
    let text = shown(&run);
    let from = text.find("   in flight").unwrap();
    let lines: Vec<&str> = text[from..].lines().take_while(|line| !line.is_empty()).collect();
    assert_snapshot!(lines.join("\n"));
}

/// A client that limits is named right below the latencies that it is in, with its reason.
#[test]
fn a_client_that_limits_marks_the_latencies() {
    use ai_energy_core::summary::ClientBound;
    let mut run = support::complete();
    for (verdict, says) in
        [(ClientBound::Yes, "client-bound: yes"), (ClientBound::Maybe, "client-bound: maybe")]
    {
        run.summary.health = crate::figures::health(verdict);
        let text = shown(&run);
        let (speed, rest) = text.split_once(says).unwrap();
        assert!(speed.contains("time to first token") && !speed.contains("VALID"), "{text}");
        let upto = rest.find(" VALID").unwrap();
        assert!(
            rest[..upto].contains("event loop p99 61 ms") && rest[..upto].contains("stated defaults"),
            "{text}"
        );
    }
    run.summary.health = crate::figures::health(ClientBound::No);
    let text = shown(&run);
    assert!(text.contains("not the limit") && !text.contains("client-bound"), "{text}");
    assert!(!text.contains("61 ms"), "what is no reason for anything is not shown: {text}");
}

#[test]
fn nothing_measurable() {
    assert_snapshot!(shown(&support::nothing_measurable()));
}

#[test]
fn failures() {
    assert_snapshot!(shown(&support::failures()));
}

#[test]
fn interrupted() {
    assert_snapshot!(shown(&support::interrupted()));
}

#[test]
fn synthetic() {
    assert_snapshot!(shown(&support::synthetic()));
}

#[test]
fn all_failed() {
    assert_snapshot!(shown(&support::all_failed()));
}

#[test]
fn ascii_of_80_columns() {
    assert_snapshot!(render(support::complete().report(), &plain(80)));
}

#[test]
fn ascii_of_60_columns() {
    assert_snapshot!(render(support::cpu_estimate_only().report(), &plain(60)));
}

#[test]
fn saved() {
    let folder = PathBuf::from("benchmark_output/chat-20261123-142233-7f3a");
    let mut written: Vec<Written> = ["benchmark_report.json", "benchmark_results.csv", "requests.jsonl"]
        .iter()
        .map(|name| Written::at(&folder.join(name)))
        .collect();
    let note =
        Some("results/all.csv has other columns or is cut within a cell; it was left as it is".to_owned());
    written.push(Written { path: PathBuf::from("results/all.1.csv"), note });
    assert_snapshot!(render_saved(&written, &TerminalOptions::default()));
}

#[test]
fn a_relative_file_is_shown_as_it_can_be_opened() {
    let saved = |paths: &[&str]| {
        let written: Vec<Written> = paths.iter().map(|path| Written::at(path.as_ref())).collect();
        render_saved(&written, &TerminalOptions::default())
    };
    assert_eq!(saved(&["other.1.csv"]), " Saved  other.1.csv\n");
    assert_eq!(saved(&["a.csv", "b.csv"]), " Saved  ./\n          a.csv, b.csv\n");
    assert_eq!(saved(&["/a.csv"]), " Saved  /a.csv\n");
    assert_eq!(saved(&["/a.csv", "/b.csv"]), " Saved  /\n          a.csv, b.csv\n");
}

#[test]
fn without_streaming_the_table_says_in_one_place_why_the_first_token_is_missing() {
    let mut run = support::complete();
    run.summary.latency.time_to_first_token = None;
    run.summary.latency.time_to_first_content = None;
    let text = shown(&run);
    assert_eq!(text.matches("first token").count(), 2, "the row's name and its reason: {text}");
    assert!(
        text.contains("time to first token   the first token cannot be seen without streaming"),
        "{text}"
    );
    assert!(!shown(&support::complete()).contains("without streaming"));
    assert!(!shown(&support::all_failed()).contains("without streaming"), "that is not why");
}

#[test]
fn a_run_that_ended_early_tells_the_requests_run_and_not_those_asked_for() {
    assert!(shown(&support::complete()).contains("200 prompts (built-in)"));
    assert!(shown(&support::all_failed()).contains("3 requests run (built-in)"));
    let interrupted = shown(&support::interrupted());
    assert!(
        interrupted.contains("95 requests run (built-in)") && !interrupted.contains("prompts"),
        "{interrupted}"
    );
}

#[test]
fn a_synthetic_run_without_a_success_says_both() {
    let mut run = support::all_failed();
    run.record.synthetic = true;
    assert!(shown(&run).contains("VALID  no: synthetic, and no request succeeded"));
    assert!(shown(&support::synthetic()).contains("VALID  no: synthetic\n"));
}

#[test]
fn an_unknown_figure_never_shows_as_zero() {
    let text = shown(&support::nothing_measurable());
    let energy: String = text.lines().skip_while(|line| !line.contains("ENERGY")).take(6).collect();
    assert!(!energy.contains('0'), "{energy}");
    assert!(text.contains("metrics.enabled is false"));
}

#[test]
fn a_message_of_a_server_cannot_reach_the_terminal_raw() {
    let text = shown(&support::failures());
    assert!(text.contains("CUDA out of memory"));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn colour_adds_codes_and_changes_no_letter() {
    for run in all_runs() {
        let options = TerminalOptions { color: true, ..TerminalOptions::default() };
        let colored = render(run.report(), &options);
        assert!(colored.contains("\u{1b}[1m"));
        let mut stripped = String::new();
        for (position, piece) in colored.split('\u{1b}').enumerate() {
            stripped.push_str(if position == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&stripped), lines(&shown(&run)));
    }
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        width in 60_usize..140,
        unicode: bool,
        which in 0_usize..8,
        model in "\\PC{0,90}",
        message in "\\PC{0,200}",
        scale in -9_i32..9,
    ) {
        let mut run = all_runs().into_iter().nth(which).unwrap();
        run.record.backend.model = model;
        run.record.warnings = vec![message];
        for entry in &mut run.summary.energy.domains {
            entry.energy = entry.energy.scaled(10_f64.powi(scale), "J");
        }
        let text = render(run.report(), &TerminalOptions { width, color: false, unicode });
        for line in text.lines() {
            let columns = unicode_width::UnicodeWidthStr::width(line);
            prop_assert!(columns <= width, "{columns} > {width}: {line}");
        }
        prop_assert!(unicode || text.is_ascii());
    }
}
