//! Reads parquet files, as many row groups as needed.

use std::path::Path;

use ai_energy_core::Fault;

use crate::files;
use crate::frame::Table;
use crate::rows::{Rows, Take, Want};

/// Rows read at a time after the first step.
const STEP: usize = 65_536;

/// Reads the wanted column.
pub(crate) fn read(path: &Path, want: &Want) -> Result<Rows, Fault> {
    let broken = |cause: String| {
        want.fault(format!("cannot be read as parquet: {cause}")).remedy("check that the file is complete")
    };
    let table = Table::open(files::open(path, want)?).map_err(broken)?;
    let names: Vec<&str> = table.columns().iter().map(String::as_str).collect();
    let Some(column) = want.pick_column(&names) else {
        return Err(want.no_column(&names));
    };
    let mut rows = Rows { total: Some(table.rows()), ..Rows::default() };
    let (mut offset, mut found) = (0, 0);
    let mut step = if let Take::First(limit) = want.take { limit.clamp(64, STEP) } else { STEP };
    while offset < table.rows() {
        let values = table.read(files::open(path, want)?, column, offset, step).map_err(broken)?;
        if values.is_empty() {
            break;
        }
        offset += values.len();
        step = STEP;
        for value in values {
            if matches!(want.take, Take::First(limit) if found >= limit) {
                return Ok(rows);
            }
            let place = rows.cells.len() + 1;
            let pushed = rows.push_value(Some(&value));
            pushed.map_err(|cause| want.fault(format!("row {place}, column `{column}`: {cause}")))?;
            found += usize::from(rows.cells.last().is_some_and(|cell| !cell.is_empty()));
        }
    }
    Ok(rows)
}
