//! Everything that goes wrong on the way: each has its class, a message that says what to turn, and what was seen
//! before it is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{Options, ServerOptions, VllmBackend};
use ai_energy_core::Clock;
use ai_energy_core::backend::{Backend, Tally};
use ai_energy_core::record::{ErrorClass, Generation};
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use support::{
    FINISH, Next, STREAM_HEAD, Server, answer, chunk, generate, keeping_text, request, stream_of, token,
};

/// The error's class and message.
fn error(generation: &Generation) -> (ErrorClass, &str) {
    let error = generation.error.as_ref().expect("an error");
    (error.class, &error.message)
}

async fn from(bytes: impl Into<Vec<u8>>) -> Generation {
    let server = Server::bytes(bytes);
    generate(&server.backend(keeping_text())).await
}

/// Sends a beginning, then nothing until the client gives up.
fn silent_after(beginning: String) -> Server {
    Server::start(move |_, stream| {
        let _ = stream.write_all(beginning.as_bytes());
        let _ = std::io::Read::read(stream, &mut [0]);
        Next::Close
    })
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options =
        Options { endpoint: format!("http://{free}"), model: "m".to_owned(), server: keeping_text() };
    let generation = generate(&VllmBackend::new(options).unwrap()).await;
    let (class, message) = error(&generation);
    assert_eq!(class, ErrorClass::Connect);
    assert!(message.contains(&format!("connection refused by {free}")), "{message}");
    assert_eq!((generation.sent, generation.first_byte), (None, None));
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let options = Options { endpoint: "http://no-such-host.invalid:1".to_owned(), ..Options::default() };
    let generation = generate(&VllmBackend::new(options).unwrap()).await;
    let (class, message) = error(&generation);
    assert_eq!(class, ErrorClass::Connect);
    assert!(message.contains("no-such-host.invalid"), "{message}");
}

#[tokio::test]
async fn a_tls_handshake_that_is_never_answered_is_a_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ServerOptions { connect_timeout_seconds: 0.1, tls_insecure: true, ..keeping_text() };
    let endpoint = format!("https://{}", silent.local_addr().unwrap());
    let generation =
        generate(&VllmBackend::new(Options { endpoint, server, ..Options::default() }).unwrap()).await;
    let (class, message) = error(&generation);
    assert_eq!(class, ErrorClass::ConnectTimeout);
    assert!(message.contains("0.1 s") && message.contains("connect_timeout_seconds"), "{message}");
}

#[tokio::test]
async fn each_silence_has_its_limit() {
    for (beginning, class, option, chunks) in [
        (String::new(), ErrorClass::FirstTokenTimeout, "first_token_timeout_seconds", 0),
        (
            "HTTP/1.1 200 OK\r\nContent-".to_owned(),
            ErrorClass::FirstTokenTimeout,
            "first_token_timeout_seconds",
            0,
        ),
        (
            STREAM_HEAD.to_owned() + &chunk(&token("")),
            ErrorClass::FirstTokenTimeout,
            "first_token_timeout_seconds",
            0,
        ),
        (STREAM_HEAD.to_owned() + &chunk(&token("a")), ErrorClass::StallTimeout, "stall_timeout_seconds", 1),
    ] {
        let server = silent_after(beginning.clone());
        let options =
            ServerOptions { first_token_timeout_seconds: 0.3, stall_timeout_seconds: 0.2, ..keeping_text() };
        let generation = generate(&server.backend(options)).await;
        let (found, message) = error(&generation);
        assert_eq!(found, class, "{beginning:?}: {message}");
        assert!(message.contains(option), "{message}");
        assert_eq!(generation.chunks.len(), chunks);
        assert!(generation.sent.is_some());
    }
}

