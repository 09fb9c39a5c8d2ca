//! The sections and keys that the Python package's report had: `config`, `summary`, `energy`, `gpu_stats`,
//! `backend_info`, `metrics_metadata`. Each key is always there; its value is null where nothing is known.
//!
//! Refuses to add keys that vary from run to run, save one group for each GPU: the CSV row is made from these.

use ai_energy_core::energy::GpuState;
use ai_energy_core::summary::Stretch;
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Domain, Figure, Report};
use serde_json::{Map, Value, json};

use crate::coverage::{Coverage, coverage};

/// The sections in their order.
pub(super) fn sections(report: Report<'_>) -> Map<String, Value> {
    let mut sections = Map::new();
    sections.insert("config".to_owned(), config(report));
    sections.insert("summary".to_owned(), summary(report));
    sections.insert("energy".to_owned(), Value::Object(energy(report)));
    sections.insert("gpu_stats".to_owned(), gpu_stats(report));
    sections.insert("backend_info".to_owned(), backend_info(report));
    sections.insert("metrics_metadata".to_owned(), metrics_metadata(report));
    sections
}

/// A number, or null for what is unknown or no finite number.
pub(crate) fn number_or_null(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!(value))
}

/// What stands in the config under `section.key`; null where nothing does.
fn config_value(report: Report<'_>, section: &str, key: &str) -> Value {
    report.config.get(section).and_then(|section| section.get(key)).cloned().unwrap_or(Value::Null)
}

/// A text of the config.
pub(crate) fn config_text(report: Report<'_>, section: &str, key: &str) -> Option<String> {
    config_value(report, section, key).as_str().map(str::to_owned)
}

fn config(report: Report<'_>) -> Value {
    let record = report.record;
    json!({
        "name": record.plan.name,
        "backend": record.backend.backend,
        "model": record.backend.model,
        "dataset": record.dataset.name,
        "num_samples": config_value(report, "scenario", "num_samples"),
        "device_ids": config_value(report, "backend", "device_ids"),
    })
}

fn summary(report: Report<'_>) -> Value {
    let summary = report.summary;
    let tokens = &summary.tokens;
    let total_tokens = tokens.prompt.zip(tokens.completion).map(|(prompt, completion)| prompt + completion);
    let latency = &summary.latency;
    json!({
        "total_prompts": summary.counts.total,
        "successful_prompts": summary.counts.successful,
        "failed_prompts": summary.counts.failed,
        "total_duration_seconds": number_or_null(summary.duration.value),
        "avg_latency_seconds": number_or_null(latency.end_to_end.as_ref().map(|latency| latency.mean)),
        "avg_time_to_first_token": number_or_null(latency.time_to_first_token.as_ref().map(|first| first.mean)),
        "total_tokens": total_tokens,
        "total_prompt_tokens": tokens.prompt,
        "total_completion_tokens": tokens.completion,
        // Prompt tokens count here, as they did in the Python package; `figures.throughput` has both.
        "throughput_tokens_per_second": number_or_null(summary.throughput.total_tokens_per_second.value),
    })
}

/// The energies of the report in the order of their keys: key prefix and joules. `energy` is the GPU's alone, AI
/// Energy Score's primary figure.
pub(super) fn energies(report: Report<'_>) -> [(&'static str, Option<&Figure>); 5] {
    let of = |domain| report.summary.domain(domain).map(|entry| &entry.energy);
    [
        ("energy", of(Domain::Gpu)),
        ("gpu_energy", of(Domain::Gpu)),
        ("cpu_energy", of(Domain::Cpu)),
        ("ram_energy", of(Domain::Ram)),
        ("total_energy", Some(&report.summary.energy.total)),
    ]
}

/// Energies that the Python package did not have, by their keys: the load's idle and net parts, and GPU energy by kind of
/// work.
pub(super) fn further_energies(report: Report<'_>) -> [(&'static str, Option<&Figure>); 6] {
    let energy = &report.summary.energy;
    let load = energy.phase(Stretch::Load);
    let gpu = load.and_then(|load| load.domain(Domain::Gpu));
    let split = Some(&energy.prefill_decode).filter(|split| split.domain != Some(Domain::Cpu));
    [
        ("gpu_idle_energy_wh", gpu.map(|gpu| &gpu.idle)),
        ("gpu_net_energy_wh", gpu.map(|gpu| &gpu.net)),
        ("total_idle_energy_wh", load.map(|load| &load.total.idle)),
        ("total_net_energy_wh", load.map(|load| &load.total.net)),
        ("gpu_prefill_energy_wh", split.map(|split| &split.prefill)),
        ("gpu_decode_energy_wh", split.map(|split| &split.decode)),
    ]
}

