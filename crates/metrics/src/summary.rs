//! The summary of a run: a pure function of its record.
//!
//! Reads no clock, no file and no environment, so that a stored record gives the same figures on any machine and any
//! day. Energy shares divide the whole window's energy by what succeeded in it.

use ai_energy_core::RunRecord;
use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::{
    ClientBound, Counts, Curves, DomainEnergy, Efficiency, Energy, PrefillDecode, RequestShares,
    SCHEMA_VERSION, Stretch, Summary, Tokens,
};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use serde::{Deserialize, Serialize};

use crate::attribution::attribution;
use crate::carbon::{Site, carbon};
use crate::codecarbon::{self, codecarbon};
use crate::efficiency::efficiency;
use crate::energy::{ChannelResult, channel_energy, channel_results, domains, total};
use crate::health::health;
use crate::integrate::Window;
use crate::latency::latency;
use crate::load::load;
use crate::location::check_location;
use crate::phases::phases;
use crate::shares::Shares;
use crate::validity::{Look, validity};
use crate::warnings::{Seen, warnings};

/// What a summary needs beside the record. A run's folder keeps it, so that the figures can be computed anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SummaryOptions {
    /// Country, ISO 3166-1 alpha-3; `None` stands for the USA, with a warning.
    pub country_iso_code: Option<String>,
    /// Region within the country.
    pub region: Option<String>,
    /// Grid intensity that overrides the tables, gCO2e/kWh.
    pub carbon_intensity_g_per_kwh: Option<f64>,
    /// Power usage effectiveness, 1 or more.
    pub pue: f64,
    /// Water usage effectiveness, litres per kWh; `None` computes no water.
    pub wue: Option<f64>,
    /// Compute the same run by CodeCarbon's method too.
    pub codecarbon: bool,
    /// Design power of the processors for that method, W; `None` takes its 4 W a hardware thread.
    pub cpu_tdp_watts: Option<f64>,
}

impl Default for SummaryOptions {
    /// No stated location, the machine alone.
    fn default() -> Self {
        Self {
            country_iso_code: None,
            region: None,
            carbon_intensity_g_per_kwh: None,
            pue: 1.0,
            wue: None,
            codecarbon: false,
            cpu_tdp_watts: None,
        }
    }
}

/// All figures of a run. Never fails: what cannot be known is unavailable with its reason.
///
/// A location that [`check_location`] refuses (callers check it before a run) gives the world's intensity and a
/// warning.
pub fn summarize(record: &RunRecord, options: &SummaryOptions) -> Summary {
    let window = record
        .load_window()
        .map(|(start, end)| Window { start, end })
        .filter(|window| window.end > window.start);
    let duration = match window {
        Some(window) => Figure::new(window.seconds(), "s", Provenance::Measured, "monotonic clock"),
        None => Figure::unavailable("s", "no request was run"),
    };
    let counts = counts(&record.requests);
    let (mut tokens, without_prompt) = tokens(&record.requests);
    let shares = Shares::new(&counts, &tokens, without_prompt);
    if let Some([before, after]) = record.server_counters {
        // A server that started anew in between counts from 0 again and tells nothing about the load.
        tokens.server_completion = after.generation_tokens.checked_sub(before.generation_tokens);
        tokens.server_prompt = after.prompt_tokens.checked_sub(before.prompt_tokens);
    }
    let results = channel_results(record, window);
    let domains = domains(record, &results, window, &shares);
    let total = total(&domains, &results);
    let location = check_location(options);
    let pue = if options.pue.is_finite() && options.pue >= 1.0 { options.pue } else { 1.0 };
    let carbon =
        carbon(&total, location.as_ref().ok(), record.grid.as_ref(), Site { pue, wue: options.wue }, &shares);
    let codecarbon = options.codecarbon.then(|| {
        let cpu_tdp_watts = options.cpu_tdp_watts;
        codecarbon(&codecarbon::Seen {
            record,
            window,
            results: &results,
            domains: &domains,
            carbon: &carbon,
            cpu_tdp_watts,
        })
    });
    let seen = Seen {
        record,
        window,
        counts: &counts,
        tokens: &tokens,
        results: &results,
        domains: &domains,
        total: &total,
        location,
    };
    let warnings = warnings(&seen);
    let disagreement = warnings.iter().find(|warning| warning.id == "cross_check");
    let disagreement = disagreement.map(|warning| warning.message.clone());
    let found = phases(record, &results);
    let mut latency = latency(&record.requests);
    let load_figures = load(record, window, latency.time_to_first_token.as_ref());
    let health = health(record, window, &counts, &tokens, &load_figures);
    latency.client_bound = (health.client_bound == ClientBound::Yes).then(|| health.reasons.join("; "));
    let look = Look {
        record,
        window,
        counts: &counts,
        results: &results,
        domains: &domains,
        idle: &found.idle,
        health: &health,
        disagreement,
    };
    let validity = validity(&look);
    let (prefill_decode, requests) = attribution(record, &results, &domains, window);
    let load = found.phases.iter().find(|phase| phase.phase == Stretch::Load);
    let efficiency = efficiency(&shares, &total, load, latency.end_to_end.as_ref());
    let server_reported = server_reported(&record.requests);
    let energy = Energy {
        idle: found.idle,
        phases: found.phases,
        efficiency,
        prefill_decode,
        requests,
        ..energy(&shares, domains, &results, total, server_reported)
    };
    Summary {
        schema_version: SCHEMA_VERSION,
        throughput: shares.throughput(&duration),
        load: load_figures,
        health,
        duration,
        latency,
        energy,
        carbon,
        codecarbon,
        validity,
        counts,
        tokens,
        warnings,
        curves: Curves::default(),
    }
}

