//! The README and the pages of `docs/` do what they say: links lead somewhere, commands run, messages are those of the program.
//!
//! Fences tell what becomes of a block. `sh` is run, with all `sh` blocks of a page in one folder, against a simulator in the place of
//! `127.0.0.1:8000`. `sh needs=…` is not, for one of the reasons below. Of `text commands`, a list of commands with a word on each,
//! the program must take every line's options. Everything else is shown alone.

#![allow(clippy::unwrap_used)]

// In a crate of its own the page's items are public.
#[allow(unreachable_pub)]
#[path = "../docs/examples/own_backend.rs"]
mod own_backend;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ai_energy_core::prompt::PromptContent;
use ai_energy_core::{
    Backend, Clock, DatasetInfo, FormattedPrompt, GenerationParams, LoadPlan, Parts, Plan, Stop,
};
use support::{Bench, done, quick, serve};

/// Why a command is not run here.
const NEEDS: [&str; 8] = ["build", "container", "dist", "hub", "minutes", "release", "server", "terminal"];
const SHOWN: [&str; 9] =
    ["text", "yaml", "toml", "json", "python", "rust", "dockerfile", "text commands", "sh"];
/// Written by the program itself.
const GENERATED: [&str; 3] = ["cli.md", "config.md", "report.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The README and every page, by name and text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut files = vec![root().join("README.md")];
    for folder in ["docs", "docs/tutorials"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A fenced block: what its fence says, and what it holds.
struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut all, mut open): (Vec<Block>, bool) = (Vec::new(), false);
    for (line, text) in page.lines().enumerate() {
        match (text.strip_prefix("```"), open) {
            (Some(info), false) => {
                all.push(Block { line: line + 1, info: info.trim().to_owned(), text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => all.last_mut().unwrap().text += &format!("{text}\n"),
            (None, false) => {}
        }
    }
    all
}

/// The text outside fences.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

/// A heading's anchor, as the sites that show Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page);
    headings
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_link_leads_to_a_page_and_every_anchor_to_a_heading() {
    let mut links = 0;
    for (path, text) in pages() {
        for target in prose(&text).split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned())
        {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, wanted) = target.split_once('#').unwrap_or((&target, ""));
            let to = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(to.exists(), "{}: {target} leads nowhere", path.display());
            if !wanted.is_empty() {
                let found = anchors(&std::fs::read_to_string(&to).unwrap());
                assert!(
                    found.contains(wanted),
                    "{}: {target} has no such heading: {found:?}",
                    path.display()
                );
            }
        }
    }
    assert!(links > 40, "only {links} links were found");
}

#[test]
fn the_summary_names_every_page() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for (path, _) in pages() {
        let Ok(page) = path.strip_prefix(root().join("docs")) else { continue };
        let page = page.to_str().unwrap();
        assert!(page == "SUMMARY.md" || summary.contains(&format!("]({page})")), "SUMMARY.md lacks {page}");
    }
}

#[test]
fn every_block_says_what_it_is() {
    for (path, text) in pages() {
        if GENERATED.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for Block { line, info, .. } in blocks(&text) {
            let reason = info.strip_prefix("sh needs=").is_some_and(|reason| NEEDS.contains(&reason));
            assert!(
                reason || SHOWN.contains(&info.as_str()),
                "{}:{line}: a fence of `{info}`",
                path.display()
            );
        }
    }
}

/// All `sh` blocks of a page, in one shell.
fn run_page(path: &Path, text: &str) -> usize {
    let commands: Vec<String> =
        blocks(text).into_iter().filter(|block| block.info == "sh").map(|block| block.text).collect();
    if commands.is_empty() {
        return 0;
    }
    let (bench, server) = (Bench::new(), serve(quick()));
    let script = commands.concat().replace("127.0.0.1:8000", &server.local_addr().to_string());
    let program = Path::new(env!("CARGO_BIN_EXE_ai-energy-benchmark")).parent().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).current_dir(bench.path("")).env_clear();
    shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()));
    for (name, place) in [("HOME", "home"), ("HF_HOME", "hf"), ("XDG_STATE_HOME", "state")] {
        shell.env(name, bench.path(place));
    }
    let done = done(shell.env("HF_HUB_OFFLINE", "1").env("LC_ALL", "C.UTF-8").output().unwrap());
    assert_eq!(done.code, Some(0), "{}:\n{}\n{}", path.display(), done.out, done.err);
    commands.len()
}

