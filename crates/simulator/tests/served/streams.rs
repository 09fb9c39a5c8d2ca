//! The shape of streams under each option.

use super::client::{Client, End, Reply, chat, instant, start};
use super::faults::eventually;
use ai_energy_simulator::{Options, ReasoningField, RoleChunk, Usage, tokens};
use serde_json::{Value, json};

fn stream(options: Options, extra: &str) -> Reply {
    let server = start(options);
    let body =
        format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"max_tokens":6,"stream":true{extra}}}"#);
    let reply = Client::connect(server.local_addr()).post("/v1/chat/completions", "", &body);
    assert_eq!((reply.status, reply.end), (200, End::Whole));
    assert!(reply.header("content-type").unwrap().starts_with("text/event-stream"));
    assert!(reply.done());
    reply
}

/// Where usage stands: its completion tokens for each event, null where it has none.
fn usages(reply: &Reply) -> Vec<Value> {
    reply.events().iter().map(|event| event["usage"]["completion_tokens"].clone()).collect()
}

const ASKED: &str = r#","stream_options":{"include_usage":true}"#;
const CONTINUOUS: &str = r#","stream_options":{"include_usage":true,"continuous_usage_stats":true}"#;

#[test]
fn a_stream_looks_like_vllms() {
    let reply = stream(instant(), ASKED);
    let events = reply.events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(events.len(), 1 + 6 + 1);
    for event in &events[1..6] {
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["choices"][0]["finish_reason"], Value::Null);
        assert_eq!(tokens::count(event["choices"][0]["delta"]["content"].as_str().unwrap()), 1);
    }
    assert_eq!(events[6]["choices"][0]["finish_reason"], "length", "the last token carries the reason");
    assert_eq!(events[7]["choices"], json!([]));
    assert_eq!(events[7]["usage"], json!({"prompt_tokens": 2, "total_tokens": 8, "completion_tokens": 6}));
    assert_eq!(tokens::count(&reply.streamed("content")), 6);
}

#[test]
fn the_end_of_sequence_has_a_chunk_and_a_count_but_no_text() {
    let reply = stream(Options { output_tokens: Some("4".parse().unwrap()), ..instant() }, ASKED);
    let events = reply.events();
    let last = &events[events.len() - 2]["choices"][0];
    assert_eq!((&last["finish_reason"], &last["delta"]), (&json!("stop"), &json!({"content": ""})));
    assert_eq!(tokens::count(&reply.streamed("content")), 3);
    assert_eq!(usages(&reply).pop().unwrap(), 4);
}

#[test]
fn usage_stands_where_the_option_and_the_request_put_it() {
    let none = Value::Null;
    let plain = |last: Vec<Value>| [vec![none.clone(); 6], last].concat();
    let each: Vec<Value> = (0..=6).map(Value::from).collect();
    let with = |usage, extra| usages(&stream(Options { usage, ..instant() }, extra));
    assert_eq!(with(Usage::OnRequest, ""), plain(vec![none.clone()]));
    assert_eq!(with(Usage::OnRequest, ASKED), plain(vec![none.clone(), json!(6)]));
    assert_eq!(with(Usage::OnRequest, CONTINUOUS), [each.clone(), vec![json!(6)]].concat());
    assert_eq!(with(Usage::Never, CONTINUOUS), plain(vec![none.clone()]));
    assert_eq!(with(Usage::Always, ""), plain(vec![none.clone(), json!(6)]));
    assert_eq!(with(Usage::Continuous, ""), [each, vec![json!(6)]].concat());
    assert_eq!(with(Usage::InFinishChunk, ASKED), plain(vec![json!(6)]));
}

#[test]
fn thinking_has_its_field_and_its_count() {
    for (reasoning_field, field) in
        [(ReasoningField::Reasoning, "reasoning"), (ReasoningField::ReasoningContent, "reasoning_content")]
    {
        let options = Options { reasoning_tokens: "2".parse().unwrap(), reasoning_field, ..instant() };
        let reply = stream(options.clone(), ASKED);
        assert_eq!(tokens::count(&reply.streamed(field)), 2);
        assert_eq!(tokens::count(&reply.streamed("content")), 4);
        let usage = reply.events().pop().unwrap()["usage"].clone();
        assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 2);
        let server = start(options);
        let body = r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":6}"#;
        let whole = Client::connect(server.local_addr()).post("/v1/chat/completions", "", body).json();
        assert_eq!(whole["choices"][0]["message"][field], reply.streamed(field));
        assert_eq!(whole["choices"][0]["message"]["content"], reply.streamed("content"));
    }
}

#[test]
fn the_role_comes_when_the_option_says() {
    let first = |role_chunk| {
        stream(Options { role_chunk, ..instant() }, "").events()[0]["choices"][0]["delta"].clone()
    };
    assert_eq!(first(RoleChunk::WithFirstToken)["role"], "assistant");
    assert_eq!(first(RoleChunk::BeforeFirstToken)["role"], "assistant");
    assert_eq!(first(RoleChunk::Never).get("role"), None);

    // Long before the first token: it is there while the first token is an hour away.
    let server = start(Options {
        role_chunk: RoleChunk::BeforeFirstToken,
        ttft: "3600s".parse().unwrap(),
        ..instant()
    });
    let mut client = Client::connect(server.local_addr());
    client.send(&chat(3, true, ""));
    eventually(|| server.truth().first().is_some_and(|truth| truth.headers_ns.is_some()));
    let reply = client.patience(std::time::Duration::from_millis(300)).reply().unwrap();
    assert_eq!((reply.end, reply.events().len()), (End::Silence, 1));
}

#[test]
fn several_tokens_share_a_chunk() {
    let reply = stream(Options { tokens_per_chunk: "4".parse().unwrap(), ..instant() }, CONTINUOUS);
    assert_eq!(usages(&reply), [json!(0), json!(4), json!(6), json!(6)]);
    assert_eq!(tokens::count(&reply.streamed("content")), 6);
}

#[test]
fn plain_completions_stream_text_and_no_role() {
    let server = start(instant());
    let body = r#"{"prompt":[1,2,3],"max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#;
    let reply = Client::connect(server.local_addr()).post("/v1/completions", "", body);
    let events = reply.events();
    assert_eq!(events.len(), 4);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(tokens::count(&text), 3);
    assert_eq!(events[3]["usage"]["prompt_tokens"], 3);
    assert!(events.iter().all(|event| event["object"] == "text_completion"));
}