#[tokio::test]
async fn comments_do_not_end_a_silence_and_the_whole_has_its_own_limit() {
    for (limits, class) in [
        (ServerOptions { stall_timeout_seconds: 0.2, ..keeping_text() }, ErrorClass::StallTimeout),
        (ServerOptions { total_timeout_seconds: 0.3, ..keeping_text() }, ErrorClass::TotalTimeout),
    ] {
        let server = Server::start(|_, stream| {
            let _ = stream.write_all((STREAM_HEAD.to_owned() + &chunk(&token("a"))).as_bytes());
            while stream.write_all(chunk(": keep-alive\n\n").as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            Next::Close
        });
        let generation = generate(&server.backend(limits)).await;
        assert_eq!(error(&generation).0, class);
    }
    let server = silent_after(String::new());
    let options = ServerOptions { stream: false, total_timeout_seconds: 0.2, ..keeping_text() };
    let generation = generate(&server.backend(options)).await;
    let (class, message) = error(&generation);
    assert_eq!(class, ErrorClass::TotalTimeout);
    assert!(message.contains("0.2 s") && message.contains("total_timeout_seconds"), "{message}");
}

#[tokio::test]
async fn tokens_that_keep_coming_never_count_as_a_stall() {
    let server = Server::start(|_, stream| {
        let _ = stream.write_all(STREAM_HEAD.as_bytes());
        for _ in 0..12 {
            let _ = stream.write_all(chunk(&token("a")).as_bytes());
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = stream.write_all((chunk(FINISH) + "0\r\n\r\n").as_bytes());
        Next::Close
    });
    // The whole takes 0.6 s at least: longer than the limit, which is about each silence.
    let generation =
        generate(&server.backend(ServerOptions { stall_timeout_seconds: 0.5, ..keeping_text() })).await;
    assert_eq!((generation.error.as_ref(), generation.chunks.len()), (None, 12));
}

#[tokio::test]
async fn statuses_become_classes_with_what_the_server_said() {
    for (status, kind, body, class, said) in [
        (
            "429 Too Many Requests",
            "application/json",
            r#"{"error":{"message":"slow down"}}"#,
            ErrorClass::RateLimited,
            "slow down",
        ),
        (
            "500 Internal Server Error",
            "text/plain",
            "Internal Server Error",
            ErrorClass::Server,
            "status 500",
        ),
        (
            "401 Unauthorized",
            "application/json",
            r#"{"error":"Unauthorized"}"#,
            ErrorClass::Auth,
            "status 401",
        ),
        (
            "502 Bad Gateway",
            "text/html",
            "<html><title>502 Bad Gateway</title></html>",
            ErrorClass::Server,
            "HTML page",
        ),
        ("503 Service Unavailable", "text/plain", "", ErrorClass::Server, "status 503 Service Unavailable"),
        ("302 Found", "text/plain", "", ErrorClass::Protocol, "status 302"),
    ] {
        let generation = from(answer(status, kind, body)).await;
        let (found, message) = error(&generation);
        assert_eq!(found, class, "{status}");
        assert!(message.contains(said), "{status}: {message}");
        assert_eq!(generation.error.as_ref().unwrap().status, status[..3].parse().ok());
    }
}

#[tokio::test]
async fn answers_that_are_not_the_protocol() {
    let html = from(answer("200 OK", "text/html", "<html><body>Welcome</body></html>")).await;
    assert_eq!(error(&html).0, ErrorClass::Protocol);
    assert!(error(&html).1.contains("Welcome"), "{html:?}");
    let malformed =
        from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk("data: {\"choices\": [nonsense\n\n"))
            .await;
    assert_eq!((error(&malformed).0, malformed.chunks.len()), (ErrorClass::Protocol, 1));
    assert!(error(&malformed).1.contains("nonsense"));
    let event = b"data: {\"choices\":[{\"text\":\"\xff\xfe\xff\"}]}\n\n";
    let mut broken = format!("{STREAM_HEAD}{}{:x}\r\n", chunk(&token("a")), event.len()).into_bytes();
    broken.extend_from_slice(event);
    broken.extend_from_slice(b"\r\n0\r\n\r\n");
    let invalid = from(broken).await;
    assert_eq!(error(&invalid).0, ErrorClass::Protocol, "{invalid:?}");
    assert!(error(&invalid).1.contains("UTF-8"), "{invalid:?}");
    let framing = from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + "zz\r\n").await;
    assert_eq!((error(&framing).0, framing.chunks.len()), (ErrorClass::Protocol, 1));
    let no_http = from("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert_eq!(error(&no_http).0, ErrorClass::Protocol, "{no_http:?}");
}

#[tokio::test]
async fn bodies_that_stop_too_soon() {
    let cut_chunk = from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + "ff\r\ndata: {\"cho").await;
    assert_eq!((error(&cut_chunk).0, cut_chunk.chunks.len()), (ErrorClass::Truncated, 1));
    let cut_event =
        from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk("data: {\"cho") + "0\r\n\r\n").await;
    assert_eq!((error(&cut_event).0, cut_event.chunks.len()), (ErrorClass::Truncated, 1));
    assert!(error(&cut_event).1.contains("{\"cho"), "{cut_event:?}");
    let no_end = from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + "0\r\n\r\n").await;
    assert_eq!(error(&no_end).0, ErrorClass::Truncated);
    let short =
        from("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"choices\"")
            .await;
    assert_eq!(error(&short).0, ErrorClass::Truncated);
    let nothing = from("").await;
    assert_eq!(error(&nothing).0, ErrorClass::Connect);
    assert!(nothing.sent.is_some());
    let empty = from(stream_of(&["", ""])).await;
    assert_eq!(error(&empty).0, ErrorClass::Empty);
}

