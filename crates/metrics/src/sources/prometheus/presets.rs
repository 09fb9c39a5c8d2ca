//! The metrics of well-known exporters, as queries like any other.

use ai_energy_core::energy::{Domain, GainSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Series;
use super::{PrometheusOptions, UNSTATED, Unit};

/// A well-known exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// NVIDIA's DCGM exporter.
    Dcgm,
    /// node_exporter with its rapl collector.
    NodeExporter,
    /// Kepler, old names and new.
    Kepler,
}

/// A query with what its values are.
pub(super) struct Wanted {
    pub(super) query: String,
    pub(super) domain: Domain,
    pub(super) unit: Unit,
    pub(super) words: String,
    pub(super) gain_ci95: f64,
    pub(super) gain_source: GainSource,
    pub(super) averaging_ms: Option<u32>,
    /// `true` where its absence is no fault: another metric stands for it, or machines differ.
    pub(super) may_miss: bool,
}

/// Metric, further matchers, domain, unit, may be absent.
type Metric = (&'static str, &'static str, Domain, Unit, bool);

const DCGM: [Metric; 2] = [
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "", Domain::Gpu, Unit::Millijoule, true),
    ("DCGM_FI_DEV_POWER_USAGE", "", Domain::Gpu, Unit::W, true),
];

const NODE_EXPORTER: [Metric; 2] = [
    ("node_rapl_package_joules_total", "", Domain::Cpu, Unit::J, false),
    ("node_rapl_dram_joules_total", "", Domain::Ram, Unit::J, true),
];

const KEPLER: [Metric; 4] = [
    ("kepler_node_cpu_joules_total", r#"zone=~"package.*""#, Domain::Cpu, Unit::J, true),
    ("kepler_node_cpu_joules_total", r#"zone=~"dram.*""#, Domain::Ram, Unit::J, true),
    ("kepler_node_package_joules_total", "", Domain::Cpu, Unit::J, true),
    ("kepler_node_dram_joules_total", "", Domain::Ram, Unit::J, true),
];

/// Everything that the options ask for.
pub(super) fn wanted(options: &PrometheusOptions) -> Vec<Wanted> {
    let metrics = options.presets.iter().flat_map(|preset| {
        let (metrics, words): (&[Metric], _) = match preset {
            Preset::Dcgm => (&DCGM, "DCGM exporter"),
            Preset::NodeExporter => (&NODE_EXPORTER, "node_exporter"),
            Preset::Kepler => (&KEPLER, "Kepler"),
        };
        metrics.iter().map(move |metric| (metric, words))
    });
    let of_preset = |((name, matchers, domain, unit, may_miss), words): (&Metric, &str)| {
        let matchers: Vec<&str> =
            [*matchers, options.selector.trim()].into_iter().filter(|matcher| !matcher.is_empty()).collect();
        Wanted {
            query: format!("{name}{{{}}}", matchers.join(",")),
            domain: *domain,
            unit: *unit,
            words: format!("{words}, {name}"),
            gain_ci95: 0.05,
            gain_source: GainSource::Published,
            averaging_ms: None,
            may_miss: *may_miss,
        }
    };
    let of_query = |query: &super::PrometheusQuery| Wanted {
        query: query.query.clone(),
        domain: query.domain,
        unit: query.unit,
        words: query.query.clone(),
        gain_ci95: query.gain_ci95.unwrap_or(UNSTATED.0),
        gain_source: query.gain_ci95.map_or(UNSTATED.1, |_| GainSource::Specified),
        averaging_ms: query.averaging_ms,
        may_miss: false,
    };
    metrics.map(of_preset).chain(options.queries.iter().map(of_query)).collect()
}

/// Drops series that show another one's joules again: instances of a GPU that is split by MIG repeat their parent's
/// figure, and the memory-mapped counters of a package repeat the others.
pub(super) fn drop_repeats(series: &mut Vec<Series>) {
    let mapped = |series: &Series| series.label("path").is_some_and(|path| path.contains("rapl-mmio"));
    let direct: Vec<Option<String>> =
        series.iter().filter(|series| !mapped(series)).map(|series| series.label("instance")).collect();
    series.retain(|entry| !mapped(entry) || !direct.contains(&entry.label("instance")));
    // Parents first: they have no instance's id.
    series.sort_by_key(|series| (series.label("GPU_I_ID").is_some_and(|id| !id.is_empty()), series.key()));
    let mut seen: Vec<String> = Vec::new();
    series.retain(|series| match series.label("UUID") {
        None => true,
        Some(uuid) if seen.contains(&uuid) => false,
        Some(uuid) => {
            seen.push(uuid);
            true
        }
    });
}
