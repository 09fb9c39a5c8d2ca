//! Runs from tables: our CSV of runs, the Python package's, and `master_results.csv` of a batch.
//!
//! Such a row keeps few figures and no interval. Refuses to fill in what a row does not have.

use std::collections::BTreeMap;
use std::path::Path;

use ai_energy_core::comparison::{ComparedRun, RunIdentity};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Fault, FaultKind};
use serde_json::Value;

/// A row's cells by column.
pub type TableRow = BTreeMap<String, String>;

/// The rows of a table, each a run.
///
/// # Errors
/// The file cannot be read, is no CSV, holds no row, or has no column that tells a figure.
pub fn read_rows(path: &Path) -> Result<Vec<ComparedRun>, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = std::fs::read(path).map_err(|error| {
        wrong(format!("cannot be read: {error}"), "name a run's folder, a report or a table")
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let columns = reader
        .headers()
        .map_err(|error| wrong(format!("is no CSV: {error}"), "name a table of runs"))?
        .clone();
    let mut runs = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record =
            record.map_err(|error| wrong(format!("row {}: {error}", number + 1), "mend that row"))?;
        let row: TableRow = columns
            .iter()
            .zip(&record)
            .map(|(column, cell)| (column.trim().to_owned(), cell.trim().to_owned()))
            .collect();
        let label = format!("{}#{}", path.display(), number + 1);
        runs.push(ComparedRun {
            label,
            figures: kept_figures(&row),
            identity: identity(&row),
            ..ComparedRun::default()
        });
    }
    if runs.is_empty() {
        return Err(wrong("holds no run".to_owned(), "name a table with a row a run"));
    }
    if runs.iter().all(|run| run.figures.is_empty()) {
        let cause = "none of its columns is a figure of a run".to_owned();
        return Err(wrong(cause, "name benchmark_results.csv, a collected CSV, or master_results.csv"));
    }
    Ok(runs)
}

fn identity(row: &TableRow) -> RunIdentity {
    let text = |names: [&str; 2]| {
        names.iter().find_map(|name| row.get(*name)).filter(|cell| !cell.is_empty()).cloned()
    };
    RunIdentity {
        backend: text(["config_backend", "backend"]),
        model: text(["config_model", "model_name"]),
        server: text(["backend_info_server", "server"]),
        dataset: text(["config_dataset", "dataset"]),
        ending: text(["ending", "ending"]),
        synthetic: row.get("synthetic").is_some_and(|cell| cell.eq_ignore_ascii_case("true")),
        ..RunIdentity::default()
    }
}

/// A report's compatible sections as a row has them.
pub(super) fn flat_row(report: &Value) -> TableRow {
    let mut row = TableRow::new();
    for section in ["summary", "energy"] {
        for (key, value) in report[section].as_object().into_iter().flatten() {
            if let Some(number) = value.as_f64() {
                row.insert(format!("{section}_{key}"), number.to_string());
            }
        }
    }
    row
}

