//! What a config may say about reports (section `reporter`). Refuses to know where the values come from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that collects runs in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReporterType {
    /// One row a run in a CSV file.
    #[default]
    Csv,
}

/// Where runs are collected. Every format is written into the run's own folder whatever stands here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The format that collects runs in `output_file`. Default: `csv`.
    #[serde(rename = "type")]
    pub kind: ReporterType,
    /// The file that one row a run is appended to, for example `./results/benchmark_results.csv`. Parent folders are
    /// made. Default: none, so that the row is in the run's own folder alone.
    pub output_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_config_file_are_read_and_a_wrong_one_is_refused() {
        let options: Options = serde_json::from_str(r#"{"type": "csv", "output_file": "a/b.csv"}"#).unwrap();
        assert_eq!(options, Options { kind: ReporterType::Csv, output_file: Some("a/b.csv".into()) });
        assert!(serde_json::from_str::<Options>(r#"{"outputfile": "a"}"#).is_err());
        assert!(serde_json::from_str::<Options>(r#"{"type": "cvs"}"#).is_err());
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
    }
}
