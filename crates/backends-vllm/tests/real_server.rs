//! A real server, where `AI_ENERGY_TEST_ENDPOINT` names one: counts must agree with the server's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{Api, Options, ServerOptions, VllmBackend, served_models};
use ai_energy_core::backend::{Backend, Request, Tally};
use ai_energy_core::record::{Generation, TokenCountSource};
use ai_energy_core::{Clock, GenerationParams};
use std::sync::Arc;
use support::request;

/// Tokens a request: enough for a rate, few enough for a busy machine.
const TOKENS: u32 = 24;

fn asking(id: &str, max: u32) -> Request {
    let params = GenerationParams {
        max_new_tokens: Some(max),
        min_new_tokens: None,
        ignore_eos: Some(true),
        do_sample: Some(false),
        ..GenerationParams::default()
    };
    Request { params: Arc::new(params), ..request(id) }
}

async fn backend(options: Options) -> VllmBackend {
    let backend = VllmBackend::new(options).unwrap();
    for check in backend.validate().await.unwrap() {
        println!("{}: {:?}, {}", check.name, check.outcome, check.detail);
    }
    backend
}

fn describe(name: &str, generation: &Generation) {
    let tokens = generation.completion_tokens.map_or(0, |count| count.tokens);
    let sent = generation.sent.unwrap();
    let first = generation.first_token.map(|first| first.since(sent).as_secs_f64() * 1e3);
    let decode =
        generation.first_token.zip(generation.chunks.last()).map(|(first, last)| last.at.since(first));
    let rate = decode.map(|span| f64::from(tokens.saturating_sub(1)) / span.as_secs_f64());
    println!(
        "{name}: {tokens} tokens, {} chunks, first token {first:.1?} ms, {rate:.1?} tokens/s",
        generation.chunks.len()
    );
}

#[tokio::test]
async fn a_real_server_agrees_with_our_counts() {
    let Ok(endpoint) = std::env::var("AI_ENERGY_TEST_ENDPOINT") else {
        println!("skipped: AI_ENERGY_TEST_ENDPOINT names no server");
        return;
    };
    let mut options = Options { endpoint, ..Options::default() };
    options.model = served_models(&options).await.unwrap().remove(0);
    let plain = backend(options.clone()).await;
    println!("server: {:?}", plain.info().server);
    let before = plain.token_counters().await.unwrap();
    let (clock, tally) = (Clock::start(), Tally::default());
    let (mut prompt, mut generated) = (0, 0);
    let variants = [
        ("chat, streamed", ServerOptions::default()),
        ("chat, usage in every chunk", ServerOptions { continuous_usage: true, ..ServerOptions::default() }),
        ("chat, whole", ServerOptions { stream: false, ..ServerOptions::default() }),
        ("completions, streamed", ServerOptions { api: Api::Completions, ..ServerOptions::default() }),
    ];
    for (name, server) in variants {
        let streamed = server.stream;
        let backend = VllmBackend::new(Options { server, ..options.clone() }).unwrap();
        for turn in 0..2 {
            let id = format!("{}-{turn}", name.replace([',', ' '], ""));
            let generation = backend.generate(&asking(&id, TOKENS), &clock, &tally).await;
            assert_eq!(generation.error, None, "{name}");
            let completion = generation.completion_tokens.unwrap();
            assert_eq!((completion.tokens, completion.source), (TOKENS, TokenCountSource::Server), "{name}");
            assert_eq!(generation.first_token.is_some(), streamed, "{name}");
            describe(name, &generation);
            let cached = if plain.info().server.is_some_and(|server| server.starts_with("llama.cpp")) {
                generation.cached_prompt_tokens.unwrap_or(0)
            } else {
                0
            };
            prompt += u64::from(generation.prompt_tokens.unwrap().tokens - cached);
            generated += u64::from(completion.tokens);
        }
    }
    let after = plain.token_counters().await.unwrap();
    println!("our counts: {prompt} prompt, {generated} generated; server: {before:?} to {after:?}");
    assert_eq!(after.generation_tokens - before.generation_tokens, generated);
    assert_eq!(after.prompt_tokens - before.prompt_tokens, prompt);
    assert_eq!(plain.count_tokens("Hello world").await, Some(2));
}
