//! The same run by CodeCarbon's method, to stand beside the figures.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// What CodeCarbon 3 would have computed from the same machine and counters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct CodeCarbonMethod {
    /// GPU energy, J: the NVML counters, end less begin.
    pub gpu: Figure,
    /// CPU energy, J: the package counters, else TDP × (0.1 + 0.9 × load³).
    pub cpu: Figure,
    /// RAM energy, J: watts by number of modules, always a model.
    pub ram: Figure,
    /// Their sum, J.
    pub total: Figure,
    /// The sum times PUE and the grid's intensity used here, g.
    pub emissions: Figure,
    /// Where the two methods differ by more than the intervals, and why.
    pub differences: Vec<String>,
}