#[tokio::test]
async fn an_answer_that_is_complete_survives_a_connection_that_ends_badly() {
    let generation = from(STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk(FINISH)).await;
    assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("a")));
    let held_open = silent_after(STREAM_HEAD.to_owned() + &chunk(&token("a")) + &chunk(FINISH));
    let generation = generate(&held_open.backend(keeping_text())).await;
    assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("a")));
    assert!(generation.end >= generation.first_token.unwrap());
}

#[tokio::test]
async fn a_reset_in_the_middle_keeps_what_came_before() {
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // One byte only is read: closing a socket with unread bytes resets the connection.
        std::io::Read::read_exact(&mut stream, &mut [0]).unwrap();
        stream.write_all((STREAM_HEAD.to_owned() + &chunk(&token("a"))).as_bytes()).unwrap();
        while seen.tokens() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let options =
        Options { endpoint: format!("http://{address}"), model: "m".to_owned(), server: keeping_text() };
    let backend = VllmBackend::new(options).unwrap();
    let generation = backend.generate(&request("r"), &Clock::start(), &tally).await;
    server.join().unwrap();
    let (class, message) = error(&generation);
    assert_eq!(class, ErrorClass::Truncated, "{message}");
    assert_eq!((generation.chunks.len(), generation.text.as_deref()), (1, Some("a")));
    assert!(message.contains("reset"), "{message}");
}

#[tokio::test]
async fn a_dropped_generation_closes_its_connection() {
    let (gone, heard) = std::sync::mpsc::channel();
    let server = Server::start(move |_, stream| {
        let _ = stream.write_all((STREAM_HEAD.to_owned() + &chunk(&token("a"))).as_bytes());
        let read = std::io::Read::read(stream, &mut [0]);
        let _ = gone.send(matches!(read, Ok(0) | Err(_)));
        Next::Close
    });
    let backend = server.backend(keeping_text());
    let (clock, tally) = (Clock::start(), Tally::default());
    let request = request("r");
    tokio::select! {
        generation = backend.generate(&request, &clock, &tally) => panic!("ended: {generation:?}"),
        () = async { while tally.tokens() == 0 { tokio::time::sleep(Duration::from_millis(1)).await; } } => {}
    }
    assert!(heard.recv_timeout(Duration::from_secs(30)).unwrap());
}
