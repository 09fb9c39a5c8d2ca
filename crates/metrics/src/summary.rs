//! The summary of a run: a pure function of its record.
//!
//! Reads no clock, no file and no environment, so that a stored record gives the same figures on any machine and any
//! day. Energy shares divide the whole window's energy by what succeeded in it.

use ai_energy_core::RunRecord;
use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::{RequestRecord, TokenCountSource};
use ai_energy_core::summary::{Counts, DomainEnergy, Energy, SCHEMA_VERSION, Summary, Throughput, Tokens};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;

use crate::carbon::carbon;
use crate::energy::{channel_energy, channel_results, domains, total};
use crate::integrate::Window;
use crate::latency::latency;
use crate::location::check_location;
use crate::warnings::{Seen, warnings};

/// What a summary needs beside the record.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryOptions {
    /// Country, ISO 3166-1 alpha-3; `None` stands for the USA, with a warning.
    pub country_iso_code: Option<String>,
    /// Region within the country.
    pub region: Option<String>,
    /// Grid intensity that overrides the tables, gCO2e/kWh.
    pub carbon_intensity_g_per_kwh: Option<f64>,
    /// Power usage effectiveness, 1 or more.
    pub pue: f64,
}

impl Default for SummaryOptions {
    /// No stated location, the machine alone.
    fn default() -> Self {
        Self { country_iso_code: None, region: None, carbon_intensity_g_per_kwh: None, pue: 1.0 }
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
    let (mut tokens, quality) = tokens(&record.requests);
    if let Some([before, after]) = record.server_counters {
        // A server that started anew in between counts from 0 again and tells nothing about the load.
        tokens.server_completion = after.generation_tokens.checked_sub(before.generation_tokens);
        tokens.server_prompt = after.prompt_tokens.checked_sub(before.prompt_tokens);
    }
    let results = channel_results(record, window);
    let domains = domains(record, &results, window);
    let total = total(&domains);
    let location = check_location(options);
    let pue = if options.pue.is_finite() && options.pue >= 1.0 { options.pue } else { 1.0 };
    let carbon = carbon(&total, location.as_ref().ok(), pue);
    let throughput = throughput(&duration, &counts, &tokens, &quality);
    let channels = results.iter().map(channel_energy).collect();
    let warnings =
        warnings(&Seen { record, window, counts: &counts, tokens: &tokens, results: &results, location });
    let server_reported = server_reported(&record.requests);
    let shares = Shares { counts: &counts, tokens: &tokens, quality: &quality };
    Summary {
        schema_version: SCHEMA_VERSION,
        duration,
        latency: latency(&record.requests),
        throughput,
        energy: shares.energy(domains, channels, total, server_reported),
        carbon,
        counts: counts.clone(),
        tokens: tokens.clone(),
        warnings,
    }
}

fn counts(requests: &[RequestRecord]) -> Counts {
    let mut counts = Counts { total: requests.len(), ..Counts::default() };
    for request in requests {
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

/// Why figures that rest on token counts are estimates; `None` where every count is exact.
struct TokenQuality {
    completion: Option<String>,
    prompt: Option<String>,
}

impl TokenQuality {
    fn both(&self) -> Option<String> {
        match (&self.prompt, &self.completion) {
            (Some(prompt), Some(completion)) => Some(format!("{prompt}; {completion}")),
            (one, other) => one.clone().or_else(|| other.clone()),
        }
    }
}

fn tokens(requests: &[RequestRecord]) -> (Tokens, TokenQuality) {
    let mut tokens = Tokens::default();
    let (mut successful, mut without_prompt) = (0_usize, 0_usize);
    for request in requests.iter().filter(|request| request.succeeded()) {
        let generation = &request.generation;
        successful += 1;
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
    let lacking = |count: usize, what: &str| {
        (count > 0).then(|| format!("{count} of {successful} requests have no {what} token count"))
    };
    let assumed = tokens
        .completion_sources
        .get(&TokenCountSource::Chunks)
        .map(|count| format!("{count} of {successful} requests count one token a chunk"));
    let completion = lacking(tokens.uncounted, "completion").or(assumed);
    (tokens, TokenQuality { completion, prompt: lacking(without_prompt, "prompt") })
}

fn add(sum: &mut Option<u64>, tokens: u32) {
    *sum = Some(sum.unwrap_or(0) + u64::from(tokens));
}

/// The figure as an estimate for a further reason.
fn doubted(mut figure: Figure, doubt: Option<&str>) -> Figure {
    if let (Some(doubt), Some(_)) = (doubt, figure.value) {
        figure.provenance = figure.provenance.weaker(Provenance::Estimated);
        figure.reason = Some(match figure.reason.take() {
            Some(reason) => format!("{reason}; {doubt}"),
            None => doubt.to_owned(),
        });
    }
    figure
}

fn throughput(duration: &Figure, counts: &Counts, tokens: &Tokens, quality: &TokenQuality) -> Throughput {
    let rate = |amount: Option<f64>, unit: &str, source: &str| match (amount, duration.value) {
        (_, None) => Figure::unavailable(unit, "no request was run"),
        (None, _) => Figure::unavailable(unit, "no request has a token count"),
        (Some(amount), Some(seconds)) => Figure::new(amount / seconds, unit, Provenance::Derived, source),
    };
    let output = tokens.completion.map(|count| count as f64);
    let all = tokens.prompt.zip(tokens.completion).map(|(prompt, completion)| (prompt + completion) as f64);
    let source = "token counts over the load window";
    Throughput {
        output_tokens_per_second: doubted(rate(output, "token/s", source), quality.completion.as_deref()),
        total_tokens_per_second: doubted(rate(all, "token/s", source), quality.both().as_deref()),
        requests_per_second: rate(
            Some(counts.successful as f64),
            "request/s",
            "successful requests over the load window",
        ),
    }
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

/// What energy is shared among.
struct Shares<'a> {
    counts: &'a Counts,
    tokens: &'a Tokens,
    quality: &'a TokenQuality,
}

impl Shares<'_> {
    fn energy(
        &self,
        domains: Vec<DomainEnergy>,
        channels: Vec<ai_energy_core::summary::ChannelEnergy>,
        total: Figure,
        server_reported: Option<Figure>,
    ) -> Energy {
        let none = Figure::unavailable("J", "the GPU was not looked at");
        let gpu = domains
            .iter()
            .find(|entry| entry.domain == Domain::Gpu)
            .map_or(none, |entry| entry.energy.clone());
        let successful = self.counts.successful as f64;
        let all =
            self.tokens.prompt.zip(self.tokens.completion).map(|(prompt, completion)| prompt + completion);
        let completion = self.tokens.completion;
        let doubt = self.quality.completion.as_deref();
        Energy {
            gpu_per_request: gpu.per(successful, "J/request"),
            gpu_per_output_token: per_tokens(&gpu, completion, doubt),
            per_request: total.per(successful, "J/request"),
            per_output_token: per_tokens(&total, completion, doubt),
            per_token: per_tokens(&total, all, self.quality.both().as_deref()),
            output_tokens_per_joule: doubted(tokens_per_joule(&total, completion), doubt),
            wh_per_1000_requests: total.per(successful * JOULES_PER_WATT_HOUR / 1000.0, "Wh"),
            domains,
            channels,
            total,
            server_reported,
        }
    }
}

fn per_tokens(energy: &Figure, tokens: Option<u64>, doubt: Option<&str>) -> Figure {
    match tokens {
        Some(tokens) => doubted(energy.per(tokens as f64, "J/token"), doubt),
        None if energy.value.is_some() => Figure::unavailable("J/token", "no request has a token count"),
        None => energy.per(1.0, "J/token"),
    }
}

/// Tokens over energy; the relative interval is the energy's.
fn tokens_per_joule(energy: &Figure, tokens: Option<u64>) -> Figure {
    let unit = "token/J";
    let (Some(tokens), Some(joules)) = (tokens, energy.value) else {
        let reason = energy.reason.as_deref().filter(|_| energy.value.is_none());
        return Figure::unavailable(unit, reason.unwrap_or("no request has a token count"));
    };
    if joules <= 0.0 {
        return Figure::unavailable(unit, "there is nothing to divide by");
    }
    let value = tokens as f64 / joules;
    let mut figure =
        Figure::new(value, unit, energy.provenance.weaker(Provenance::Derived), energy.source.clone());
    figure.reason.clone_from(&energy.reason);
    match energy.ci95 {
        Some(ci95) => figure.with_ci95(value * ci95 / joules),
        None => figure,
    }
}
