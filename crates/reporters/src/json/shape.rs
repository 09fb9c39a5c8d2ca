//! The shape of `benchmark_report.json`: every key with its meaning and unit, as a type that the JSON schema is made from.
//!
//! A test holds real reports to the schema, so that neither can move alone; a key that is not here is refused by it.
//! Older reports are read through the same type: what they lack is unknown. Refuses to hold any logic of a report.

use std::collections::BTreeMap;
use std::path::Path;

use ai_energy_core::backend::Check;
use ai_energy_core::dataset::DatasetInfo;
use ai_energy_core::energy::{Channel, UnavailableSource};
use ai_energy_core::plan::Plan;
use ai_energy_core::record::{Ending, Phase, SamplerStats};
use ai_energy_core::summary::{
    Carbon, CodeCarbonMethod, Counts, Energy, Health, Latency, LoadFigures, SCHEMA_VERSION, Throughput,
    Tokens, Validity, Warning,
};
use ai_energy_core::{Fault, FaultKind, Figure};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A run's report. Figures stand twice: under the names of the Python package, and under `figures` with unit, interval,
/// provenance and reason.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(title = "benchmark_report.json", deny_unknown_fields)]
pub struct ReportFile {
    /// Version of this shape; rises when a key changes its meaning or goes.
    pub schema_version: u32,
    /// The run's unique id: name, time, four letters. Also names its folder.
    pub run_id: String,
    /// Wall time at the run's origin, RFC 3339, UTC. Every `_ns` counts from here on the monotonic clock.
    pub started_at: String,
    /// `true` where a part of the run was a fake or a simulator: no figure says anything about a real model then.
    pub synthetic: bool,
    /// How the run ended.
    pub ending: Ending,
    /// What ran, in the Python package's keys.
    pub config: ConfigKeys,
    /// How it went, in the Python package's keys.
    pub summary: SummaryKeys,
    /// What it took, in the Python package's keys.
    pub energy: EnergyKeys,
    /// Each GPU by `gpu_` and its index, as last seen within the load.
    pub gpu_stats: BTreeMap<String, GpuKeys>,
    /// What ran the model.
    pub backend_info: BackendKeys,
    /// What measured.
    pub metrics_metadata: MetricsKeys,
    /// Why a key of `summary` or `energy` is null: `section.key` to reason. Also what a partial total does not include.
    pub unknown: BTreeMap<String, String>,
    /// Whether the energy figures can be relied on, check by check.
    pub validity: Validity,
    /// Every figure with unit, interval, provenance and reason.
    pub figures: Figures,
    /// What the reader should know before trusting a figure.
    pub warnings: Vec<Warning>,
    /// Where the prompts came from.
    pub dataset: DatasetInfo,
    /// What was to be done.
    pub plan: Plan,
    /// What validation looked at before the run.
    pub checks: Vec<Check>,
    /// The stretches of the run, ns since its origin.
    pub phases: Vec<Phase>,
    /// The stretches between breaks; missing where the run was not resumed.
    #[serde(default)]
    pub segments: Option<Vec<SegmentKeys>>,
    /// What was read.
    pub channels: Vec<Channel>,
    /// What could not be read, and what would change that.
    pub unavailable_sources: Vec<UnavailableSource>,
    /// What reading cost and how it went.
    pub sampler: SamplerStats,
    /// The machine and the programs. Which keys there are depends on the machine.
    pub environment: Map<String, Value>,
    /// The resolved configuration without secrets, as `docs/config.md` describes it.
    pub resolved_config: Map<String, Value>,
}

/// A stretch of a resumed run between two breaks. On the run's timeline breaks take no time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SegmentKeys {
    /// Wall time at the origin of the segment's own clock, RFC 3339, UTC.
    pub started_at: String,
    /// Where its load begins on the run's timeline, ns.
    pub start_ns: Option<u64>,
    /// Where its load ends, ns.
    pub end_ns: Option<u64>,
    /// How long nothing was sent before it by the wall clock, s; null for the first one, and where the wall clock does not tell.
    pub break_before_seconds: Option<f64>,
    /// Measured requests that ended in it, attempts that were made again later included.
    pub requests: u64,
    /// How it ended.
    pub ending: Ending,
}

