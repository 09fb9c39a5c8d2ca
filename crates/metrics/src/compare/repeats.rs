//! Repeats of one run: each figure's mean, its spread, and whether the spread is more than one run's interval tells.
//!
//! Refuses to judge a difference.

use ai_energy_core::comparison::{ComparedRun, RepeatedFigure};
use ai_energy_core::figure::Figure;

use super::figures::{METRICS, Metric};
use super::mean_figure;
use super::spread::Sample;
use crate::budget::NORMAL_95;

/// The figures over repeats, those that no repeat has left out.
pub fn repeats_of(runs: &[ComparedRun]) -> Vec<RepeatedFigure> {
    METRICS.iter().filter_map(|metric| repeated(metric, runs)).collect()
}

fn repeated(metric: &Metric, runs: &[ComparedRun]) -> Option<RepeatedFigure> {
    let all: Vec<Figure> = runs.iter().map(|run| metric.of(run)).collect();
    let values: Vec<Option<f64>> = all.iter().map(|figure| figure.value).collect();
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let sample = Sample::of(&known)?;
    let deviation = sample.variance.map(f64::sqrt);
    let intervals: Vec<f64> = all.iter().filter_map(|figure| figure.ci95).collect();
    let single = Sample::of(&intervals).map(|intervals| intervals.mean);
    let spread = deviation.zip(single).filter(|(_, single)| *single > 0.0);
    Some(RepeatedFigure {
        key: metric.key.to_owned(),
        label: metric.label.to_owned(),
        group: metric.group.to_owned(),
        mean: mean_figure(metric, &all),
        standard_deviation: deviation,
        coefficient_of_variation: deviation
            .filter(|_| sample.mean != 0.0)
            .map(|deviation| deviation / sample.mean.abs()),
        single_run_ci95: single,
        spread_over_budget: spread.map(|(deviation, single)| NORMAL_95 * deviation / single),
        values,
    })
}
