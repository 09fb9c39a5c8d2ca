//! The backend against a real engine process: the example `echo_engine`, which misbehaves on request.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

#[path = "support/engine.rs"]
mod engine;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ai_energy_backends_pytorch::{EngineOptions, Options, Places, PytorchBackend};
use ai_energy_core::Stop;
use ai_energy_core::backend::{Request, Tally};
use ai_energy_core::record::{FinishReason, Generation};
use ai_energy_core::{
    Backend, Clock, ErrorClass, FaultKind, FormattedPrompt, GenerationParams, PromptContent,
};
use serde_json::{Map, Value, json};

fn options(silence: f64) -> Options {
    let engine = EngineOptions {
        program: Some(engine::path().to_owned()),
        silence_timeout_seconds: silence,
        close_timeout_seconds: 0.5,
        ..EngineOptions::default()
    };
    // The models of the example are names and nothing else: no files are looked for.
    let no_weights = Some(true);
    Options {
        device: "cpu".to_owned(),
        engine_options: engine,
        no_weights,
        batch_size: 3,
        ..Options::default()
    }
}

fn backend(model: &str) -> PytorchBackend {
    with(model, options(30.0), Places::default())
}

fn with(model: &str, options: Options, places: Places) -> PytorchBackend {
    PytorchBackend::new(model, options).unwrap().with_places(places)
}

fn request(id: &str, tokens: Option<u32>) -> Request {
    let prompt = FormattedPrompt {
        index: 0,
        content: PromptContent::Text("alpha beta".to_owned()),
        params: Map::new(),
        chat_template_kwargs: Map::new(),
        target_output_tokens: tokens,
    };
    let params = GenerationParams { max_new_tokens: Some(5), ..GenerationParams::default() };
    Request { id: id.to_owned(), prompt: Arc::new(prompt), params: Arc::new(params), stop: Stop::new() }
}

async fn generate(backend: &PytorchBackend, id: &str) -> Generation {
    backend.generate(&request(id, None), &Clock::start(), &Tally::default()).await
}

fn class(generation: &Generation) -> Option<ErrorClass> {
    generation.error.as_ref().map(|error| error.class)
}

fn process_is_there(backend: &PytorchBackend) -> bool {
    let id = backend.info().details["process_id"].as_u64().unwrap();
    Path::new(&format!("/proc/{id}")).exists()
}

#[tokio::test]
async fn a_generation_is_recorded_on_the_runs_clock() {
    let backend = backend("echo");
    let checks = backend.validate().await.unwrap();
    assert!(checks.iter().any(|check| check.name == "one token generated"), "{checks:?}");
    let (clock, tally) = (Clock::start(), Tally::default());
    let before = clock.now();
    let generation = backend.generate(&request("a", None), &clock, &tally).await;
    let after = clock.now();

    assert_eq!(generation.error, None);
    assert_eq!(generation.text.as_deref(), Some("alpha beta alpha beta alpha "));
    assert_eq!((generation.chunks.len(), tally.tokens()), (5, 5));
    assert_eq!(generation.completion_tokens.map(|count| count.tokens), Some(5));
    assert_eq!(generation.prompt_tokens.map(|count| count.tokens), Some(2));
    assert_eq!(generation.finish_reason, Some(FinishReason::Length));
    // Causality on one clock, although the engine's clock starts elsewhere.
    let mut stamps = vec![before, generation.sent.unwrap(), generation.first_token.unwrap()];
    stamps.extend(generation.chunks.iter().map(|chunk| chunk.at));
    stamps.extend([generation.end, after]);
    assert!(stamps.is_sorted(), "{stamps:?}");
    backend.close().await;
}

#[tokio::test]
async fn info_tells_what_the_engine_says_and_that_it_is_no_real_one() {
    let backend = backend("echo");
    assert_eq!((backend.info().server, backend.info().synthetic), (None, false));
    backend.validate().await.unwrap();
    let info = backend.info();
    assert_eq!((info.server.as_deref(), info.device.as_deref()), (Some("echo 1.0"), Some("cpu")));
    assert!(info.synthetic);
    assert_eq!((&info.details["torch_dtype"], &info.details["batch_size"]), (&json!("float32"), &json!(3)));
    assert!(info.details["clock_uncertainty_ns"].as_u64().is_some());
    assert!(process_is_there(&backend));
    backend.close().await;
    assert!(!process_is_there(&backend));
}

