//! Summaries with fixed values, by the arithmetic that the summary's definitions give.

use std::collections::BTreeMap;

use ai_energy_core::energy::Domain;
use ai_energy_core::record::TokenCountSource;
use ai_energy_core::summary::{
    Carbon, ClientBound, Counts, Distribution, DomainEnergy, Efficiency, Energy, Health, InterTokenBasis,
    Latency, Lateness, LoadFigures, PrefillDecode, RequestShares, SCHEMA_VERSION, Summary, Throughput,
    Tokens, Validity,
};
use ai_energy_core::{Figure, Provenance};

/// A distribution in seconds around its median.
fn distribution(p50: f64, spread: f64, count: usize) -> Distribution {
    Distribution {
        unit: "s".to_owned(),
        count,
        mean: p50 * (1.0 + spread / 4.0),
        mean_ci95: Some(p50 * spread / 10.0),
        standard_deviation: Some(p50 * spread / 2.0),
        min: p50 * (1.0 - spread / 4.0),
        p50,
        p90: p50 * (1.0 + spread * 0.9),
        p95: p50 * (1.0 + spread),
        p99: p50 * (1.0 + spread * 1.6),
        p999: p50 * (1.0 + spread * 1.8),
        max: p50 * (1.0 + spread * 2.0),
    }
}

pub(crate) fn domain(
    domain: Domain,
    joules: f64,
    relative: f64,
    provenance: Provenance,
    source: &str,
) -> DomainEnergy {
    let power = joules / 74.25;
    DomainEnergy {
        domain,
        energy: Figure::new(joules, "J", provenance, source).with_ci95(joules * relative),
        mean_power: Figure::new(power, "W", Provenance::Derived, source).with_ci95(power * relative),
        peak_power: Figure::new(power * 1.4, "W", Provenance::Derived, source),
        per_request: Figure::unavailable("J/request", "not shared yet"),
        per_output_token: Figure::unavailable("J/token", "not shared yet"),
    }
}

pub(crate) fn unavailable(domain: Domain, reason: &str) -> DomainEnergy {
    DomainEnergy {
        domain,
        energy: Figure::unavailable("J", reason),
        mean_power: Figure::unavailable("W", reason),
        peak_power: Figure::unavailable("W", reason),
        per_request: Figure::unavailable("J/request", reason),
        per_output_token: Figure::unavailable("J/token", reason),
    }
}

/// The energy section for these domains, with the arithmetic that the summary defines.
pub(crate) fn energy(
    mut domains: Vec<DomainEnergy>,
    requests: f64,
    tokens: f64,
    remark: Option<&str>,
) -> Energy {
    for entry in &mut domains {
        entry.per_request = entry.energy.per(requests, "J/request");
        entry.per_output_token = entry.energy.per(tokens, "J/token");
    }
    let known: Vec<&DomainEnergy> = domains.iter().filter(|entry| entry.energy.value.is_some()).collect();
    let total = if known.is_empty() {
        Figure::unavailable("J", "no domain is known")
    } else {
        let sum = known.iter().filter_map(|entry| entry.energy.value).sum();
        let error: f64 = known.iter().filter_map(|entry| entry.energy.ci95).map(|ci95| ci95 * ci95).sum();
        let weakest =
            known.iter().map(|entry| entry.energy.provenance).fold(Provenance::Derived, Provenance::weaker);
        let words: Vec<&str> = known.iter().map(|entry| entry.domain.word()).collect();
        let mut total = Figure::new(sum, "J", weakest, words.join(" + ")).with_ci95(error.sqrt());
        total.reason = remark.map(str::to_owned);
        total
    };
    let gpu = domains.iter().find(|entry| entry.domain == Domain::Gpu).unwrap().energy.clone();
    let per_joule = match total.value {
        Some(joules) => Figure::new(tokens / joules, "token/J", Provenance::Derived, ""),
        None => Figure::unavailable("token/J", "no domain is known"),
    };
    Energy {
        channels: Vec::new(),
        gpu_per_request: gpu.per(requests, "J/request"),
        gpu_per_output_token: gpu.per(tokens, "J/token"),
        per_request: total.per(requests, "J/request"),
        per_output_token: total.per(tokens, "J/token"),
        per_token: total.per(tokens * 1.7, "J/token"),
        output_tokens_per_joule: per_joule,
        wh_per_1000_requests: total.per(requests * 3.6, "Wh"),
        server_reported: None,
        idle: Vec::new(),
        phases: Vec::new(),
        efficiency: Efficiency::default(),
        prefill_decode: PrefillDecode::default(),
        requests: RequestShares::default(),
        domains,
        total,
    }
}

