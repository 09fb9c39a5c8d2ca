//! The client's health: what it used, how late it was, and whether it was what limited.
//!
//! Everything follows from the record. The verdict is the worst of its signs (module `signs`). Refuses to correct a
//! latency for the client's own delay: it says how large that was.

mod signs;

use std::collections::BTreeMap;

use ai_energy_core::client::{ClientLimits, ClientUsage, Delays, Limit, Traffic};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::{
    CalibratedClient, ClientBound, Counts, Health, Lateness, LoadFigures, Sign, ThreadCpu, Tokens,
};
use ai_energy_core::{RunRecord, Stamp};

use crate::integrate::Window;
use crate::latency::schedule_lag;
use crate::stats::distribution;
use signs::Seen;

/// The kernel's ticks, in which a process's own and kernel time are told, s.
const TICK_SECONDS: f64 = 0.01;

const OLDER: &str = "the version that made the record did not observe it";

/// The client's health over the load; unknown with its reason where nothing was run or observed.
pub(crate) fn health(
    record: &RunRecord,
    window: Option<Window>,
    counts: &Counts,
    tokens: &Tokens,
    load: &LoadFigures,
) -> Health {
    let client = &record.client;
    let mut health = Health {
        calibration: client.calibration.as_ref().map(calibrated),
        threads: client.threads.iter().map(thread).collect(),
        ..delays(record)
    };
    processors(&mut health, client, window, tokens);
    sockets(&mut health, client);
    let rate = |amount: Option<f64>| Some(amount? / window?.seconds());
    let seen = Seen {
        client,
        own_delays: judged_delays(record),
        refused_sockets: counts.errors.get(&ai_energy_core::ErrorClass::ClientLimit).copied().unwrap_or(0),
        cpu_share: health.cpu_share.clone(),
        streams: load.peak_concurrency.value,
        tokens_per_second: rate(tokens.completion.map(|tokens| tokens as f64)),
        requests_per_second: rate(Some(counts.successful as f64)),
    };
    health.signs = signs::signs(&seen);
    health.thresholds = signs::basis(client);
    (health.client_bound, health.reasons) = verdict(&health.signs, client.event_loop.is_some());
    health
}

/// The worst sign, and the words of those that say so. No sign says nothing where the loop was not probed.
fn verdict(signs: &[Sign], probed: bool) -> (ClientBound, Vec<String>) {
    let worst = signs.iter().map(|sign| sign.verdict).max().unwrap_or_default();
    let words = |least: ClientBound| {
        signs.iter().filter(|sign| sign.verdict >= least).map(|sign| sign.words.clone()).collect()
    };
    match worst {
        ClientBound::Maybe | ClientBound::Yes => (worst, words(ClientBound::Maybe)),
        _ if !probed => {
            (ClientBound::Unknown, vec!["how late the event loop ran was not observed".to_owned()])
        }
        _ => (worst, words(ClientBound::No)),
    }
}

/// Everything about how late the client was.
fn delays(record: &RunRecord) -> Health {
    let sent = || record.requests.iter().filter(|request| request.generation.sent.is_some());
    let of = |value: fn(&RequestRecord) -> Option<f64>, none: &str| {
        lateness(sent().filter_map(value).collect(), "stamps of the requests that were sent", none)
    };
    Health {
        schedule_lag: of(schedule_lag, "no request was sent"),
        connecting: of(connecting, "no request needed a new connection, or the backend makes none"),
        own_delay: lateness(
            sent().filter_map(own_delay).collect(),
            "schedule lag less making a connection",
            "no request was sent",
        ),
        event_loop_delay: record.client.event_loop.as_ref().map_or_else(unprobed, probed),
        ..Health::default()
    }
}

fn connecting(request: &RequestRecord) -> Option<f64> {
    request.generation.connecting.map(|nanos| nanos as f64 * 1e-9)
}

/// From when a request could go to sending, without making a connection, s.
fn own_delay(request: &RequestRecord) -> Option<f64> {
    Some((schedule_lag(request)? - connecting(request).unwrap_or(0.0)).max(0.0))
}

/// The delays that tell of the client. A closed loop's first requests are all due at one instant, so that the last of them
/// waits for the others however fast the client is; and no latency of theirs counts from that instant.
fn judged_delays(record: &RunRecord) -> Vec<f64> {
    let mut begun: BTreeMap<u32, Stamp> = BTreeMap::new();
    for request in record.requests.iter().filter(|request| !request.offer.planned) {
        let begin = begun.entry(request.offer.step).or_insert(request.scheduled);
        *begin = request.scheduled.min(*begin);
    }
    let judged = |request: &&RequestRecord| {
        request.offer.planned || begun.get(&request.offer.step).is_none_or(|begin| request.scheduled > *begin)
    };
    record.requests.iter().filter(judged).filter_map(own_delay).collect()
}

fn lateness(seconds: Vec<f64>, source: &str, none: &str) -> Lateness {
    let Some(all) = distribution(seconds, "s") else {
        let unknown = || Figure::unavailable("s", none);
        return Lateness { count: 0, p50: unknown(), p99: unknown(), max: unknown() };
    };
    let figure = |value| Figure::new(value, "s", Provenance::Measured, source);
    Lateness { count: all.count as u64, p50: figure(all.p50), p99: figure(all.p99), max: figure(all.max) }
}

