//! Error answers of servers, made readable: one line, a class, and what to do about a field that is refused.
//!
//! Knows the bodies of vLLM (new and old), llama.cpp, FastAPI programs such as transformers serve, and plain text or
//! HTML. Refuses to decide whether to try again.

use ai_energy_core::record::{ErrorClass, RequestError};
use serde_json::Value;

/// Longest message that is passed on, in characters.
const LONGEST: usize = 400;

/// The class of an HTTP status that is no success.
pub(crate) fn class_of_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Auth,
        404 => ErrorClass::NotFound,
        429 => ErrorClass::RateLimited,
        400..=499 => ErrorClass::BadRequest,
        500..=599 => ErrorClass::Server,
        _ => ErrorClass::Protocol,
    }
}

/// The error of an answer with a status that is no success. `fields` are the top-level names that were sent.
pub(crate) fn refusal(status: u16, body: &[u8], fields: &[String]) -> RequestError {
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(value) => error_line(&value),
        Err(_) => plain_text(body),
    };
    let reason = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let mut message = format!("status {status}");
    if let Some(reason) = reason.filter(|reason| !said.eq_ignore_ascii_case(reason)) {
        message = format!("{message} {reason}");
    }
    if !said.is_empty() {
        message = format!("{message}: {said}");
    }
    if status == 400 || status == 422 {
        message += &advice(&said, fields);
    }
    RequestError { class: class_of_status(status), message, status: Some(status) }
}

/// Fields that a server may not know; only these are ever worth leaving out.
const OPTIONAL: [&str; 14] = [
    "min_tokens",
    "ignore_eos",
    "top_k",
    "top_p",
    "temperature",
    "seed",
    "stop",
    "stream_options",
    "max_tokens",
    "cache_prompt",
    "chat_template_kwargs",
    "reasoning_effort",
    "max_completion_tokens",
    "stream",
];

/// What to do where the message says that a field is not taken.
fn advice(said: &str, sent: &[String]) -> String {
    let lower = said.to_ascii_lowercase();
    let refuses =
        ["unexpected", "unsupported", "not supported", "unrecognized", "unknown", "extra", "not permitted"];
    if !refuses.iter().any(|word| lower.contains(word)) {
        return String::new();
    }
    if lower.contains("max_completion_tokens") && sent.iter().any(|name| name == "max_tokens") {
        return "; set backend.server.max_tokens_field: max_completion_tokens".to_owned();
    }
    let named: Vec<&str> = sent
        .iter()
        .map(String::as_str)
        .filter(|name| !["model", "messages", "prompt"].contains(name))
        .filter(|name| mentions(said, name) && (OPTIONAL.contains(name) || lower.contains("field")))
        .collect();
    if named.is_empty() {
        return String::new();
    }
    format!("; leave out what this server does not take: backend.server.omit: [{}]", named.join(", "))
}

/// Whether a text holds a name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_name =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(name).any(|(at, _)| {
        let bytes = text.as_bytes();
        !part_of_name(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !part_of_name(bytes.get(at + name.len()))
    })
}

/// The one line that an error body says, whatever its shape.
pub(crate) fn error_line(value: &Value) -> String {
    let line = match value {
        Value::Object(map) => {
            let inner =
                ["error", "message", "detail", "msg", "title"].into_iter().find_map(|key| map.get(key));
            match inner {
                Some(inner) => error_line(inner),
                None => value.to_string(),
            }
        }
        Value::Array(items) => items.iter().map(validation_line).collect::<Vec<_>>().join("; "),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    one_line(&line)
}

/// One item of a FastAPI validation error: where and what.
fn validation_line(item: &Value) -> String {
    let Some(message) = item.get("msg").and_then(Value::as_str) else {
        return error_line(item);
    };
    let place: Vec<String> = item
        .get("loc")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
        .collect();
    if place.is_empty() { message.to_owned() } else { format!("{message} at {}", place.join(".")) }
}

/// A text or HTML body: the title of a page, or the text as it is.
fn plain_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(64 << 10)]);
    let lower = text.to_ascii_lowercase();
    if !(lower.trim_start().starts_with('<') && lower.contains("<html")) {
        return one_line(&text);
    }
    let between = |open: &str, close: &str| {
        let start = lower.find(open)? + open.len();
        let end = start + lower[start..].find(close)?;
        Some(one_line(&text[start..end])).filter(|found| !found.is_empty())
    };
    match between("<title>", "</title>").or_else(|| between("<h1>", "</h1>")) {
        Some(title) => format!("an HTML page, `{title}`"),
        None => "an HTML page".to_owned(),
    }
}

