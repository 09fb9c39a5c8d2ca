//! The one module that names polars: columns of a parquet file as JSON values.
//!
//! Refuses to know prompts, and what is done with a value.

use std::fs::File;

use polars::prelude::{AnyValue, ParquetReader, SerReader};
use serde_json::{Map, Number, Value};

/// A parquet file whose footer was read.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: usize,
}

impl Table {
    /// Reads the footer.
    pub(crate) fn open(file: File) -> Result<Self, String> {
        let mut reader = ParquetReader::new(file);
        let schema = reader.schema().map_err(|error| error.to_string())?;
        let rows = reader.num_rows().map_err(|error| error.to_string())?;
        Ok(Self { columns: schema.iter_names().map(ToString::to_string).collect(), rows })
    }

    /// Names of the columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// At most `count` values of a column from row `offset` on.
    pub(crate) fn read(
        &self,
        file: File,
        column: &str,
        offset: usize,
        count: usize,
    ) -> Result<Vec<Value>, String> {
        let frame = ParquetReader::new(file)
            .with_columns(Some(vec![column.to_owned()]))
            .with_slice(Some((offset, count)))
            .finish()
            .map_err(|error| error.to_string())?;
        let column = frame.column(column).map_err(|error| error.to_string())?;
        let series = column.as_materialized_series();
        series.iter().map(|value| to_json(&value)).collect()
    }
}

/// The value as JSON. What JSON has no form for (dates, durations) becomes the text polars shows for it.
fn to_json(value: &AnyValue<'_>) -> Result<Value, String> {
    Ok(match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(truth) => Value::Bool(*truth),
        AnyValue::String(text) => Value::String((*text).to_owned()),
        AnyValue::StringOwned(text) => Value::String(text.to_string()),
        AnyValue::Binary(bytes) => binary(bytes)?,
        AnyValue::BinaryOwned(bytes) => binary(bytes)?,
        AnyValue::Float32(number) => float(f64::from(*number)),
        AnyValue::Float64(number) => float(*number),
        AnyValue::List(series) => {
            Value::Array(series.iter().map(|item| to_json(&item)).collect::<Result<_, _>>()?)
        }
        AnyValue::Struct(_, _, fields) => {
            let names = fields.iter().map(|field| field.name().to_string());
            object(names, value._iter_struct_av())?
        }
        AnyValue::StructOwned(pair) => {
            let names = pair.1.iter().map(|field| field.name().to_string());
            object(names, pair.0.iter().cloned())?
        }
        other => match other.extract::<i64>() {
            Some(number) if other.is_integer() => Value::Number(number.into()),
            _ => Value::String(other.str_value().into_owned()),
        },
    })
}

fn object<'a>(
    names: impl Iterator<Item = String>,
    values: impl Iterator<Item = AnyValue<'a>>,
) -> Result<Value, String> {
    let fields = names.zip(values).map(|(name, value)| Ok((name, to_json(&value)?)));
    fields.collect::<Result<Map<_, _>, String>>().map(Value::Object)
}

/// Many writers store text as bare bytes.
fn binary(bytes: &[u8]) -> Result<Value, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| "a cell holds bytes that are no UTF-8 text".to_owned())?;
    Ok(Value::String(text.to_owned()))
}

/// JSON has no infinities and no NaN; a cell of these holds nothing to send.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
