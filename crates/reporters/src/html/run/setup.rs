//! What ran on what, which instruments were read, and how to do it again.

use ai_energy_core::Report;
use ai_energy_core::energy::GpuState;
use serde_json::Value;

use super::clean;
use crate::html::page::{Block, Column, Row, Table};
use crate::terminal::units::significant;

/// The key of the environment under which the program leaves the command that repeats a run.
pub const REPEAT_KEY: &str = "repeat_command";

/// The key under which it leaves the command as it was typed.
pub const COMMAND_KEY: &str = "command_line";

pub(super) fn machine(report: Report<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Facts { facts: facts(report) }];
    blocks.extend(gpus(&report.record.gpu_states).map(Block::Table));
    blocks.extend(channels(report).map(|table| Block::Fold {
        title: format!("{} instruments and models", table.rows.len()),
        blocks: vec![Block::Table(table)],
    }));
    blocks
}

fn facts(report: Report<'_>) -> Vec<(String, String)> {
    let record = report.record;
    let backend = &record.backend;
    let some = |text: &str| Some(text.to_owned());
    let own = [
        ("model", some(&backend.model)),
        ("backend", some(&backend.backend)),
        ("server", backend.server.clone()),
        ("endpoint", backend.endpoint.clone()),
        ("device", backend.device.clone()),
        ("dataset", some(&record.dataset.name)),
        ("dataset revision", record.dataset.revision.clone()),
        ("dataset SHA-256", some(&record.dataset.sha256)),
        ("sampled every", Some(format!("{} ms", record.plan.sampling_interval_ms))),
        ("run id", some(&record.plan.run_id)),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let found =
        record.environment.iter().filter(|(key, _)| ![REPEAT_KEY, COMMAND_KEY].contains(&key.as_str()));
    let found = found.filter_map(|(key, value)| Some((key.replace('_', " "), words(value)?)));
    own.chain(found).map(|(name, value)| (clean(&name), clean(&value))).collect()
}

/// A value of the environment in words; `None` for what says nothing.
fn words(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| !number.is_u64() && !number.is_i64()) {
            Some(number) => significant(number, 4),
            None => number.to_string(),
        },
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => items.iter().filter_map(words).collect::<Vec<_>>().join("; "),
        Value::Object(object) => {
            let parts = object.iter().filter_map(|(key, value)| Some(format!("{key} {}", words(value)?)));
            parts.collect::<Vec<_>>().join(", ").replace('_', " ")
        }
    };
    (!text.is_empty()).then_some(text)
}

/// The GPUs as they were last seen within the load.
fn gpus(states: &[GpuState]) -> Option<Table> {
    let number = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{} {unit}", significant(value, 3)))
    };
    let clock = |value: Option<u32>| value.map_or_else(|| "–".to_owned(), |value| format!("{value} MHz"));
    let rows: Vec<Row> = states
        .iter()
        .map(|state| {
            let cells = [
                number(state.utilization_percent, "%"),
                number(state.memory_used_mib.map(|mib| mib / 1024.0), "GiB"),
                number(state.temperature_c, "°C"),
                number(state.power_draw_w, "W"),
                number(state.power_limit_w, "W"),
                clock(state.compute_clock_mhz),
                state.throttle_reasons.as_ref().map_or_else(|| "–".to_owned(), |held| held.join(", ")),
            ];
            Row::new(format!("GPU {}", state.index), cells)
        })
        .collect();
    let names = ["busy", "memory used", "temperature", "power", "power limit", "clock"];
    let columns = [Column::words("")].into_iter().chain(names.map(Column::numbers));
    let columns = columns.chain([Column::words("held down by")]).collect();
    let caption = "GPUs as last seen within the load".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

/// Every channel that was read, with what it gave.
fn channels(report: Report<'_>) -> Option<Table> {
    let energies = &report.summary.energy.channels;
    let rows: Vec<Row> = energies
        .iter()
        .map(|channel| {
            let device = report.record.channels.iter().find(|known| known.name == channel.channel);
            let device = device.map(|known| known.device.clone()).unwrap_or_default();
            let counts = if channel.counts { "yes" } else { "for comparison" };
            let energy = super::text(&channel.energy, crate::terminal::units::JOULES);
            let cells = [energy, channel.readings.to_string(), counts.to_owned(), clean(&device)];
            Row::new(clean(&channel.channel), cells)
        })
        .collect();
    let columns = vec![
        Column::words("channel"),
        Column::numbers("energy"),
        Column::numbers("readings"),
        Column::words("counts"),
        Column::words("device"),
    ];
    let caption = "What was read, and its energy over the load".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

pub(super) fn repeat(report: Report<'_>) -> Vec<Block> {
    let known = |key: &str| report.record.environment.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut blocks = Vec::new();
    if let Some(text) = known(REPEAT_KEY) {
        let label =
            "the same settings, whatever files and variables are there (secrets come from the environment)";
        blocks.push(Block::Code { label: label.to_owned(), text });
    }
    if let Some(text) = known(COMMAND_KEY) {
        blocks.push(Block::Code { label: "as it was typed".to_owned(), text });
    }
    // Maps of the config with text keys always become JSON.
    let config = serde_json::to_string_pretty(report.config).unwrap_or_default();
    let code = Block::Code { label: "the resolved configuration, without secrets".to_owned(), text: config };
    blocks.push(Block::Fold { title: "Every setting".to_owned(), blocks: vec![code] });
    blocks
}
