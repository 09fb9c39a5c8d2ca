//! Requests that are wrong: each gets its status and OpenAI's shape of error, and the server lives on.

use super::client::{Client, End, instant, start};
use ai_energy_simulator::Options;
use proptest::prelude::*;

#[test]
fn wrong_bodies_get_an_error_object_and_keep_the_connection() {
    let server = start(Options { max_model_len: 10, ..instant() });
    let mut client = Client::connect(server.local_addr());
    let long = format!(r#"{{"prompt":"{}"}}"#, "word ".repeat(10));
    for (path, body, status, cause) in [
        ("/v1/chat/completions", r#"{"model":"other","messages":[]}"#, 404, "`other` does not exist"),
        ("/v1/chat/completions", r#"{"model":"#, 400, "JSON decode error"),
        ("/v1/chat/completions", "", 400, "JSON decode error"),
        ("/v1/chat/completions", r#"{"max_tokens":4}"#, 400, "messages: field required"),
        ("/v1/completions", r#"{"messages":[]}"#, 400, "prompt: field required"),
        ("/v1/completions", &long, 400, "maximum context length is 10"),
        ("/v1/completions", r#"{"prompt":"a","simulate_fault":"explode"}"#, 400, "invalid_utf8:TOKENS"),
    ] {
        let reply = client.post(path, "", body);
        assert_eq!((reply.status, reply.end), (status, End::Whole), "{body}");
        let error = &reply.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(cause), "{error}");
        assert_eq!(error["code"], status);
        assert!(error["type"].is_string());
    }
    let stats = server.stats();
    assert_eq!((stats.requests, stats.refused, stats.generation_tokens, stats.connections), (7, 7, 0, 1));
    assert!(server.truth().iter().all(|truth| truth.end_ns.is_some() && truth.status.is_some()));
}

#[test]
fn any_model_is_served_where_the_option_says_so() {
    let server = start(Options { any_model: true, ..instant() });
    let body = r#"{"model":"other","prompt":"a","max_tokens":1}"#;
    assert_eq!(Client::connect(server.local_addr()).post("/v1/completions", "", body).status, 200);
}

#[test]
fn wrong_http_gets_4xx_and_the_connection_closes() {
    let server = start(instant());
    let many = format!("GET /health HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let huge = format!("GET /health HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(100_000));
    for (bytes, status) in [
        ("POST /v1/completions HTTP/1.1\r\n\r\n{}", 411),
        ("POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        ("POST /v1/completions HTTP/1.1\r\nContent-Length: two\r\n\r\n{}", 400),
        ("POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n{}", 413),
        ("\u{16}\u{3}\u{1} TLS hello, perhaps\r\n\r\n", 400),
        (many.as_str(), 431),
        (huge.as_str(), 431),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(bytes.as_bytes());
        let reply = client.reply().unwrap();
        assert_eq!(
            (reply.status, reply.end, reply.header("connection")),
            (status, End::Whole, Some("close"))
        );
        assert_eq!(reply.json()["error"]["code"], status);
        assert!(client.reply().is_err());
    }
    assert_eq!(Client::connect(server.local_addr()).get("/health").status, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_harm_the_server(
        start_of_head in "(POST /v1/completions HTTP/1.1\r\nContent-Length: 9\r\n|GET / )?", bytes: Vec<u8>,
    ) {
        static SERVER: std::sync::OnceLock<ai_energy_simulator::Handle> = std::sync::OnceLock::new();
        let address = SERVER.get_or_init(|| start(instant())).local_addr();
        let mut client = Client::connect(address);
        client.send(start_of_head.as_bytes());
        client.send(&bytes);
        client.finish_sending();
        if let Ok(reply) = client.reply() {
            prop_assert!((400..500).contains(&reply.status) || reply.status == 505, "{:?}", reply);
        }
        prop_assert_eq!(Client::connect(address).get("/health").status, 200);
    }
}
