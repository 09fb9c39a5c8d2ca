//! What the hub tells of a dataset: its commit, its files, and the configurations its card declares.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of the hub's answer that choose files. Also kept in the cache, so that offline use chooses the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RepoInfo {
    /// The commit the answer is about.
    pub(crate) sha: String,
    /// Every file.
    #[serde(default)]
    pub(crate) siblings: Vec<Sibling>,
    /// The card's metadata, as far as there is any.
    #[serde(default, rename = "cardData")]
    pub(crate) card: Option<Value>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sibling {
    /// Path in the repository.
    pub(crate) rfilename: String,
}

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

impl RepoInfo {
    /// Paths of all files.
    pub(crate) fn files(&self) -> Vec<&str> {
        self.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect()
    }

    /// What the card declares under `configs`.
    pub(crate) fn configs(&self) -> Vec<CardConfig> {
        let declared = self.card.as_ref().and_then(|card| card.get("configs"));
        let list = declared.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().map(read_config).collect()
    }
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
