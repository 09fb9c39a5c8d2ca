//! One POST of a message to a collector, bounded in time. Refuses to know what is in the message.

use std::time::Duration;

use ai_energy_core::{Fault, FaultKind};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// How long sending may take, the connection included.
const LIMIT: Duration = Duration::from_secs(10);
/// Where a collector takes metrics.
const PATH: &str = "/v1/metrics";
/// Longest piece of a collector's answer that is shown.
const LONGEST: usize = 200;

/// Sends the message.
///
/// # Errors
/// The collector cannot be reached, refuses the message or a part of it. No message holds a header's value or the
/// address' credentials.
pub(super) fn send(endpoint: &str, headers: &str, message: &Value) -> Result<(), Fault> {
    let url = address(endpoint)?;
    let object = format!("OTLP collector at {}", place(&url));
    let fault = |cause: String| {
        Fault::new(FaultKind::Output, object.clone(), cause)
            .remedy("see that it runs and takes OTLP over HTTP at reporter.otlp_endpoint")
    };
    let headers = parsed(headers).map_err(&fault)?;
    // Reporters may run within an async runtime, where one must not wait: a thread of its own may.
    let answer = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("no runtime can be started: {error}"))?;
            runtime.block_on(post(url, headers, message))
        });
        sending.join().unwrap_or_else(|_| Err("sending ended unexpectedly".to_owned()))
    });
    let answer = answer.map_err(&fault)?;
    let rejected = answer.pointer("/partialSuccess/rejectedDataPoints");
    match rejected.map(|number| number.as_str().map_or_else(|| number.to_string(), str::to_owned)) {
        Some(number) if number != "0" => Err(fault(format!("rejected {number} values"))),
        _ => Ok(()),
    }
}

/// The address with the path that takes metrics.
fn address(endpoint: &str) -> Result<reqwest::Url, Fault> {
    let endpoint = endpoint.trim_end_matches('/');
    let whole = if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") };
    let wrong = |cause: String| {
        Fault::new(FaultKind::Usage, "reporter.otlp_endpoint", cause)
            .remedy("write it like http://127.0.0.1:4318")
    };
    let url: reqwest::Url = whole.parse().map_err(|error| wrong(format!("is no address: {error}")))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(wrong("is no HTTP address".to_owned()))
    }
}

/// Host and port, without credentials.
fn place(url: &reqwest::Url) -> String {
    let port = url.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Headers as the protocol's variable writes them.
fn parsed(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || format!("{} holds a part that is not name=value", super::HEADERS_VARIABLE);
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn post(url: reqwest::Url, headers: HeaderMap, message: &Value) -> Result<Value, String> {
    let client = reqwest::Client::builder().timeout(LIMIT).build();
    let client = client.map_err(|error| format!("no client can be made: {}", reason(&error)))?;
    let sent = client.post(url).headers(headers).json(message).send().await;
    let response = sent.map_err(|error| format!("cannot be reached: {}", reason(&error)))?;
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    if !status.is_success() {
        let said: String = body.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
        return Err(format!("answers {status}: {said}"));
    }
    // An empty answer is a success too.
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The innermost cause, without the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_added_once_and_credentials_are_not_shown() {
        for endpoint in ["http://user:secret@h:4318", "http://user:secret@h:4318/v1/metrics/"] {
            let url = address(endpoint).unwrap();
            assert_eq!((url.path(), place(&url).as_str()), ("/v1/metrics", "h:4318"));
        }
        assert!(address("collector").is_err() && address("ftp://h").is_err());
    }

    #[test]
    fn headers_are_read_as_the_protocol_writes_them() {
        let headers = parsed("api-key=a=b, x-team = energy").unwrap();
        assert_eq!(
            (headers["api-key"].as_bytes(), headers["x-team"].as_bytes()),
            (&b"a=b"[..], &b"energy"[..])
        );
        let refused = parsed("secret").unwrap_err();
        assert!(!refused.contains("secret"), "{refused}");
    }
}