/// The figure of a key, for example of `gpu_energy_kwh`.
pub(super) fn figure_of<'a>(
    key: &str,
    energies: [(&'static str, Option<&'a Figure>); 5],
) -> Option<&'a Figure> {
    let prefix = key.strip_suffix("_kwh").or_else(|| key.strip_suffix("_wh"))?;
    energies.into_iter().find(|(name, _)| *name == prefix)?.1
}

fn energy(report: Report<'_>) -> Map<String, Value> {
    let carbon = &report.summary.carbon;
    let mut section = Map::new();
    let grams = carbon.emissions.value;
    section.insert("emissions_kg_co2eq".to_owned(), number_or_null(grams.map(|grams| grams / 1000.0)));
    section.insert("emissions_g_co2eq".to_owned(), number_or_null(grams));
    for (prefix, figure) in energies(report) {
        let watt_hours = figure.and_then(|figure| figure.value).map(|joules| joules / JOULES_PER_WATT_HOUR);
        section.insert(format!("{prefix}_kwh"), number_or_null(watt_hours.map(|wh| wh / 1000.0)));
        section.insert(format!("{prefix}_wh"), number_or_null(watt_hours));
    }
    let covered = coverage(report);
    let words =
        |covered: &Coverage| json!(covered.covers.iter().map(|domain| domain.word()).collect::<Vec<_>>());
    section.insert("total_covers".to_owned(), covered.as_ref().map_or(Value::Null, words));
    section.insert("total_is_partial".to_owned(), json!(covered.map(|covered| !covered.lacks.is_empty())));
    section.insert("duration_seconds".to_owned(), number_or_null(report.summary.duration.value));
    section.insert("carbon_intensity_g_per_kwh".to_owned(), number_or_null(carbon.intensity.value));
    section.insert("project_name".to_owned(), config_value(report, "metrics", "project_name"));
    section.insert("country".to_owned(), json!(carbon.country_iso_code));
    section.insert("region".to_owned(), json!(carbon.region));
    for (key, figure) in further_energies(report) {
        let watt_hours = figure.and_then(|figure| figure.value).map(|joules| joules / JOULES_PER_WATT_HOUR);
        section.insert(key.to_owned(), number_or_null(watt_hours));
    }
    section.insert("water_liters".to_owned(), number_or_null(carbon.water.value));
    section.insert("validity".to_owned(), json!(report.summary.validity.verdict.word()));
    section
}

fn gpu_stats(report: Report<'_>) -> Value {
    let states = &report.record.gpu_states;
    Value::Object(states.iter().map(|state| (format!("gpu_{}", state.index), gpu(state))).collect())
}

fn gpu(state: &GpuState) -> Value {
    let share = state.memory_used_mib.zip(state.memory_total_mib).filter(|(_, total)| *total > 0.0);
    json!({
        "utilization_percent": number_or_null(state.utilization_percent),
        "memory_used_mb": number_or_null(state.memory_used_mib),
        "memory_total_mb": number_or_null(state.memory_total_mib),
        "memory_percent": number_or_null(share.map(|(used, total)| 100.0 * used / total)),
        "temperature_c": number_or_null(state.temperature_c),
        "power_draw_w": number_or_null(state.power_draw_w),
    })
}

fn backend_info(report: Report<'_>) -> Value {
    let backend = &report.record.backend;
    json!({
        "backend": backend.backend,
        "model": backend.model,
        "endpoint": backend.endpoint,
        "device": backend.device,
        "device_ids": config_value(report, "backend", "device_ids"),
        "server": backend.server,
        "synthetic": backend.synthetic,
        "details": backend.details,
    })
}

fn metrics_metadata(report: Report<'_>) -> Value {
    let record = report.record;
    let known = |domain| report.summary.domain(domain).is_some_and(|entry: &_| entry.energy.value.is_some());
    let domains = [Domain::Gpu, Domain::Cpu, Domain::Ram, Domain::Node];
    let mut capabilities: Vec<String> = domains
        .into_iter()
        .filter(|domain| known(*domain))
        .map(|domain| format!("{}_energy", domain.word()))
        .collect();
    if report.summary.carbon.emissions.value.is_some() {
        capabilities.push("carbon_emissions".to_owned());
    }
    let mut sources: Vec<&str> = Vec::new();
    for channel in record.channels.iter().filter(|channel| channel.counts) {
        if !sources.contains(&channel.source.as_str()) {
            sources.push(&channel.source);
        }
    }
    let health = &report.summary.health;
    json!({
        "name": "ai-energy-benchmarks",
        "version": env!("CARGO_PKG_VERSION"),
        "capabilities": capabilities,
        "sources": sources,
        "sampling_interval_ms": record.plan.sampling_interval_ms,
        "client_bound": health.client_bound.word(),
        "client_cpu_seconds": number_or_null(health.cpu.value),
        "client_own_delay_p99_seconds": number_or_null(health.own_delay.p99.value),
        "client_event_loop_delay_p99_seconds": number_or_null(health.event_loop_delay.p99.value),
    })
}
