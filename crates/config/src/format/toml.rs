//! TOML with a line for each key, from the spans that the toml crate keeps.
//!
//! Refuses to know dates: TOML's dates and times become the text they were written as.

use indexmap::IndexMap;
use serde_json::Number;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, Lines, syntax};
use crate::error::ConfigError;
use crate::node::{Data, Node};

/// Parses a document; its root is always a map.
pub(super) fn parse(text: &str, at: At<'_>) -> Result<Node, ConfigError> {
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(Node::new(map(table.get_ref(), &lines, at)?, at(1))),
        Err(error) => {
            let line = error.span().map_or(1, |span| lines.line(span.start));
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            Err(syntax(at, line, &message))
        }
    }
}

fn map(table: &DeTable<'_>, lines: &Lines, at: At<'_>) -> Result<Data, ConfigError> {
    // toml's map sorts its keys; a configuration's own order is that of its lines.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut map = IndexMap::new();
    for (key, value) in entries {
        let line = lines.line(key.span().start);
        map.insert(key.get_ref().to_string(), node(value, line, lines, at)?);
    }
    Ok(Data::Map(map))
}

fn node(value: &Spanned<DeValue<'_>>, line: usize, lines: &Lines, at: At<'_>) -> Result<Node, ConfigError> {
    let data = match value.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Boolean(flag) => Data::Bool(*flag),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Data::Number(number.into()),
            Err(_) => return Err(syntax(at, line, "an integer is out of range")),
        },
        // Infinities have no JSON number; as text they are refused where a number is asked for.
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Data::Number(number),
            None => Data::Text(float.as_str().to_owned()),
        },
        DeValue::Datetime(datetime) => Data::Text(datetime.to_string()),
        DeValue::Array(items) => Data::List(
            items
                .iter()
                .map(|item| node(item, lines.line(item.span().start), lines, at))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => map(table, lines, at)?,
    };
    Ok(Node::new(data, at(line)))
}
