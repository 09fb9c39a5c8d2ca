//! A real server on 127.0.0.1 that answers as a test says, and the recorded transcripts.
#![allow(dead_code, reason = "each test program uses its own part")]

use ai_energy_backends_vllm::{Api, Options, ServerOptions, VllmBackend};
use ai_energy_core::Stop;
use ai_energy_core::backend::{Backend, Request, Tally};
use ai_energy_core::record::Generation;
use ai_energy_core::{Clock, FormattedPrompt, GenerationParams, PromptContent};
use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Value,
    /// The connection it came on, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// What to do with a connection after an answer.
pub(crate) enum Next {
    KeepAlive,
    Close,
}

/// A server; ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Answers every request with `answer`.
    pub(crate) fn start(answer: impl Fn(&Seen, &mut TcpStream) -> Next + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop, answer) = (Arc::clone(&seen), Arc::clone(&over), Arc::new(answer));
        let count = AtomicUsize::new(0);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let connection = count.fetch_add(1, Ordering::SeqCst);
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, connection, &log, &*answer));
            }
        });
        Self { address, seen, over }
    }

    /// Answers every request with the same bytes and closes.
    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, stream| {
            let _ = stream.write_all(&bytes);
            Next::Close
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn options(&self, server: ServerOptions) -> Options {
        Options { endpoint: self.endpoint(), model: "m".to_owned(), server }
    }

    pub(crate) fn backend(&self, server: ServerOptions) -> VllmBackend {
        VllmBackend::new(self.options(server)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen, &mut TcpStream) -> Next + Send + Sync),
) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    while let Some(seen) = read_request(&mut stream, connection) {
        log.lock().unwrap().push(seen.clone());
        if matches!(answer(&seen, &mut stream), Next::Close) {
            return;
        }
    }
}

/// Reads one request; `None` where the client has gone.
pub(crate) fn read_request(stream: &mut impl Read, connection: usize) -> Option<Seen> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let mut seen = Seen { line: line.to_owned(), head: rest.to_owned(), body: Value::Null, connection };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    if length > 0 {
        seen.body = serde_json::from_slice(&body).unwrap();
    }
    Some(seen)
}

/// An answer with a length.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// The head of a chunked event stream.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub(crate) fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The event of one token.
pub(crate) fn token(text: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}},\"finish_reason\":null}}]}}\n\n"
    )
}

pub(crate) const FINISH: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A whole event stream of some tokens.
pub(crate) fn stream_of(tokens: &[&str]) -> String {
    let mut all = STREAM_HEAD.to_owned();
    tokens.iter().for_each(|text| all += &chunk(&token(text)));
    all + &chunk(FINISH) + "0\r\n\r\n"
}

pub(crate) fn request(id: &str) -> Request {
    let prompt = FormattedPrompt {
        index: 0,
        content: PromptContent::Text("What is the capital of France?".to_owned()),
        params: Map::new(),
        chat_template_kwargs: Map::new(),
        target_output_tokens: None,
    };
    Request {
        id: id.to_owned(),
        prompt: Arc::new(prompt),
        params: Arc::new(GenerationParams::default()),
        stop: Stop::new(),
    }
}

pub(crate) async fn generate(backend: &VllmBackend) -> Generation {
    backend.generate(&request("r-1"), &Clock::start(), &Tally::default()).await
}

/// Counts the remarks that the backend makes on this thread.
pub(crate) struct Remarks(Arc<AtomicUsize>);

impl Remarks {
    /// The count, and what to hold while it goes on.
    pub(crate) fn listen() -> (Arc<AtomicUsize>, tracing::subscriber::DefaultGuard) {
        let count = Arc::new(AtomicUsize::new(0));
        let guard = tracing::subscriber::set_default(Self(Arc::clone(&count)));
        (count, guard)
    }
}

impl tracing::Subscriber for Remarks {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::INFO && metadata.target().starts_with("ai_energy_backends_vllm")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Text kept, limits short enough for a broken test to end.
pub(crate) fn keeping_text() -> ServerOptions {
    ServerOptions { keep_text: true, total_timeout_seconds: 60.0, ..ServerOptions::default() }
}

pub(crate) fn transcripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts")
}

/// The recorded bytes of a response.
pub(crate) fn transcript(name: &str) -> Vec<u8> {
    let path = transcripts().join(format!("{name}.response.http"));
    std::fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Serves the pieces one after the other, each in a packet of its own as far as the system allows.
pub(crate) async fn replayed(pieces: Vec<Vec<u8>>, options: ServerOptions) -> Generation {
    let server = Server::start(move |_, stream| {
        for piece in &pieces {
            if stream.write_all(piece).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Next::Close
    });
    generate(&server.backend(options)).await
}

/// Replays a recording in one piece.
pub(crate) async fn whole(name: &str) -> Generation {
    replayed(vec![transcript(name)], options_for(name)).await
}

/// The options that a recording was made with.
pub(crate) fn options_for(name: &str) -> ServerOptions {
    let stream = !name.contains("nonstream") && !name.contains("16_") && !name.contains("33_");
    let api = if name.contains("completions") { Api::Completions } else { Api::Chat };
    ServerOptions { stream, api, ..keeping_text() }
}
