//! Electricity Maps, played by a server on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use ai_energy_metrics::grid::{GridOptions, ask};

/// A server that answers one request and returns what it was asked.
fn server(status: &'static str, body: &'static str) -> (GridOptions, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the client closed early");
            request.extend_from_slice(&buffer[..read]);
        }
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    (GridOptions { zone: Some("DE".to_owned()), endpoint }, thread)
}

/// An answer as the service's reference shows it.
const ANSWER: &str = r#"{"zone":"DE","carbonIntensity":302,"datetime":"2026-11-23T17:00:00.000Z",
    "updatedAt":"2026-11-23T16:45:44.917Z","createdAt":"2026-11-20T18:42:35.805Z","emissionFactorType":"lifecycle",
    "isEstimated":true,"estimationMethod":"TIME_SLICER_AVERAGE","temporalGranularity":"hourly"}"#;

#[tokio::test]
async fn the_hours_intensity_is_asked_for_with_token_and_zone_and_never_by_the_callers_place() {
    let (options, thread) = server("200 OK", ANSWER);
    let found = ask(&options, Some("a-secret")).await.unwrap().unwrap();
    assert_eq!((found.zone.as_str(), found.g_per_kwh, found.estimated), ("DE", 302.0, Some(true)));
    assert_eq!((found.at.as_str(), found.kind.as_str()), ("2026-11-23T17:00:00.000Z", "lifecycle"));
    let request = thread.join().unwrap();
    let (line, rest) = request.split_once(" HTTP/1.1\r\n").unwrap();
    let (path, query) = line.split_once('?').unwrap();
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    assert_eq!(path, "GET /v3/carbon-intensity/latest");
    assert_eq!(query, ["emissionFactorType=lifecycle", "shouldUseFallbackCallerLookup=false", "zone=DE"]);
    assert!(rest.to_lowercase().contains("auth-token: a-secret\r\n"), "{rest}");
}

#[tokio::test]
async fn what_was_measured_and_not_estimated_has_no_method() {
    let measured = r#"{"zone":"DE","carbonIntensity":322,"datetime":"2019-05-21T00:00:00.000Z",
        "updatedAt":"2022-04-07T15:32:21.002Z","createdAt":"2022-02-08T06:20:31.772Z",
        "emissionFactorType":"lifecycle","isEstimated":false,"estimationMethod":null}"#;
    let (options, thread) = server("200 OK", measured);
    let found = ask(&options, Some("a-secret")).await.unwrap().unwrap();
    thread.join().unwrap();
    assert_eq!((found.g_per_kwh, found.estimated), (322.0, Some(false)));
}

#[tokio::test]
async fn without_a_token_or_a_zone_nobody_is_asked() {
    // Nothing listens at this address: asking would fail.
    let options = GridOptions { zone: Some("DE".to_owned()), endpoint: "http://127.0.0.1:1".to_owned() };
    assert_eq!(ask(&options, None).await, Ok(None));
    assert_eq!(ask(&options, Some(" ")).await, Ok(None));
    let nowhere = GridOptions { zone: None, ..options.clone() };
    assert_eq!(ask(&nowhere, Some("a-secret")).await, Ok(None));
    assert!(ask(&options, Some("a-secret")).await.is_err(), "with both somebody is");
}

#[tokio::test]
async fn what_goes_wrong_is_said_without_the_token() {
    for (status, body, said) in [
        ("401 Unauthorized", "{}", "refuses the token"),
        ("404 Not Found", "{}", "404"),
        ("200 OK", "<html>", "something else"),
        // What the service falls back on where it knows the caller's address and not the zone.
        (
            "200 OK",
            r#"{"zone":"US-CAR-DUK","carbonIntensity":144,"datetime":"x","emissionFactorType":"lifecycle"}"#,
            "zone `US-CAR-DUK`, and zone `DE` was asked for",
        ),
        ("200 OK", r#"{"zone":"DE","carbonIntensity":-3,"datetime":"x"}"#, "no intensity"),
    ] {
        let (options, thread) = server(status, body);
        let fault = ask(&options, Some("a-secret")).await.unwrap_err().to_string();
        thread.join().unwrap();
        assert!(fault.contains(said) && !fault.contains("a-secret"), "{fault}");
    }
}
