//! `emissions.csv`, in CodeCarbon's columns, order and units, for tools that read those.
//!
//! A synthetic run says so in `experiment_id`. What is not known is an empty cell, never 0. Power and energy are multiplied by the power usage effectiveness, as
//! CodeCarbon does. Refuses to guess a place, a cloud or a Python version.

use std::path::{Path, PathBuf};

use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Channel, Domain, Fault, FaultKind, Figure, Place, Report, Reporter, Written};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::append::Locked;
use crate::coverage::{any_energy, coverage};
use crate::csv::{header, lines};
use crate::files::{io_fault, make_folder, same_place, with_note, write_whole};
use crate::json::config_text;
use crate::time::ended_in;

/// The registry's name.
pub const NAME: &str = "emissions";
/// The file's name.
pub const FILE_NAME: &str = "emissions.csv";

/// CodeCarbon 3's columns.
pub const COLUMNS: [&str; 38] = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
];

/// Writes `emissions.csv` into the run's folder and appends it in `metrics.output_dir`.
#[derive(Debug, Clone, Copy)]
pub struct Emissions;

impl Reporter for Emissions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let row = row(report, TimeZone::system());
        let copy = place.run_dir.join(FILE_NAME);
        let collected = place.emissions_dir.as_ref().map(|folder| folder.join(FILE_NAME));
        let mut written = Vec::new();
        if !collected.as_ref().is_some_and(|file| same_place(file, &copy)) {
            write_whole(&copy, &lines(&copy, &[COLUMNS.to_vec(), cells(&row)])?)?;
            written.push(Written::at(&copy));
        }
        match collected {
            Some(file) if any_energy(report) => written.push(collect(&file, &row)?),
            Some(file) => written = not_collected(written, &file),
            None => {}
        }
        let synthetic =
            report.record.synthetic.then(|| "the run is synthetic, as experiment_id says".to_owned());
        let notes = [partial(report), synthetic];
        Ok(written.into_iter().map(|file| with_notes(file, &notes)).collect())
    }
}

/// What the columns cannot tell: which domains the sums lack.
fn partial(report: Report<'_>) -> Option<String> {
    let lacks = coverage(report)?.lacks_words()?;
    Some(format!("energy_consumed and emissions do not include {lacks}, which nothing measured"))
}

/// A row without any energy has no place among those that others add up: the remark on it stands with the run's own
/// copy, or with the collecting file where that is the run's own and exists.
fn not_collected(mut written: Vec<Written>, file: &Path) -> Vec<Written> {
    if written.is_empty() && file.exists() {
        written.push(Written::at(file));
    }
    let note = format!("no energy is known, so no row was added to {}", file.display());
    written.into_iter().map(|own| with_note(own, Some(&note))).collect()
}

fn with_notes(file: Written, notes: &[Option<String>]) -> Written {
    notes.iter().fold(file, |file, note| with_note(file, note.as_deref()))
}

fn cells(row: &[String]) -> Vec<&str> {
    row.iter().map(String::as_str).collect()
}

/// The row of a run with local times of `zone`.
fn row(report: Report<'_>, zone: TimeZone) -> Vec<String> {
    COLUMNS.iter().map(|column| cell(report, &zone, column).unwrap_or_default()).collect()
}

/// One cell; `None` where the value is not known.
fn cell(report: Report<'_>, zone: &TimeZone, column: &str) -> Option<String> {
    let summary = report.summary;
    let carbon = &summary.carbon;
    let kilograms = carbon.emissions.value.map(|grams| grams / 1000.0);
    let duration = summary.duration.value;
    match column {
        "timestamp" => ended_in(report.record, zone.clone()),
        "project_name" => config_text(report, "metrics", "project_name"),
        "experiment_id" => report.record.synthetic.then(|| "synthetic".to_owned()),
        "run_id" => Some(report.record.plan.run_id.clone()),
        "duration" => number(duration),
        "emissions" => number(kilograms),
        "emissions_rate" => {
            number(kilograms.zip(duration.filter(|seconds| *seconds > 0.0)).map(|(mass, time)| mass / time))
        }
        "cpu_power" => number(power(report, Domain::Cpu)),
        "gpu_power" => number(power(report, Domain::Gpu)),
        "ram_power" => number(power(report, Domain::Ram)),
        "cpu_energy" => number(energy(report, Domain::Cpu)),
        "gpu_energy" => number(energy(report, Domain::Gpu)),
        "ram_energy" => number(energy(report, Domain::Ram)),
        "energy_consumed" => number(kilowatt_hours(&summary.energy.total, carbon.pue)),
        "country_name" => carbon.country_name.clone(),
        "country_iso_code" => carbon.country_iso_code.clone(),
        "region" => carbon.region.clone(),
        "codecarbon_version" => Some(format!("ai-energy-benchmarks {}", env!("CARGO_PKG_VERSION"))),
        "gpu_count" => gpu_count(report).or_else(|| environment(report, "gpu_count")),
        "gpu_model" => gpu_models(report),
        "ram_total_size" => environment(report, "ram_total_gib"),
        "tracking_mode" => Some("machine".to_owned()),
        "water_consumed" => number(carbon.water.value),
        "pue" => number(Some(carbon.pue)),
        "wue" => number(carbon.wue),
        "os" => operating_system(report),
        "python_version" | "cpu_count" | "cpu_model" | "cloud_provider" | "cloud_region" | "on_cloud" => {
            environment(report, column)
        }
        "gpu_utilization_percent" => number(gpu_utilization(report)),
        // Coordinates and the mean use of processors and memory are not observed.
        _ => None,
    }
}

