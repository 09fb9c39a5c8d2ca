//! The three formats on fixtures of our own, and what the options do to them.

#![allow(clippy::unwrap_used)]

use super::*;
use std::io::Write;

const MOONCAKE: &str = concat!(
    "{\"timestamp\": 1000, \"input_length\": 1100, \"output_length\": 5, \"hash_ids\": [7, 8, 9]}\n",
    "{\"timestamp\": 1000, \"input_length\": 600, \"output_length\": 6, \"hash_ids\": [7, 10]}\n",
    "{\"timestamp\": 3500, \"input_length\": 20, \"output_length\": 900, \"hash_ids\": [11]}\n",
);
const BURSTGPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,47,18,65,Conversation log\n9,GPT-4,30,0,30,API log\n45,ChatGPT,10,23,33,Conversation log\n";
const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-12-31 23:59:59.5000000,48,10\n\
    2024-01-01 00:00:01.0000000,30,8\n2024-03-01 02:00:00.5+02:00,3,9\n";

fn load(word: &str, text: &str, options: &TraceOptions, limit: usize) -> Result<LoadedPrompts, Fault> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let name = format!("{word}:{}", file.path().display());
    TraceDataset::new(&name, options)?.unwrap().loaded(limit)
}

fn times(loaded: &LoadedPrompts) -> Vec<f64> {
    loaded.timeline.iter().map(Duration::as_secs_f64).collect()
}

fn sizes(loaded: &LoadedPrompts) -> Vec<(usize, u32)> {
    let words = |prompt: &Prompt| prompt.messages[0].content.split(' ').count();
    loaded.prompts.iter().map(|prompt| (words(prompt), prompt.target_output_tokens.unwrap())).collect()
}

#[test]
fn each_format_gives_its_instants_and_sizes() {
    let options = TraceOptions::default();
    let loaded = load("mooncake", MOONCAKE, &options, 9).unwrap();
    assert_eq!((times(&loaded), sizes(&loaded)), (vec![0.0, 0.0, 2.5], vec![(1100, 5), (600, 6), (20, 900)]));
    let loaded = load("burstgpt", BURSTGPT, &options, 9).unwrap();
    assert_eq!(
        (times(&loaded), sizes(&loaded)),
        (vec![0.0, 40.0], vec![(47, 18), (10, 23)]),
        "a failed one is out"
    );
    let loaded = load("azure", AZURE, &options, 9).unwrap();
    // From new year's eve to 1 March 2024, midnight UTC: 60 days, for the year is a leap year.
    assert_eq!(times(&loaded), vec![0.0, 1.5, 60.0 * 86_400.0 + 1.0]);
    assert_eq!(sizes(&loaded), vec![(48, 10), (30, 8), (3, 9)]);
    assert_eq!((loaded.info.kind.as_str(), loaded.info.rows), ("trace", Some(3)));
}

#[test]
fn equal_blocks_are_equal_prefixes_and_nothing_else_is_shared() {
    let loaded = load("mooncake", MOONCAKE, &TraceOptions::default(), 9).unwrap();
    let words: Vec<Vec<&str>> =
        loaded.prompts.iter().map(|prompt| prompt.messages[0].content.split(' ').collect()).collect();
    assert_eq!(words[0][..512], words[1][..512], "block 7 is the same");
    assert_ne!(words[0][512..600], words[1][512..600], "block 8 is not block 10");
    assert_ne!(words[0][..20], words[2][..20]);
}

#[test]
fn speed_up_start_duration_and_truncation() {
    let options = TraceOptions {
        speed_up: 2.0,
        start_seconds: 1.0,
        duration_seconds: Some(100.0),
        max_input_tokens: Some(8),
        max_output_tokens: Some(7),
    };
    let loaded = load("azure", AZURE, &options, 9).unwrap();
    assert_eq!((times(&loaded), sizes(&loaded)), (vec![0.0], vec![(8, 7)]));
    let fast = TraceOptions { speed_up: 4.0, ..TraceOptions::default() };
    assert_eq!(times(&load("burstgpt", BURSTGPT, &fast, 9).unwrap()), vec![0.0, 10.0]);
    assert_eq!(load("mooncake", MOONCAKE, &fast, 2).unwrap().prompts.len(), 2);
}

#[test]
fn what_is_no_trace_is_refused_with_its_line_and_where_the_format_is_described() {
    let options = TraceOptions::default();
    let bad = load("mooncake", &format!("{MOONCAKE}{{\"timestamp\": \"x\"}}\n"), &options, 9).unwrap_err();
    assert!(bad.cause.starts_with("line 4:") && bad.remedy.contains("Mooncake"), "{bad}");
    let bad =
        load("azure", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", &options, 9).unwrap_err();
    assert!(bad.cause.starts_with("line 2:") && bad.cause.contains("yesterday"), "{bad}");
    let bad = load("burstgpt", AZURE, &options, 9).unwrap_err();
    assert!(bad.cause.contains("line 2"), "{bad}");
    let still = TraceOptions { speed_up: 0.0, ..TraceOptions::default() };
    assert_eq!(load("azure", AZURE, &still, 9).unwrap_err().object, "scenario.trace.speed_up");
    let none = TraceOptions { start_seconds: 1e9, ..TraceOptions::default() };
    assert!(!load("azure", AZURE, &none, 9).unwrap_err().remedy.is_empty());
    let missing = TraceDataset::new("azure:nowhere.csv", &options).unwrap_err();
    assert!(missing.cause.contains("nowhere.csv") && missing.remedy.contains("Azure"), "{missing}");
    assert!(TraceDataset::new("org/name", &options).unwrap().is_none());
}