#[test]
fn commands_run_as_they_are_written() {
    let run: usize = pages().iter().map(|(path, text)| run_page(path, text)).sum();
    assert!(run >= 15, "only {run} blocks were run");
}

/// The arguments of a line of a list: what stands before the description, without options in brackets and without a pipe.
fn arguments(line: &str) -> Vec<String> {
    let command = line.split("  ").next().unwrap().split(" | ").next().unwrap();
    let mut words: Vec<String> = command
        .split_whitespace()
        .skip(1)
        .filter(|word| !word.starts_with('[') && *word != "…]")
        .map(|word| word.trim_matches('\'').to_owned())
        .collect();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.insert(end, "--help".to_owned());
    words
}

#[test]
fn the_program_takes_the_options_of_every_line_that_is_listed() {
    let bench = Bench::new();
    let mut taken = 0;
    for (path, text) in pages() {
        for block in blocks(&text).into_iter().filter(|block| block.info == "text commands") {
            for line in block.text.lines().filter(|line| line.starts_with("ai-energy-benchmark ")) {
                let arguments = arguments(line);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let done = bench.run(&arguments);
                assert_eq!(done.code, Some(0), "{}: {line}\n{}", path.display(), done.err);
                taken += 1;
            }
        }
    }
    assert!(taken > 20, "only {taken} lines were found");
}

#[test]
fn the_messages_that_troubleshooting_explains_are_the_programs() {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let messages: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    assert!(messages.len() >= 8, "{messages:?}");
    let mut sources = String::new();
    gather(&root().join("crates"), &mut sources);
    for message in &messages {
        assert!(sources.contains(*message), "no source says `{message}`");
    }
    let refused = Bench::new().run(&["validate", "--endpoint", "http://127.0.0.1:9/v1"]);
    refused.expect(3).says(&messages[..1]);
}

fn gather(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            gather(&entry, sources);
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            *sources += &std::fs::read_to_string(entry).unwrap();
        }
    }
}

#[tokio::test]
async fn the_backend_of_the_page_on_extending_carries_a_load() {
    let source = std::fs::read_to_string(root().join("docs/examples/own_backend.rs")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/extending.md")).unwrap();
    assert!(page.contains(&source), "docs/extending.md does not hold docs/examples/own_backend.rs as it is");
    let backend = own_backend::Program("cat".to_owned());
    let checks = backend.validate().await.unwrap();
    let prompt = |index| FormattedPrompt {
        index,
        content: PromptContent::Text("one\ntwo\nthree\n".to_owned()),
        params: serde_json::Map::new(),
        chat_template_kwargs: serde_json::Map::new(),
        target_output_tokens: None,
    };
    let plan = Plan {
        name: "own".to_owned(),
        run_id: "own-1".to_owned(),
        load: LoadPlan::default(),
        generation: GenerationParams::default(),
        sampling_interval_ms: 50,
        idle_seconds: 0.0,
        keep_text: false,
    };
    let parts = Parts {
        backend: Arc::new(backend),
        prompts: (0..3).map(|index| Arc::new(prompt(index))).collect(),
        script: ai_energy_core::runner::Script::default(),
        dataset: DatasetInfo {
            name: "t".into(),
            kind: "t".into(),
            revision: None,
            sha256: String::new(),
            rows: Some(3),
        },
        checks,
        sources: ai_energy_core::SourceDiscovery::default(),
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::default(),
        meter: None,
        calibration: Err("a test makes none".to_owned()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        grid: None,
        environment: serde_json::Map::new(),
        warnings: Vec::new(),
    };
    let record = ai_energy_core::runner::run(plan, parts).await;
    let options = ai_energy_metrics::summary::SummaryOptions::default();
    let summary = ai_energy_metrics::summarize(&record, &options);
    assert_eq!((summary.counts.successful, summary.tokens.completion), (3, Some(9)));
    assert!(own_backend::Program("no-such-program".to_owned()).validate().await.is_err());
}
