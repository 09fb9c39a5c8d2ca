//! The one module here that names polars: columns into a parquet file.
//!
//! Refuses to know what is in a column.

use polars::prelude::{Column, DataFrame, ParquetWriter};

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Numbers with a fraction.
    Real(Vec<Option<f64>>),
    /// Whole numbers.
    Whole(Vec<Option<u64>>),
    /// Yes or no.
    Flag(Vec<bool>),
}

impl Values {
    /// The value of a row as a cell of text; empty where there is none.
    pub(crate) fn cell(&self, row: usize) -> String {
        fn shown<T: ToString>(values: &[Option<T>], row: usize) -> String {
            values.get(row).and_then(Option::as_ref).map_or_else(String::new, T::to_string)
        }
        match self {
            Self::Text(values) => shown(values, row),
            Self::Real(values) => shown(values, row),
            Self::Whole(values) => shown(values, row),
            Self::Flag(values) => values.get(row).map_or_else(String::new, bool::to_string),
        }
    }

    fn column(self, name: &str) -> Column {
        match self {
            Self::Text(values) => Column::new(name.into(), values),
            Self::Real(values) => Column::new(name.into(), values),
            Self::Whole(values) => Column::new(name.into(), values),
            Self::Flag(values) => Column::new(name.into(), values),
        }
    }
}

/// Columns of `rows` values each as the bytes of a parquet file.
pub(crate) fn parquet(rows: usize, columns: Vec<(&'static str, Values)>) -> Result<Vec<u8>, String> {
    let columns = columns.into_iter().map(|(name, values)| values.column(name)).collect();
    let mut frame = DataFrame::new(rows, columns).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).map_err(|error| error.to_string())?;
    Ok(bytes)
}