pub(crate) fn summary(energy: Energy, successful: usize, total: usize) -> Summary {
    let grams = 369.0 / 3_600_000.0;
    let emissions = match energy.total.value {
        Some(_) => energy.total.scaled(grams, "g"),
        None => Figure::unavailable("g", "no domain is known"),
    };
    let tokens =
        energy.output_tokens_per_joule.value.zip(energy.total.value).map(|(rate, joules)| rate * joules);
    Summary {
        schema_version: SCHEMA_VERSION,
        duration: Figure::new(74.25, "s", Provenance::Measured, "monotonic clock"),
        counts: Counts { total, successful, ..Counts::default() },
        tokens: Tokens {
            prompt: Some(8_511),
            completion: Some(12_742),
            cached_prompt: None,
            completion_sources: BTreeMap::from([(TokenCountSource::Server, successful)]),
            uncounted: 0,
            server_completion: Some(12_742),
            server_prompt: None,
        },
        latency: Latency {
            time_to_first_token: Some(distribution(0.058, 0.8, successful)),
            time_to_first_content: Some(distribution(0.058, 0.8, successful)),
            inter_token: Some(distribution(0.011, 0.2, 12_542)),
            time_per_output_token: Some(distribution(0.0112, 0.1, successful)),
            end_to_end: Some(distribution(0.76, 0.2, successful)),
            queueing: None,
            schedule_lag: Some(distribution(0.000_04, 3.0, successful)),
            client_bound: None,
        },
        health: health(ClientBound::No),
        load: LoadFigures { inter_token_basis: InterTokenBasis::Counted, ..LoadFigures::default() },
        throughput: Throughput {
            output_tokens_per_second: Figure::new(171.6, "token/s", Provenance::Derived, ""),
            total_tokens_per_second: Figure::new(286.2, "token/s", Provenance::Derived, ""),
            requests_per_second: Figure::new(2.694, "request/s", Provenance::Derived, ""),
        },
        energy,
        carbon: Carbon {
            emissions_per_request: emissions.per(successful as f64, "g/request"),
            emissions_per_output_token: emissions.per(tokens.unwrap_or(0.0), "g/token"),
            emissions: Figure { source: "Ember, by Our World in Data".to_owned(), ..emissions },
            intensity: Figure::new(369.0, "g/kWh", Provenance::Estimated, "Ember, by Our World in Data"),
            country_iso_code: Some("USA".to_owned()),
            country_name: Some("United States".to_owned()),
            region: None,
            intensity_year: Some(2024),
            licence: None,
            pue: 1.0,
            wue: None,
            water: Figure::unavailable("L", "metrics.wue is not set"),
        },
        codecarbon: None,
        validity: Validity::default(),
        warnings: Vec::new(),
        curves: ai_energy_core::summary::Curves::default(),
    }
}

/// The health of a client that used little, with the verdict given and a reason for it.
pub(crate) fn health(client_bound: ClientBound) -> Health {
    let seconds = |value| Figure::new(value, "s", Provenance::Measured, "test");
    let number = |value, unit: &str| Figure::new(value, unit, Provenance::Measured, "test");
    Health {
        client_bound,
        reasons: vec!["event loop p99 61 ms (limits from 50 ms)".to_owned()],
        thresholds: "stated defaults: no calibration was made".to_owned(),
        event_loop_delay: Lateness {
            count: 3712,
            p50: seconds(4e-5),
            p99: seconds(1.2e-4),
            max: seconds(0.003),
        },
        cpu: seconds(1.9),
        cores: number(8.0, "core"),
        cpu_share: number(0.0032, "1"),
        cpu_per_output_token: number(149.1, "µs/token"),
        connections_opened: number(2.0, "connection"),
        peak_connections: number(1.0, "connection"),
        requests_on_kept_connections: number(198.0, "request"),
        bytes_received: number(2_345_678.0, "B"),
        bytes_sent: number(81_234.0, "B"),
        ..Health::default()
    }
}