#[tokio::test]
async fn a_prompt_that_says_how_many_tokens_it_wants_gets_them() {
    let backend = backend("echo");
    let generation = backend.generate(&request("a", Some(9)), &Clock::start(), &Tally::default()).await;
    assert_eq!(generation.chunks.len(), 9);
    backend.close().await;
}

#[tokio::test]
async fn two_generations_run_side_by_side_and_hear_their_own_tokens() {
    let backend = backend("pair");
    let (one, other) = tokio::join!(generate(&backend, "one"), generate(&backend, "other"));
    assert_eq!((one.text.as_deref(), other.text.as_deref()), (Some("one"), Some("other")));
    assert_eq!((class(&one), class(&other)), (None, None));
    backend.close().await;
}

#[tokio::test]
async fn a_crash_keeps_what_was_seen_and_tells_status_and_log() {
    let backend = backend("crash");
    backend.validate().await.unwrap();
    let generation = generate(&backend, "a").await;
    let error = generation.error.unwrap();
    assert_eq!(error.class, ErrorClass::Engine);
    assert!(
        error.message.contains("exit status: 3") && error.message.contains("out of luck"),
        "{}",
        error.message
    );
    assert_eq!((generation.chunks.len(), generation.text.as_deref()), (2, Some("one two ")));
    assert!(generation.sent.is_some() && generation.first_token.is_some());

    // It is not started again: the next one fails at once with the same cause.
    let next = generate(&backend, "b").await.error.unwrap();
    assert_eq!(next.class, ErrorClass::Engine);
    assert!(next.message.contains("exit status: 3"), "{}", next.message);
    backend.close().await;
}

#[tokio::test]
async fn garbage_on_the_line_ends_the_engine_and_is_quoted() {
    let backend = backend("garbage");
    let error = generate(&backend, "a").await.error.unwrap();
    assert_eq!(error.class, ErrorClass::Protocol);
    assert!(error.message.contains("`Loading weights: 100%`"), "{}", error.message);
    assert!(!process_is_there(&backend));
    backend.close().await;
}

#[tokio::test]
async fn silence_is_told_apart_before_and_after_the_first_token() {
    for (model, wanted, tokens) in
        [("silent", ErrorClass::FirstTokenTimeout, 0), ("stall", ErrorClass::StallTimeout, 1)]
    {
        let backend = with(model, options(0.3), Places::default());
        let generation = generate(&backend, "a").await;
        assert_eq!((class(&generation), generation.chunks.len()), (Some(wanted), tokens), "{model}");
        // What was given up was cancelled; the engine counts that.
        backend.close().await;
        assert_eq!(backend.info().details["cancelled"], json!(1), "{model}");
    }
}

#[tokio::test]
async fn an_engine_that_reads_no_more_does_not_hold_a_long_prompt_for_ever() {
    let backend = with("blocked", options(0.3), Places::default());
    let mut request = request("a", None);
    // More than any pipe holds.
    Arc::get_mut(&mut request.prompt).unwrap().content = PromptContent::Text("word ".repeat(1 << 20));
    let generation = backend.generate(&request, &Clock::start(), &Tally::default()).await;
    assert_eq!((class(&generation), generation.sent), (Some(ErrorClass::FirstTokenTimeout), None));
    backend.close().await;
    assert!(!process_is_there(&backend));
}

#[tokio::test]
async fn a_dropped_generation_is_cancelled_in_the_engine_and_the_next_one_works() {
    let backend = backend("stall");
    backend.validate().await.unwrap();
    {
        let (clock, tally, request) = (Clock::start(), Tally::default(), request("a", None));
        let mut running = backend.generate(&request, &clock, &tally);
        while tally.tokens() == 0 {
            assert!(tokio::time::timeout(Duration::from_millis(5), &mut running).await.is_err());
        }
    }
    backend.validate().await.unwrap();
    backend.close().await;
    assert_eq!(backend.info().details["cancelled"], json!(1));
}