/// How many requests there were and how they ended.
pub(crate) fn counts<'a>(requests: impl IntoIterator<Item = &'a RequestRecord>) -> Counts {
    let mut counts = Counts::default();
    for request in requests {
        counts.total += 1;
        match &request.generation.error {
            None => counts.successful += 1,
            Some(error) => {
                *counts.errors.entry(error.class).or_insert(0) += 1;
                if request.cancelled() {
                    counts.cancelled += 1;
                } else {
                    counts.failed += 1;
                }
            }
        }
    }
    counts
}

/// The tokens of the successful requests, and how many of these have no count of prompt tokens.
fn tokens(requests: &[RequestRecord]) -> (Tokens, usize) {
    let mut tokens = Tokens::default();
    let mut without_prompt = 0;
    for request in requests.iter().filter(|request| request.succeeded()) {
        let generation = &request.generation;
        match generation.prompt_tokens {
            Some(count) => add(&mut tokens.prompt, count.tokens),
            None => without_prompt += 1,
        }
        match generation.completion_tokens {
            Some(count) => {
                add(&mut tokens.completion, count.tokens);
                *tokens.completion_sources.entry(count.source).or_insert(0) += 1;
            }
            None => tokens.uncounted += 1,
        }
        if let Some(cached) = generation.cached_prompt_tokens {
            add(&mut tokens.cached_prompt, cached);
        }
    }
    (tokens, without_prompt)
}

fn add(sum: &mut Option<u64>, tokens: u32) {
    *sum = Some(sum.unwrap_or(0) + u64::from(tokens));
}

fn server_reported(requests: &[RequestRecord]) -> Option<Figure> {
    let reported: Vec<_> =
        requests.iter().filter_map(|request| request.generation.server_energy.as_ref()).collect();
    let joules: Vec<f64> = reported.iter().filter_map(|energy| energy.energy_joules).collect();
    if joules.is_empty() {
        return None;
    }
    let method =
        reported.iter().find_map(|energy| energy.attribution_method.as_deref()).unwrap_or("not stated");
    let source = format!("the server's own figures, attribution: {method}");
    let figure = Figure::new(joules.iter().sum(), "J", Provenance::Estimated, source);
    Some(figure.with_reason(format!("{} of {} requests carry one", joules.len(), requests.len())))
}

/// The energy of a run with its shares.
fn energy(
    shares: &Shares,
    domains: Vec<DomainEnergy>,
    results: &[ChannelResult<'_>],
    total: Figure,
    server_reported: Option<Figure>,
) -> Energy {
    let none = Figure::unavailable("J", "the GPU was not looked at");
    let gpu = domains.iter().find(|entry| entry.domain == Domain::Gpu).map_or(&none, |entry| &entry.energy);
    Energy {
        gpu_per_request: shares.per_request(gpu, "J/request"),
        gpu_per_output_token: shares.per_output_token(gpu, "J/token"),
        per_request: shares.per_request(&total, "J/request"),
        per_output_token: shares.per_output_token(&total, "J/token"),
        per_token: shares.per_token(&total, "J/token"),
        output_tokens_per_joule: shares.output_tokens_per_joule(&total),
        wh_per_1000_requests: shares.per_request(&total.scaled(1000.0 / JOULES_PER_WATT_HOUR, "Wh"), "Wh"),
        channels: results.iter().map(channel_energy).collect(),
        domains,
        total,
        server_reported,
        idle: Vec::new(),
        phases: Vec::new(),
        efficiency: Efficiency::default(),
        prefill_decode: PrefillDecode::default(),
        requests: RequestShares::default(),
    }
}
