//! A stopped run: each request returns at once, with what it saw.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{ServerOptions, VllmBackend};
use ai_energy_core::backend::{Backend, Request, Tally};
use ai_energy_core::record::{ErrorClass, Generation, TokenCountSource};
use ai_energy_core::{Clock, Stop};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{FINISH, Next, STREAM_HEAD, Server, chunk, keeping_text, request, stream_of, token};

/// Runs a generation and stops it once `seen` says so.
async fn stopped_once(backend: &VllmBackend, seen: impl Fn(&Tally) -> bool) -> Generation {
    let (clock, tally, request) = (Clock::start(), Tally::default(), request("r"));
    let stopping = async {
        while !seen(&tally) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        request.stop.cancel();
    };
    let (generation, ()) = tokio::join!(backend.generate(&request, &clock, &tally), stopping);
    assert!(generation.end <= clock.now());
    generation
}

fn is_cancelled(generation: &Generation) {
    let error = generation.error.as_ref().expect("an error");
    assert_eq!(error.class, ErrorClass::Cancelled, "{error:?}");
    assert_eq!(error.message, "ended before it was complete because the run was stopped");
}

/// Holds the connection until the client leaves it, and says so.
fn held(stream: &mut TcpStream, gone: &mpsc::Sender<bool>) -> Next {
    let read = stream.read(&mut [0]);
    let _ = gone.send(matches!(read, Ok(0) | Err(_)));
    Next::Close
}

#[tokio::test]
async fn a_stream_keeps_what_came_and_its_connection_is_left() {
    let (gone, left) = mpsc::channel();
    let server = Server::start(move |seen, stream| {
        if seen.connection > 0 {
            stream.write_all(stream_of(&["new"]).as_bytes()).unwrap();
            return Next::KeepAlive;
        }
        let begun = STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk(&token("b"));
        stream.write_all(begun.as_bytes()).unwrap();
        held(stream, &gone)
    });
    let backend = server.backend(keeping_text());
    let generation = stopped_once(&backend, |tally| tally.tokens() == 2).await;
    is_cancelled(&generation);
    assert_eq!((generation.chunks.len(), generation.text.as_deref()), (2, Some("ab")));
    let count = generation.completion_tokens.unwrap();
    assert_eq!((count.tokens, count.source), (2, TokenCountSource::Chunks));
    let stamps = [generation.sent, generation.first_byte, generation.first_token, Some(generation.end)];
    assert!(stamps.iter().all(Option::is_some) && stamps.is_sorted(), "{generation:?}");
    assert!(left.recv_timeout(Duration::from_secs(30)).unwrap(), "the server is left alone");
    let next = support::generate(&backend).await;
    assert_eq!((next.error, next.text.as_deref()), (None, Some("new")));
    assert_eq!(server.seen()[1].connection, 1);
}

#[tokio::test]
async fn a_request_without_an_answer_yet_knows_when_it_was_sent() {
    for stream in [true, false] {
        let (gone, left) = mpsc::channel();
        let server = Server::start(move |_, stream| held(stream, &gone));
        let backend = server.backend(ServerOptions { stream, ..keeping_text() });
        let generation = stopped_once(&backend, |_| !server.seen().is_empty()).await;
        is_cancelled(&generation);
        assert!(generation.sent.is_some(), "{generation:?}");
        assert_eq!((generation.first_byte, generation.completion_tokens), (None, None));
        assert!(left.recv_timeout(Duration::from_secs(30)).unwrap());
    }
}

#[tokio::test]
async fn part_of_a_whole_answer_has_its_first_byte_and_its_bytes() {
    let part = "{\"choices\":[{\"message\":{\"content\":\"ab";
    let (gone, _left) = mpsc::channel();
    let (wrote, written) = mpsc::channel();
    let server = Server::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n";
        stream.write_all(format!("{head}{part}").as_bytes()).unwrap();
        wrote.send(Instant::now()).unwrap();
        held(stream, &gone)
    });
    let backend = server.backend(ServerOptions { stream: false, ..keeping_text() });
    // When the client has read what was written cannot be seen from outside: it gets more time until it has.
    for pause in [1, 10, 100, 1000, 10_000].map(Duration::from_millis) {
        let since = Cell::new(None);
        let generation = stopped_once(&backend, |_| {
            since.set(since.get().or(written.try_recv().ok()));
            since.get().is_some_and(|since| since.elapsed() >= pause)
        })
        .await;
        is_cancelled(&generation);
        if generation.bytes_received > 0 {
            assert_eq!(generation.bytes_received, part.len() as u64);
            assert!(generation.first_byte > generation.sent, "{generation:?}");
            return;
        }
    }
    panic!("no byte of the answer is counted");
}

#[tokio::test]
async fn nothing_is_sent_after_a_stop_not_even_on_a_kept_connection() {
    let server = Server::start(|_, stream| {
        stream.write_all(stream_of(&["a"]).as_bytes()).unwrap();
        Next::KeepAlive
    });
    let backend = server.backend(keeping_text());
    support::generate(&backend).await;
    let stop = Stop::new();
    stop.cancel();
    let late = Request { stop, ..request("late") };
    let generation = backend.generate(&late, &Clock::start(), &Tally::default()).await;
    is_cancelled(&generation);
    assert_eq!((generation.sent, server.seen().len()), (None, 1));
}

#[tokio::test]
async fn an_answer_that_is_complete_but_for_its_connection_is_no_cancelled_one() {
    let (gone, _left) = mpsc::channel();
    let server = Server::start(move |_, stream| {
        let whole = STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk(FINISH);
        stream.write_all(whole.as_bytes()).unwrap();
        held(stream, &gone)
    });
    let generation = stopped_once(&server.backend(keeping_text()), |tally| tally.tokens() == 1).await;
    assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("a")), "{generation:?}");
}
