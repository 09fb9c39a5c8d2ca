//! `master_results.csv`: one row a model and reasoning state, written anew as a whole after each.
//!
//! What was not measured is an empty cell. Refuses to compute beyond sharing energy out over counts.

use std::path::Path;

use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Fault, FaultKind, Written};
use serde_json::Value;

use crate::csv::lines;
use crate::files::write_whole;

/// The file's name within a batch's folder.
pub const MASTER_FILE_NAME: &str = "master_results.csv";

/// The columns in their order.
pub const COLUMNS: [&str; 21] = [
    "model_name",
    "model_class",
    "task",
    "reasoning_state",
    "total_prompts",
    "successful_prompts",
    "failed_prompts",
    "total_duration_seconds",
    "avg_total_time",
    "avg_time_to_first_token",
    "total_tokens",
    "total_prompt_tokens",
    "total_completion_tokens",
    "throughput_tokens_per_second",
    "gpu_energy_wh",
    "wh_per_1000_queries",
    "co2_emissions_g",
    "tokens_per_joule",
    "avg_energy_per_prompt_wh",
    "timestamp",
    "error_message",
];

/// A row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MasterRow {
    /// Hub id.
    pub model_name: String,
    /// Class, as the table of models has it.
    pub model_class: String,
    /// Task, likewise.
    pub task: String,
    /// Reasoning state, likewise.
    pub reasoning_state: String,
    /// The cells from `total_prompts` to `avg_energy_per_prompt_wh`; `None` is an empty cell.
    pub numbers: [Option<f64>; 15],
    /// When it ended, UTC, ISO 8601.
    pub timestamp: String,
    /// What went wrong; empty for a run that ended well.
    pub error_message: String,
}

impl MasterRow {
    /// Which run this is: one row each.
    pub fn key(&self) -> [&str; 4] {
        [&self.model_name, &self.model_class, &self.task, &self.reasoning_state]
    }

    /// A number by its column.
    pub fn number(&self, column: &str) -> Option<f64> {
        let place = COLUMNS[4..19].iter().position(|name| *name == column)?;
        self.numbers[place]
    }

    /// Takes the numbers of a run's report. Energies are the GPUs' alone, as AI Energy Score has them: shares over successful
    /// prompts, and prompt and generated tokens a joule.
    pub fn fill(&mut self, report: &Value) {
        let number = |section: &str, key: &str| report[section][key].as_f64();
        let summary = |key| number("summary", key);
        let wh = number("energy", "gpu_energy_wh");
        let successful = summary("successful_prompts").filter(|count| *count > 0.0);
        let tokens = summary("total_tokens");
        let each = wh.zip(successful).map(|(wh, count)| wh / count);
        let per_joule =
            tokens.zip(wh.filter(|wh| *wh > 0.0)).map(|(tokens, wh)| tokens / (wh * JOULES_PER_WATT_HOUR));
        self.numbers = [
            summary("total_prompts"),
            summary("successful_prompts"),
            summary("failed_prompts"),
            summary("total_duration_seconds"),
            summary("avg_latency_seconds"),
            summary("avg_time_to_first_token"),
            tokens,
            summary("total_prompt_tokens"),
            summary("total_completion_tokens"),
            summary("throughput_tokens_per_second"),
            wh,
            each.map(|each| each * 1000.0),
            number("energy", "emissions_g_co2eq"),
            per_joule,
            each,
        ];
    }

    fn cells(&self) -> Vec<String> {
        let names =
            [&self.model_name, &self.model_class, &self.task, &self.reasoning_state].map(Clone::clone);
        let numbers =
            self.numbers.iter().map(|number| number.map_or_else(String::new, |number| number.to_string()));
        names.into_iter().chain(numbers).chain([self.timestamp.clone(), self.error_message.clone()]).collect()
    }
}

/// Writes the file anew, as a whole.
///
/// # Errors
/// It cannot be written; an older one stays.
pub fn write_master(path: &Path, rows: &[MasterRow]) -> Result<Written, Fault> {
    let cells: Vec<Vec<String>> = rows.iter().map(MasterRow::cells).collect();
    let mut table = vec![COLUMNS.to_vec()];
    table.extend(cells.iter().map(|row| row.iter().map(String::as_str).collect()));
    write_whole(path, &lines(path, &table)?)?;
    Ok(Written::at(path))
}

/// Reads the file; none where there is none. Columns are found by their names, so tables of the Python package's tooling
/// with columns in another order read as well.
///
/// # Errors
/// The file cannot be read, is no CSV, or has no column `model_name`.
pub fn read_master(path: &Path) -> Result<Vec<MasterRow>, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"), "give yourself read access")),
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let header =
        reader.headers().map_err(|error| wrong(format!("is no CSV: {error}"), "restore the file"))?.clone();
    let places = COLUMNS.map(|column| header.iter().position(|found| found.trim() == column));
    if places[0].is_none() {
        return Err(wrong("has no column `model_name`".to_owned(), "name a master_results.csv"));
    }
    let mut rows = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record =
            record.map_err(|error| wrong(format!("row {}: {error}", number + 2), "mend that row"))?;
        let cell =
            |place: usize| places[place].and_then(|at| record.get(at)).unwrap_or_default().trim().to_owned();
        let value = |place: usize| cell(place + 4).parse::<f64>().ok().filter(|value| value.is_finite());
        rows.push(MasterRow {
            model_name: cell(0),
            model_class: cell(1),
            task: cell(2),
            reasoning_state: cell(3),
            numbers: std::array::from_fn(value),
            timestamp: cell(19),
            error_message: cell(20),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_are_of_the_gpu_energy_and_what_is_not_known_is_empty() {
        let mut row = MasterRow { model_name: "o/m".to_owned(), ..MasterRow::default() };
        row.fill(&json!({
            "summary": { "total_prompts": 10, "successful_prompts": 8, "total_tokens": 7200, "avg_time_to_first_token": null },
            "energy": { "gpu_energy_wh": 2.0 }
        }));
        let number = |column| row.number(column);
        assert_eq!(
            (number("wh_per_1000_queries"), number("avg_energy_per_prompt_wh")),
            (Some(250.0), Some(0.25))
        );
        assert_eq!((number("tokens_per_joule"), number("avg_time_to_first_token")), (Some(1.0), None));
        row.fill(&json!({ "summary": { "successful_prompts": 0 }, "energy": { "gpu_energy_wh": 2.0 } }));
        assert_eq!(row.number("wh_per_1000_queries"), None, "nothing succeeded");
    }

    #[test]
    fn what_is_written_reads_back_with_lines_in_its_cells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MASTER_FILE_NAME);
        assert_eq!(read_master(&path).unwrap(), []);
        let row = MasterRow {
            model_name: "o/m, \"x\"".to_owned(),
            numbers: std::array::from_fn(|place| (place % 2 == 0).then_some(0.1 + place as f64)),
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
            error_message: "no\nserver".to_owned(),
            ..MasterRow::default()
        };
        write_master(&path, std::slice::from_ref(&row)).unwrap();
        assert_eq!(read_master(&path).unwrap(), [row]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("model_name,model_class,task,reasoning_state,total_prompts,"), "{text}");
        assert!(text.lines().next().unwrap().ends_with("avg_energy_per_prompt_wh,timestamp,error_message"));
    }
}
