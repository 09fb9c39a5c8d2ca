//! What a run is to do, resolved: nothing in here is looked up again later.

use serde::{Deserialize, Serialize};

use crate::prompt::GenerationParams;

pub use crate::load::LoadPlan;

/// A resolved run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// The run's name, from the config.
    pub name: String,
    /// The run's unique id: name, time, a few random letters. Also names its folder.
    pub run_id: String,
    /// How requests are offered.
    pub load: LoadPlan,
    /// How each is generated.
    pub generation: GenerationParams,
    /// Milliseconds between two rounds of sensor readings.
    pub sampling_interval_ms: u32,
    /// Seconds of idling that are measured before the load and again after it; 0 measures none.
    #[serde(default)]
    pub idle_seconds: f64,
    /// Keep the generated texts in the record.
    pub keep_text: bool,
}