/// What ran.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfigKeys {
    /// Name of the run.
    pub name: String,
    /// The backend's name, for example `vllm`.
    pub backend: String,
    /// The model that was served or loaded.
    pub model: String,
    /// The dataset's name.
    pub dataset: String,
    /// Prompts that were asked for.
    pub num_samples: Option<u64>,
    /// Devices that the config names.
    pub device_ids: Value,
}

/// How it went. Null: not known, and `unknown` says why.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SummaryKeys {
    /// Requests that were started.
    pub total_prompts: u64,
    /// Requests that ended well, with tokens.
    pub successful_prompts: u64,
    /// Requests that ended in an error.
    pub failed_prompts: u64,
    /// Length of the load, s.
    pub total_duration_seconds: Option<f64>,
    /// Mean time to the end of a request, s.
    pub avg_latency_seconds: Option<f64>,
    /// Mean time to the first token of any channel, s.
    pub avg_time_to_first_token: Option<f64>,
    /// Prompt and generated tokens.
    pub total_tokens: Option<u64>,
    /// Prompt tokens.
    pub total_prompt_tokens: Option<u64>,
    /// Generated tokens.
    pub total_completion_tokens: Option<u64>,
    /// Prompt and generated tokens per second of the load.
    pub throughput_tokens_per_second: Option<f64>,
}

/// What it took. Null: not known, and `unknown` says why.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EnergyKeys {
    /// Emissions, kg CO2-equivalent.
    pub emissions_kg_co2eq: Option<f64>,
    /// Emissions, g CO2-equivalent.
    pub emissions_g_co2eq: Option<f64>,
    /// GPU energy, kWh.
    pub energy_kwh: Option<f64>,
    /// GPU energy alone, Wh: AI Energy Score's primary figure.
    pub energy_wh: Option<f64>,
    /// GPU energy, kWh.
    pub gpu_energy_kwh: Option<f64>,
    /// GPU energy, Wh.
    pub gpu_energy_wh: Option<f64>,
    /// CPU energy, kWh.
    pub cpu_energy_kwh: Option<f64>,
    /// CPU energy, Wh.
    pub cpu_energy_wh: Option<f64>,
    /// RAM energy, kWh.
    pub ram_energy_kwh: Option<f64>,
    /// RAM energy, Wh.
    pub ram_energy_wh: Option<f64>,
    /// Energy of the domains in `total_covers`, kWh.
    pub total_energy_kwh: Option<f64>,
    /// Energy of the domains in `total_covers`, Wh.
    pub total_energy_wh: Option<f64>,
    /// The domains within the total.
    pub total_covers: Option<Vec<String>>,
    /// `true` where a domain is missing in the total.
    pub total_is_partial: Option<bool>,
    /// Length of the load, s.
    pub duration_seconds: Option<f64>,
    /// Grid intensity used, g CO2-equivalent per kWh.
    pub carbon_intensity_g_per_kwh: Option<f64>,
    /// Project name from the config.
    pub project_name: Option<String>,
    /// Country, ISO 3166-1 alpha-3.
    pub country: Option<String>,
    /// Region within the country.
    pub region: Option<String>,
    /// GPU energy that idling would have taken over the load, Wh.
    pub gpu_idle_energy_wh: Option<f64>,
    /// GPU energy above idling, Wh.
    pub gpu_net_energy_wh: Option<f64>,
    /// Energy of all domains that idling would have taken over the load, Wh.
    pub total_idle_energy_wh: Option<f64>,
    /// Energy of all domains above idling, Wh.
    pub total_net_energy_wh: Option<f64>,
    /// GPU energy that grows with prompt tokens, Wh.
    pub gpu_prefill_energy_wh: Option<f64>,
    /// GPU energy that grows with generated tokens, Wh.
    pub gpu_decode_energy_wh: Option<f64>,
    /// Water used on site, L.
    pub water_liters: Option<f64>,
    /// `ok`, `warning`, `invalid` or `unknown`: the verdict under `validity`.
    pub validity: String,
}

