//! How the load came to send a request: for what, in which step, and since when it was free to go.
//!
//! Refuses to know what became of it.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::phase::PhaseKind;

/// The place of a request in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationTurn {
    /// The conversation's number within the run: that of its first request.
    pub conversation: usize,
    /// The turn, from 0.
    pub turn: usize,
}

/// How the load came to send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Offer {
    /// What it was sent for; only `Load` is measured.
    #[serde(skip_serializing_if = "is_load")]
    pub phase: PhaseKind,
    /// Place of its step in the plan.
    #[serde(skip_serializing_if = "is_zero")]
    pub step: u32,
    /// `true` where the scheduled instant was planned before the run, as in an open loop: latency counts from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub planned: bool,
    /// When a bound on requests in flight let it go; `None` in a closed loop, where that is the scheduled instant.
    #[serde(rename = "admitted_ns", skip_serializing_if = "Option::is_none")]
    pub admitted: Option<Stamp>,
    /// Its place in a conversation of several turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationTurn>,
}

impl Default for Offer {
    fn default() -> Self {
        Self { phase: PhaseKind::Load, step: 0, planned: false, admitted: None, conversation: None }
    }
}

fn is_load(phase: &PhaseKind) -> bool {
    *phase == PhaseKind::Load
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
