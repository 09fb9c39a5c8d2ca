//! The load as it is planned: steps, each a way for requests to come and a bound on how many are in flight.
//!
//! A plan is data: it goes into the record, and with its seed it gives the same instants again. The runner follows it.
//! Refuses to know what a request holds, how it is sent and what anything costs.
//!
//! Requests come in one of two ways. In a closed loop a request is sent as soon as another has ended, so the server sets
//! the pace and a slow server is asked less. In an open loop every request has an instant that was planned beforehand,
//! whatever the server does; its latency counts from that instant, so that waiting for a slow server is not left out
//! (coordinated omission).

mod check;
mod instants;
mod law;
mod objectives;
mod profile;

use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::phase::PhaseKind;

pub use instants::{bounds, instants, trace_instants};
pub use law::{Constant, Gamma, Gaps, Law, Poisson};
pub use objectives::Objectives;
pub use profile::{PROFILES, Profile, ProfileStep};

/// How requests come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "arrivals")]
pub enum Arrivals {
    /// A new request as soon as one ends.
    Closed {
        /// Requests in flight at a time.
        concurrency: usize,
        /// How many at the step's begin, rising or falling linearly over its duration; `None`: the same all along.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<usize>,
    },
    /// Requests at instants planned by a rate and a law.
    Open {
        /// Requests a second.
        rate: f64,
        /// The rate at the step's begin, changing linearly over its duration; `None`: the same all along.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<f64>,
        /// How the gaps are spread.
        #[serde(flatten)]
        law: Law,
    },
    /// Requests at instants that come with the prompts, as a trace has them.
    Trace,
}

/// A part of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// Its name in reports, for example `stress` or `8 requests/s`.
    pub name: String,
    /// `Load` is measured; `Warmup` and `Cooldown` are sent and kept out of the figures.
    pub kind: PhaseKind,
    /// How requests come.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// Most requests in flight in an open loop; the others wait in the client, and their waiting counts. `None`: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<usize>,
    /// How many requests; `None`: as many as the duration takes, and without one each prompt once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<usize>,
    /// How long requests are sent, s; `None`: until there are enough. Those in flight at the end are waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Whether all its requests have to end before the next step begins.
    pub drain: bool,
    /// Seconds without sending after it, before the next one.
    #[serde(default)]
    pub pause_seconds: f64,
}

impl Step {
    /// A closed loop over every prompt once.
    pub fn closed(concurrency: usize) -> Self {
        Self {
            name: format!("{concurrency} at a time"),
            kind: PhaseKind::Load,
            arrivals: Arrivals::Closed { concurrency, from: None },
            max_in_flight: None,
            requests: None,
            duration_seconds: None,
            drain: true,
            pause_seconds: 0.0,
        }
    }

    /// An open loop of Poisson arrivals over every prompt once.
    pub fn open(rate: f64) -> Self {
        Self {
            name: format!("{rate} requests/s"),
            arrivals: Arrivals::Open { rate, from: None, law: Law::Poisson },
            ..Self::closed(1)
        }
    }

    /// Whether its requests have planned instants.
    pub fn is_open(&self) -> bool {
        !matches!(self.arrivals, Arrivals::Closed { .. })
    }

    /// The duration, where there is one that can be waited for.
    pub fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.duration_seconds?).ok()
    }

    /// Most requests in flight at any time; `None`: no bound.
    pub fn most_in_flight(&self) -> Option<usize> {
        match self.arrivals {
            Arrivals::Closed { concurrency, from } => Some(concurrency.max(from.unwrap_or(0)).max(1)),
            _ => self.max_in_flight.map(|most| most.max(1)),
        }
    }

    /// What it offers, in words for reports, for example `8 at a time` or `20 requests/s, Poisson`.
    pub fn words(&self) -> String {
        let capped = self.max_in_flight.map_or(String::new(), |most| format!(", at most {most} in flight"));
        match &self.arrivals {
            Arrivals::Closed { concurrency, from: None } => format!("{concurrency} at a time"),
            Arrivals::Closed { concurrency, from: Some(from) } => {
                format!("{from} to {concurrency} at a time")
            }
            Arrivals::Open { rate, from: None, law } => format!("{rate} requests/s, {}{capped}", law.words()),
            Arrivals::Open { rate, from: Some(from), law } => {
                format!("{from} to {rate} requests/s, {}{capped}", law.words())
            }
            Arrivals::Trace => format!("at the trace's instants{capped}"),
        }
    }
}

/// How requests are offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadPlan {
    /// Requests in flight at a time where `steps` is empty: a closed loop over every prompt once.
    pub concurrency: usize,
    /// Failures in a row that end the run; 0 means never.
    pub max_consecutive_failures: u32,
    /// The parts of the load in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Seed of the planned instants and of think times.
    #[serde(default)]
    pub seed: u64,
    /// What a request has to keep to count as good.
    #[serde(default, skip_serializing_if = "Objectives::is_empty")]
    pub objectives: Objectives,
}

impl Default for LoadPlan {
    /// One at a time; three failures in a row end the run, as in the Python package.
    fn default() -> Self {
        Self {
            concurrency: 1,
            max_consecutive_failures: 3,
            steps: Vec::new(),
            seed: 0,
            objectives: Objectives::default(),
        }
    }
}

impl LoadPlan {
    /// The steps; the one closed loop where none are named.
    pub fn steps(&self) -> Vec<Step> {
        if self.steps.is_empty() { vec![Step::closed(self.concurrency)] } else { self.steps.clone() }
    }

    /// The measured steps with their places in [`LoadPlan::steps`].
    pub fn measured(&self) -> impl Iterator<Item = (usize, Step)> {
        self.steps().into_iter().enumerate().filter(|(_, step)| step.kind == PhaseKind::Load)
    }

    /// What the measured part offers, in words for reports.
    pub fn words(&self) -> String {
        let mut measured = self.measured().map(|(_, step)| step);
        match (measured.next(), measured.count()) {
            (Some(step), 0) => step.words(),
            (Some(_), more) => format!("{} steps", more + 1),
            (None, _) => "nothing measured".to_owned(),
        }
    }
}
