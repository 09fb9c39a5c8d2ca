//! Every path, and what HTTP asks of the server.

use super::client::{Client, chat, instant, metric, post, start};
use ai_energy_simulator::{Options, tokens};
use serde_json::json;

#[test]
fn the_plain_routes_answer_on_one_connection() {
    let server = start(Options { model: "some/model".to_owned(), max_model_len: 777, ..instant() });
    let mut client = Client::connect(server.local_addr());
    let health = client.get("/health");
    assert_eq!((health.status, health.body.len()), (200, 0));
    assert_eq!(health.header("server"), Some("ai-energy-simulator"));
    let models = client.get("/v1/models").json();
    assert_eq!(models["data"][0]["id"], "some/model");
    assert_eq!(models["data"][0]["max_model_len"], 777);
    assert!(client.get("/version").json()["version"].as_str().is_some_and(|version| version.contains('.')));
    assert_eq!(client.get("/v1/nope").status, 404);
    let wrong = client.get("/v1/chat/completions");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(client.post("/health", "", "x").status, 405);
    assert_eq!(server.stats().connections, 1);
}

#[test]
fn tokenize_counts_as_usage_does() {
    let server = start(instant());
    let mut client = Client::connect(server.local_addr());
    let reply =
        client.post("/tokenize", "", r#"{"prompt":"Hello internationalization","return_token_strs":true}"#);
    let reply = reply.json();
    assert_eq!(reply["count"], 4);
    assert_eq!(reply["token_strs"], json!(["Hello", "internat", "ionaliza", "tion"]));
    assert_eq!(reply["tokens"][0], tokens::id("Hello"));
    let messages =
        r#"[{"role":"system","content":"be brief"},{"role":"assistant","content":"extraordinarily so"}]"#;
    let count =
        client.post("/tokenize", "", &format!(r#"{{"messages":{messages}}}"#)).json()["count"].clone();
    let body = format!(r#"{{"messages":{messages},"max_tokens":2}}"#);
    let usage = client.post("/v1/chat/completions", "", &body).json()["usage"].clone();
    assert_eq!(usage["prompt_tokens"], count);
    assert_eq!(count, 1 + 2 + 2 + 3);
    assert_eq!(client.post("/tokenize", "", r#"{"model":"x","prompt":"a"}"#).status, 404);
    assert_eq!(client.post("/tokenize", "", "{}").status, 400);
}

#[test]
fn whole_responses_say_what_tokenize_says() {
    let server = start(Options { output_tokens: Some("9".parse().unwrap()), ..instant() });
    let mut client = Client::connect(server.local_addr());
    let body = r#"{"model":"simulated","messages":[{"role":"user","content":"hi"}],"max_tokens":50}"#;
    let reply = client.post("/v1/chat/completions", "X-Request-Id: bench-0001\r\n", body).json();
    assert_eq!((&reply["id"], &reply["object"]), (&json!("chatcmpl-bench-0001"), &json!("chat.completion")));
    let choice = &reply["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["role"]), (&json!("stop"), &json!("assistant")));
    let text = choice["message"]["content"].as_str().unwrap();
    assert_eq!(tokens::count(text), 8);
    assert_eq!(reply["usage"], json!({"prompt_tokens": 2, "total_tokens": 11, "completion_tokens": 9}));
    let body = json!({"prompt": text}).to_string();
    assert_eq!(client.post("/tokenize", "", &body).json()["count"], 8, "the end of sequence has no text");

    let reply = client.post("/v1/completions", "", r#"{"prompt":"a b c","max_tokens":4}"#).json();
    assert_eq!(reply["object"], "text_completion");
    assert!(reply["id"].as_str().unwrap().starts_with("cmpl-"));
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(tokens::count(reply["choices"][0]["text"].as_str().unwrap()), 4);
    assert_eq!(reply["usage"]["prompt_tokens"], 3);
}

#[test]
fn metrics_count_what_clients_were_told() {
    let server = start(Options { ttft: "30ms".parse().unwrap(), ..instant() });
    let mut client = Client::connect(server.local_addr());
    let before = client.get("/metrics");
    assert!(before.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metric(&before.text(), "process_start_time_seconds ") > 1e9);
    for tokens in [3, 5] {
        assert!(client.chat(tokens, "").done());
    }
    client.post("/v1/completions", "", r#"{"prompt":"a b c d","max_tokens":7}"#);
    let text = client.get("/metrics").text();
    assert!(text.contains(r#"vllm:num_requests_running{engine="0",model_name="simulated"} 0.0"#), "{text}");
    assert_eq!(metric(&text, "vllm:num_requests_waiting{"), 0.0);
    assert_eq!(metric(&text, "vllm:generation_tokens_total{"), 15.0);
    assert_eq!(metric(&text, "vllm:prompt_tokens_total{"), 3.0 + 3.0 + 4.0);
    assert_eq!(metric(&text, r#"vllm:request_success_total{engine="0",finished_reason="length""#), 3.0);
    assert_eq!(metric(&text, "vllm:time_to_first_token_seconds_count"), 3.0);
    assert!(metric(&text, "vllm:time_to_first_token_seconds_sum") >= 3.0 * 0.030);
    assert_eq!(metric(&text, r#"vllm:time_to_first_token_seconds_bucket{engine="0",le="0.02""#), 0.0);
}

#[test]
fn requests_in_a_row_and_in_pieces_are_each_answered_once() {
    let server = start(instant());
    let mut client = Client::connect(server.local_addr());
    let mut burst = Vec::new();
    for tokens in 1..=20 {
        burst.extend(chat(tokens, tokens % 2 == 0, ""));
    }
    client.send(&burst);
    for tokens in 1..=20 {
        let reply = client.reply().unwrap();
        let usage = if tokens % 2 == 0 {
            reply.events().pop().unwrap()["usage"].clone()
        } else {
            reply.json()["usage"].clone()
        };
        assert_eq!(usage["completion_tokens"], tokens);
    }
    let request = chat(2, false, "");
    for border in 0..request.len() {
        client.send(&request[..border]);
        // Long enough for the server to see the first part alone most times; either way the answer must be right.
        std::thread::sleep(std::time::Duration::from_micros(200));
        client.send(&request[border..]);
        assert_eq!(client.reply().unwrap().json()["usage"]["completion_tokens"], 2, "split at {border}");
    }
    assert_eq!(server.stats().connections, 1);
}

#[test]
fn old_and_careful_clients_are_served() {
    let server = start(instant());
    let mut client = Client::connect(server.local_addr());
    let request = String::from_utf8(chat(3, true, "")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    client.send(request.as_bytes());
    let reply = client.reply().unwrap();
    assert_eq!((reply.header("transfer-encoding"), reply.header("connection")), (None, Some("close")));
    assert!(reply.done());

    let mut client = Client::connect(server.local_addr());
    let request = post("/tokenize", "Expect: 100-continue\r\nConnection: close\r\n", r#"{"prompt":"a"}"#);
    let (head, body) = request.split_at(request.len() - 14);
    client.send(head);
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut client.stream, &mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body);
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(client.reply().is_err(), "the connection closes as asked");
}
