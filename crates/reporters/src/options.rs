//! What a config may say about reports (section `reporter`). Refuses to know where the values come from.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::registry;
use crate::{csv, jsonl};

/// Names of formats, as configs write them: one word or a list. One is written as a word, which is what scripts made for
/// the Python package read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct Formats(pub Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Formats {
    fn from(formats: OneOrMany) -> Self {
        match formats {
            OneOrMany::One(name) => Self(vec![name]),
            OneOrMany::Many(names) => Self(names),
        }
    }
}

impl From<Formats> for OneOrMany {
    fn from(Formats(mut names): Formats) -> Self {
        match names.pop() {
            Some(name) if names.is_empty() => Self::One(name),
            last => Self::Many(names.into_iter().chain(last).collect()),
        }
    }
}

impl Default for Formats {
    /// What the Python package wrote.
    fn default() -> Self {
        Self(vec![csv::NAME.to_owned()])
    }
}

impl JsonSchema for Formats {
    fn schema_name() -> Cow<'static, str> {
        "Formats".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = registry::all().iter().map(|entry| entry.name).collect();
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": names },
                { "type": "array", "items": { "type": "string", "enum": names } },
            ]
        })
    }
}

/// What is written besides the standard files, and where runs are collected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Formats to write, one name or a list: those that `list reporters` shows. The standard files (JSON, HTML, CSV,
    /// AI Energy Score's, emissions) are written whatever stands here; `reporter: [parquet, markdown]` is short for
    /// this key.
    #[serde(rename = "type")]
    pub formats: Formats,
    /// The file that every run is appended to, for example `./results/benchmark_results.csv`: one row a run, or with
    /// `jsonl` or that ending the report on one line. Parent folders are made. Default: none, so that the row is in the
    /// run's own folder alone.
    pub output_file: Option<PathBuf>,
    /// A file that the last run's `metrics.prom` is copied to, ending in `.prom`, for node_exporter's textfile collector.
    /// Implies `openmetrics`.
    pub textfile: Option<PathBuf>,
    /// An OpenTelemetry collector that figures are sent to by OTLP over HTTP, for example `http://127.0.0.1:4318`. Implies
    /// `otlp`. Headers come from the environment (`OTEL_EXPORTER_OTLP_HEADERS`).
    pub otlp_endpoint: Option<String>,
}

impl Options {
    /// `true` where the format is asked for by its name, or by what only it can do.
    pub fn names(&self, format: &str) -> bool {
        let implied = match format {
            crate::openmetrics::NAME => self.textfile.is_some(),
            crate::otlp::NAME => self.otlp_endpoint.is_some(),
            _ => false,
        };
        implied || self.formats.0.iter().any(|name| name == format)
    }

    /// The file that collects rows.
    pub fn collected_rows(&self) -> Option<&Path> {
        self.output_file.as_deref().filter(|_| !self.collects_lines())
    }

    /// The file that collects reports on one line each.
    pub fn collected_lines(&self) -> Option<&Path> {
        self.output_file.as_deref().filter(|_| self.collects_lines())
    }

    /// The file's ending decides; where it says nothing, the formats do.
    fn collects_lines(&self) -> bool {
        let ending = self.output_file.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        match ending {
            Some("jsonl" | "ndjson") => true,
            Some("csv") => false,
            _ => self.names(jsonl::NAME) && !self.names(csv::NAME),
        }
    }

    /// The same formats, without anything that reaches beyond the run's own folder.
    #[must_use]
    pub fn within_the_folder(&self) -> Self {
        Self { formats: self.formats.clone(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Options {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_keys_of_the_config_file_are_read_and_a_wrong_one_is_refused() {
        let options = read(r#"{"type": "csv", "output_file": "a/b.csv"}"#);
        assert_eq!(options, Options { output_file: Some("a/b.csv".into()), ..Options::default() });
        assert_eq!(read(r#"{"type": ["csv", "parquet"]}"#).formats.0, ["csv", "parquet"]);
        assert!(serde_json::from_str::<Options>(r#"{"outputfile": "a"}"#).is_err());
        assert_eq!(read("{}"), Options::default());
        for written in [r#""csv""#, r#"["csv","parquet"]"#, "[]"] {
            let formats: Formats = serde_json::from_str(written).unwrap();
            assert_eq!(serde_json::to_string(&formats).unwrap(), written);
        }
    }

    #[test]
    fn the_ending_or_else_the_formats_say_what_is_collected() {
        for (text, lines) in [
            (r#"{"output_file": "a.csv"}"#, false),
            (r#"{"output_file": "a.jsonl"}"#, true),
            (r#"{"type": "jsonl", "output_file": "runs"}"#, true),
            (r#"{"type": ["csv", "jsonl"], "output_file": "runs"}"#, false),
            (r#"{"type": "jsonl", "output_file": "a.csv"}"#, false),
        ] {
            let options = read(text);
            assert_eq!(options.collected_lines().is_some(), lines, "{text}");
            assert_eq!(options.collected_rows().is_some(), !lines, "{text}");
        }
    }

    #[test]
    fn an_address_or_a_file_asks_for_the_format_that_uses_it() {
        assert!(read(r#"{"otlp_endpoint": "http://x"}"#).names("otlp"));
        assert!(read(r#"{"textfile": "a.prom"}"#).names("openmetrics"));
        assert!(!Options::default().names("otlp") && !Options::default().names("openmetrics"));
    }
}
