//! The stretches of a run: what each was for, and when.
//!
//! Phases may lie within one another: the drain is the last part of the load. Refuses to know what a phase cost.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// What a stretch of the run was for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Nothing is sent yet: the model is loaded and waits. Tells the idle power before the load.
    IdleBefore,
    /// Requests that are sent and not measured.
    Warmup,
    /// The measured requests: from the first one scheduled to the last one ended.
    Load,
    /// The last part of the load: from the first slot that stayed free, since nothing was left to send, to the end.
    Drain,
    /// Requests that keep the load up while the last measured ones end; they are not measured themselves.
    Cooldown,
    /// All requests have ended. Tells the idle power after the load.
    IdleAfter,
}

impl PhaseKind {
    /// The words that reports and the progress line use.
    pub fn words(self) -> &'static str {
        match self {
            PhaseKind::IdleBefore => "idle before",
            PhaseKind::Warmup => "warm-up",
            PhaseKind::Load => "load",
            PhaseKind::Drain => "drain",
            PhaseKind::Cooldown => "cool-down",
            PhaseKind::IdleAfter => "idle after",
        }
    }
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Phase {
    /// What it was for.
    pub kind: PhaseKind,
    /// Its begin.
    #[serde(rename = "start_ns")]
    pub start: Stamp,
    /// Its end.
    #[serde(rename = "end_ns")]
    pub end: Stamp,
}
