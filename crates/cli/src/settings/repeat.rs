//! The `repeat` section: how often a run is made. Refuses to know what repeats are compared with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a run is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatSettings {
    /// Runs of the same config, each in a folder of its own below one folder, with their spread in `repeats.json`. 1 is a
    /// plain run.
    #[schemars(range(min = 1, max = 10000))]
    pub count: u64,
    /// Seconds of pause between two runs.
    #[schemars(range(min = 0.0, max = 86400.0))]
    pub pause_seconds: f64,
}

impl Default for RepeatSettings {
    fn default() -> Self {
        Self { count: 1, pause_seconds: 0.0 }
    }
}
