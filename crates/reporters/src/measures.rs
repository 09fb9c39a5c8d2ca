//! The figures as a list of named measures, for formats that know nothing but names, units and labels.
//!
//! A figure without a value has no sample: a measure that is not there is not known, and never 0. Intervals and peaks are
//! measures of their own. Refuses to know how a measure is written.

use ai_energy_core::summary::Distribution;
use ai_energy_core::{Domain, Figure, Report};

/// A unit in the two ways that monitoring writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// As the end of an OpenMetrics name; empty where there is none.
    pub(crate) suffix: &'static str,
    /// As UCUM writes it, which OTLP asks for.
    pub(crate) ucum: &'static str,
}

const JOULES: Unit = Unit { suffix: "joules", ucum: "J" };
const WATTS: Unit = Unit { suffix: "watts", ucum: "W" };
const SECONDS: Unit = Unit { suffix: "seconds", ucum: "s" };
const GRAMS: Unit = Unit { suffix: "grams", ucum: "g" };
const RATIO: Unit = Unit { suffix: "ratio", ucum: "1" };
const REQUESTS: Unit = Unit { suffix: "", ucum: "{request}" };
const TOKENS: Unit = Unit { suffix: "", ucum: "{token}" };
const TOKENS_PER_SECOND: Unit = Unit { suffix: "", ucum: "{token}/s" };
const REQUESTS_PER_SECOND: Unit = Unit { suffix: "", ucum: "{request}/s" };

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// What tells it from its neighbours.
    pub(crate) labels: Vec<(&'static str, String)>,
    /// The value, finite.
    pub(crate) value: f64,
}

/// What a measure holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Samples {
    /// Single values.
    Gauge(Vec<Sample>),
    /// Quantiles with their values, number and sum of a distribution.
    Spread {
        /// Share of the values below, and the value.
        quantiles: Vec<(f64, f64)>,
        /// How many there are.
        count: usize,
        /// What they add up to.
        sum: f64,
    },
}

/// A measure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    /// Its words, joined by underscores, without program and unit.
    pub(crate) name: &'static str,
    /// Its unit.
    pub(crate) unit: Unit,
    /// What it is.
    pub(crate) help: &'static str,
    /// Its values.
    pub(crate) samples: Samples,
}

/// What names the run: labels of every sample.
pub(crate) fn run_labels(report: Report<'_>) -> Vec<(&'static str, String)> {
    let record = report.record;
    vec![
        ("name", record.plan.name.clone()),
        ("model", record.backend.model.clone()),
        ("backend", record.backend.backend.clone()),
    ]
}

