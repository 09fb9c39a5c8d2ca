//! PyTorch from the command line to the report, over the real engine: left out, with a word about it, where
//! `AI_ENERGY_TORCH` names none.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    reason = "a failing helper fails its test; a skip says so"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::{Bench, lines};

/// The engine, or `None` with a word about it.
fn engine() -> Option<PathBuf> {
    let named = std::env::var_os("AI_ENERGY_TORCH").filter(|value| !value.is_empty()).map(PathBuf::from);
    if named.is_none() {
        eprintln!("left out: AI_ENERGY_TORCH names no engine (`cargo xtask libtorch` builds one)");
    }
    named
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/fixtures/models").join(name);
    folder.canonicalize().unwrap().display().to_string()
}

fn command(bench: &Bench, engine: &Path, model: &str, more: &[&str]) -> Command {
    let model = format!("backend.model={model}");
    let own = ["run", "--backend", "pytorch", "--device", "cpu", &model, "--dataset", "builtin"];
    let limits = ["backend.engine=native", "backend.engine_options.threads=1", "metrics.sources=[cpu_model]"];
    let mut command = bench.command(&[&own[..], &limits, more].concat());
    command.env("AI_ENERGY_TORCH", engine);
    command
}

#[test]
fn a_folder_runs_in_batches_and_the_report_says_what_computed() {
    let Some(engine) = engine() else { return };
    let bench = Bench::new();
    let more = [
        "-n",
        "5",
        "--max-tokens",
        "7",
        "scenario.input_shapes.batch_size=2",
        "+scenario.generate_kwargs.ignore_eos=true",
    ];
    let done = support::done(command(&bench, &engine, &fixture("llama"), &more).output().unwrap()).expect(0);
    assert!(done.out.contains("libtorch 2.11"), "{}", done.out);
    let report = bench.report();
    assert_eq!(report["summary"]["successful_prompts"], 5);
    assert_eq!(report["summary"]["total_completion_tokens"], 35);
    let details = &report["backend_info"]["details"];
    assert_eq!((&details["engine"], &details["batch_size"]), (&json!("native"), &json!(2)));
    assert_eq!(details["engine_completed_requests"], 6, "and the one that validation asks for");
    assert!(details["random_weights"].is_null());
    let requests = lines(&bench.run_folder().join("requests.jsonl"));
    assert!(requests.iter().all(|request| request["completion_tokens"]["source"] == "server"));
}

#[test]
fn random_weights_are_said_in_the_terminal_and_in_the_report() {
    let Some(engine) = engine() else { return };
    let bench = Bench::new();
    let more = ["-n", "2", "--max-tokens", "3", "backend.no_weights=true"];
    let done = support::done(command(&bench, &engine, &fixture("gpt2"), &more).output().unwrap()).expect(0);
    let words: String = done.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("random weights"), "{}", done.out);
    assert!(words.contains("a token a byte"), "{}", done.out);
    assert_eq!(bench.report()["backend_info"]["details"]["random_weights"], true);
}

#[test]
fn a_prompt_that_does_not_fit_is_cut_with_a_warning_or_fails_by_itself() {
    let Some(engine) = engine() else { return };
    let (bench, strict) = (Bench::new(), Bench::new());
    let long = "word ".repeat(600);
    for bench in [&bench, &strict] {
        bench.file("prompts.txt", format!("short\n{long}\nshort too\n"));
    }
    let more = ["-n", "3", "--max-tokens", "4", "scenario.dataset_name=prompts.txt"];
    support::done(command(&bench, &engine, &fixture("llama"), &more).output().unwrap()).expect(0);
    let report = bench.report();
    assert_eq!(report["backend_info"]["details"]["truncated_prompts"], 1);
    assert!(report.to_string().contains("prompts_truncated"), "{report:#}");

    let more = [&more[..], &["scenario.truncation=false"]].concat();
    support::done(command(&strict, &engine, &fixture("llama"), &more).output().unwrap()).expect(4);
    let report = strict.report();
    assert_eq!(
        (&report["summary"]["successful_prompts"], &report["summary"]["failed_prompts"]),
        (&json!(2), &json!(1))
    );
}

#[test]
fn what_the_engine_cannot_do_is_said_before_anything_is_measured() {
    let Some(engine) = engine() else { return };
    let bench = Bench::new();
    let run =
        |model: &str, more: &[&str]| support::done(command(&bench, &engine, model, more).output().unwrap());
    run("./nowhere", &[]).expect(2).says(&["./nowhere", "hint"]);
    run("o/unknown", &[]).says(&["o/unknown", "HF_HUB_OFFLINE"]);
    run(&fixture("llama"), &["backend.use_cache=false"])
        .expect(3)
        .says(&["backend.use_cache", "transformers"]);
}
