//! One row a run, in the run's folder and appended to a file that collects runs.
//!
//! The columns are those of the report's compatible sections, nested keys joined with `_`. A collecting file is never
//! corrupted: the row is written in that file's own column order, and if the file lacks a column that the row has a
//! value for, or is broken, a new file is begun beside it. Refuses to know what the columns mean.

use std::path::Path;

use ::csv::{ReaderBuilder, WriterBuilder};
use ai_energy_core::{Fault, FaultKind, Place, Report, Reporter, Written};
use serde_json::{Map, Value};

use crate::append::Locked;
use crate::collect::collect;
use crate::files::{io_fault, same_place, write_whole};
use crate::json::report_value;
use crate::time::ended_utc;

/// The registry's name.
pub const NAME: &str = "csv";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "benchmark_results.csv";

/// The report's sections that become columns, in order.
const SECTIONS: [&str; 6] = ["config", "summary", "energy", "backend_info", "metrics_metadata", "gpu_stats"];

/// Columns with their values, in order.
type Row = Vec<(String, String)>;

/// Writes `benchmark_results.csv` and appends to `reporter.output_file`.
#[derive(Debug, Clone, Copy)]
pub struct Csv;

impl Reporter for Csv {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let row = row(report);
        let copy = place.run_dir.join(FILE_NAME);
        let mut written = Vec::new();
        let collected_here = place.collected_file.as_ref().is_some_and(|file| same_place(file, &copy));
        if !collected_here {
            write_whole(&copy, &lines(&copy, &[names(&row), values(&row)])?)?;
            written.push(Written::at(&copy));
        }
        if let Some(file) = &place.collected_file {
            written.push(collect(file, OTHER_SHAPE, |path| append(path, &row))?);
        }
        Ok(written)
    }
}

/// The row of a run: `timestamp` (end of the load, UTC, ISO 8601), what names the run, then the sections.
fn row(report: Report<'_>) -> Row {
    let root = report_value(report);
    let mut row = vec![("timestamp".to_owned(), ended_utc(report.record))];
    for key in ["run_id", "schema_version", "synthetic"] {
        row.push((key.to_owned(), cell(&root[key])));
    }
    row.push(("ending".to_owned(), cell(&root["ending"]["kind"])));
    for section in SECTIONS {
        if let Some(keys) = root[section].as_object() {
            flatten(section, keys, &mut row);
        }
    }
    row
}

/// Adds a section's columns. Maps within a section vary from run to run and stay in the JSON report, save the GPUs'.
fn flatten(prefix: &str, keys: &Map<String, Value>, row: &mut Row) {
    for (key, value) in keys {
        let name = format!("{prefix}_{key}");
        match value {
            Value::Object(inner) if prefix == "gpu_stats" => flatten(&name, inner, row),
            Value::Object(_) => {}
            _ => row.push((name, cell(value))),
        }
    }
}

/// A value as a cell: empty for null, elements of a list joined with commas.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn names(row: &Row) -> Vec<&str> {
    row.iter().map(|(name, _)| name.as_str()).collect()
}

fn values(row: &Row) -> Vec<&str> {
    row.iter().map(|(_, value)| value.as_str()).collect()
}

/// CSV text of whole lines.
pub(crate) fn lines(path: &Path, rows: &[Vec<&str>]) -> Result<Vec<u8>, Fault> {
    let not_csv = |cause: String| Fault::new(FaultKind::Internal, path.display().to_string(), cause);
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(|error| not_csv(format!("cannot be put into CSV: {error}")))?;
    }
    writer.into_inner().map_err(|error| not_csv(format!("cannot be put into CSV: {error}")))
}

/// The columns of a CSV file; `None` where it has none or its first line is no CSV.
pub(crate) fn header(content: &[u8]) -> Option<Vec<String>> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    let first = reader.records().next()?.ok()?;
    Some(first.iter().map(str::to_owned).collect())
}

/// What is wrong with a file that a row does not fit.
const OTHER_SHAPE: &str = "has other columns or is cut within a cell";

/// Appends the row if the file's columns can hold it; `false` where they cannot, and nothing is written.
fn append(path: &Path, row: &Row) -> Result<bool, Fault> {
    let fault = |error| io_fault(path, "the row cannot be appended", &error);
    let mut locked = Locked::open(path).map_err(fault)?;
    if locked.content().is_empty() {
        locked.append(&lines(path, &[names(row), values(row)])?).map_err(fault)?;
        return Ok(true);
    }
    let Some(aligned) = align(locked.content(), row) else {
        return Ok(false);
    };
    locked.append(&lines(path, &[aligned])?).map_err(fault)?;
    Ok(true)
}

/// The row's values in the order of the file's columns; `None` where a value would find no column, or where the file
/// ends within a quoted cell that would swallow the row.
fn align<'row>(content: &[u8], row: &'row Row) -> Option<Vec<&'row str>> {
    let columns = header(content)?;
    let quotes = content.iter().filter(|byte| **byte == b'"').count();
    let homeless = row.iter().any(|(name, value)| !value.is_empty() && !columns.contains(name));
    if quotes % 2 == 1 || homeless {
        return None;
    }
    let value_of =
        |column: &String| row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
    Some(columns.iter().map(value_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        [("a", "1"), ("b", ""), ("c", "x,\"y\"")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn a_row_takes_the_files_order_and_leaves_foreign_columns_empty() {
        assert_eq!(align(b"c,z,a\n", &row()), Some(vec!["x,\"y\"", "", "1"]));
        assert_eq!(align(b"\xef\xbb\xbfa,c\r\n1,2\r\n", &row()), Some(vec!["1", "x,\"y\""]));
    }

    #[test]
    fn a_value_without_a_column_or_an_open_quote_forbids_the_file() {
        assert_eq!(align(b"a,b\n", &row()), None);
        assert_eq!(align(b"a,b,c\n1,2,\"cut he", &row()), None);
    }
}
