//! The figures that are compared: their names, their units, and where a summary holds them.
//!
//! One list, for tables, for conditions and for the files that keep only a few of them. Refuses to know a difference.

use ai_energy_core::Domain;
use ai_energy_core::comparison::{Better, ComparedRun};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{Distribution, Summary};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;

/// Which energy a figure is a multiple of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The GPUs'.
    Gpu,
    /// All domains that make the total.
    Total,
}

/// What the energy is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Successful requests.
    Request,
    /// Generated tokens.
    OutputToken,
    /// Prompt and generated tokens.
    Token,
    /// Nothing that requests tell: the window's length, or nothing at all.
    Window,
}

/// What is observed of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Time to first token.
    Ttft,
    /// Between tokens.
    Itl,
    /// Per output token.
    Tpot,
    /// The whole request.
    E2e,
}

/// Which point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    /// The mean.
    Mean,
    /// A quantile, 0 to 1.
    Quantile(f64),
}

/// How a figure comes about, which decides how its difference is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A multiple of an energy.
    Energy(Scope, Per),
    /// A point of the requests' distribution.
    Latency(Series, Point),
    /// Work a second: requests, generated tokens or all tokens.
    Rate(Per),
    /// A mean over requests of a count.
    Count(Per),
    /// Anything else.
    Other,
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in conditions.
    pub key: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// Its heading in tables.
    pub group: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way it gets better.
    pub better: Better,
    /// How it comes about.
    pub kind: Kind,
    get: fn(&Summary) -> Figure,
}

impl Metric {
    /// The figure of a run.
    pub fn of(&self, run: &ComparedRun) -> Figure {
        let figure = match (&run.summary, run.figures.get(self.key)) {
            (_, Some(figure)) => figure.clone(),
            (Some(summary), None) => (self.get)(summary),
            (None, None) => Figure::unavailable(self.unit, "the file does not hold it"),
        };
        Figure { unit: self.unit.to_owned(), ..figure }
    }
}

const ENERGY: &str = "energy";
const SPEED: &str = "latency";
const RATE: &str = "throughput";
const CARBON: &str = "carbon";
const WORK: &str = "work";

/// A latency's row; the distribution is looked up by the series.
macro_rules! latency {
    ($key:literal, $label:literal, $series:ident, $field:ident, $point:expr, $value:ident) => {
        Metric {
            key: $key,
            label: $label,
            group: SPEED,
            unit: "s",
            better: Better::Lower,
            kind: Kind::Latency(Series::$series, $point),
            get: |summary| {
                let value = |of: &Distribution| of.$value;
                latency(summary.latency.$field.as_ref(), value, $point)
            },
        }
    };
}

fn latency(of: Option<&Distribution>, value: fn(&Distribution) -> f64, point: Point) -> Figure {
    let Some(of) = of else { return Figure::unavailable("s", "not observed") };
    let figure = Figure::new(value(of), "s", Provenance::Measured, "monotonic clock");
    match (point, of.mean_ci95) {
        (Point::Mean, Some(ci95)) => figure.with_ci95(ci95),
        _ => figure,
    }
}

const fn row(
    key: &'static str,
    label: &'static str,
    group: &'static str,
    unit: &'static str,
    kind: Kind,
    get: fn(&Summary) -> Figure,
) -> Metric {
    Metric { key, label, group, unit, better: Better::Lower, kind, get }
}

const fn more(metric: Metric) -> Metric {
    Metric { better: Better::Higher, ..metric }
}

const fn either(metric: Metric) -> Metric {
    Metric { better: Better::Neither, ..metric }
}

const TOTAL_TOKEN: Kind = Kind::Energy(Scope::Total, Per::OutputToken);
const TOTAL_REQUEST: Kind = Kind::Energy(Scope::Total, Per::Request);

