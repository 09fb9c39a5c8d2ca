//! The truth against what clients saw.

use super::client::{Client, Reply, chat, instant, metric, start};
use ai_energy_simulator::{Options, Truth, TruthReport};
use std::time::Instant;

/// What must hold of any request that was answered whole.
fn consistent(truth: &Truth) {
    let (start, head) = (truth.started_ns.unwrap(), truth.headers_ns.unwrap());
    let (first, end) = (truth.first_token_ns.unwrap(), truth.end_ns.unwrap());
    assert!(truth.arrival_ns <= head && truth.arrival_ns <= start && start <= first && head <= first);
    assert_eq!(truth.writes[0].at_ns, first);
    assert!(truth.writes.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
    assert!(truth.writes.last().unwrap().at_ns <= end);
    let tokens: u32 = truth.writes.iter().map(|write| write.tokens).sum();
    assert_eq!(tokens, truth.completion_tokens);
}

fn usage(reply: &Reply) -> u64 {
    reply.events().pop().unwrap()["usage"]["completion_tokens"].as_u64().unwrap()
}

fn random() -> Options {
    Options {
        ttft: "uniform:1ms..20ms".parse().unwrap(),
        inter_token: "exponential:1ms".parse().unwrap(),
        jitter: "uniform:0ms..1ms".parse().unwrap(),
        tokens_per_chunk: "uniform:1..3".parse().unwrap(),
        output_tokens: Some("uniform:1..30".parse().unwrap()),
        ..Options::default()
    }
}

#[test]
fn stamps_counts_usage_and_metrics_agree() {
    let server = start(random());
    let mut client = Client::connect(server.local_addr());
    let mut told = 0;
    for _ in 0..20 {
        let reply = client.chat(20, "");
        assert!(reply.done());
        told += usage(&reply);
    }
    let truths = server.truth();
    assert_eq!(truths.len(), 20);
    truths.iter().for_each(consistent);
    let counted: u64 = truths.iter().map(|truth| u64::from(truth.completion_tokens)).sum();
    let prompts: u64 = truths.iter().map(|truth| u64::from(truth.prompt_tokens.unwrap())).sum();
    assert_eq!(counted, told);
    let text = client.get("/metrics").text();
    assert_eq!(metric(&text, "vllm:generation_tokens_total{"), counted as f64);
    assert_eq!(metric(&text, "vllm:prompt_tokens_total{"), prompts as f64);
    let ended =
        |reason: &str| truths.iter().filter(|truth| truth.finish_reason.as_deref() == Some(reason)).count();
    for reason in ["stop", "length"] {
        let name = format!("vllm:request_success_total{{engine=\"0\",finished_reason=\"{reason}\"");
        assert_eq!(metric(&text, &name), ended(reason) as f64);
        assert!(ended(reason) > 0, "the draw gives both");
    }
    assert_eq!(metric(&text, "vllm:time_to_first_token_seconds_count"), 20.0);
}

#[test]
fn no_client_sees_a_byte_before_its_stamp_nor_a_stamp_before_its_request() {
    let server = start(Options { spin_us: 100, ..random() });
    let clock = server.clock();
    let mut client = Client::connect(server.local_addr());
    for _ in 0..10 {
        let sent = clock.at(Instant::now());
        let reply = client.chat(20, "");
        let seen = clock.at(Instant::now());
        assert!(reply.done());
        let truth = server.truth().pop().unwrap();
        consistent(&truth);
        assert!(sent <= truth.arrival_ns && truth.end_ns.unwrap() <= seen);
    }
}

#[test]
fn delays_are_never_undercut() {
    let options = Options {
        ttft: "30ms".parse().unwrap(),
        prefill_per_token: "5ms".parse().unwrap(),
        inter_token: "7ms".parse().unwrap(),
        ..Options::default()
    };
    let server = start(options);
    assert!(Client::connect(server.local_addr()).chat(5, "").done());
    let truth = server.truth().pop().unwrap();
    let since = |at: u64| at - truth.started_ns.unwrap();
    // "two words" from a user are three tokens of prompt.
    for (write, due) in truth.writes.iter().zip((0..).map(|token| 30 + 3 * 5 + token * 7)) {
        assert!(since(write.at_ns) >= due * 1_000_000, "{write:?} before {due} ms");
    }
}

#[test]
fn the_truth_route_says_what_the_handle_says() {
    let server = start(Options { truth_capacity: 3, ..instant() });
    let mut client = Client::connect(server.local_addr());
    for request in 0..5 {
        client.send(&chat(4, request % 2 == 0, &format!("X-Request-Id: r{request}\r\n")));
        client.reply().unwrap();
    }
    let report: TruthReport = serde_json::from_slice(&client.get("/truth").body).unwrap();
    assert_eq!(report.requests, server.truth());
    assert_eq!((report.dropped, server.stats().truth_dropped), (2, 2));
    let ids: Vec<&str> = report.requests.iter().map(|truth| truth.id.as_str()).collect();
    assert_eq!(ids, ["chatcmpl-r2", "chatcmpl-r3", "chatcmpl-r4"]);
    assert!(
        report.clock.contains("ns") && report.requests.iter().all(|truth| truth.end_ns < Some(report.now_ns))
    );
    let whole = &report.requests[1];
    assert_eq!((whole.stream, whole.writes.len(), whole.completion_tokens), (false, 1, 4));
    let lines = client.get("/truth?format=jsonl&reset=1").text();
    let read: Vec<Truth> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, report.requests);
    let after: TruthReport = serde_json::from_slice(&client.get("/truth").body).unwrap();
    assert_eq!((after.requests.len(), after.dropped), (0, 0));
}

#[test]
fn a_seed_gives_the_same_answers_again() {
    let texts = |seed| {
        let server =
            start(Options { seed, output_tokens: Some("uniform:1..30".parse().unwrap()), ..instant() });
        let mut client = Client::connect(server.local_addr());
        (0..5).map(|_| client.chat(20, "").streamed("content")).collect::<Vec<_>>()
    };
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
}

#[test]
fn overdue_tokens_go_out_together_and_each_is_in_the_truth() {
    let none = || "0ms".parse().unwrap();
    let options = Options { ttft: none(), inter_token: none(), jitter: none(), ..Options::default() };
    let server = start(options);
    let mut client = Client::connect(server.local_addr());
    assert_eq!(usage(&client.chat(20, "")), 20);
    let truths = server.truth();
    consistent(&truths[0]);
    let at = truths[0].writes[0].at_ns;
    assert!(truths[0].writes.len() > 1 && truths[0].writes.iter().all(|write| write.at_ns == at));
}
