//! The host's side over the real engine: a run's results outlive the engine.

#![cfg(all(feature = "torch", unix))]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ai_energy_backends_pytorch::{EngineChoice, EngineOptions, Options, Places, PytorchBackend};
use ai_energy_core::backend::{Request, Tally};
use ai_energy_core::record::Generation;
use ai_energy_core::{Backend, Clock, ErrorClass, FormattedPrompt, GenerationParams, PromptContent, Stop};
use serde_json::json;

fn backend(batch_size: u32) -> PytorchBackend {
    let engine = EngineOptions {
        program: Some(env!("CARGO_BIN_EXE_ai-energy-torch").into()),
        threads: Some(1),
        ..EngineOptions::default()
    };
    let options = Options {
        device: "cpu".to_owned(),
        engine: EngineChoice::Native,
        engine_options: engine,
        batch_size,
        ..Options::default()
    };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/llama");
    PytorchBackend::new(&model.display().to_string(), options).unwrap().with_places(Places::default())
}

fn request(id: &str, tokens: u32) -> Request {
    let params = GenerationParams {
        max_new_tokens: Some(tokens),
        min_new_tokens: None,
        do_sample: Some(false),
        ignore_eos: Some(true),
        ..GenerationParams::default()
    };
    Request {
        id: id.to_owned(),
        prompt: Arc::new(FormattedPrompt::plain(PromptContent::Text("Once upon a time".to_owned()))),
        params: Arc::new(params),
        stop: Stop::new(),
    }
}

#[tokio::test]
async fn a_generation_by_the_real_engine_is_recorded_on_the_runs_clock() {
    let backend = backend(2);
    let checks = backend.validate().await.unwrap();
    assert!(checks.iter().any(|check| check.name == "model loaded"), "{checks:?}");
    let (clock, tally) = (Clock::start(), Tally::default());
    let (one, other) = (request("one", 20), request("other", 12));
    let (one, other) =
        tokio::join!(backend.generate(&one, &clock, &tally), backend.generate(&other, &clock, &tally));
    assert_eq!((one.chunks.len(), other.chunks.len(), tally.tokens()), (20, 12, 32));
    for generation in [&one, &other] {
        assert_eq!(generation.error, None);
        let mut stamps = vec![generation.sent.unwrap(), generation.first_token.unwrap()];
        stamps.extend(generation.chunks.iter().map(|chunk| chunk.at));
        stamps.push(generation.end);
        assert!(stamps.is_sorted(), "{stamps:?}");
    }
    backend.close().await;
    let details = backend.info().details;
    assert_eq!((&details["engine"], &details["engine_completed_requests"]), (&json!("native"), &json!(3)));
}

#[tokio::test]
async fn what_was_generated_stays_when_the_engine_is_killed() {
    let backend = backend(1);
    backend.validate().await.unwrap();
    let pid = backend.info().details["process_id"].as_u64().unwrap().to_string();
    let (clock, tally) = (Clock::start(), Tally::default());
    let before = backend.generate(&request("before", 5), &clock, &tally).await;
    // Far more than can be done between the first token and the signal.
    let requests: Vec<Request> = (0..60).map(|at| request(&at.to_string(), 200)).collect();
    let all = futures(&backend, &requests, &clock, &tally);
    let killing = async {
        while tally.tokens() < 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    };
    let (all, ()) = tokio::join!(all, killing);
    assert_eq!((before.error, before.chunks.len()), (None, 5));
    assert!(all.iter().any(|generation| !generation.chunks.is_empty()), "nothing was seen before the end");
    for generation in &all {
        match &generation.error {
            None => assert_eq!(generation.chunks.len(), 200),
            Some(error) => {
                assert_eq!(error.class, ErrorClass::Engine);
                assert!(error.message.contains("signal: 9"), "{}", error.message);
            }
        }
    }
    assert!(all.last().unwrap().error.is_some());
    backend.close().await;
}

async fn futures(
    backend: &PytorchBackend,
    requests: &[Request],
    clock: &Clock,
    tally: &Tally,
) -> Vec<Generation> {
    let mut running: Vec<_> =
        requests.iter().map(|request| backend.generate(request, clock, tally)).collect();
    let mut done: Vec<Option<Generation>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(generation) = future.as_mut().poll(context)
            {
                *done = Some(generation);
            }
        }
        if done.iter().all(Option::is_some) {
            return std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect());
        }
        std::task::Poll::Pending
    })
    .await
}
