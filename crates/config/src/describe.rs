//! What a schema asks for, in words: `an integer ≥ 1`, `` `vllm` or `pytorch` ``, `a list or a string`.
//!
//! Refuses to know any value; `check` says what was found.

use serde_json::Value;

use crate::schema::{Schema, literals, types};

/// What a value of the schema is.
pub(crate) fn expected(schema: &Schema, wanted: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for branch in schema.branches(wanted) {
        for word in branch_words(branch) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    // Null is last, and not worth naming beside a list of other things: leaving the key out does the same.
    if words.len() > 1 {
        words.retain(|word| word != "nothing (null)");
    }
    either(&words)
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn either(words: &[String]) -> String {
    match words.split_last() {
        None => "another value".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A literal as messages quote it.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn branch_words(branch: &Value) -> Vec<String> {
    if let Some(values) = literals(branch) {
        return values.into_iter().map(literal).collect();
    }
    let kinds = types(branch);
    if kinds.is_empty() {
        return vec!["any value".to_owned()];
    }
    kinds
        .into_iter()
        .map(|kind| match kind {
            "null" => "nothing (null)".to_owned(),
            "boolean" => "true or false".to_owned(),
            "integer" => format!("an integer{}", bounds(branch)),
            "number" => format!("a number{}", bounds(branch)),
            "string" if branch.get("minLength").and_then(Value::as_u64) == Some(1) => {
                "a string that is not empty".to_owned()
            }
            "string" => "a string".to_owned(),
            "array" => "a list".to_owned(),
            _ => "a map".to_owned(),
        })
        .collect()
}

/// ` ≥ 1`, ` between 0 and 1`, ` > 0`, ` < 1`, or nothing.
fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => return format!(" between {low} and {high}"),
        (Some(low), None) if bound("exclusiveMaximum").is_none() => return format!(" ≥ {low}"),
        (None, Some(high)) if bound("exclusiveMinimum").is_none() => return format!(" ≤ {high}"),
        _ => {}
    }
    let parts: Vec<String> =
        [("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")]
            .into_iter()
            .filter_map(|(name, sign)| bound(name).map(|limit| format!("{sign} {limit}")))
            .collect();
    if parts.is_empty() { String::new() } else { format!(" {}", parts.join(" and ")) }
}
