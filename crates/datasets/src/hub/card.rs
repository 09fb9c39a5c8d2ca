//! The configurations that a dataset's card declares.
//!
//! Refuses to know files: patterns are matched elsewhere.

use ai_energy_hub::RepoInfo;
use serde_json::Value;

/// A configuration that a card declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CardConfig {
    /// Its name.
    pub(crate) name: String,
    /// Declared to be the default.
    pub(crate) default: bool,
    /// Folder its files are in.
    pub(crate) data_dir: Option<String>,
    /// Splits with their file patterns, in the card's order; empty where the card leaves that to file names.
    pub(crate) splits: Vec<(String, Vec<String>)>,
}

/// What the card declares under `configs`.
pub(crate) fn configs(info: &RepoInfo) -> Vec<CardConfig> {
    let declared = info.card.as_ref().and_then(|card| card.get("configs"));
    let list = declared.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(read_config).collect()
}

fn read_config(config: &Value) -> CardConfig {
    let text = |field: &str| config.get(field).and_then(Value::as_str).map(str::to_owned);
    let splits = match config.get("data_files") {
        Some(Value::Array(entries)) if entries.iter().any(Value::is_object) => {
            entries.iter().filter_map(read_split).collect()
        }
        Some(Value::Object(splits)) => {
            splits.iter().map(|(split, paths)| (split.clone(), strings(Some(paths)))).collect()
        }
        patterns => match strings(patterns) {
            none if none.is_empty() => Vec::new(),
            patterns => vec![("train".to_owned(), patterns)],
        },
    };
    CardConfig {
        name: text("config_name").unwrap_or_else(|| "default".to_owned()),
        default: config.get("default").and_then(Value::as_bool).unwrap_or(false),
        data_dir: text("data_dir"),
        splits,
    }
}

/// A `{split, path}` entry.
fn read_split(entry: &Value) -> Option<(String, Vec<String>)> {
    let split = entry.get("split").and_then(Value::as_str).unwrap_or("train");
    let paths = strings(entry.get("path"));
    (!paths.is_empty()).then(|| (split.to_owned(), paths))
}

/// A text or a list of texts.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
