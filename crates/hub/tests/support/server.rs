//! A hub on 127.0.0.1 for tests: the API, file addresses with their headers, a second port that plays the content
//! network, and faults on request. It keeps every request it got, so that tests can ask what was sent where.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What one request asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub port: u16,
    pub line: String,
    pub headers: HashMap<String, String>,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Answer with this status, and this `X-Error-Code`.
    Status(u16, &'static str),
    /// Close the connection after this many bytes of the body.
    CutAfter(usize),
    /// Close it before any answer.
    Hang,
}

#[derive(Debug, Default)]
struct State {
    /// API answers by path.
    api: HashMap<String, String>,
    /// Files by address on the hub: contents, and whether they are large (behind a redirect, tagged by SHA-256).
    files: HashMap<String, (Vec<u8>, bool)>,
    /// Tags that lie.
    wrong_tags: HashMap<String, String>,
    /// Troubles by the beginning of `METHOD path`, each used once.
    troubles: Vec<(String, VecDeque<Trouble>)>,
    seen: Vec<Seen>,
    cdn: u16,
}

/// A running hub.
#[derive(Clone)]
pub(crate) struct Hub {
    state: Arc<Mutex<State>>,
    pub port: u16,
    pub cdn: u16,
}

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Hub {
    pub(crate) async fn start() -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, cdn_port) = (hub.local_addr().unwrap().port(), cdn.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State { cdn: cdn_port, ..State::default() }));
        for (listener, port) in [(hub, port), (cdn, cdn_port)] {
            let state = state.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, port, state.clone()));
                }
            });
        }
        Self { state, port, cdn: cdn_port }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Adds a dataset revision; `large` files sit behind the redirect.
    pub(crate) fn add(
        &self,
        id: &str,
        revision: &str,
        commit: &str,
        files: &[(&str, &[u8], bool)],
        card: &str,
    ) {
        self.put(&format!("datasets/{id}"), &format!("datasets/{id}"), (revision, commit), files, card);
    }

    /// Adds a model, whose files have no kind in their address.
    pub(crate) fn add_model(&self, id: &str, commit: &str, files: &[(&str, &[u8], bool)]) {
        self.put(&format!("models/{id}"), id, ("main", commit), files, "null");
    }

    fn put(
        &self,
        api: &str,
        page: &str,
        (revision, commit): (&str, &str),
        files: &[(&str, &[u8], bool)],
        card: &str,
    ) {
        let mut state = self.state.lock().unwrap();
        let siblings: Vec<String> =
            files.iter().map(|(name, _, _)| format!("{{\"rfilename\":\"{name}\"}}")).collect();
        let answer = format!(
            "{{\"id\":\"{page}\",\"sha\":\"{commit}\",\"gated\":false,\"cardData\":{card},\"siblings\":[{}]}}",
            siblings.join(",")
        );
        let escaped = revision.replace('/', "%2F");
        state.api.insert(format!("/api/{api}/revision/{escaped}"), answer);
        for (name, bytes, large) in files {
            state.files.insert(format!("/{page}/resolve/{commit}/{name}"), (bytes.to_vec(), *large));
        }
    }

    /// Makes the next requests that begin with `start` (`METHOD path`) fail.
    pub(crate) fn trouble(&self, start: &str, troubles: &[Trouble]) {
        self.state.lock().unwrap().troubles.push((start.to_owned(), troubles.iter().cloned().collect()));
    }

    /// Announces a wrong tag for the file whose address ends so.
    pub(crate) fn lie(&self, file: &str, tag: &str) {
        self.state.lock().unwrap().wrong_tags.insert(file.to_owned(), tag.to_owned());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Requests whose line begins so.
    pub(crate) fn asked(&self, start: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.line.starts_with(start)).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One request a connection.
async fn serve(stream: TcpStream, port: u16, state: Arc<Mutex<State>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut headers = HashMap::new();
    if reader.read_line(&mut line).await.unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).await.unwrap_or(0) == 0 {
            return;
        }
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    let (answer, cut) = {
        let mut state = state.lock().unwrap();
        state.seen.push(Seen { port, line: line.clone(), headers: headers.clone() });
        let trouble =
            state.troubles.iter_mut().find(|(start, left)| line.starts_with(start) && !left.is_empty());
        let trouble = trouble.and_then(|(_, left)| left.pop_front());
        match trouble {
            Some(Trouble::Hang) => return,
            Some(Trouble::Status(status, code)) => {
                (Answer { status, headers: vec![("X-Error-Code", code.to_owned())], body: Vec::new() }, None)
            }
            Some(Trouble::CutAfter(bytes)) => (answer(&state, port, &line, &headers), Some(bytes)),
            None => (answer(&state, port, &line, &headers), None),
        }
    };
    let head_only = line.starts_with("HEAD");
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
    let body = if head_only {
        &[][..]
    } else {
        &answer.body[..cut.unwrap_or(answer.body.len()).min(answer.body.len())]
    };
    let mut stream = reader.into_inner();
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let _ = stream.shutdown().await;
    let _ = stream.read(&mut [0; 64]).await;
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn answer(state: &State, port: u16, line: &str, headers: &HashMap<String, String>) -> Answer {
    let path = line.split_once(' ').map_or("", |(_, path)| path);
    if let Some(api) = state.api.get(path) {
        return Answer { status: 200, headers: vec![], body: api.clone().into_bytes() };
    }
    if port == state.cdn {
        let tag = path.trim_start_matches("/blob/").split('?').next().unwrap_or_default();
        let found = state.files.values().find(|(bytes, _)| sha256(bytes) == tag);
        return found.map_or_else(absent, |(bytes, _)| ranged(bytes, headers, vec![]));
    }
    let Some((bytes, large)) = state.files.get(path) else {
        return absent();
    };
    let lie = state.wrong_tags.iter().find(|(file, _)| path.ends_with(*file)).map(|(_, tag)| tag.clone());
    let commit = ("X-Repo-Commit", COMMIT.to_owned());
    if !large {
        let tag = lie.unwrap_or_else(|| sha256(bytes)[..40].to_owned());
        return ranged(bytes, headers, vec![("ETag", format!("W/\"{tag}\"")), commit]);
    }
    let tag = lie.unwrap_or_else(|| sha256(bytes));
    let location = format!("http://127.0.0.1:{}/blob/{}?signature=secret", state.cdn, sha256(bytes));
    let headers = vec![
        ("Location", location),
        ("X-Linked-Etag", format!("\"{tag}\"")),
        ("X-Linked-Size", bytes.len().to_string()),
        commit,
    ];
    Answer { status: 302, headers, body: Vec::new() }
}

fn ranged(bytes: &[u8], asked: &HashMap<String, String>, mut headers: Vec<(&'static str, String)>) -> Answer {
    let range =
        asked.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match range {
        Some(start) if start < bytes.len() => {
            headers.push(("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())));
            Answer { status: 206, headers, body: bytes[start..].to_vec() }
        }
        Some(_) => Answer { status: 416, headers, body: Vec::new() },
        None => Answer { status: 200, headers, body: bytes.to_vec() },
    }
}

fn absent() -> Answer {
    Answer { status: 404, headers: vec![("X-Error-Code", "RepoNotFound".to_owned())], body: Vec::new() }
}
