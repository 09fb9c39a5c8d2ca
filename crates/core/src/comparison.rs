//! What several runs look like side by side: the runs that go in, and the differences that come out.
//!
//! Computed by the metrics crate and rendered by the reporters. Refuses to know files, and how a difference is judged.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::energy::Channel;
use crate::figure::Figure;
use crate::summary::{Summary, Warning};

/// Version of [`Comparison`]'s and [`Repeats`]' shape; rises when a field changes its meaning or goes.
pub const COMPARISON_SCHEMA_VERSION: u32 = 1;

/// What one request adds to the figures that a bootstrap draws anew.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestPoint {
    /// The prompt's place in its dataset.
    pub prompt_index: usize,
    /// `true` where its instant was planned beforehand, as in an open loop.
    pub planned: bool,
    /// Time to the first token, s.
    pub ttft: Option<f64>,
    /// Time per token after the first chunk, s.
    pub tpot: Option<f64>,
    /// Whole time, s.
    pub e2e: Option<f64>,
    /// Times between tokens with how many tokens had each, s.
    pub gaps: Vec<(f64, u64)>,
    /// Prompt tokens.
    pub prompt_tokens: Option<u32>,
    /// Generated tokens.
    pub output_tokens: Option<u32>,
    /// Its share of the GPUs' energy, J.
    pub gpu_joules: Option<f64>,
    /// Its share of the total energy, J.
    pub total_joules: Option<f64>,
}

/// The successful requests of a run, or a random part of them where there are very many.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestPoints {
    /// By prompt.
    pub points: Vec<RequestPoint>,
    /// How many successful requests the run has; `points` holds at most as many.
    pub of: usize,
}

/// One run as a comparison sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedRun {
    /// Where it comes from: a folder, a report, a row.
    pub label: String,
    /// Its figures; `None` where only a few were kept, which then stand in `figures`.
    pub summary: Option<Box<Summary>>,
    /// Figures by key, for a run without a summary.
    pub figures: BTreeMap<String, Figure>,
    /// Its requests, where the folder carries them.
    pub requests: Option<RequestPoints>,
    /// What was read for the energy; empty where that is not known.
    pub channels: Vec<Channel>,
    /// What makes runs comparable.
    pub identity: RunIdentity,
    /// The resolved config and the machine, flattened: `backend.model`, `environment.kernel`.
    pub settings: BTreeMap<String, String>,
}

/// What makes runs comparable. `None` means that the run does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunIdentity {
    /// Backend by the registry's name.
    pub backend: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The serving program and its version.
    pub server: Option<String>,
    /// The dataset's name.
    pub dataset: Option<String>,
    /// Hash of the prompts.
    pub dataset_sha256: Option<String>,
    /// The machine's name.
    pub host: Option<String>,
    /// `complete` or how else it ended.
    pub ending: Option<String>,
    /// A fake or a simulator took part.
    pub synthetic: bool,
}

/// One side of a comparison: a run, or repeats of one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedSide {
    /// What reports call it.
    pub name: String,
    /// One run or more.
    pub runs: Vec<ComparedRun>,
}

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// Neither.
    Neither,
}

/// What an interval of a difference stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The spread between repeats of both sides (Welch's t), with the energy's error budget.
    Repeats,
    /// A bootstrap over requests, with the energy's error budget.
    Requests,
    /// The energy's error budget alone: nothing tells how another run would differ.
    Budget,
    /// Nothing: there is no interval.
    Nothing,
}

/// A side's figure less the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// In the figure's unit; `None` where one of the two is not known.
    pub absolute: Option<f64>,
    /// Its 95 % interval.
    pub absolute_ci95: Option<[f64; 2]>,
    /// Over the baseline's value: 0.05 is 5 % more. `None` also where the baseline is 0.
    pub relative: Option<f64>,
    /// Its 95 % interval. What errors both sides have in common is in neither.
    pub relative_ci95: Option<[f64; 2]>,
    /// Whether the relative interval leaves out 0; `None` where there is no interval.
    pub significant: Option<bool>,
    /// What the interval stands on.
    pub basis: Basis,
    /// How it was found, or why there is none.
    pub method: String,
}

/// One figure of all sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedFigure {
    /// Its name in conditions, for example `energy_per_output_token`.
    pub key: String,
    /// Its name in tables.
    pub label: String,
    /// Its heading in tables.
    pub group: String,
    /// Which way it gets better.
    pub better: Better,
    /// One a side: of several runs the mean, with the t interval of the mean.
    pub values: Vec<Figure>,
    /// One a side; `None` for the baseline.
    pub differences: Vec<Option<Difference>>,
}

/// A setting or a fact of the machine that is not the same on all sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// Its name, for example `load.concurrency` or `environment.gpu_driver`.
    pub key: String,
    /// One a side; `None` where the side does not tell.
    pub values: Vec<Option<String>>,
}

/// A side as reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideInfo {
    /// Its name.
    pub name: String,
    /// Where its runs come from.
    pub runs: Vec<String>,
    /// Its model.
    pub model: Option<String>,
    /// The program that served it.
    pub server: Option<String>,
}

/// How a condition turned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// The condition as written.
    pub condition: String,
    /// The side that it was held against.
    pub side: String,
    /// `true` where it makes the comparison fail.
    pub failed: bool,
    /// Why.
    pub detail: String,
}

/// Several runs side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// Place of the baseline among the sides.
    pub baseline: usize,
    /// The sides.
    pub sides: Vec<SideInfo>,
    /// The figures.
    pub figures: Vec<ComparedFigure>,
    /// What differs in config and machine.
    pub differing: Vec<Differing>,
    /// Why the sides may not be comparable.
    pub warnings: Vec<Warning>,
    /// How the conditions turned out.
    pub gates: Vec<GateResult>,
    /// How the intervals were made.
    pub notes: Vec<String>,
}

/// One figure over repeats of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepeatedFigure {
    /// Its name, as in [`ComparedFigure`].
    pub key: String,
    /// Its name in tables.
    pub label: String,
    /// Its heading in tables.
    pub group: String,
    /// The mean over the repeats that have it, with its t interval; unavailable where none has.
    pub mean: Figure,
    /// Sample standard deviation between repeats; `None` below two.
    pub standard_deviation: Option<f64>,
    /// Standard deviation over mean.
    pub coefficient_of_variation: Option<f64>,
    /// Half the 95 % interval that one run states for itself, in the mean; `None` where runs state none.
    pub single_run_ci95: Option<f64>,
    /// 1.96 standard deviations over `single_run_ci95`: above 1, repeats differ by more than one run's interval tells.
    pub spread_over_budget: Option<f64>,
    /// One value a repeat; `None` where it is not known.
    pub values: Vec<Option<f64>>,
}

/// One repeat as `repeats.json` keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatInfo {
    /// Its folder, relative to the file's own.
    pub folder: String,
    /// Its place in the order of all runs, from 1.
    pub order: usize,
    /// The exit code that a run of its own would have had.
    pub exit_code: u8,
    /// What went wrong; `None` for a run that ended well.
    pub problem: Option<String>,
}

/// Repeats of one run with their spread: what `repeats.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// [`COMPARISON_SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// The run's name.
    pub name: String,
    /// How the order was made, in words.
    pub order: String,
    /// Seconds of pause between two runs.
    pub pause_seconds: f64,
    /// The repeats in the order they ran, those that went wrong included.
    pub runs: Vec<RepeatInfo>,
    /// The figures over the repeats that measured something.
    pub figures: Vec<RepeatedFigure>,
}
