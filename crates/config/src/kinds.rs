//! Which JSON type a value may pass for: as it was typed, or as the text it was typed from.
//!
//! Refuses to know bounds, patterns and keys: `check` judges those.

use serde_json::{Number, Value};

use crate::node::{Data, Node};
use crate::schema::types;

/// Integers up to here are exact as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The ways a value may be read: as it was typed, and where its quoting was lost, as the text itself or as a flag.
pub(crate) fn readings(node: &Node) -> impl Iterator<Item = Node> {
    let raw = node.raw.clone().filter(|_| node.loose);
    let flag = match raw.as_deref() {
        Some("1") => Some(true),
        Some("0") => Some(false),
        _ => None,
    };
    // Null stays null: `key=` and `key=null` ask for nothing, not for a word.
    let word = raw.filter(|_| !matches!(node.data, Data::Null | Data::Text(_)));
    let with = |data: Data| Node { data, ..node.clone() };
    let others = [word.map(Data::Text).map(with), flag.map(Data::Bool).map(with)];
    std::iter::once(node.clone()).chain(others.into_iter().flatten())
}

/// Whether a value is of a type that this alternative allows.
pub(crate) fn fits_kind(node: &Node, wanted: &Value) -> bool {
    if wanted == &Value::Bool(false) {
        return false;
    }
    let kinds = types(wanted);
    let has = |kind: &str| kinds.is_empty() || kinds.contains(&kind);
    match &node.data {
        Data::Null => has("null"),
        Data::Bool(_) => has("boolean"),
        Data::Number(number) => has("number") || (has("integer") && is_whole(number)),
        Data::Text(_) => has("string"),
        Data::List(_) => has("array"),
        Data::Map(_) => has("object"),
    }
}

fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|v| v.fract() == 0.0 && v.abs() <= EXACT)
}

/// Whether a map carries the fixed value that tells this alternative from the others.
pub(crate) fn tag_matches(node: &Node, branch: &Value) -> bool {
    let properties = branch.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut fixed =
        properties.filter_map(|(key, schema)| schema.get("const").map(|value| (key, value))).peekable();
    fixed.peek().is_some()
        && fixed.all(|(key, value)| node.get(&[key]).is_some_and(|v| v.to_json() == *value))
}