/// The figures that a row tells, by the keys of comparisons. What is empty or `nan` is not there.
pub(super) fn kept_figures(row: &TableRow) -> BTreeMap<String, Figure> {
    let number = |names: [&str; 2]| {
        names.iter().find_map(|name| row.get(*name)?.parse::<f64>().ok()).filter(|value| value.is_finite())
    };
    let requests = number(["summary_successful_prompts", "successful_prompts"]).filter(|count| *count > 0.0);
    let output =
        number(["summary_total_completion_tokens", "total_completion_tokens"]).filter(|count| *count > 0.0);
    let all = number(["summary_total_tokens", "total_tokens"]).filter(|count| *count > 0.0);
    let prompt = number(["summary_total_prompt_tokens", "total_prompt_tokens"]);
    let seconds =
        number(["summary_total_duration_seconds", "total_duration_seconds"]).filter(|time| *time > 0.0);
    let joules = |names| number(names).map(|wh| wh * JOULES_PER_WATT_HOUR);
    let gpu = joules(["energy_gpu_energy_wh", "gpu_energy_wh"]);
    let total = joules(["energy_total_energy_wh", "total_energy_wh"]);
    let grams = number(["energy_emissions_g_co2eq", "co2_emissions_g"]);
    let over = |above: Option<f64>, below: Option<f64>| Some(above? / below?);
    let thousand =
        |joules: Option<f64>| over(joules, requests).map(|each| each * 1000.0 / JOULES_PER_WATT_HOUR);
    let failed = over(
        number(["summary_failed_prompts", "failed_prompts"]),
        number(["summary_total_prompts", "total_prompts"]),
    );
    let found = [
        ("gpu_energy_per_output_token", "J/token", over(gpu, output)),
        ("gpu_energy_per_request", "J/request", over(gpu, requests)),
        ("gpu_wh_per_1000_queries", "Wh", thousand(gpu)),
        ("gpu_power", "W", over(gpu, seconds)),
        ("energy_per_output_token", "J/token", over(total, output)),
        ("energy_per_token", "J/token", over(total, all)),
        ("energy_per_request", "J/request", over(total, requests)),
        ("wh_per_1000_queries", "Wh", thousand(total)),
        ("energy", "J", total),
        ("ttft_mean", "s", number(["summary_avg_time_to_first_token", "avg_time_to_first_token"])),
        ("e2e_mean", "s", number(["summary_avg_latency_seconds", "avg_total_time"])),
        ("output_tokens_per_second", "token/s", over(output, seconds)),
        (
            "tokens_per_second",
            "token/s",
            number(["summary_throughput_tokens_per_second", "throughput_tokens_per_second"]),
        ),
        ("requests_per_second", "request/s", over(requests, seconds)),
        ("co2_per_output_token", "g/token", over(grams, output)),
        ("co2_per_request", "g/request", over(grams, requests)),
        ("co2", "g", grams),
        ("failed_share", "1", failed),
        ("output_tokens_per_request", "token", over(output, requests)),
        ("prompt_tokens_per_request", "token", over(prompt, requests)),
    ];
    let figure = |value: f64, unit: &str| Figure::new(value, unit, Provenance::Derived, "a row of a table");
    found.into_iter().filter_map(|(key, unit, value)| Some((key.to_owned(), figure(value?, unit)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_python_package_tells_what_it_has_and_nan_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let text = "timestamp,config_model,summary_total_prompts,summary_successful_prompts,summary_failed_prompts,\
                    summary_total_duration_seconds,summary_avg_latency_seconds,summary_avg_time_to_first_token,\
                    summary_total_completion_tokens,energy_gpu_energy_wh,energy_emissions_g_co2eq\n\
                    2025-01-01T00:00:00,m,10,8,2,20,1.5,nan,400,2,\n";
        std::fs::write(&path, text).unwrap();
        let runs = read_rows(&path).unwrap();
        let value = |key: &str| runs[0].figures.get(key).and_then(|figure| figure.value);
        assert_eq!(value("gpu_energy_per_output_token"), Some(18.0), "2 Wh are 7200 J, over 400 tokens");
        assert_eq!((value("gpu_wh_per_1000_queries"), value("e2e_mean")), (Some(250.0), Some(1.5)));
        assert_eq!((value("ttft_mean"), value("co2"), value("energy")), (None, None, None));
        assert_eq!((value("failed_share"), value("output_tokens_per_second")), (Some(0.2), Some(20.0)));
        assert_eq!(runs[0].identity.model.as_deref(), Some("m"));
    }

    #[test]
    fn a_table_without_runs_or_figures_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_rows(&path).unwrap_err().to_string()
        };
        assert!(refused("summary_total_prompts\n").contains("holds no run"));
        assert!(refused("a,b\n1,2\n").contains("none of its columns is a figure"));
        assert!(read_rows(&folder.path().join("absent.csv")).unwrap_err().to_string().contains("absent.csv"));
    }
}
