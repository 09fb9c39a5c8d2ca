//! Models by the energy of a query: what a batch ends with.
//!
//! Computed by the metrics crate and rendered by the reporters. Refuses to know files.

use serde::{Deserialize, Serialize};

/// A model that is to be ranked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Candidate {
    /// Hub id.
    pub model: String,
    /// Class by size; empty where there is none.
    pub class: String,
    /// Task; empty where there is none.
    pub task: String,
    /// Reasoning state; empty where there is none.
    pub reasoning_state: String,
    /// GPU energy of 1,000 queries, Wh.
    pub wh_per_1000_queries: Option<f64>,
    /// Prompt and generated tokens a joule of GPU energy.
    pub tokens_per_joule: Option<f64>,
    /// Mean time of a query, s.
    pub seconds_per_query: Option<f64>,
    /// Emissions of the run, g.
    pub co2_grams: Option<f64>,
    /// What went wrong with its run; empty where nothing did.
    pub error: String,
}

/// A ranked model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The model.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Its place among the models of its class and task, from 1; `None` without an energy.
    pub rank: Option<usize>,
    /// One to five stars; `None` where `no_stars` says why.
    pub stars: Option<u8>,
    /// Why it has no stars or no rank.
    pub no_stars: Option<String>,
}

/// The bands of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// The class; empty where the file names none.
    pub class: String,
    /// Least GPU energy of 1,000 queries, Wh.
    pub least: f64,
    /// Greatest, Wh.
    pub greatest: f64,
    /// Energies that the class's file has.
    pub count: usize,
}

/// A ranking.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ranking {
    /// By task and class, the least energy first; models without one last.
    pub rows: Vec<Ranked>,
    /// The classes' bands; empty without a file of energies.
    pub bands: Vec<Bands>,
}