fn unprobed() -> Lateness {
    let unknown = || Figure::unavailable("s", OLDER);
    Lateness { count: 0, p50: unknown(), p99: unknown(), max: unknown() }
}

/// Delays by classes: a quantile is the middle of its class, give or take half of it.
fn probed(delays: &Delays) -> Lateness {
    let source = format!(
        "{} wakes, one every {:.0} ms, by {}",
        delays.count,
        delays.period_ns as f64 * 1e-6,
        delays.instrument
    );
    let none = || Figure::unavailable("s", "the load was shorter than the time between two wakes");
    let quantile = |share| {
        delays.quantile_ns(share).map_or_else(none, |(lower, upper)| {
            let (middle, half) =
                (f64::midpoint(lower as f64, upper as f64), (upper as f64 - lower as f64) / 2.0);
            Figure::new(middle * 1e-9, "s", Provenance::Measured, source.as_str()).with_ci95(half * 1e-9)
        })
    };
    let max = Figure::new(delays.max_ns as f64 * 1e-9, "s", Provenance::Measured, source.as_str());
    Lateness {
        count: delays.count,
        p50: quantile(0.5),
        p99: quantile(0.99),
        max: if delays.count > 0 { max } else { none() },
    }
}

fn thread(thread: &ai_energy_core::client::ThreadUse) -> ThreadCpu {
    let seconds = |value| Figure::new(value, "s", Provenance::Measured, "the kernel's schedstat");
    ThreadCpu {
        name: thread.name.clone(),
        threads: thread.threads,
        cpu: seconds(thread.cpu_seconds),
        waited: seconds(thread.wait_seconds),
    }
}

fn processors(health: &mut Health, client: &ClientUsage, window: Option<Window>, tokens: &Tokens) {
    let known = |value: Option<f64>, unit: &str, source: &str, reason: &str| match value {
        Some(value) => Figure::new(value, unit, Provenance::Measured, source),
        None => Figure::unavailable(unit, reason),
    };
    let untold = "the system does not tell, or the version that made the record did not ask";
    let ticks = |value: Option<f64>| {
        let figure = known(value, "s", "the kernel's ticks of 10 ms", untold);
        figure.with_ci95(TICK_SECONDS)
    };
    health.cpu = known(client.load_cpu_seconds, "s", "the process's CPU clock", untold);
    health.cpu_user = ticks(client.user_seconds);
    health.cpu_system = ticks(client.system_seconds);
    health.cores = known(client.cores, "core", "what the system lets this process use", untold);
    // The looks are a little further apart than the load's window: the time was used between them.
    let looked = client.looked.map(|[before, after]| after.seconds_since(before).0);
    let span = looked.or_else(|| Some(window?.seconds())).filter(|seconds| *seconds > 0.0);
    let had = client.cores.zip(span).map(|(cores, seconds)| cores * seconds);
    health.cpu_share = match had {
        Some(had) => Figure { source: "CPU time over cores × time".to_owned(), ..health.cpu.per(had, "1") },
        None => Figure::unavailable("1", untold),
    };
    let tokens = tokens.completion.unwrap_or(0) as f64;
    health.cpu_per_output_token = health.cpu.scaled(1e6, "µs").per(tokens, "µs/token");
}

fn sockets(health: &mut Health, client: &ClientUsage) {
    let count = |value: fn(&Traffic) -> u64, unit: &str, source: &str| match &client.traffic {
        Some(traffic) => Figure::new(value(traffic) as f64, unit, Provenance::Measured, source),
        None => {
            Figure::unavailable(unit, "the backend has no connections, or the record is of an older version")
        }
    };
    let (connections, sockets) =
        ("counted as they were made", "counted at the sockets, heads and TLS included");
    health.connections_opened = count(|traffic| traffic.opened, "connection", connections);
    health.peak_connections = count(|traffic| traffic.peak_open, "connection", connections);
    health.requests_on_kept_connections = count(|traffic| traffic.reused, "request", connections);
    health.bytes_received = count(|traffic| traffic.received_bytes, "B", sockets);
    health.bytes_sent = count(|traffic| traffic.sent_bytes, "B", sockets);
}

fn calibrated(limits: &ClientLimits) -> CalibratedClient {
    let figure = |limit: &Limit, unit: &str| {
        let figure = Figure::new(limit.value, unit, Provenance::Measured, "calibrate");
        let more = "at least: no higher level broke the bounds";
        if limit.reached { figure } else { figure.with_reason(more) }
    };
    let error = |pair: Option<[f64; 2]>, place: usize| match pair {
        Some(pair) => {
            Figure::new(pair[place], "s", Provenance::Measured, "calibrate, against the simulator's truth")
        }
        None => Figure::unavailable("s", "no level held the bounds"),
    };
    CalibratedClient {
        made_at: limits.made_at.clone(),
        cores: limits.cores,
        streams: figure(&limits.streams, "stream"),
        tokens_per_second: figure(&limits.tokens_per_second, "token/s"),
        requests_per_second: figure(&limits.requests_per_second, "request/s"),
        ttft_error_p50: error(limits.ttft_error_seconds, 0),
        ttft_error_p99: error(limits.ttft_error_seconds, 1),
        inter_token_error_p50: error(limits.inter_token_error_seconds, 0),
        inter_token_error_p99: error(limits.inter_token_error_seconds, 1),
    }
}
