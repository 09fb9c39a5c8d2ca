//! The `load` section: how requests are offered.
//!
//! Refuses to plan: `load_plan` makes the plan of it and tells what contradicts itself.

use ai_energy_core::load::Profile;
use ai_energy_datasets::Distribution;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the gaps between requests of an open loop are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, as many users are.
    Poisson,
    /// In bursts, or more even than chance, by `burstiness`.
    Gamma,
}

/// How requests are offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSettings {
    /// A load with a name: steps with their own concurrency, number of requests and lengths. The prompts are made to size
    /// unless `scenario.dataset_name` names some.
    #[schemars(extend("enum" = profile_names()))]
    pub profile: Option<String>,
    /// Requests in flight at a time; a new one starts as soon as one ends (closed loop). Unset, with `backend.type:
    /// pytorch`: `scenario.input_shapes.batch_size`.
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Requests a second, at instants planned beforehand whatever the server does (open loop). Latency counts from the
    /// planned instant. Instead of `concurrency`.
    pub rate: Option<f64>,
    /// How the gaps of an open loop are spread: `poisson` (unset), `constant` or `gamma`.
    pub pattern: Option<Pattern>,
    /// Shape of the `gamma` pattern: 1 is Poisson, below it bursts, above it evener than chance.
    pub burstiness: Option<f64>,
    /// Most requests in flight in an open loop; the others wait in the client, and their waiting counts. Unset: no bound.
    #[schemars(range(min = 1))]
    pub max_in_flight: Option<usize>,
    /// Rate or concurrency at the begin, from which it changes linearly to `rate` or `concurrency` over the duration.
    pub ramp_from: Option<f64>,
    /// Seconds of sending; those in flight are waited for. `scenario.num_samples` prompts go round and round. Unset: each
    /// prompt once.
    pub duration_seconds: Option<f64>,
    /// Steps one after another, each with its own pattern, instead of the keys above.
    pub steps: Vec<StepSettings>,
    /// Requests before the measured ones, with prompts of their own; they end before the first measured one is sent.
    pub warmup_requests: usize,
    /// Seconds of warm-up, instead of a number of requests.
    pub warmup_seconds: Option<f64>,
    /// Seconds without sending between warm-up and load.
    pub settle_seconds: f64,
    /// Seconds for which the load goes on after the last measured request was sent, so that those in flight end under full
    /// load. Its requests are not measured.
    pub cooldown_seconds: f64,
    /// Seed of the planned instants: the same seed plans the same.
    pub seed: u64,
    /// What a request has to keep to count as good, ms; goodput is the rate of good requests.
    pub slo: SloSettings,
    /// Failures in a row that end the run early; 0 means never.
    pub max_consecutive_failures: u32,
}

impl Default for LoadSettings {
    fn default() -> Self {
        let plan = ai_energy_core::LoadPlan::default();
        Self {
            profile: None,
            concurrency: plan.concurrency,
            rate: None,
            pattern: None,
            burstiness: None,
            max_in_flight: None,
            ramp_from: None,
            duration_seconds: None,
            steps: Vec::new(),
            warmup_requests: 0,
            warmup_seconds: None,
            settle_seconds: 0.0,
            cooldown_seconds: 0.0,
            seed: plan.seed,
            slo: SloSettings::default(),
            max_consecutive_failures: plan.max_consecutive_failures,
        }
    }
}

/// What a request has to keep to count as good. Unset ones are not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SloSettings {
    /// Time to first token, ms.
    pub ttft_ms: Option<f64>,
    /// Time per output token after the first, the request's mean, ms.
    pub tpot_ms: Option<f64>,
    /// Every single time between two tokens, ms.
    pub itl_ms: Option<f64>,
    /// The whole request, ms.
    pub e2e_ms: Option<f64>,
}

/// One step of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepSettings {
    /// Its name in reports; unset: what it offers.
    pub name: Option<String>,
    /// Requests in flight at a time (closed loop).
    #[schemars(range(min = 1))]
    pub concurrency: Option<usize>,
    /// Requests a second (open loop).
    pub rate: Option<f64>,
    /// As `load.pattern`.
    pub pattern: Option<Pattern>,
    /// As `load.burstiness`.
    pub burstiness: Option<f64>,
    /// As `load.max_in_flight`.
    pub max_in_flight: Option<usize>,
    /// Rate or concurrency at the step's begin, as `load.ramp_from`.
    pub ramp_from: Option<f64>,
    /// How many requests.
    pub requests: Option<usize>,
    /// Seconds of sending.
    pub duration_seconds: Option<f64>,
    /// Wait for its requests to end before the next step begins.
    pub drain: bool,
    /// Seconds without sending after it.
    pub pause_seconds: f64,
    /// Tokens of its prompts, which are made to size, written as `scenario.synthetic.input_tokens`. Needs `requests`.
    pub input_tokens: Option<Distribution>,
    /// Tokens to generate for them, written alike.
    pub output_tokens: Option<Distribution>,
}

impl Default for StepSettings {
    fn default() -> Self {
        Self {
            name: None,
            concurrency: None,
            rate: None,
            pattern: None,
            burstiness: None,
            max_in_flight: None,
            ramp_from: None,
            requests: None,
            duration_seconds: None,
            drain: true,
            pause_seconds: 0.0,
            input_tokens: None,
            output_tokens: None,
        }
    }
}

fn profile_names() -> Vec<serde_json::Value> {
    // A key that may be null has null among its values.
    Profile::names().into_iter().map(Into::into).chain([serde_json::Value::Null]).collect()
}
