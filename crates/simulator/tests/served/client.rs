//! A client that hides nothing: blocking sockets, bytes as they came.

use ai_energy_simulator::{Handle, Options, Simulator};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A simulator without delays, on its own thread.
pub(crate) fn instant() -> Options {
    Options { ttft: "0".parse().unwrap(), inter_token: "0".parse().unwrap(), ..Options::default() }
}

pub(crate) fn start(options: Options) -> Handle {
    Simulator::spawn_thread(options).unwrap()
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Whole,
    /// The connection closed before.
    Closed,
    /// The connection was reset.
    Reset,
    /// Nothing came any more within the client's patience.
    Silence,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The data of each event of a stream, cut ones left out.
    pub(crate) fn data(&self) -> Vec<String> {
        let text = self.text();
        let whole = text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n"));
        whole.map(|event| event.trim_end().strip_prefix("data: ").unwrap().to_owned()).collect()
    }

    /// The events that are JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.data().iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    /// The generated text of a stream, of the given delta field.
    pub(crate) fn streamed(&self, field: &str) -> String {
        let deltas = self.events();
        deltas.iter().filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
    }

    pub(crate) fn done(&self) -> bool {
        self.data().last().is_some_and(|data| data == "[DONE]")
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, pending: Vec::new() }
    }

    pub(crate) fn patience(self, patience: Duration) -> Self {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        self
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
        self.reply().unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &str) -> Reply {
        self.send(&post(path, headers, body));
        self.reply().unwrap()
    }

    /// A streamed chat of `tokens` tokens, under a fault where `fault` is not empty.
    pub(crate) fn chat(&mut self, tokens: u32, fault: &str) -> Reply {
        self.send(&chat(tokens, true, &fault_header(fault)));
        self.reply().unwrap()
    }

    /// The next response; none where the connection ended before one began.
    pub(crate) fn reply(&mut self) -> Result<Reply, End> {
        let (status, headers, length) = loop {
            if let Some(head) = parse_head(&self.pending) {
                break head;
            }
            self.fill()?;
        };
        self.pending.drain(..length);
        let mut reply = Reply { status, headers, body: Vec::new(), end: End::Whole };
        let length = reply.header("content-length").map(|length| length.parse().unwrap());
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        reply.end = match (length, chunked) {
            (Some(length), _) => self.fixed(length, &mut reply.body),
            (None, true) => self.chunks(&mut reply.body),
            (None, false) => self.until_close(&mut reply.body),
        };
        Ok(reply)
    }

    fn fill(&mut self) -> Result<(), End> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.pending.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset => Err(End::Reset),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(End::Silence),
                _ => panic!("{error}"),
            },
        }
    }

    fn fixed(&mut self, length: usize, body: &mut Vec<u8>) -> End {
        while self.pending.len() < length {
            if let Err(end) = self.fill() {
                body.append(&mut self.pending);
                return end;
            }
        }
        body.extend(self.pending.drain(..length));
        End::Whole
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> End {
        loop {
            match httparse::parse_chunk_size(&self.pending).unwrap() {
                httparse::Status::Complete((start, size)) => {
                    let (size, end) = (size as usize, start + size as usize + 2);
                    if self.pending.len() < end {
                        if let Err(ended) = self.fill() {
                            body.extend_from_slice(self.pending.get(start..).unwrap_or_default());
                            return ended;
                        }
                        continue;
                    }
                    body.extend_from_slice(&self.pending[start..start + size]);
                    self.pending.drain(..end);
                    if size == 0 {
                        return End::Whole;
                    }
                }
                httparse::Status::Partial => {
                    if let Err(ended) = self.fill() {
                        return ended;
                    }
                }
            }
        }
    }

    fn until_close(&mut self, body: &mut Vec<u8>) -> End {
        loop {
            if let Err(end) = self.fill() {
                body.append(&mut self.pending);
                return if end == End::Closed { End::Whole } else { end };
            }
        }
    }

    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

type ParsedHead = (u16, Vec<(String, String)>, usize);

fn parse_head(bytes: &[u8]) -> Option<ParsedHead> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).unwrap() else {
        return None;
    };
    let status = response.code.unwrap();
    let headers = response.headers.iter();
    let headers =
        headers.map(|header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap()));
    Some((status, headers.collect(), length))
}

pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub(crate) fn fault_header(fault: &str) -> String {
    if fault.is_empty() { String::new() } else { format!("X-Simulate-Fault: {fault}\r\n") }
}

pub(crate) fn chat(tokens: u32, stream: bool, headers: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"simulated","messages":[{{"role":"user","content":"two words"}}],"max_tokens":{tokens},
            "stream":{stream},"stream_options":{{"include_usage":true}}}}"#
    );
    post("/v1/chat/completions", headers, &body)
}

/// The value of a metric, by the start of its line.
pub(crate) fn metric(text: &str, start: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