/// A GPU as last seen within the load.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GpuKeys {
    /// Busy share, %.
    pub utilization_percent: Option<f64>,
    /// Memory in use, MiB.
    pub memory_used_mb: Option<f64>,
    /// Memory in all, MiB.
    pub memory_total_mb: Option<f64>,
    /// Share of the memory in use, %.
    pub memory_percent: Option<f64>,
    /// Core temperature, °C.
    pub temperature_c: Option<f64>,
    /// Power draw, W.
    pub power_draw_w: Option<f64>,
}

/// What ran the model.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BackendKeys {
    /// The backend's name.
    pub backend: String,
    /// The model.
    pub model: String,
    /// Where it is served, without credentials; null in process.
    pub endpoint: Option<String>,
    /// What it runs on, where the backend knows.
    pub device: Option<String>,
    /// Devices that the config names.
    pub device_ids: Value,
    /// The serving program and its version, as it presents itself.
    pub server: Option<String>,
    /// `true` for a fake or a simulator.
    pub synthetic: bool,
    /// What else the backend tells of itself.
    pub details: Map<String, Value>,
}

/// What measured.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MetricsKeys {
    /// This program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What has a value, for example `gpu_energy`.
    pub capabilities: Vec<String>,
    /// The instruments and models that counted.
    pub sources: Vec<String>,
    /// Time between two rounds of readings, ms.
    pub sampling_interval_ms: u32,
    /// Whether the client limited the load: `no`, `maybe`, `yes` or `unknown`.
    #[serde(default)]
    pub client_bound: Option<String>,
    /// CPU time of the client over the load, s.
    #[serde(default)]
    pub client_cpu_seconds: Option<f64>,
    /// The client's own delay before a request, p99, s.
    #[serde(default)]
    pub client_own_delay_p99_seconds: Option<f64>,
    /// How late the client's event loop was, p99, s.
    #[serde(default)]
    pub client_event_loop_delay_p99_seconds: Option<f64>,
}

/// Every figure with unit, interval, provenance and reason.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Figures {
    /// As at the top.
    pub schema_version: u32,
    /// Length of the load, s.
    pub duration: Figure,
    /// Requests by how they ended.
    pub counts: Counts,
    /// Tokens of the successful requests.
    pub tokens: Tokens,
    /// Latencies of the successful requests, s.
    pub latency: Latency,
    /// Work per time over the load.
    pub throughput: Throughput,
    /// How the load went.
    #[serde(default)]
    pub load: LoadFigures,
    /// The client's health: whether latencies are the server's or the client's.
    #[serde(default)]
    pub health: Health,
    /// Energy of the load and what follows from it.
    pub energy: Energy,
    /// Emissions.
    pub carbon: Carbon,
    /// The same run by CodeCarbon's method, with `metrics.type: codecarbon`.
    #[serde(default)]
    pub codecarbon: Option<CodeCarbonMethod>,
    /// As at the top, those that the figures themselves gave.
    pub warnings: Vec<Warning>,
}

/// The JSON schema of a report (draft 2020-12).
pub fn schema() -> Value {
    schema_for!(ReportFile).to_value()
}

/// Reads a report of this version or an older one.
///
/// # Errors
/// The file cannot be read, is no report, or was written by a newer version; the fault names it and says what to do.
pub fn read_report(path: &Path) -> Result<ReportFile, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = std::fs::read(path)
        .map_err(|error| wrong(format!("cannot be read: {error}"), "name a benchmark_report.json"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        wrong(
            format!("is no JSON: {error}"),
            "restore the file, or write it again with `summarize DIR --write`",
        )
    })?;
    let version = value.get("schema_version").and_then(Value::as_u64).unwrap_or(0);
    if version > u64::from(SCHEMA_VERSION) {
        let cause = format!("is of version {version}, and this program reads up to {SCHEMA_VERSION}");
        return Err(wrong(cause, "use the program that wrote it, or a newer one"));
    }
    serde_json::from_value(value)
        .map_err(|error| wrong(format!("is no report of a run: {error}"), "name a benchmark_report.json"))
}
