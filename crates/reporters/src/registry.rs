//! The list of all result formats. Refuses to know which of them a run wants.

use ai_energy_core::Reporter;

use crate::ai_energy_score::AiEnergyScore;
use crate::csv::Csv;
use crate::emissions::Emissions;
use crate::html::run::Html;
use crate::json::Json;
use crate::jsonl::Jsonl;
use crate::markdown::Markdown;
use crate::openmetrics::OpenMetrics;
use crate::options::Options;
use crate::otlp::Otlp;
use crate::request_energy::RequestEnergy;
use crate::requests::{Parquet, RequestsCsv};
use crate::{
    ai_energy_score, csv, emissions, html, json, jsonl, markdown, openmetrics, otlp, request_energy, requests,
};

/// One result format.
#[derive(Debug, Clone, Copy)]
pub struct ReporterEntry {
    /// The name that configs and lists use.
    pub name: &'static str,
    /// What it writes, in one line.
    pub description: &'static str,
    /// `true` where every run writes it; the others are written where they are named.
    pub standard: bool,
    /// Makes the reporter.
    pub make: fn(&Options) -> Box<dyn Reporter>,
}

/// A format that every run writes.
const fn standard(
    name: &'static str,
    description: &'static str,
    make: fn(&Options) -> Box<dyn Reporter>,
) -> ReporterEntry {
    ReporterEntry { name, description, standard: true, make }
}

/// A format that is written where it is named.
const fn on_request(
    name: &'static str,
    description: &'static str,
    make: fn(&Options) -> Box<dyn Reporter>,
) -> ReporterEntry {
    ReporterEntry { name, description, standard: false, make }
}

const ALL: &[ReporterEntry] = &[
    standard(
        json::NAME,
        "benchmark_report.json: every figure with unit, interval, provenance and reason",
        |_| Box::new(Json),
    ),
    standard(
        html::run::NAME,
        "report.html: the same for people, with charts, in one file without network",
        |_| Box::new(Html),
    ),
    standard(
        csv::NAME,
        "benchmark_results.csv: one row a run, also appended at reporter.output_file",
        |_| Box::new(Csv),
    ),
    standard(
        emissions::NAME,
        "emissions.csv: one row a run in CodeCarbon's columns, also appended in metrics.output_dir",
        |_| Box::new(Emissions),
    ),
    standard(
        ai_energy_score::NAME,
        "GPU_ENERGY_WH.txt and GPU_ENERGY_SUMMARY.json, as AI Energy Score's tooling reads them",
        |_| Box::new(AiEnergyScore),
    ),
    standard(
        request_energy::NAME,
        "request_energy.csv: each request's share of the energy, where any is known",
        |_| Box::new(RequestEnergy),
    ),
    on_request(markdown::NAME, "report.md: tables for pull requests and papers", |_| Box::new(Markdown)),
    on_request(
        jsonl::NAME,
        "benchmark_report.jsonl: the report on one line, also appended at reporter.output_file",
        |options| Box::new(Jsonl::new(options)),
    ),
    on_request(
        requests::CSV_NAME,
        "requests.csv: one row a request with its times, tokens, energy and error",
        |_| Box::new(RequestsCsv),
    ),
    on_request(
        requests::PARQUET_NAME,
        "requests.parquet: the same rows in typed columns, for data frames",
        |_| Box::new(Parquet),
    ),
    on_request(
        openmetrics::NAME,
        "metrics.prom: the figures as OpenMetrics text, also copied to reporter.textfile",
        |options| Box::new(OpenMetrics::new(options)),
    ),
    on_request(
        otlp::NAME,
        "otlp_metrics.json: the figures by OTLP, also sent to reporter.otlp_endpoint",
        |options| Box::new(Otlp::new(options)),
    ),
];

/// All formats, in the order that they are written.
pub fn all() -> &'static [ReporterEntry] {
    ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_described_and_those_of_the_reporters() {
        let names: BTreeSet<_> = all().iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all().len());
        for entry in all() {
            assert_eq!((entry.make)(&Options::default()).name(), entry.name);
            assert!(entry.description.len() > 20 && entry.description.len() < 100, "{}", entry.name);
        }
    }
}
