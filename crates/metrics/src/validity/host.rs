//! Checks of who ran where: the server's machine is the one that was measured, and what the client itself took there.
//!
//! Refuses to resolve names: an address that is not plainly this machine is called another one.

use ai_energy_core::energy::Domain;
use ai_energy_core::summary::ClientBound;

use super::{Found, Look};
use crate::sources::sees_the_users_choice;

/// The client's share of the machine's processors from which on it is in the way.
const CLIENT_SHARE: f64 = 0.05;

const CLIENT_REMEDY: &str = "give the client more free processors or run it on another machine, or offer less load; \
                             `ai-energy-benchmark calibrate` finds what it can do here";

/// The host of an endpoint such as `http://[::1]:8000/v1`.
fn host(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn is_this_machine(host: &str, hostname: Option<&str>) -> bool {
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    loopback
        || host.eq_ignore_ascii_case("localhost")
        || hostname.is_some_and(|name| host.eq_ignore_ascii_case(name))
}

/// The server's host where it is not this machine.
fn elsewhere<'a>(look: &'a Look<'_>) -> Option<&'a str> {
    let endpoint = look.record.backend.endpoint.as_deref()?;
    let hostname = look.record.environment.get("hostname").and_then(|name| name.as_str());
    Some(host(endpoint)).filter(|host| !is_this_machine(host, hostname))
}

pub(super) fn server_host(look: &Look<'_>) -> Found {
    let Some(host) = elsewhere(look) else {
        return Found::ok("the model ran on the machine that was measured");
    };
    let counting = look.results.iter().filter(|result| result.channel.counts);
    let mut channels = counting.map(|result| &result.channel).peekable();
    if channels.peek().is_none() {
        return Found::unknown(format!("the server is at {host}, and no energy was read"), "");
    }
    if channels.all(|channel| sees_the_users_choice(channel)) {
        return Found::ok(format!(
            "the server is at {host}, and the figures come from a source that can see it"
        ));
    }
    Found::warning(
        format!("the server is at {host}: the energy of this machine is not the server's"),
        "run this program where the server runs, or read that machine through a remote source",
    )
}

/// What this program took of the machine, as far as its CPU time tells.
pub(super) fn client(look: &Look<'_>) -> Found {
    if elsewhere(look).is_some() {
        return Found::ok("the client ran on another machine than the server");
    }
    let threads = look.record.environment.get("cpu_count").and_then(serde_json::Value::as_f64);
    let (Some(cpu), Some(window), Some(threads)) =
        (look.record.client.load_cpu_seconds, look.window, threads.filter(|threads| *threads > 0.0))
    else {
        return Found::unknown("the client's share of the processors is not known", "");
    };
    let share = cpu / (window.seconds() * threads);
    let joules = look
        .domains
        .iter()
        .find(|entry| entry.domain == Domain::Cpu)
        .and_then(|entry| entry.energy.value)
        .map_or(String::new(), |joules| {
            format!(", about {:.1} J of the processors' {joules:.0} J", joules * share)
        });
    let detail = format!(
        "the client ran on the same machine and took {:.2} % of its processors{joules}; it is in the figures",
        share * 100.0
    );
    if share > CLIENT_SHARE {
        return Found::warning(detail, "run the client on another machine, or fewer requests at a time");
    }
    Found::ok(detail)
}

/// Whether latencies are the server's, or those of the client that measured them.
pub(super) fn client_bound(look: &Look<'_>) -> Found {
    let reasons = look.health.reasons.join("; ");
    match look.health.client_bound {
        ClientBound::Unknown => Found::unknown(reasons, ""),
        ClientBound::No => Found::ok(format!("the client kept up: {reasons}")),
        ClientBound::Maybe => {
            Found::warning(format!("the client may be what limits: {reasons}"), CLIENT_REMEDY)
        }
        ClientBound::Yes => Found::warning(
            format!("the client limits, latencies are its own as well as the server's: {reasons}"),
            CLIENT_REMEDY,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_endpoints_and_which_are_this_machine() {
        for (endpoint, expected, here) in [
            ("http://127.0.0.1:8000/v1", "127.0.0.1", true),
            ("http://localhost/v1", "localhost", true),
            ("https://[::1]:443/v1", "::1", true),
            ("http://user:pw@bench-1:8000", "bench-1", true),
            ("http://10.0.0.7:8000/v1", "10.0.0.7", false),
            ("https://api.example.org/v1", "api.example.org", false),
        ] {
            assert_eq!(host(endpoint), expected);
            assert_eq!(is_this_machine(host(endpoint), Some("bench-1")), here, "{endpoint}");
        }
    }
}
