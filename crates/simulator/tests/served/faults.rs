//! Each fault as it looks on the wire, and in the truth.

use super::client::{Client, End, Reply, chat, fault_header, instant, start};
use ai_energy_simulator::{Handle, Options, Truth, tokens};
use std::time::Duration;

/// A streamed chat of eight tokens under a fault, and the truth about it.
fn streamed(fault: &str) -> (Reply, Truth) {
    let server = start(instant());
    let reply = Client::connect(server.local_addr()).chat(8, fault);
    let truth = server.truth().pop().unwrap();
    assert_eq!(truth.fault.as_deref(), Some(fault));
    assert_eq!(server.stats().faults, 1);
    (reply, truth)
}

fn whole(server: &Handle, fault: &str) -> Reply {
    let mut client = Client::connect(server.local_addr());
    client.send(&chat(8, false, &fault_header(fault)));
    client.reply().unwrap()
}

#[test]
fn refuse_resets_without_a_byte() {
    let server = start(instant());
    let mut client = Client::connect(server.local_addr());
    client.send(&chat(8, true, &fault_header("refuse")));
    assert_eq!(client.reply().unwrap_err(), End::Reset);
    let truth = server.truth().pop().unwrap();
    assert_eq!((truth.status, truth.headers_ns, truth.completion_tokens), (None, None, 0));
    assert!(truth.end_ns.is_some());
}

#[test]
fn statuses_come_with_their_errors() {
    for (fault, status) in [("429", 429), ("500", 500), ("503", 503)] {
        let (reply, truth) = streamed(fault);
        assert_eq!((reply.status, truth.status), (status, Some(status)));
        assert_eq!(reply.json()["error"]["code"], status);
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("1"));
    }
    let (reply, _) = streamed("html_error");
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("text/html")));
    assert!(reply.text().starts_with("<html>"));
}

#[test]
fn a_stall_goes_silent_with_the_connection_open() {
    let server = start(instant());
    let mut client = Client::connect(server.local_addr());
    client.send(&chat(8, true, &fault_header("stall:3")));
    // Once the third token is written it is there to be read; only then may patience be short.
    eventually(|| server.truth().first().is_some_and(|truth| truth.completion_tokens == 3));
    let mut client = client.patience(Duration::from_millis(300));
    let reply = client.reply().unwrap();
    assert_eq!(reply.end, End::Silence);
    assert_eq!(tokens::count(&reply.streamed("content")), 3);
    let truth = server.truth().pop().unwrap();
    assert_eq!((truth.end_ns, truth.completion_tokens), (None, 3), "it runs still");
    assert_eq!(server.stats().running, 1);
    drop(client);
    eventually(|| server.stats().running == 0);
    assert_eq!(server.truth().pop().unwrap().finish_reason.as_deref(), Some("abort"));
    assert_eq!(server.stats().finished_abort, 1);
}

#[test]
fn cuts_end_the_stream_between_or_inside_events() {
    let (reply, truth) = streamed("cut:3");
    assert_eq!(reply.end, End::Closed);
    assert_eq!(tokens::count(&reply.streamed("content")), 3);
    assert!(reply.text().ends_with("\n\n"), "nothing of the next event");
    assert_eq!((truth.completion_tokens, truth.finish_reason.as_deref()), (3, Some("error")));
    let (reply, truth) = streamed("cut:3:mid");
    assert_eq!(reply.end, End::Closed);
    let text = reply.text();
    assert!(!text.ends_with("\n\n") && text.matches("data: ").count() == 1 + 3 + 1, "{text}");
    assert_eq!(truth.completion_tokens, 3);
    let (reply, truth) = streamed("cut:0:mid");
    assert_eq!((reply.streamed("content").as_str(), truth.first_token_ns), ("", None));
    let (reply, _) = streamed("cut:99");
    assert_eq!((tokens::count(&reply.streamed("content")), reply.end), (8, End::Closed));
    assert!(!reply.done(), "past the last token the end is what is cut");
}