/// Every figure that is compared, in the order of tables.
pub static METRICS: [Metric; 34] = [
    row(
        "gpu_energy_per_output_token",
        "GPU per output token",
        ENERGY,
        "J/token",
        Kind::Energy(Scope::Gpu, Per::OutputToken),
        |s| s.energy.gpu_per_output_token.clone(),
    ),
    row(
        "gpu_energy_per_request",
        "GPU per request",
        ENERGY,
        "J/request",
        Kind::Energy(Scope::Gpu, Per::Request),
        |s| s.energy.gpu_per_request.clone(),
    ),
    row(
        "gpu_wh_per_1000_queries",
        "GPU per 1,000 queries",
        ENERGY,
        "Wh",
        Kind::Energy(Scope::Gpu, Per::Request),
        |s| s.energy.gpu_per_request.scaled(1000.0 / JOULES_PER_WATT_HOUR, "Wh"),
    ),
    either(row("gpu_power", "GPU mean power", ENERGY, "W", Kind::Energy(Scope::Gpu, Per::Window), |s| {
        s.domain(Domain::Gpu).map_or_else(
            || Figure::unavailable("W", "the GPU was not looked at"),
            |gpu| gpu.mean_power.clone(),
        )
    })),
    row("energy_per_output_token", "per output token", ENERGY, "J/token", TOTAL_TOKEN, |s| {
        s.energy.per_output_token.clone()
    }),
    row(
        "energy_per_token",
        "per prompt or output token",
        ENERGY,
        "J/token",
        Kind::Energy(Scope::Total, Per::Token),
        |s| s.energy.per_token.clone(),
    ),
    row("energy_per_request", "per request", ENERGY, "J/request", TOTAL_REQUEST, |s| {
        s.energy.per_request.clone()
    }),
    row("wh_per_1000_queries", "per 1,000 queries", ENERGY, "Wh", TOTAL_REQUEST, |s| {
        s.energy.wh_per_1000_requests.clone()
    }),
    row("energy", "whole run", ENERGY, "J", Kind::Energy(Scope::Total, Per::Window), |s| {
        s.energy.total.clone()
    }),
    latency!("ttft_mean", "time to first token, mean", Ttft, time_to_first_token, Point::Mean, mean),
    latency!("ttft_p50", "time to first token, p50", Ttft, time_to_first_token, Point::Quantile(0.5), p50),
    latency!("ttft_p95", "time to first token, p95", Ttft, time_to_first_token, Point::Quantile(0.95), p95),
    latency!("ttft_p99", "time to first token, p99", Ttft, time_to_first_token, Point::Quantile(0.99), p99),
    latency!("itl_mean", "between tokens, mean", Itl, inter_token, Point::Mean, mean),
    latency!("itl_p50", "between tokens, p50", Itl, inter_token, Point::Quantile(0.5), p50),
    latency!("itl_p95", "between tokens, p95", Itl, inter_token, Point::Quantile(0.95), p95),
    latency!("itl_p99", "between tokens, p99", Itl, inter_token, Point::Quantile(0.99), p99),
    latency!("tpot_mean", "per output token, mean", Tpot, time_per_output_token, Point::Mean, mean),
    latency!("tpot_p50", "per output token, p50", Tpot, time_per_output_token, Point::Quantile(0.5), p50),
    latency!("tpot_p95", "per output token, p95", Tpot, time_per_output_token, Point::Quantile(0.95), p95),
    latency!("tpot_p99", "per output token, p99", Tpot, time_per_output_token, Point::Quantile(0.99), p99),
    latency!("e2e_mean", "whole request, mean", E2e, end_to_end, Point::Mean, mean),
    latency!("e2e_p50", "whole request, p50", E2e, end_to_end, Point::Quantile(0.5), p50),
    latency!("e2e_p95", "whole request, p95", E2e, end_to_end, Point::Quantile(0.95), p95),
    latency!("e2e_p99", "whole request, p99", E2e, end_to_end, Point::Quantile(0.99), p99),
    more(row(
        "output_tokens_per_second",
        "output tokens a second",
        RATE,
        "token/s",
        Kind::Rate(Per::OutputToken),
        |s| s.throughput.output_tokens_per_second.clone(),
    )),
    more(row("tokens_per_second", "all tokens a second", RATE, "token/s", Kind::Rate(Per::Token), |s| {
        s.throughput.total_tokens_per_second.clone()
    })),
    more(row("requests_per_second", "requests a second", RATE, "request/s", Kind::Rate(Per::Request), |s| {
        s.throughput.requests_per_second.clone()
    })),
    row("co2_per_output_token", "CO2e per output token", CARBON, "g/token", TOTAL_TOKEN, |s| {
        s.carbon.emissions_per_output_token.clone()
    }),
    row("co2_per_request", "CO2e per request", CARBON, "g/request", TOTAL_REQUEST, |s| {
        s.carbon.emissions_per_request.clone()
    }),
    row("co2", "CO2e of the whole run", CARBON, "g", Kind::Energy(Scope::Total, Per::Window), |s| {
        s.carbon.emissions.clone()
    }),
    row("failed_share", "share of failed requests", WORK, "1", Kind::Other, |s| {
        share(s.counts.failed, s.counts.total)
    }),
    either(row(
        "output_tokens_per_request",
        "output tokens a request",
        WORK,
        "token",
        Kind::Count(Per::OutputToken),
        |s| mean_count(s.tokens.completion, s),
    )),
    either(row(
        "prompt_tokens_per_request",
        "prompt tokens a request",
        WORK,
        "token",
        Kind::Count(Per::Token),
        |s| mean_count(s.tokens.prompt, s),
    )),
];

fn share(part: usize, whole: usize) -> Figure {
    match whole {
        0 => Figure::unavailable("1", "no request was run"),
        _ => Figure::new(part as f64 / whole as f64, "1", Provenance::Measured, "how the requests ended"),
    }
}

fn mean_count(tokens: Option<u64>, summary: &Summary) -> Figure {
    match (tokens, summary.counts.successful) {
        (Some(tokens), successful @ 1..) => {
            Figure::new(tokens as f64 / successful as f64, "token", Provenance::Derived, "token counts")
        }
        _ => Figure::unavailable("token", "no request has a token count"),
    }
}

/// The metric of a name.
pub fn metric(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_hold_to_what_conditions_can_say() {
        let keys: BTreeSet<&str> = METRICS.iter().map(|metric| metric.key).collect();
        assert_eq!(keys.len(), METRICS.len());
        let plain = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        assert!(keys.iter().all(|key| plain(key)));
        assert!(metric("ttft_p99").is_some() && metric("ttft_p98").is_none());
    }
}
