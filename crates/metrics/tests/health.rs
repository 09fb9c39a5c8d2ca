//! The client's health by hand: what it used, which signs say that it limits, and what a record without them gives.

#![allow(clippy::unwrap_used)]

mod common;

use ai_energy_core::client::{ClientLimits, ClientUsage, Delays, Limit, Threshold, Thresholds, Traffic};
use ai_energy_core::summary::{ClientBound, Health, Summary, Verdict};
use ai_energy_core::{ErrorClass, RunRecord};
use common::{at, failed, record, request, summary};

/// A client of 2 cores whose event loop was late by so many ms at each of so many wakes, over the record's 10 s.
fn client(late_ms: f64, wakes: u64, cpu_seconds: f64) -> ClientUsage {
    let mut delays = Delays::new(20_000_000, "test");
    (0..wakes).for_each(|_| delays.add((late_ms * 1e6) as u64));
    ClientUsage {
        load_cpu_seconds: Some(cpu_seconds),
        looked: Some([at(1.0), at(11.0)]),
        user_seconds: Some(cpu_seconds * 0.75),
        system_seconds: Some(cpu_seconds * 0.25),
        cores: Some(2.0),
        event_loop: Some(delays),
        traffic: Some(Traffic { opened: 3, peak_open: 2, reused: 5, received_bytes: 9000, sent_bytes: 400 }),
        uncalibrated: "no calibration was made".to_owned(),
        ..ClientUsage::default()
    }
}

fn with(client: ClientUsage) -> RunRecord {
    RunRecord { client, ..record() }
}

fn health(record: &RunRecord) -> Health {
    summary(record).health
}

fn check(summary: &Summary) -> (Verdict, String) {
    let found = summary.validity.checks.iter().find(|check| check.name == "client_bound").unwrap();
    (found.verdict, found.detail.clone())
}

#[test]
fn what_was_used_is_told_with_its_units() {
    let health = health(&with(client(0.1, 500, 4.0)));
    for (figure, value, unit) in [
        (&health.cpu, 4.0, "s"),
        (&health.cpu_user, 3.0, "s"),
        (&health.cpu_system, 1.0, "s"),
        (&health.cpu_share, 0.2, "1"),
        (&health.cpu_per_output_token, 4.0e6 / 80.0, "µs/token"),
        (&health.connections_opened, 3.0, "connection"),
        (&health.peak_connections, 2.0, "connection"),
        (&health.requests_on_kept_connections, 5.0, "request"),
        (&health.bytes_received, 9000.0, "B"),
        (&health.bytes_sent, 400.0, "B"),
    ] {
        assert!((figure.value.unwrap() - value).abs() < 1e-9 * value, "{figure:?}");
        assert_eq!(figure.unit, unit);
        assert!(!figure.source.is_empty(), "{figure:?}");
    }
    let p99 = &health.event_loop_delay.p99;
    assert!((p99.value.unwrap() - 1e-4).abs() <= 1.001 * p99.ci95.unwrap(), "{p99:?}");
    assert!(p99.ci95.unwrap() < 0.02 * p99.value.unwrap());
}

