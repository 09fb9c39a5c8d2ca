//! What a user can set about reasoning formats.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the prompt formats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A YAML file with reasoning formats of your own (`families`, `models`, `default`). Its families come before the
    /// built-in ones, and one of the same name replaces the built-in one. Default: none.
    pub formats_file: Option<PathBuf>,
}
