//! HTTP/1 as far as the simulator speaks it: the head of a request, and the head of a response.
//!
//! Exists because a framework would hide the moment at which bytes go to the kernel. Refuses to do input or output,
//! and to guess: a head it does not understand is refused with the status that says so.

use std::fmt::Write as _;

/// Longest head of a request, bytes.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;
/// Longest body of a request, bytes.
pub(crate) const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Longest id of a request, bytes: it is kept with the truth, whose memory is bounded.
const REQUEST_ID_LIMIT: usize = 256;
const HEADER_COUNT_LIMIT: usize = 100;
/// The `Server` header of every response.
pub(crate) const SERVER: &str = "ai-energy-simulator";

/// What of a request's head matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// HTTP/1.1, so that the response may be chunked.
    pub(crate) http11: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) body_length: usize,
    pub(crate) request_id: Option<String>,
    pub(crate) fault: Option<String>,
    /// Bytes of the head.
    pub(crate) length: usize,
}

/// A request that HTTP itself forbids; the connection closes after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
}

fn refuse<T>(status: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, message: message.into() })
}

/// Reads a head from the start of `bytes`; none where it is not all there yet.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_COUNT_LIMIT];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_LIMIT => return Ok(None),
        Ok(_) => return refuse(431, format!("the head is longer than {HEAD_LIMIT} bytes")),
        Err(httparse::Error::TooManyHeaders) => {
            return refuse(431, format!("there are more than {HEADER_COUNT_LIMIT} headers"));
        }
        Err(httparse::Error::Version) => return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        Err(error) => return refuse(400, format!("malformed head: {error}")),
    };
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let http11 = request.version == Some(1);
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        http11,
        keep_alive: http11,
        length,
        ..Head::default()
    };
    let mut body_length = None;
    for header in request.headers.iter() {
        read_header(&mut head, &mut body_length, header)?;
    }
    head.body_length = match body_length {
        Some(length) => length,
        None if head.method == "POST" => return refuse(411, "a POST needs a Content-Length"),
        None => 0,
    };
    Ok(Some(head))
}

fn read_header(
    head: &mut Head,
    body_length: &mut Option<usize>,
    header: &httparse::Header<'_>,
) -> Result<(), Refusal> {
    let value = String::from_utf8_lossy(header.value);
    let value = value.trim();
    match header.name.to_ascii_lowercase().as_str() {
        "content-length" => {
            let length = parse_length(value)?;
            if body_length.is_some_and(|before| before != length) {
                return refuse(400, "two Content-Length headers disagree");
            }
            *body_length = Some(length);
        }
        "transfer-encoding" => {
            return refuse(411, "request bodies need a Content-Length, not a transfer encoding");
        }
        "connection" => {
            for token in value.split(',').map(str::trim) {
                if token.eq_ignore_ascii_case("close") {
                    head.keep_alive = false;
                } else if token.eq_ignore_ascii_case("keep-alive") {
                    head.keep_alive = true;
                }
            }
        }
        "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
        "x-request-id" if value.len() > REQUEST_ID_LIMIT => {
            return refuse(400, format!("X-Request-Id is longer than {REQUEST_ID_LIMIT} bytes"));
        }
        "x-request-id" if !value.is_empty() => head.request_id = Some(value.to_owned()),
        "x-simulate-fault" => head.fault = Some(value.to_owned()),
        _ => {}
    }
    Ok(())
}

fn parse_length(value: &str) -> Result<usize, Refusal> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<usize>() {
        Ok(length) if digits && length <= BODY_LIMIT => Ok(length),
        Ok(_) if digits => refuse(413, format!("the body is longer than {BODY_LIMIT} bytes")),
        Err(_) if digits => refuse(413, format!("the body is longer than {BODY_LIMIT} bytes")),
        _ => refuse(400, format!("Content-Length `{value}` is no number")),
    }
}

/// The value of a parameter of a query string.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key == name).then_some(value),
        None => (pair == name).then_some(""),
    })
}

/// What a response's head says beside its status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    /// The body's length; none where it is chunked or ends with the connection.
    pub(crate) length: Option<usize>,
    pub(crate) chunked: bool,
    pub(crate) keep_alive: bool,
    /// A further header line, without its line end.
    pub(crate) extra: Option<&'a str>,
}

impl Response<'_> {
    /// The bytes of the head, blank line included.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\nserver: {SERVER}\r\n", self.status, reason(self.status));
        let mut add = |line: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(head, "{line}\r\n");
        };
        if !self.content_type.is_empty() {
            add(format_args!("content-type: {}", self.content_type));
        }
        if let Some(length) = self.length {
            add(format_args!("content-length: {length}"));
        }
        if self.chunked {
            add(format_args!("transfer-encoding: chunked"));
        }
        if let Some(extra) = self.extra {
            add(format_args!("{extra}"));
        }
        add(format_args!("connection: {}", if self.keep_alive { "keep-alive" } else { "close" }));
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(text: &str) -> u16 {
        parse_head(text.as_bytes()).unwrap_err().status
    }

    #[test]
    fn a_head_is_read_in_all_its_parts() {
        let text = "POST /v1/completions?a=1&b HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 12\r\nX-Request-Id: r-1\r\n\
                    x-simulate-fault: cut:3\r\nExpect: 100-continue\r\nConnection: Close\r\n\r\nbody";
        let head = parse_head(text.as_bytes()).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/v1/completions"));
        assert_eq!((parameter(&head.query, "a"), parameter(&head.query, "b")), (Some("1"), Some("")));
        assert_eq!(parameter(&head.query, "c"), None);
        assert!(head.http11 && !head.keep_alive && head.expects_continue);
        assert_eq!((head.body_length, head.length), (12, text.len() - 4));
        assert_eq!((head.request_id.as_deref(), head.fault.as_deref()), (Some("r-1"), Some("cut:3")));
    }

    #[test]
    fn heads_that_http_forbids_get_their_status() {
        assert_eq!(status("POST / HTTP/1.1\r\n\r\n"), 411);
        assert_eq!(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"), 413);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"), 413);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nX-Request-Id: {}\r\n\r\n", "r".repeat(257))), 400);
        assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status("G\u{1}T / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101))), 431);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(HEAD_LIMIT))), 431);
    }

    #[test]
    fn http_1_0_closes_unless_asked_to_stay() {
        assert!(!parse_head(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().keep_alive);
        let stay = parse_head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().unwrap();
        assert!(stay.keep_alive && !stay.http11);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_refused(bytes: Vec<u8>) {
            let _ = parse_head(&bytes);
        }

        #[test]
        fn near_heads_are_read_or_refused(
            method in "[A-Z]{0,6}", target in "\\PC{0,20}", version in "HTTP/1\\.[0-2]|\\PC{0,8}",
            name in "(content-length|connection|expect|[a-z-]{1,12})", value in "\\PC{0,24}",
        ) {
            let text = format!("{method} {target} {version}\r\n{name}: {value}\r\n\r\n");
            if let Ok(Some(head)) = parse_head(text.as_bytes()) {
                prop_assert!(head.length <= text.len());
                prop_assert!(head.body_length <= BODY_LIMIT);
            }
        }

        #[test]
        fn no_prefix_of_a_head_is_taken_for_it(cut in 0_usize..62) {
            let text = b"POST /v1/completions HTTP/1.1\r\nContent-Length: 12\r\nHost: x\r\n\r\n";
            prop_assert_eq!(parse_head(&text[..cut]), Ok(None));
        }
    }
}