#[tokio::test]
async fn a_stop_returns_what_was_heard_and_cancels_in_the_engine() {
    let backend = backend("stall");
    backend.validate().await.unwrap();
    let (clock, tally, running) = (Clock::start(), Tally::default(), request("a", None));
    let stopping = async {
        while tally.tokens() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.stop.cancel();
    };
    let (generation, ()) = tokio::join!(backend.generate(&running, &clock, &tally), stopping);
    assert_eq!(class(&generation), Some(ErrorClass::Cancelled));
    assert_eq!((generation.chunks.len(), generation.text.as_deref()), (1, Some("one ")));
    assert_eq!(generation.completion_tokens.map(|count| count.tokens), Some(1));
    assert!(generation.sent.is_some() && generation.first_token.is_some());
    assert!(Some(generation.end) >= generation.first_token);

    // Nothing is sent after a stop, so there is nothing to cancel.
    let late = Request { id: "b".to_owned(), ..running };
    let generation = backend.generate(&late, &clock, &tally).await;
    assert_eq!((class(&generation), generation.sent), (Some(ErrorClass::Cancelled), None));
    backend.validate().await.unwrap();
    backend.close().await;
    assert_eq!(backend.info().details["cancelled"], json!(1));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_engine_that_reads_no_more() {
    let backend = backend("blocked");
    let mut request = request("a", None);
    Arc::get_mut(&mut request.prompt).unwrap().content = PromptContent::Text("word ".repeat(1 << 20));
    let (clock, tally, stop) = (Clock::start(), Tally::default(), request.stop.clone());
    let stopping = async {
        while backend.info().server.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let (generation, ()) = tokio::join!(backend.generate(&request, &clock, &tally), stopping);
    assert_eq!((class(&generation), generation.sent), (Some(ErrorClass::Cancelled), None));
    backend.close().await;
}

#[tokio::test]
async fn a_refused_request_is_no_engine_failure() {
    let backend = backend("refuse");
    let error = generate(&backend, "a").await.error.unwrap();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::BadRequest, "the prompt is too long"));
    assert!(backend.validate().await.is_ok());
    backend.close().await;
}

#[tokio::test]
async fn an_engine_that_does_not_end_is_killed() {
    let backend = backend("deaf");
    backend.validate().await.unwrap();
    assert!(process_is_there(&backend));
    backend.close().await;
    assert!(!process_is_there(&backend));
}

#[tokio::test]
async fn dropping_the_backend_ends_the_engine() {
    let backend = backend("echo");
    backend.validate().await.unwrap();
    let id = backend.info().details["process_id"].as_u64().unwrap();
    drop(backend);
    let gone = async {
        while Path::new(&format!("/proc/{id}")).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), gone).await.is_ok(), "process {id} is still there");
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_named() {
    let fault = backend("missing").validate().await.unwrap_err();
    assert_eq!((fault.kind, fault.object.as_str()), (FaultKind::Backend, "model missing"));
    assert!(fault.cause.contains("there is no folder"), "{fault}");
}

#[tokio::test]
async fn what_is_no_engine_or_an_engine_of_another_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old_engine");
    std::os::unix::fs::symlink(engine::path(), &old).unwrap();
    for (program, said) in
        [(old.as_path(), "version 2"), (Path::new("/bin/true"), "ended by itself (exit status: 0)")]
    {
        let mut options = options(30.0);
        options.engine_options.program = Some(program.to_owned());
        let fault = with("echo", options, Places::default()).validate().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Backend);
        assert!(
            fault.object.contains(&program.display().to_string()) && fault.cause.contains(said),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn without_an_engine_validation_and_generation_say_so() {
    let options = Options { engine_options: EngineOptions::default(), ..options(30.0) };
    let backend = with("echo", options, Places::default());
    let fault = backend.validate().await.unwrap_err();
    assert!(
        fault.cause.contains("not installed") && fault.remedy.contains("cargo xtask libtorch"),
        "{fault}"
    );
    assert_eq!(class(&generate(&backend, "a").await), Some(ErrorClass::Engine));
    backend.close().await;
}

#[test]
fn a_backend_of_no_model_or_of_senseless_options_is_refused_before_anything_starts() {
    let refused = |model: &str, options: Options| PytorchBackend::new(model, options).err().unwrap().object;
    assert_eq!(refused(" ", options(1.0)), "backend.model");
    assert_eq!(refused("m", options(0.0)), "backend.engine_options.silence_timeout_seconds");
    let schema = Value::from(schemars::schema_for!(Options));
    assert!(schema["properties"].get("batch_size").is_none(), "the scenario's batch size has a second key");
}