fn number(value: Option<f64>) -> Option<String> {
    value.filter(|value| value.is_finite()).map(|value| value.to_string())
}

fn kilowatt_hours(joules: &Figure, pue: f64) -> Option<f64> {
    joules.value.map(|joules| joules * pue / JOULES_PER_WATT_HOUR / 1000.0)
}

fn energy(report: Report<'_>, domain: Domain) -> Option<f64> {
    kilowatt_hours(&report.summary.domain(domain)?.energy, report.summary.carbon.pue)
}

fn power(report: Report<'_>, domain: Domain) -> Option<f64> {
    Some(report.summary.domain(domain)?.mean_power.value? * report.summary.carbon.pue)
}

/// What `cli` found out about the machine, under any of the kinds of JSON values.
fn environment(report: Report<'_>, key: &str) -> Option<String> {
    match report.record.environment.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// One channel of each GPU that was read.
fn gpus(report: Report<'_>) -> Vec<&Channel> {
    let mut gpus: Vec<&Channel> = Vec::new();
    for channel in report.record.channels.iter().filter(|channel| channel.domain == Domain::Gpu) {
        if !gpus.iter().any(|known| known.device_id == channel.device_id) {
            gpus.push(channel);
        }
    }
    gpus
}

/// Mean busy share of the GPUs over the looks within the load, percent.
fn gpu_utilization(report: Report<'_>) -> Option<f64> {
    let (start, end) = report.record.load_window()?;
    let within = report.record.gpu_samples.iter().filter(|sample| sample.at >= start && sample.at <= end);
    let shares: Vec<f64> = within.filter_map(|sample| sample.state.utilization_percent).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

fn gpu_count(report: Report<'_>) -> Option<String> {
    let count = gpus(report).len();
    (count > 0).then(|| count.to_string())
}

/// For example `2 x NVIDIA H200`, as CodeCarbon writes it: the GPUs that were read, or else those the machine has.
fn gpu_models(report: Report<'_>) -> Option<String> {
    let read = gpus(report).into_iter().map(|gpu| gpu.device.as_str());
    let machine = report.record.environment.get("gpus").and_then(Value::as_array).into_iter().flatten();
    let machine = machine.filter_map(|gpu| gpu.get("name").and_then(Value::as_str));
    let names: Vec<&str> = if gpus(report).is_empty() { machine.collect() } else { read.collect() };
    let mut models: Vec<(&str, usize)> = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        match models.iter_mut().find(|(model, _)| *model == name) {
            Some((_, count)) => *count += 1,
            None => models.push((name, 1)),
        }
    }
    let words: Vec<String> = models.iter().map(|(model, count)| format!("{count} x {model}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// For example `linux-6.12.0-x86_64`, from what is known.
fn operating_system(report: Report<'_>) -> Option<String> {
    let parts: Vec<String> =
        ["os", "kernel", "architecture"].iter().filter_map(|key| environment(report, key)).collect();
    (!parts.is_empty()).then(|| parts.join("-"))
}

/// Appends the row. A file with other columns is kept under another name first, as CodeCarbon does.
fn collect(file: &Path, row: &[String]) -> Result<Written, Fault> {
    if let Some(folder) = file.parent() {
        make_folder(folder)?;
    }
    let fault = |error| io_fault(file, "the row cannot be appended", &error);
    let mut locked = Locked::open(file).map_err(fault)?;
    let mut note = None;
    if !locked.content().is_empty() && !fits(locked.content()) {
        let backup = free_backup_name(file)?;
        std::fs::rename(file, &backup).map_err(|error| io_fault(file, "cannot be renamed", &error))?;
        note = Some(format!("an older file with other columns was kept as {}", backup.display()));
        locked = Locked::open(file).map_err(fault)?;
    }
    let rows =
        if locked.content().is_empty() { vec![COLUMNS.to_vec(), cells(row)] } else { vec![cells(row)] };
    locked.append(&lines(file, &rows)?).map_err(fault)?;
    Ok(Written { path: file.to_owned(), note })
}

/// `true` where a file has our columns in our order and does not end within a quoted cell.
fn fits(content: &[u8]) -> bool {
    let open_quote = content.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
    !open_quote && header(content).is_some_and(|columns| columns == COLUMNS)
}

/// `emissions.csv_0.bak`, or the first number that is free.
fn free_backup_name(file: &Path) -> Result<PathBuf, Fault> {
    let candidate = |number: u32| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!("_{number}.bak"));
        PathBuf::from(name)
    };
    (0..10_000).map(candidate).find(|path| std::fs::symlink_metadata(path).is_err()).ok_or_else(|| {
        Fault::new(FaultKind::Output, file.display().to_string(), "there are too many backups of older files")
            .remedy("remove the files named emissions.csv_*.bak that are not needed")
    })
}
