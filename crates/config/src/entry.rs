//! One line of a Hydra `defaults:` list, in its parts.
//!
//! Refuses to know files and which groups there are.

use crate::error::ConfigError;
use crate::node::{Data, Node};
use crate::origin::Origin;

/// What a line of the list asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// `_self_`: the file itself goes here.
    Itself,
    /// `name` or `path/name`: another configuration.
    Config(String),
    /// `group: choice`; no choice for `null`, several for a list.
    Group { group: String, choices: Vec<String> },
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) wanted: Wanted,
    /// Where it starts with `/`: counted from the top, not from the group of the file it stands in.
    pub(crate) absolute: bool,
    /// What stands behind `@`: the key that the content goes under.
    pub(crate) package: Option<String>,
    pub(crate) optional: bool,
    /// It changes a choice made earlier and loads nothing of its own.
    pub(crate) replaces: bool,
    pub(crate) origin: Origin,
    /// As it was written.
    pub(crate) text: String,
}

impl Entry {
    /// Reads one element of the list.
    pub(crate) fn parse(node: &Node) -> Result<Self, ConfigError> {
        let fault = |cause: &str| {
            ConfigError::new(cause)
                .at(&node.origin)
                .key("defaults")
                .hint("an entry is `name`, `group: name` or `_self_`")
        };
        match &node.data {
            Data::Text(text) if text == "_self_" => Ok(Self::new(text, Wanted::Itself, node)),
            Data::Text(text) => {
                let mut entry = Self::new(text, Wanted::Itself, node);
                let name = entry.keywords(text);
                entry.wanted = Wanted::Config(name);
                Ok(entry)
            }
            Data::Map(map) if map.len() == 1 => {
                let Some((key, value)) = map.first() else {
                    return Err(fault("an entry is empty"));
                };
                let choices = choices(value)
                    .ok_or_else(|| fault("a choice must be a name, a list of names or null"))?;
                let text = format!(
                    "{key}: {}",
                    if choices.is_empty() { "null".to_owned() } else { choices.join(", ") }
                );
                let mut entry = Self::new(&text, Wanted::Itself, node);
                let group = entry.keywords(key);
                entry.wanted = Wanted::Group { group, choices };
                Ok(entry)
            }
            _ => Err(fault(&format!("an entry is {}", node.found()))),
        }
    }

    fn new(text: &str, wanted: Wanted, node: &Node) -> Self {
        Self {
            wanted,
            absolute: false,
            package: None,
            optional: false,
            replaces: false,
            origin: node.origin.clone(),
            text: text.to_owned(),
        }
    }

    /// Takes `optional`, `override`, the leading `/` and `@package` off a name.
    fn keywords(&mut self, text: &str) -> String {
        let mut rest = text.trim();
        loop {
            if let Some(after) = rest.strip_prefix("optional ") {
                self.optional = true;
                rest = after.trim_start();
            } else if let Some(after) = rest.strip_prefix("override ") {
                self.replaces = true;
                rest = after.trim_start();
            } else {
                break;
            }
        }
        if let Some(after) = rest.strip_prefix('/') {
            self.absolute = true;
            rest = after;
        }
        match rest.split_once('@') {
            Some((name, package)) => {
                self.package = Some(package.to_owned());
                name.to_owned()
            }
            None => rest.to_owned(),
        }
    }
}

fn choices(value: &Node) -> Option<Vec<String>> {
    let name = |node: &Node| match (&node.data, &node.raw) {
        (Data::Text(text), _) => Some(text.clone()),
        // A choice named `on` or `8` is a name all the same.
        (Data::Bool(_) | Data::Number(_), Some(raw)) => Some(raw.clone()),
        (Data::Number(number), None) => Some(number.to_string()),
        _ => None,
    };
    match &value.data {
        Data::Null => Some(Vec::new()),
        Data::List(items) => items.iter().map(name).collect(),
        _ => name(value).map(|one| vec![one]),
    }
}