/// What is known about the run besides: labels of one sample of value 1.
pub(crate) fn run_facts(report: Report<'_>) -> Vec<(&'static str, String)> {
    let record = report.record;
    vec![
        ("run_id", record.plan.run_id.clone()),
        ("server", record.backend.server.clone().unwrap_or_default()),
        ("dataset", record.dataset.name.clone()),
        ("load", record.plan.load.words()),
        ("validity", report.summary.validity.verdict.word().to_owned()),
        ("synthetic", record.synthetic.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}

/// All measures that have a value.
pub(crate) fn measures(report: Report<'_>) -> Vec<Measure> {
    let mut all = energies(report);
    all.extend(work(report));
    all.extend(latencies(report));
    all.retain(|measure| !matches!(&measure.samples, Samples::Gauge(samples) if samples.is_empty()));
    all
}

fn gauge(name: &'static str, unit: Unit, help: &'static str, samples: Vec<Option<Sample>>) -> Measure {
    Measure { name, unit, help, samples: Samples::Gauge(samples.into_iter().flatten().collect()) }
}

fn sample(labels: &[(&'static str, &str)], value: Option<f64>) -> Option<Sample> {
    let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    value.filter(|value| value.is_finite()).map(|value| Sample { labels, value })
}

/// Value and half the interval of a figure with how it is known.
type OfFigure = fn(&Figure) -> Option<f64>;

fn energies(report: Report<'_>) -> Vec<Measure> {
    let energy = &report.summary.energy;
    let of_domains = |each: &dyn Fn(Domain) -> Option<Figure>, total: Option<&Figure>, value: OfFigure| {
        let domains = energy.domains.iter().map(|entry| (entry.domain.word(), each(entry.domain)));
        let all = domains.chain([("total", total.cloned())]);
        all.map(|(word, figure)| {
            let figure = figure?;
            sample(&[("domain", word), ("provenance", figure.provenance.word())], value(&figure))
        })
        .collect::<Vec<_>>()
    };
    let of = |domain| report.summary.domain(domain);
    let value: OfFigure = |figure| figure.value;
    let ci95: OfFigure = |figure| figure.ci95;
    let whole = |domain| of(domain).map(|entry| entry.energy.clone());
    let per_token = |domain| of(domain).map(|entry| entry.per_output_token.clone());
    let per_request = |domain| of(domain).map(|entry| entry.per_request.clone());
    let mean = |domain| of(domain).map(|entry| entry.mean_power.clone());
    let peak = |domain| of(domain).map(|entry| entry.peak_power.clone());
    let carbon = &report.summary.carbon.emissions;
    let carbon = |value: Option<f64>| vec![sample(&[("provenance", carbon.provenance.word())], value)];
    let emissions = &report.summary.carbon.emissions;
    vec![
        gauge("energy", JOULES, "Energy of the load.", of_domains(&whole, Some(&energy.total), value)),
        gauge(
            "energy_ci95",
            JOULES,
            "Half of the 95 % interval of the energy of the load.",
            of_domains(&whole, Some(&energy.total), ci95),
        ),
        gauge(
            "energy_per_output_token",
            JOULES,
            "Energy of the load over generated tokens.",
            of_domains(&per_token, Some(&energy.per_output_token), value),
        ),
        gauge(
            "energy_per_output_token_ci95",
            JOULES,
            "Half of the 95 % interval of the energy over generated tokens.",
            of_domains(&per_token, Some(&energy.per_output_token), ci95),
        ),
        gauge(
            "energy_per_request",
            JOULES,
            "Energy of the load over successful requests.",
            of_domains(&per_request, Some(&energy.per_request), value),
        ),
        gauge("power", WATTS, "Mean power over the load.", of_domains(&mean, None, value)),
        gauge("power_peak", WATTS, "Largest power seen within the load.", of_domains(&peak, None, value)),
        gauge("emissions", GRAMS, "CO2-equivalent of the load's energy.", carbon(emissions.value)),
        gauge(
            "emissions_ci95",
            GRAMS,
            "Half of the 95 % interval of the emissions, the energy's part.",
            carbon(emissions.ci95),
        ),
    ]
}

fn work(report: Report<'_>) -> Vec<Measure> {
    let (counts, tokens) = (&report.summary.counts, &report.summary.tokens);
    let (load, throughput) = (&report.summary.load, &report.summary.throughput);
    let outcome = |word: &str, number: usize| sample(&[("outcome", word)], Some(number as f64));
    let kind =
        |word: &str, number: Option<u64>| sample(&[("kind", word)], number.map(|number| number as f64));
    let one = |figure: &Figure| vec![sample(&[], figure.value)];
    let good = load.goodput.as_ref();
    vec![
        gauge("load_duration", SECONDS, "Length of the load.", one(&report.summary.duration)),
        gauge(
            "requests",
            REQUESTS,
            "Measured requests by how they ended.",
            vec![
                outcome("successful", counts.successful),
                outcome("failed", counts.failed),
                outcome("cancelled", counts.cancelled),
            ],
        ),
        gauge(
            "tokens",
            TOKENS,
            "Tokens of the successful requests.",
            vec![kind("prompt", tokens.prompt), kind("completion", tokens.completion)],
        ),
        gauge(
            "output_tokens_per_second",
            TOKENS_PER_SECOND,
            "Generated tokens per second of the load.",
            one(&throughput.output_tokens_per_second),
        ),
        gauge(
            "requests_per_second",
            REQUESTS_PER_SECOND,
            "Successful requests per second of the load.",
            one(&throughput.requests_per_second),
        ),
        gauge(
            "requests_in_flight",
            REQUESTS,
            "Mean number of requests in flight over the load.",
            one(&load.mean_concurrency),
        ),
        gauge(
            "good_requests",
            RATIO,
            "Share of the judged requests that kept all objectives.",
            good.map(|good| sample(&[], good.share.value)).into_iter().collect(),
        ),
    ]
}

fn latencies(report: Report<'_>) -> Vec<Measure> {
    let latency = &report.summary.latency;
    let kinds = [
        ("time_to_first_token", "Time to the first token of any channel.", &latency.time_to_first_token),
        ("inter_token_latency", "Time between tokens, all requests together.", &latency.inter_token),
        (
            "time_per_output_token",
            "Mean time per token after the first chunk, by request.",
            &latency.time_per_output_token,
        ),
        ("request_duration", "Time to the end of a request.", &latency.end_to_end),
        ("schedule_lag", "Delay of the client itself before sending.", &latency.schedule_lag),
    ];
    let measure = |(name, help, times): (&'static str, &'static str, &Option<Distribution>)| {
        let times = times.as_ref()?;
        let quantiles = vec![
            (0.5, times.p50),
            (0.9, times.p90),
            (0.95, times.p95),
            (0.99, times.p99),
            (0.999, times.p999),
        ];
        let sum = times.mean * times.count as f64;
        let samples = Samples::Spread { quantiles, count: times.count, sum };
        Some(Measure { name, unit: SECONDS, help, samples })
    };
    kinds.into_iter().filter_map(measure).collect()
}
