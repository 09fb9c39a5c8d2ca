//! The list of all result formats. Refuses to know which of them a run wants.

use ai_energy_core::Reporter;

use crate::ai_energy_score::AiEnergyScore;
use crate::csv::Csv;
use crate::emissions::Emissions;
use crate::json::Json;
use crate::request_energy::RequestEnergy;
use crate::{ai_energy_score, csv, emissions, json, request_energy};

/// One result format.
#[derive(Debug, Clone, Copy)]
pub struct ReporterEntry {
    /// The name that configs and lists use.
    pub name: &'static str,
    /// What it writes, in one line.
    pub description: &'static str,
    /// Makes the reporter.
    pub make: fn() -> Box<dyn Reporter>,
}

const ALL: &[ReporterEntry] = &[
    ReporterEntry {
        name: json::NAME,
        description: "benchmark_report.json: every figure with unit, interval, provenance and reason",
        make: || Box::new(Json),
    },
    ReporterEntry {
        name: csv::NAME,
        description: "benchmark_results.csv: one row a run, also appended at reporter.output_file",
        make: || Box::new(Csv),
    },
    ReporterEntry {
        name: emissions::NAME,
        description: "emissions.csv: one row a run in CodeCarbon's columns, also appended in metrics.output_dir",
        make: || Box::new(Emissions),
    },
    ReporterEntry {
        name: ai_energy_score::NAME,
        description: "GPU_ENERGY_WH.txt and GPU_ENERGY_SUMMARY.json, as AI Energy Score's tooling reads them",
        make: || Box::new(AiEnergyScore),
    },
    ReporterEntry {
        name: request_energy::NAME,
        description: "request_energy.csv: each request's share of the energy, where any is known",
        make: || Box::new(RequestEnergy),
    },
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
            assert_eq!((entry.make)().name(), entry.name);
            assert!(entry.description.len() > 20 && entry.description.len() < 100, "{}", entry.name);
        }
    }
}
