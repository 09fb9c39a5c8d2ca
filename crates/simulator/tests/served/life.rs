//! Many clients, clients that leave, slots, and the server's end.

use super::client::{Client, End, chat, instant, start};
use super::faults::eventually;
use ai_energy_simulator::{Ended, Options, Simulator};
use std::collections::HashSet;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

#[test]
fn two_hundred_and_fifty_six_streams_run_at_once() {
    let options = Options {
        ttft: "500ms".parse().unwrap(),
        inter_token: "exponential:2ms".parse().unwrap(),
        ..Options::default()
    };
    let server = start(options);
    let mut clients: Vec<Client> = (0..256).map(|_| Client::connect(server.local_addr())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&chat(16, true, &format!("X-Request-Id: c{number}\r\n")));
    }
    for client in &mut clients {
        let reply = client.reply().unwrap();
        assert!(reply.done());
        assert_eq!(reply.events().pop().unwrap()["usage"]["completion_tokens"], 16);
    }
    let truths = server.truth();
    let ids: HashSet<&str> = truths.iter().map(|truth| truth.request_id.as_str()).collect();
    assert_eq!(ids.len(), 256);
    let stats = server.stats();
    assert_eq!((stats.connections, stats.running, stats.waiting), (256, 0, 0));
    assert_eq!((stats.finished_length, stats.generation_tokens), (256, 256 * 16));
}

#[test]
fn slots_are_never_overbooked_and_go_in_turn() {
    let options = Options {
        ttft: "5ms".parse().unwrap(),
        inter_token: "1ms".parse().unwrap(),
        max_concurrent: Some(2),
        ..Options::default()
    };
    let server = start(options);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(server.local_addr())).collect();
    for client in &mut clients {
        client.send(&chat(8, true, ""));
    }
    for client in &mut clients {
        assert!(client.reply().unwrap().done());
    }
    let mut truths = server.truth();
    // A request queues in the same step in which its head is written.
    truths.sort_by_key(|truth| truth.headers_ns);
    for truth in &truths {
        let start = truth.started_ns.unwrap();
        // A slot is given back just before a response's last bytes: overlaps count up to the last token.
        let ran = |other: &&ai_energy_simulator::Truth| {
            other.started_ns.unwrap() <= start && start < other.writes.last().unwrap().at_ns
        };
        assert!(truths.iter().filter(ran).count() <= 2);
        assert!(truth.headers_ns < truth.first_token_ns, "heads do not wait for a slot's tokens");
    }
    assert!(truths.windows(2).all(|pair| pair[0].started_ns <= pair[1].started_ns), "in turn");
}

#[test]
fn who_leaves_is_counted_and_gives_the_slot_back() {
    let server =
        start(Options { ttft: "3600s".parse().unwrap(), max_concurrent: Some(1), ..Options::default() });
    let mut first = Client::connect(server.local_addr());
    first.send(&chat(8, true, ""));
    eventually(|| server.stats().running == 1);
    let mut second = Client::connect(server.local_addr());
    second.send(&chat(8, true, ""));
    eventually(|| server.stats().waiting == 1);
    let mut third = Client::connect(server.local_addr());
    third.send(&chat(8, true, ""));
    eventually(|| server.stats().waiting == 2);
    drop(second);
    eventually(|| server.stats().waiting == 1);
    drop(first);
    eventually(|| server.stats().waiting == 0);
    let stats = server.stats();
    assert_eq!((stats.running, stats.finished_abort), (1, 2));
    let truths = server.truth();
    assert_eq!(
        (truths[0].finish_reason.as_deref(), truths[2].finish_reason.as_deref()),
        (Some("abort"), None)
    );
    assert_eq!(truths[1].started_ns, None, "it left the queue unserved");
    assert_eq!(stats.prompt_tokens, 0, "no prompt was processed");
}

#[test]
fn a_client_that_does_not_read_still_gets_everything() {
    let server = start(Options { max_model_len: 200_000, ..instant() });
    let mut client = Client::connect(server.local_addr());
    client.send(&chat(30_000, true, ""));
    eventually(|| server.truth().first().is_some_and(|truth| truth.completion_tokens > 1_000));
    let reply = client.reply().unwrap();
    assert!(reply.done());
    assert_eq!(reply.events().pop().unwrap()["usage"]["completion_tokens"], 30_000);
}

#[test]
fn a_server_that_dies_serves_what_it_promised_and_nothing_more() {
    let server = start(Options { die_after: Some(3), ..instant() });
    let address = server.local_addr();
    let mut bystander = Client::connect(address);
    bystander.send(&chat(8, true, "X-Simulate-Fault: slow_headers:3600s\r\n"));
    eventually(|| server.stats().requests == 1);
    let mut client = Client::connect(address);
    for _ in 0..3 {
        assert!(client.chat(4, "").done());
    }
    assert!(matches!(bystander.reply().unwrap_err(), End::Closed | End::Reset), "cut off in mid-request");
    eventually(|| TcpStream::connect(address).is_err());
    let view = server.view();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(server.ended()).unwrap(), Ended::Died);
    let done = view.truth().iter().filter(|truth| truth.finish_reason.as_deref() == Some("length")).count();
    assert_eq!(done, 3);
    assert!(view.truth().iter().all(|truth| truth.end_ns.is_some()), "what was cut off has ended as well");
}

#[tokio::test]
async fn it_runs_on_the_callers_runtime_and_ends_when_told() {
    let server = Simulator::spawn(instant()).unwrap();
    assert!(server.endpoint().starts_with("http://127.0.0.1:") && server.endpoint().ends_with("/v1"));
    let address = server.local_addr();
    let view = server.view();
    let reply = tokio::task::spawn_blocking(move || Client::connect(address).chat(4, "")).await.unwrap();
    assert!(reply.done());
    let mut waiting = Client::connect(address);
    waiting.send(&chat(4, true, "X-Simulate-Fault: slow_headers:3600s\r\n"));
    while view.stats().requests < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.shutdown().await.unwrap(), Ended::Shutdown);
    let truths = view.truth();
    assert_eq!(truths.len(), 2, "the truth outlives the server");
    assert_eq!(truths[1].finish_reason.as_deref(), Some("abort"), "what ran was ended with it");
    let cut_off = tokio::task::spawn_blocking(move || waiting.reply().unwrap_err()).await.unwrap();
    assert!(matches!(cut_off, End::Closed | End::Reset), "and its connection dropped");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn dropping_the_handle_ends_the_server() {
    let server = start(instant());
    let address = server.local_addr();
    drop(server);
    eventually(|| TcpStream::connect(address).is_err());
}

#[test]
fn a_taken_address_is_a_fault_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let Err(fault) = Simulator::bind(Options { port, ..instant() }) else { panic!("the port is taken") };
    assert!(
        fault.object.contains(&format!("127.0.0.1:{port}")) && fault.remedy.contains("port 0"),
        "{fault}"
    );
    assert!(Simulator::bind(Options { host: "no such host".to_owned(), ..instant() }).is_err());
    assert!(Simulator::bind(Options { die_after: Some(0), ..instant() }).is_err());
    let patience = Duration::from_secs(60);
    assert!(
        TcpStream::connect_timeout(&taken.local_addr().unwrap(), patience).is_ok(),
        "the owner still listens"
    );
}