#[test]
fn broken_events_stand_between_good_ones() {
    let (reply, truth) = streamed("malformed:3");
    let data = reply.data();
    let broken: Vec<usize> = (0..data.len()).filter(|at| data[*at].ends_with(r#""content":"#)).collect();
    assert_eq!(broken, [1 + 3], "behind the role and three tokens");
    assert_eq!((tokens::count(&reply.streamed("content")), reply.done()), (8, true));
    assert_eq!(truth.finish_reason.as_deref(), Some("length"));
    let (reply, _) = streamed("invalid_utf8:0");
    assert!(std::str::from_utf8(&reply.body).is_err());
    assert!(reply.text().starts_with("data: {\"id\":\"induced\"") && reply.done());
}

#[test]
fn an_error_event_is_a_200_that_fails() {
    let (reply, truth) = streamed("error_event:2");
    assert_eq!((reply.status, reply.end, reply.done()), (200, End::Whole, true));
    let events = reply.events();
    assert_eq!(events.len(), 1 + 2 + 1);
    assert_eq!(events[3]["error"]["code"], 500);
    assert_eq!((truth.completion_tokens, truth.finish_reason.as_deref()), (2, Some("error")));
}

#[test]
fn parts_that_are_left_out_are_left_out_alone() {
    let (reply, truth) = streamed("empty");
    assert_eq!((reply.streamed("content").as_str(), reply.done(), truth.completion_tokens), ("", true, 0));
    assert_eq!(reply.events().pop().unwrap()["usage"]["completion_tokens"], 0);
    assert_eq!(reply.events()[1]["choices"][0]["finish_reason"], "stop");
    let late = start(Options { ttft: "50ms".parse().unwrap(), ..instant() });
    assert!(Client::connect(late.local_addr()).chat(8, "empty").done());
    let truth = late.truth().pop().unwrap();
    assert!(
        truth.end_ns.unwrap() - truth.started_ns.unwrap() >= 50_000_000,
        "it ends when a token would have come"
    );
    let (reply, _) = streamed("no_usage");
    assert!(reply.done() && reply.events().iter().all(|event| event.get("usage").is_none()));
    let (reply, truth) = streamed("no_done");
    assert_eq!(
        (reply.end, reply.done(), truth.finish_reason.as_deref()),
        (End::Whole, false, Some("length"))
    );
    assert_eq!(reply.events().pop().unwrap()["usage"]["completion_tokens"], 8);
}

#[test]
fn slow_headers_come_late_and_whole() {
    let (reply, truth) = streamed("slow_headers:80ms");
    assert!(reply.done());
    assert!(truth.headers_ns.unwrap() - truth.arrival_ns >= 80_000_000);
    let (_, truth) = streamed("slow_headers:20ms");
    assert!(truth.first_token_ns.unwrap() >= truth.headers_ns.unwrap());
}

#[test]
fn whole_responses_break_too() {
    let server = start(instant());
    let cut = whole(&server, "cut:1");
    assert_eq!((cut.status, cut.end), (200, End::Closed));
    let malformed = whole(&server, "malformed:1");
    assert_eq!(malformed.end, End::Whole);
    assert!(serde_json::from_slice::<serde_json::Value>(&malformed.body).is_err());
    assert!(std::str::from_utf8(&whole(&server, "invalid_utf8:1").body).is_err());
    assert_eq!(whole(&server, "error_event:1").status, 500);
    assert!(whole(&server, "no_usage").json().get("usage").is_none());
    let empty = whole(&server, "empty").json();
    assert_eq!(empty["choices"][0]["message"]["content"], "");
    assert_eq!(empty["usage"]["completion_tokens"], 0);
    let mut client = Client::connect(server.local_addr()).patience(Duration::from_millis(200));
    client.send(&chat(8, false, &fault_header("stall:0")));
    assert_eq!(client.reply().unwrap_err(), End::Silence);
}

#[test]
fn header_goes_before_body_and_body_before_options() {
    let options = Options { faults: vec!["429@every:2".parse().unwrap()], ..instant() };
    let server = start(options);
    let mut client = Client::connect(server.local_addr());
    let body = r#"{"prompt":"a","max_tokens":1,"simulate_fault":"500"}"#;
    let plain = r#"{"prompt":"a","max_tokens":1}"#;
    assert_eq!(client.post("/v1/completions", "", plain).status, 200);
    assert_eq!(client.post("/v1/completions", "", plain).status, 429);
    assert_eq!(client.post("/v1/completions", "", body).status, 500);
    assert_eq!(client.post("/v1/completions", "X-Simulate-Fault: 503\r\n", body).status, 503);
    assert_eq!(client.post("/v1/completions", "X-Simulate-Fault: what\r\n", plain).status, 400);
    assert_eq!(client.post("/v1/completions", "", plain).status, 429, "the sixth");
}

/// Waits for what must come, without deciding how soon.
pub(crate) fn eventually(mut what: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}
