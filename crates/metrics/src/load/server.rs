//! What the server said of itself over the load, held against what the client saw.
//!
//! Totals are differences between the look before the load and the one after it, over all clients of the server. Refuses to
//! take a difference over a restart.

use ai_energy_core::RunRecord;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::server::ServerSample;
use ai_energy_core::summary::{Distribution, ServerFigures};

use crate::integrate::Window;

const SOURCE: &str = "the server's own metrics";

/// The server's figures; `None` where it was not seen twice.
pub(super) fn server(
    record: &RunRecord,
    window: Window,
    client_ttft: Option<&Distribution>,
) -> Option<ServerFigures> {
    let samples = &record.server_samples;
    let [first, .., last] = samples.as_slice() else { return None };
    let within: Vec<&ServerSample> = samples.iter().filter(|sample| window.holds(sample.at)).collect();
    let rise = |value: fn(&ServerSample) -> Option<f64>| {
        Some(value(last)? - value(first)?).filter(|rise| *rise >= 0.0)
    };
    let over = |name: &str, value: fn(&ServerSample) -> Option<f64>| {
        let values: Vec<f64> = within.iter().filter_map(|sample| value(sample)).collect();
        let known = !values.is_empty();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let most = values.into_iter().fold(0.0, f64::max);
        let unit = if name == "cache" { "1" } else { "request" };
        let figure = |value| figure(known.then_some(value), unit, "the server was not seen within the load");
        (figure(mean), figure(most))
    };
    let (mean_running, peak_running) = over("running", |sample| sample.running);
    let (mean_waiting, peak_waiting) = over("waiting", |sample| sample.waiting);
    let (_, peak_cache_use) = over("cache", |sample| sample.cache_use);
    let untold = "the server does not say, or started anew";
    let count = rise(|sample| sample.ttft_count).filter(|count| *count > 0.0);
    let ttft = count.and_then(|count| Some(rise(|sample| sample.ttft_seconds_sum)? / count));
    let queries = rise(|sample| sample.prefix_queries).filter(|queries| *queries > 0.0);
    let hits = queries.and_then(|queries| Some(rise(|sample| sample.prefix_hits)? / queries));
    // Another client's requests, or failed ones, would make it a difference between different things.
    let same = client_ttft.filter(|client| count == Some(client.count as f64));
    let beyond = same.and_then(|client| Some(client.mean - ttft?));
    Some(ServerFigures {
        looks: samples.len(),
        mean_running,
        peak_running,
        mean_waiting,
        peak_waiting,
        peak_cache_use,
        prefix_hit_share: figure(hits, "1", untold),
        preemptions: figure(rise(|sample| sample.preemptions), "request", untold),
        mean_ttft: figure(ttft, "s", untold),
        ttft_beyond_server: figure(
            beyond,
            "s",
            "the server did not count the same first tokens as the client",
        ),
    })
}

fn figure(value: Option<f64>, unit: &str, reason: &str) -> Figure {
    match value {
        Some(value) => Figure::new(value, unit, Provenance::Derived, SOURCE),
        None => Figure::unavailable(unit, reason),
    }
}