#[test]
fn a_record_of_an_older_version_has_nulls_with_reasons_and_no_verdict() {
    let old = RunRecord { client: serde_json::from_str(r#"{"load_cpu_seconds": 1.0}"#).unwrap(), ..record() };
    let summary = summary(&old);
    let health = &summary.health;
    assert_eq!(health.client_bound, ClientBound::Unknown);
    for figure in [&health.cpu_share, &health.bytes_sent, &health.event_loop_delay.max, &health.cpu_user] {
        assert!(
            figure.value.is_none() && !figure.reason.as_deref().unwrap_or_default().is_empty(),
            "{figure:?}"
        );
    }
    assert_eq!(health.cpu.value, Some(1.0));
    assert_eq!((check(&summary).0, summary.latency.client_bound), (Verdict::Unknown, None));
}

#[test]
fn each_sign_alone_gives_its_verdict_and_only_a_bound_client_marks_latencies() {
    for (client, expected, says) in [
        (client(0.1, 500, 1.0), ClientBound::No, "event loop"),
        (client(6.0, 500, 1.0), ClientBound::Maybe, "event loop"),
        (client(60.0, 500, 1.0), ClientBound::Yes, "event loop"),
        (client(0.1, 500, 15.0), ClientBound::Maybe, "2 cores"),
        (client(0.1, 500, 19.0), ClientBound::Yes, "2 cores"),
    ] {
        let summary = summary(&with(client));
        assert_eq!(summary.health.client_bound, expected, "{:?}", summary.health.reasons);
        assert!(summary.health.reasons.iter().any(|reason| reason.contains(says)));
        assert!(summary.health.thresholds.contains("defaults: no calibration was made"));
        assert_eq!(summary.latency.client_bound.is_some(), expected == ClientBound::Yes);
        let verdict = if expected == ClientBound::No { Verdict::Ok } else { Verdict::Warning };
        assert_eq!(check(&summary).0, verdict);
        assert!(check(&summary).1.contains(says));
    }
}

#[test]
fn a_few_hiccups_among_few_wakes_are_no_verdict() {
    let mut usage = client(0.1, 18, 0.1);
    usage.event_loop.as_mut().unwrap().add(80_000_000);
    assert_eq!(health(&with(usage)).client_bound, ClientBound::No, "one wake of 19");
    let mut usage = client(0.1, 980, 0.1);
    (0..20).for_each(|_| usage.event_loop.as_mut().unwrap().add(80_000_000));
    assert_eq!(health(&with(usage)).client_bound, ClientBound::Yes, "two of a hundred");
}

#[test]
fn making_a_connection_is_not_the_clients_own_delay() {
    let build = |connecting: Option<u64>| {
        let mut record = with(client(0.1, 500, 1.0));
        for request in &mut record.requests {
            request.scheduled = at(request.generation.sent.unwrap().seconds() - 0.2);
            request.offer.planned = true;
            request.generation.connecting = connecting;
        }
        health(&record)
    };
    let (slow, dialled) = (build(None), build(Some(199_000_000)));
    assert_eq!((slow.client_bound, dialled.client_bound), (ClientBound::Yes, ClientBound::No));
    assert!((dialled.schedule_lag.max.value.unwrap() - 0.2).abs() < 1e-9, "it stands in the schedule lag");
    assert!((dialled.own_delay.max.value.unwrap() - 0.001).abs() < 1e-9);
    assert_eq!(dialled.connecting.count, 2);
    assert!(slow.connecting.p50.reason.is_some());
}

#[test]
fn the_first_requests_of_a_closed_loop_wait_for_one_another_and_not_for_the_client() {
    let mut record = with(client(0.1, 500, 1.0));
    record.requests = (0..50).map(|number| request(number, 1.0 + 0.01 * number as f64, 6.0)).collect();
    record.requests.iter_mut().for_each(|request| request.scheduled = at(1.0));
    let started = health(&record);
    assert!(started.own_delay.max.value.unwrap() > 0.4, "it is told");
    assert_eq!(started.client_bound, ClientBound::No, "and judges nothing");
    record.requests.extend((0..50).map(|number| {
        let mut request = request(number, 6.5, 7.0);
        request.scheduled = at(6.0);
        request
    }));
    assert_eq!(health(&record).client_bound, ClientBound::Yes, "half a second after a slot was free");
}

#[test]
fn a_socket_that_this_machine_refused_is_the_clients_doing() {
    let mut record = with(client(0.1, 500, 1.0));
    record.requests.push(failed(2, ErrorClass::Connect));
    assert_eq!(health(&record).client_bound, ClientBound::No);
    record.requests.push(failed(3, ErrorClass::ClientLimit));
    let bound = health(&record);
    assert_eq!(bound.client_bound, ClientBound::Yes);
    assert!(bound.reasons[0].contains("1 requests no socket"), "{:?}", bound.reasons);
}

#[test]
fn a_calibration_moves_the_thresholds_and_knows_the_limits() {
    let calibrated = |tokens: f64, reached: bool| {
        let limits = ClientLimits {
            made_at: "2026-01-01T00:00:00Z".to_owned(),
            cores: 1.0,
            streams: Limit { value: 64.0, reached: true },
            tokens_per_second: Limit { value: tokens, reached },
            requests_per_second: Limit { value: 500.0, reached: true },
            ttft_error_seconds: Some([1e-4, 2e-3]),
            thresholds: Thresholds {
                event_loop_seconds: Threshold { maybe: 0.02, yes: 0.2 },
                ..Thresholds::default()
            },
            ..ClientLimits::default()
        };
        let usage =
            ClientUsage { calibration: Some(limits), uncalibrated: String::new(), ..client(6.0, 500, 1.0) };
        health(&with(usage))
    };
    let calm = calibrated(1000.0, true);
    assert_eq!(calm.client_bound, ClientBound::No, "6 ms are no sign where 20 ms are the threshold");
    assert!(calm.thresholds.contains("calibrated on this machine"));
    assert_eq!(calm.calibration.as_ref().unwrap().ttft_error_p99.value, Some(2e-3));
    assert!(calm.calibration.unwrap().inter_token_error_p50.reason.is_some());
    // 80 tokens in 10 s: 8 a second.
    assert_eq!(calibrated(9.0, true).client_bound, ClientBound::Maybe, "within a fifth of the limit");
    assert_eq!(calibrated(9.0, false).client_bound, ClientBound::No, "the client can do at least 9");
    let beyond = calibrated(7.0, false);
    assert_eq!(beyond.client_bound, ClientBound::Maybe);
    assert!(beyond.reasons[0].contains("most that the calibration saw"), "{:?}", beyond.reasons);
}

#[test]
fn a_record_that_went_through_json_gives_the_same_health() {
    let record = with(client(6.0, 500, 1.0));
    let text = serde_json::to_string(&record.head()).unwrap();
    let mut read: RunRecord = serde_json::from_str(&text).unwrap();
    read.requests.clone_from(&record.requests);
    assert_eq!(health(&read), health(&record));
}
