//! Whether the figures can be relied on: what was checked, what was found, what to do about it.
//!
//! Refuses to know how a check is made.

use serde::{Deserialize, Serialize};

/// What a check, or all of them, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Usable, with something to know.
    Warning,
    /// The energy figures say nothing.
    Invalid,
    /// Could not be looked at.
    #[default]
    Unknown,
}

impl Verdict {
    /// The word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Invalid => "invalid",
            Verdict::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ValidityCheck {
    /// A short stable name, for example `window_length`.
    pub name: String,
    /// What was found.
    pub verdict: Verdict,
    /// What was seen, with its numbers.
    pub detail: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

/// Whether the energy figures can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Validity {
    /// `invalid` or `warning` where any check is; `unknown` where no energy was measured or modelled; else `ok`.
    pub verdict: Verdict,
    /// Every check, in a fixed order, those that could not be made included.
    pub checks: Vec<ValidityCheck>,
}