/// White space and control characters become single spaces; long texts are cut.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// The beginning of bytes that were not understood, printable and in quotes.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const LENGTH: usize = 120;
    let shown = one_line(&String::from_utf8_lossy(&bytes[..bytes.len().min(LENGTH)]));
    format!("`{shown}{}`", if bytes.len() > LENGTH { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_shape_of_error_body_becomes_one_line() {
        for (body, expected) in [
            (
                r#"{"error":{"message":"no such\n model","type":"x","code":404}}"#,
                "status 404 Not Found: no such model",
            ),
            (
                r#"{"object":"error","message":"no such model","code":404}"#,
                "status 404 Not Found: no such model",
            ),
            (r#"{"detail":"Not Found"}"#, "status 404: Not Found"),
            (r#"{"error":"nope"}"#, "status 404 Not Found: nope"),
            (
                r#"{"detail":[{"loc":["body","n"],"msg":"bad"},{"msg":"worse"}]}"#,
                "status 404 Not Found: bad at body.n; worse",
            ),
            (
                "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway</title></head></html>",
                "status 404 Not Found: an HTML page, `502 Bad Gateway`",
            ),
            ("", "status 404 Not Found"),
            ("try later\r\n", "status 404 Not Found: try later"),
        ] {
            assert_eq!(refusal(404, body.as_bytes(), &[]).message, expected);
        }
    }

    #[test]
    fn a_refused_field_is_named_with_its_remedy() {
        let body = br#"{"detail":"Unexpected fields in the request: {'min_tokens', 'ignore_eos'}"}"#;
        let error =
            refusal(422, body, &fields(&["model", "messages", "ignore_eos", "min_tokens", "stop", "tokens"]));
        assert_eq!(error.class, ErrorClass::BadRequest);
        assert!(
            error.message.ends_with("backend.server.omit: [ignore_eos, min_tokens]"),
            "{}",
            error.message
        );
        let hosted = br#"{"error":{"message":"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}"#;
        let error = refusal(400, hosted, &fields(&["max_tokens"]));
        assert!(error.message.contains("max_tokens_field: max_completion_tokens"), "{}", error.message);
        let other = refusal(
            400,
            br#"{"error":{"message":"min_tokens must be at most max_tokens=4"}}"#,
            &fields(&["min_tokens"]),
        );
        assert!(!other.message.contains("omit"), "{}", other.message);
    }

    #[test]
    fn statuses_have_their_classes() {
        for (status, class) in [
            (401, ErrorClass::Auth),
            (403, ErrorClass::Auth),
            (404, ErrorClass::NotFound),
            (429, ErrorClass::RateLimited),
            (400, ErrorClass::BadRequest),
            (422, ErrorClass::BadRequest),
            (500, ErrorClass::Server),
            (503, ErrorClass::Server),
            (302, ErrorClass::Protocol),
        ] {
            assert_eq!(class_of_status(status), class);
        }
    }

    #[test]
    fn long_and_binary_texts_are_cut_and_made_printable() {
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), LONGEST + 1);
        assert!(excerpt(&[0xff; 500]).chars().all(|letter| !letter.is_control()));
    }
}
