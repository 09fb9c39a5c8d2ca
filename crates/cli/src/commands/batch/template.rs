//! The column `Chat Template` of a models table: free text that says how a model is to reason.
//!
//! Reads every form that AI Energy Score's tables have: `reasoning_effort: high`, `enable_thinking=True`, `reasoning: False`,
//! `N/A (default)`, `/think`, `/no_think`, `Prepend input with <think>`, on one line or several. Refuses to drop what it
//! does not understand silently.

use serde_json::{Map, Value, json};

/// What the text says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Template {
    /// Reasoning parameters.
    pub(super) params: Map<String, Value>,
    /// Parts that say nothing known.
    pub(super) unknown: Vec<String>,
}

/// Names that mean the absence of anything special.
const DEFAULTS: [&str; 6] = ["n/a", "na", "none", "default", "-", "–"];

/// Reads the text.
pub(super) fn parse(text: &str) -> Template {
    let mut template = Template::default();
    for part in text.split(['\n', '\r', ',', ';']) {
        let part = part.trim().trim_matches(['{', '}', '`', '*']).trim();
        if part.is_empty() || is_default(part) {
            continue;
        }
        match read(part) {
            Some((key, value)) => {
                template.params.insert(key, value);
            }
            None => template.unknown.push(part.to_owned()),
        }
    }
    template
}

/// `N/A`, `N/A (default)`, `default`.
fn is_default(part: &str) -> bool {
    let bare = part.split('(').next().unwrap_or(part).trim().to_lowercase();
    let inner = part.trim_matches(['(', ')']).to_lowercase();
    DEFAULTS.contains(&bare.as_str()) || DEFAULTS.contains(&inner.as_str())
}

fn read(part: &str) -> Option<(String, Value)> {
    let lower = part.to_lowercase();
    // The longer flag holds the shorter one.
    for (flag, on) in [("/no_think", false), ("/nothink", false), ("/think", true)] {
        let at = lower.find(flag);
        // `</think>` is a tag, not the flag.
        if at.is_some_and(|at| !lower[..at].ends_with('<')) {
            return Some(("enable_thinking".to_owned(), json!(on)));
        }
    }
    if lower.contains("prepend") && lower.contains("<think>") {
        return Some(("enable_thinking".to_owned(), json!(true)));
    }
    let (key, value) = part.split_once([':', '='])?;
    let key = key.trim().trim_matches(['"', '\'']).trim();
    let is_name = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let value = typed(value.trim().trim_start_matches('=').trim());
    (is_name && value != Value::Null).then(|| (key.to_lowercase(), value))
}

/// `True` and `false` are truth values, whole numbers numbers, anything else a word; nothing is null.
fn typed(value: &str) -> Value {
    let bare = value.trim_matches(['"', '\'']);
    match bare.to_lowercase().as_str() {
        "" => Value::Null,
        "true" | "yes" | "on" => json!(true),
        "false" | "no" | "off" => json!(false),
        lower => bare.parse::<i64>().map_or_else(|_| json!(lower), |number| json!(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Value {
        let template = parse(text);
        assert!(template.unknown.is_empty(), "{:?}", template.unknown);
        Value::Object(template.params)
    }

    #[test]
    fn every_listed_form_is_read() {
        assert_eq!(params("reasoning_effort: high"), json!({"reasoning_effort": "high"}));
        assert_eq!(params("enable_thinking=True"), json!({"enable_thinking": true}));
        assert_eq!(params("reasoning: False"), json!({"reasoning": false}));
        assert_eq!(params("N/A (default)"), json!({}));
        assert_eq!(params("/think"), json!({"enable_thinking": true}));
        assert_eq!(params("/no_think"), json!({"enable_thinking": false}));
        assert_eq!(params("Prepend input with <think>"), json!({"enable_thinking": true}));
        assert_eq!(params(""), json!({}));
    }

    #[test]
    fn forms_span_lines_and_stand_beside_each_other() {
        let text = "enable_thinking: true\nthinking_budget = 512,\n\"reasoning_effort\": \"Medium\"";
        let known = json!({"enable_thinking": true, "thinking_budget": 512, "reasoning_effort": "medium"});
        assert_eq!(params(text), known);
        assert_eq!(params("{\"enable_thinking\": False}"), json!({"enable_thinking": false}));
        assert_eq!(params("add /no_think to the system prompt"), json!({"enable_thinking": false}));
    }

    #[test]
    fn what_is_not_understood_is_kept_to_be_said() {
        let found = parse("use the blue one\nenable_thinking: true");
        assert_eq!((found.unknown, found.params.len()), (vec!["use the blue one".to_owned()], 1));
        assert_eq!(parse("close with </think>").unknown.len(), 1, "a closing tag is no flag");
    }
}
