//! Energy by stretch of the run: gross, the idle part of it, and what the load added.
//!
//! Refuses to know how idle power is found; the metrics crate says that beside each figure.

use serde::{Deserialize, Serialize};

use crate::energy::Domain;
use crate::figure::Figure;

/// Energy over one stretch in its parts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct EnergySplit {
    /// All energy, J.
    pub gross: Figure,
    /// What the same time would have taken without the load: idle power × duration, J. Unavailable where idling was
    /// not measured.
    pub idle: Figure,
    /// What the load added: gross less idle, J. Never measured itself, at best derived; unavailable where it cannot be
    /// told from nothing.
    pub net: Figure,
    /// Gross energy over duration, W.
    pub mean_power: Figure,
    /// Largest power seen between two readings, W.
    pub peak_power: Figure,
}

/// [`EnergySplit`] of one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DomainSplit {
    /// What it was spent in.
    pub domain: Domain,
    /// Its parts.
    #[serde(flatten)]
    pub split: EnergySplit,
}

/// A stretch of the run that energy is told for. The load is all measured requests; ramp, steady part and drain are
/// its parts and add up to it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stretch {
    /// Before the load, nothing sent.
    IdleBefore,
    /// Requests that are sent and not measured.
    Warmup,
    /// From the first measured request to the last one's end.
    Load,
    /// From the load's begin until every slot holds a request that has its first token.
    Ramp,
    /// While every slot holds a request.
    Steady,
    /// From the first slot that stayed free to the last request's end.
    Drain,
    /// Requests after the measured ones that keep the load up while those end.
    Cooldown,
    /// After the load, nothing sent.
    IdleAfter,
}

impl Stretch {
    /// The words that reports use.
    pub fn words(self) -> &'static str {
        match self {
            Stretch::IdleBefore => "idle before",
            Stretch::Warmup => "warm-up",
            Stretch::Load => "load",
            Stretch::Ramp => "ramp",
            Stretch::Steady => "steady",
            Stretch::Drain => "drain",
            Stretch::Cooldown => "cool-down",
            Stretch::IdleAfter => "idle after",
        }
    }
}

/// Energy over one stretch of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PhaseEnergy {
    /// Which stretch.
    pub phase: Stretch,
    /// When it began, s since the run's origin.
    pub start_seconds: f64,
    /// Its length, s.
    pub duration: Figure,
    /// By domain, as [`super::Energy::domains`].
    pub domains: Vec<DomainSplit>,
    /// The domains' sum.
    pub total: EnergySplit,
}

impl PhaseEnergy {
    /// The parts of one domain.
    pub fn domain(&self, domain: Domain) -> Option<&EnergySplit> {
        self.domains.iter().find(|entry| entry.domain == domain).map(|entry| &entry.split)
    }
}

/// What a domain draws without the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IdlePower {
    /// Which domain.
    pub domain: Domain,
    /// Mean power of the settled part of idling before the load, W.
    pub before: Figure,
    /// The same after the load, W.
    pub after: Figure,
    /// After less before, W: how far idle power itself moved.
    pub drift: Figure,
}

/// What follows from energy, work and time. Shares are of the load's whole energy over what succeeded in it; `net` ones
/// of the part above idle.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Efficiency {
    /// Total energy per successful request, Wh.
    pub wh_per_request: Figure,
    /// Total energy per generated token, Wh.
    pub wh_per_output_token: Figure,
    /// Total energy per prompt token, J: the whole energy over prompt tokens alone, not the prompt's part of it.
    pub per_input_token: Figure,
    /// The same in Wh.
    pub wh_per_input_token: Figure,
    /// Total energy per prompt or generated token, Wh.
    pub wh_per_token: Figure,
    /// Prompt and generated tokens per joule of total energy.
    pub tokens_per_joule: Figure,
    /// Total energy above idle per successful request, J.
    pub net_per_request: Figure,
    /// Total energy above idle per generated token, J.
    pub net_per_output_token: Figure,
    /// GPU energy above idle per successful request, J.
    pub gpu_net_per_request: Figure,
    /// GPU energy above idle per generated token, J.
    pub gpu_net_per_output_token: Figure,
    /// Mean energy per request × mean time from sending to the end, J·s.
    pub energy_delay_product: Figure,
}
