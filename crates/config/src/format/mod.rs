//! Configuration files as marked values: the format by the file's extension, every key with its line.
//!
//! Refuses to know which keys exist and what a document means.

mod json;
mod toml;
mod yaml;

use std::path::Path;

use crate::error::ConfigError;
use crate::node::{Data, Node};
use crate::origin::Origin;

/// Extensions that are read, in the order in which a bare name is tried.
pub(crate) const EXTENSIONS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// Files larger than this are refused before they are read: no configuration is, but a wrong path may be.
const LARGEST_BYTES: u64 = 8 << 20;

/// Makes the origin of a key from its line.
pub(crate) type At<'a> = &'a dyn Fn(usize) -> Origin;

/// A parsed document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Always a map.
    pub(crate) root: Node,
    /// What a `# @package` line says, as typed.
    pub(crate) package: Option<String>,
    /// Whether there was nothing in it.
    pub(crate) empty: bool,
}

/// The format that a path names by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Yaml,
    Toml,
    Json,
}

fn format_of(path: &Path) -> Result<Format, ConfigError> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("yaml" | "yml") => Ok(Format::Yaml),
        Some("toml") => Ok(Format::Toml),
        Some("json") => Ok(Format::Json),
        _ => Err(ConfigError::new(format!(
            "config file {}: its extension names no format that is read",
            path.display()
        ))
        .hint("name it .yaml (or .yml), .toml or .json")),
    }
}

/// Reads a file's text: a regular file of a sane size, in UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    format_of(path)?;
    let fault = |cause: String| ConfigError::new(format!("config file {}: {cause}", path.display()));
    let unreadable = |e: std::io::Error| {
        let hint = match e.kind() {
            std::io::ErrorKind::PermissionDenied => "give this user permission to read it",
            _ => "check the path",
        };
        fault(format!("cannot be read: {e}")).hint(hint)
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err(fault("is a folder".to_owned()).hint("name a file in it"));
    }
    if about.len() > LARGEST_BYTES {
        return Err(fault(format!("has {} bytes, more than a configuration can need", about.len()))
            .hint("check that the path is the one you mean"));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        fault(format!("line {line} is not valid UTF-8")).hint("save the file as UTF-8")
    })
}

/// Parses a text in the format that `path` names.
pub(crate) fn parse(path: &Path, text: &str, at: At<'_>) -> Result<Document, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match format_of(path)? {
        Format::Yaml => yaml::parse(text, at)?,
        Format::Toml => toml::parse(text, at)?,
        Format::Json => json::parse(text, at)?,
    };
    let (root, empty) = match root.data {
        Data::Map(_) => (root, false),
        Data::Null => (Node::map(at(1)), true),
        _ => {
            return Err(ConfigError::new(format!("expected a map of keys, found {}", root.found()))
                .at(&root.origin)
                .hint("a configuration starts with `key: value` lines"));
        }
    };
    Ok(Document { root, package: package_line(text), empty })
}

/// What a `# @package NAME` line among the leading comments says.
fn package_line(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .take_while(|line| line.is_empty() || line.starts_with('#'))
        .find_map(|line| line.trim_start_matches('#').trim().strip_prefix("@package"))
        .map(|rest| rest.trim().to_owned())
}

/// A syntax error at a line.
fn syntax(at: At<'_>, line: usize, message: &str) -> ConfigError {
    let message = message.trim_end_matches('.');
    ConfigError::new(format!("syntax error: {message}")).at(&at(line))
}

/// A key that stands twice in one map.
fn duplicate(at: At<'_>, key: &str, first: &Origin, second: usize) -> ConfigError {
    ConfigError::new(format!("stands twice; the first is at {first}"))
        .at(&at(second))
        .key(key)
        .hint("remove one of the two")
}

/// Lines of a text, from byte offsets.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }

    /// The line, from 1, that a byte offset is on.
    fn line(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|newline| *newline < offset)
    }
}
