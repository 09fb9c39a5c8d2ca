//! The heads of HTTP/1.1: a request as bytes, and a response's status, headers and framing out of bytes.
//!
//! Refuses to know sockets, bodies and what a status means.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};

use crate::dechunk::Decoder;

/// Most headers of a response that are taken, and the largest head in bytes.
const MOST_HEADERS: usize = 128;
const LARGEST_HEAD: usize = 256 << 10;

/// A request as it goes over the wire, head and body.
pub(crate) fn request(method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + body.len());
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        line(&mut bytes, name, value.as_bytes());
    }
    if method == Method::POST || !body.is_empty() {
        line(&mut bytes, &CONTENT_LENGTH, body.len().to_string().as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn line(bytes: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// How its body is framed.
    pub(crate) decoder: Decoder,
    /// The connection may be used again after the body.
    pub(crate) stays: bool,
    /// Bytes that it took.
    pub(crate) size: usize,
}

/// Reads the head at the begin of `bytes`; `None` where it is not whole yet. Interim responses are skipped.
///
/// # Errors
/// What stands there is no response of HTTP/1, in words.
pub(crate) fn response(bytes: &[u8]) -> Result<Option<Head>, String> {
    let mut skipped = 0;
    loop {
        let Some(mut head) = one(&bytes[skipped..])? else {
            return Ok(None);
        };
        head.size += skipped;
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(head));
        }
        skipped = head.size;
    }
}

fn one(bytes: &[u8]) -> Result<Option<Head>, String> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut fields);
    let size = match parsed.parse(bytes).map_err(|cause| cause.to_string())? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial if bytes.len() > LARGEST_HEAD => {
            return Err("its head is endless".to_owned());
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|cause| cause.to_string())?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|cause| cause.to_string())?;
        headers.append(name, HeaderValue::from_bytes(field.value).map_err(|cause| cause.to_string())?);
    }
    let decoder = framing(status, &headers)?;
    // RFC 9112, section 9.3.
    let stays = if parsed.version == Some(1) {
        !says(&headers, &CONNECTION, "close")
    } else {
        says(&headers, &CONNECTION, "keep-alive")
    };
    Ok(Some(Head { status, headers, decoder, stays, size }))
}

/// How a response's body is framed: RFC 9112, section 6.3.
fn framing(status: StatusCode, headers: &HeaderMap) -> Result<Decoder, String> {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Decoder::length(0));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        let codings = last.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let chunked =
            codings.rsplit(',').next().is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"));
        return Ok(if chunked { Decoder::chunked() } else { Decoder::until_close() });
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.to_str().unwrap_or_default();
        let told = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let told: u64 =
            told.and_then(|digits| digits.parse().ok()).ok_or("its content-length is no number")?;
        if length.replace(told).is_some_and(|other| other != told) {
            return Err("it has two content-lengths".to_owned());
        }
    }
    Ok(length.map_or_else(Decoder::until_close, Decoder::length))
}

/// Whether a header that is a list holds a word.
fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        response(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_written_with_its_length() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h:1"));
        let bytes = request(&Method::POST, "/v1", &headers, b"{}");
        assert_eq!(bytes, b"POST /v1 HTTP/1.1\r\nhost: h:1\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(request(&Method::GET, "/", &headers, b""), b"GET / HTTP/1.1\r\nhost: h:1\r\n\r\n");
    }

    #[test]
    fn every_prefix_of_a_head_is_unfinished_and_its_end_is_found() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: 1\r\n\r\n";
        for end in 0..text.len() {
            assert!(response(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
        let read = head(&format!("{text}abc"));
        assert_eq!((read.status.as_u16(), read.size, read.stays), (200, text.len(), true));
        assert_eq!(read.headers["x"], "1");
    }

    #[test]
    fn framing_and_reuse_are_as_the_standard_has_them() {
        let shape = |fields: &str| {
            let Head { decoder, stays, .. } = head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            (format!("{decoder:?}"), stays)
        };
        assert_eq!(shape("").0, "Decoder(UntilClose)");
        assert_eq!(shape("content-length: 7\r\ncontent-length: 7\r\n").0, "Decoder(Length(7))");
        assert_eq!(
            shape("transfer-encoding: gzip, Chunked\r\ncontent-length: 7\r\n").0,
            "Decoder(Size(0, false))"
        );
        assert_eq!(shape("transfer-encoding: gzip\r\n").0, "Decoder(UntilClose)");
        assert!(!shape("connection: x, Close\r\n").1);
        assert!(
            !head("HTTP/1.0 200 OK\r\n\r\n").stays
                && head("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").stays
        );
        assert!(head("HTTP/1.1 204 No Content\r\n\r\n").decoder.over());
        for wrong in
            ["content-length: 1\r\ncontent-length: 2\r\n", "content-length: -1\r\n", "content-length: x\r\n"]
        {
            assert!(response(format!("HTTP/1.1 200 OK\r\n{wrong}\r\n").as_bytes()).is_err(), "{wrong}");
        }
        assert!(response(b"SMTP ready\r\n\r\n").is_err());
    }
}
