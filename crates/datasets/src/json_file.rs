//! Reads JSON: one object a line, or one document that holds a list (ShareGPT's layout among them).
//!
//! Line by line with serde_json rather than as a frame: rows of one file may differ in shape, and an error names its
//! line. Refuses to know what a conversation looks like (`conversation`).

use std::collections::BTreeSet;
use std::path::Path;

use ai_energy_core::Fault;
use serde_json::{Map, Value};

use crate::files::{self, Lines};
use crate::rows::{Rows, Take, Want};

/// Takes rows one by one and keeps the column names seen, for the message where none is the wanted one.
struct Intake<'a> {
    want: &'a Want,
    rows: Rows,
    found: usize,
    hit: bool,
    columns: BTreeSet<String>,
}

impl<'a> Intake<'a> {
    fn new(want: &'a Want) -> Self {
        Self { want, rows: Rows::default(), found: 0, hit: false, columns: BTreeSet::new() }
    }

    fn full(&self) -> bool {
        matches!(self.want.take, Take::First(limit) if self.found >= limit)
    }

    /// Takes one row; `place` says where it stands, for example `line 3`.
    fn take(&mut self, fields: &Map<String, Value>, place: &str) -> Result<(), Fault> {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let column = self.want.pick_column(&names);
        self.hit |= column.is_some();
        if !self.hit {
            self.columns.extend(fields.keys().cloned());
        }
        let value = column.and_then(|column| fields.get(column));
        let pushed = self.rows.push_value(value);
        pushed.map_err(|cause| {
            let cause = format!("{place}, column `{}`: {cause}", column.unwrap_or_default());
            self.want
                .fault(cause)
                .remedy("set scenario.text_column_name to a column of texts or conversations")
        })?;
        self.found += usize::from(self.rows.cells.last().is_some_and(|cell| !cell.is_empty()));
        Ok(())
    }

    fn finish(mut self, complete: bool) -> Result<Rows, Fault> {
        if !self.hit && !self.columns.is_empty() {
            let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
            return Err(self.want.no_column(&names));
        }
        self.rows.total = complete.then_some(self.rows.cells.len());
        Ok(self.rows)
    }
}

/// Reads one object a line. Blank lines are skipped.
pub(crate) fn read_lines(path: &Path, want: &Want) -> Result<Rows, Fault> {
    let mut lines = Lines::open(path, want)?;
    let mut intake = Intake::new(want);
    while !intake.full() {
        let Some((number, line)) = lines.next()? else {
            return intake.finish(true);
        };
        if line.trim().is_empty() {
            continue;
        }
        let fields = match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(want.fault(format!("line {number} is no JSON object"))),
            Err(error) => {
                let cause = format!("line {number} is no valid JSON: {}", without_line(&error));
                return Err(want.fault(cause).remedy("write one complete JSON object on each line"));
            }
        };
        intake.take(&fields, &format!("line {number}"))?;
    }
    intake.finish(false)
}

/// Reads one document: a list of objects or texts, an object that holds one such list, or, since many files are
/// named so, one object a line.
pub(crate) fn read(path: &Path, want: &Want) -> Result<Rows, Fault> {
    let bytes = std::fs::read(path).map_err(|error| files::unreadable(path, &error, want))?;
    let mark = files::byte_order_mark(&bytes, want)?;
    let text = files::utf8(&bytes[mark..], 1, want)?;
    if text.trim().is_empty() {
        return Ok(Rows { total: Some(0), ..Rows::default() });
    }
    match serde_json::from_str(text) {
        Ok(document) => read_list(&list_in(document, want)?, want),
        Err(_) if is_json_lines(text) => read_lines(path, want),
        Err(error) => Err(want.fault(format!("is no valid JSON: {error}"))),
    }
}

/// Whether the first line that is not blank is an object by itself.
fn is_json_lines(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok())
}

/// The list that a document is or holds.
fn list_in(document: Value, want: &Want) -> Result<Vec<Value>, Fault> {
    let fields = match document {
        Value::Array(list) => return Ok(list),
        Value::Object(fields) => fields,
        _ => return Err(want.fault("holds neither a list nor an object")),
    };
    let is_rows = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    if want.pick_column(&names).is_some() {
        return Ok(vec![Value::Object(fields)]);
    }
    let mut lists: Vec<(String, Value)> = fields.into_iter().filter(|(_, value)| is_rows(value)).collect();
    match (lists.pop(), lists.len()) {
        (Some((_, Value::Array(list))), 0) => Ok(list),
        _ => Err(want
            .fault("is an object that does not hold exactly one list of objects")
            .remedy("write the rows as one list, or one object a line in a .jsonl file")),
    }
}

fn read_list(list: &[Value], want: &Want) -> Result<Rows, Fault> {
    let mut intake = Intake::new(want);
    for (position, row) in list.iter().enumerate() {
        if intake.full() {
            break;
        }
        let place = format!("row {}", position + 1);
        match row {
            Value::Object(fields) => intake.take(fields, &place)?,
            Value::String(text) => {
                intake.rows.push_text(Some(text.clone()));
                intake.found += usize::from(!text.trim().is_empty());
            }
            _ => return Err(want.fault(format!("{place} is neither an object nor a text"))),
        }
    }
    let mut rows = intake.finish(false)?;
    rows.total = Some(list.len());
    Ok(rows)
}

/// The parser's message less its own position, which counts within the line.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cut = text.rfind(" at line ").unwrap_or(text.len());
    format!("{} at column {}", &text[..cut], error.column())
}
