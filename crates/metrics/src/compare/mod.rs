//! Runs side by side: each figure's difference, how sure it is, what differs, and whether they may be compared at all.
//!
//! A difference is judged by the best that its sides carry: the spread between repeats, else a bootstrap over requests, and for
//! energies always the error budget, of which the part that both sides have in common is left out. Pure: the same runs
//! give the same comparison. Refuses to know files and how a comparison is shown.

mod budget;
mod comparable;
pub mod figures;
pub mod gate;
mod points;
mod repeats;
mod resample;
pub mod spread;

use ai_energy_core::comparison::{
    Basis, COMPARISON_SCHEMA_VERSION, ComparedFigure, ComparedSide, Comparison, Difference, RequestPoints,
    SideInfo,
};
use ai_energy_core::figure::{Figure, Provenance};

pub use gate::Gate;
pub use points::{compared_run, request_points};
pub use repeats::repeats_of;

use budget::{Doubt, doubt};
use figures::{Kind, METRICS, Metric};
use resample::{Deviations, Resampling};
use spread::{Sample, Welch, welch};

/// How sides are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CompareOptions {
    /// Place of the baseline among the sides.
    pub baseline: usize,
    /// Conditions that make it fail.
    pub gates: Vec<Gate>,
    /// A condition also fails on a difference that is not significant.
    pub strict: bool,
}

/// Compares sides. A baseline that is not there means the first side.
pub fn compare(sides: &[ComparedSide], options: &CompareOptions) -> Comparison {
    let baseline = if options.baseline < sides.len() { options.baseline } else { 0 };
    let mut figures: Vec<ComparedFigure> = METRICS.iter().map(|metric| row(metric, sides)).collect();
    if let Some(base) = sides.get(baseline) {
        for (place, other) in sides.iter().enumerate().filter(|(place, _)| *place != baseline) {
            let found = differences(base, other, &figures, [baseline, place]);
            for (figure, difference) in figures.iter_mut().zip(found) {
                figure.differences[place] = Some(difference);
            }
        }
    }
    figures.retain(|figure| figure.values.iter().any(|value| value.value.is_some()));
    let gates = gate::judge(&options.gates, options.strict, baseline, sides, &figures);
    Comparison {
        schema_version: COMPARISON_SCHEMA_VERSION,
        baseline,
        sides: sides.iter().map(side_info).collect(),
        differing: comparable::differing(sides),
        warnings: comparable::warnings(sides, baseline),
        notes: notes(&figures),
        gates,
        figures,
    }
}

fn side_info(side: &ComparedSide) -> SideInfo {
    let first = side.runs.first().map(|run| &run.identity);
    SideInfo {
        name: side.name.clone(),
        runs: side.runs.iter().map(|run| run.label.clone()).collect(),
        model: first.and_then(|identity| identity.model.clone()),
        server: first.and_then(|identity| identity.server.clone()),
    }
}

fn row(metric: &Metric, sides: &[ComparedSide]) -> ComparedFigure {
    ComparedFigure {
        key: metric.key.to_owned(),
        label: metric.label.to_owned(),
        group: metric.group.to_owned(),
        better: metric.better,
        values: sides.iter().map(|side| side_value(metric, side)).collect(),
        differences: vec![None; sides.len()],
    }
}

/// A side's value: the run's own figure, or the mean of its repeats.
fn side_value(metric: &Metric, side: &ComparedSide) -> Figure {
    let all: Vec<Figure> = side.runs.iter().map(|run| metric.of(run)).collect();
    match all.as_slice() {
        [one] => one.clone(),
        all => mean_figure(metric, all),
    }
}

/// The mean of several runs' figures with its t interval; for an energy with what a run's own interval adds, since a
/// gain that all of them share is no spread.
pub(crate) fn mean_figure(metric: &Metric, all: &[Figure]) -> Figure {
    let known: Vec<&Figure> = all.iter().filter(|figure| figure.value.is_some()).collect();
    let values: Vec<f64> = known.iter().filter_map(|figure| figure.value).collect();
    let Some(sample) = Sample::of(&values) else {
        let reason = all.iter().find_map(|figure| figure.reason.clone());
        return Figure::unavailable(metric.unit, reason.unwrap_or_else(|| "there is no run".to_owned()));
    };
    let provenance =
        known.iter().map(|figure| figure.provenance).fold(Provenance::Derived, Provenance::weaker);
    let mut figure =
        Figure::new(sample.mean, metric.unit, provenance, format!("mean of {} runs", sample.count));
    let own = |of: &&Figure| of.ci95.unwrap_or(f64::NAN);
    let own: f64 = known.iter().map(own).sum::<f64>() / known.len() as f64;
    let half = match (metric.kind, sample.mean_ci95()) {
        (Kind::Energy(..), Some(spread)) => spread.hypot(own),
        (Kind::Energy(..), None) => own,
        (_, Some(spread)) => spread,
        (_, None) => f64::NAN,
    };
    figure = figure.with_ci95(half);
    if known.len() < all.len() {
        figure = figure.with_reason(format!("{} of {} runs have it", known.len(), all.len()));
    }
    figure
}

/// The differences of all figures between two sides, whose places are `[baseline, other]`.
fn differences(
    base: &ComparedSide,
    other: &ComparedSide,
    figures: &[ComparedFigure],
    places: [usize; 2],
) -> Vec<Difference> {
    let values =
        |figure: &ComparedFigure| Some([figure.values[places[0]].value?, figure.values[places[1]].value?]);
    let known: Vec<Option<[f64; 2]>> = figures.iter().map(values).collect();
    let spreads: Vec<Option<Welch>> =
        METRICS.iter().map(|metric| repeats_spread(metric, base, other)).collect();
    let drawn = drawn(base, other, &known, &spreads);
    let mut all = Vec::with_capacity(figures.len());
    for (place, metric) in METRICS.iter().enumerate() {
        all.push(match known[place] {
            None => unknown(&figures[place], places, [base, other]),
            Some(values) => {
                let evidence = Evidence { spread: spreads[place], drawn: drawn[place].clone() };
                difference(metric, [base, other], values, &evidence)
            }
        });
    }
    all
}

fn unknown(figure: &ComparedFigure, places: [usize; 2], sides: [&ComparedSide; 2]) -> Difference {
    let missing = places.iter().zip(sides).find(|(place, _)| figure.values[**place].value.is_none());
    let why = missing.map(|(place, side)| {
        let reason = figure.values[*place].reason.clone().unwrap_or_else(|| "no reason was given".to_owned());
        format!("not known for {}: {reason}", side.name)
    });
    Difference {
        absolute: None,
        absolute_ci95: None,
        relative: None,
        relative_ci95: None,
        significant: None,
        basis: Basis::Nothing,
        method: why.unwrap_or_default(),
    }
}

/// What there is to judge a difference by, beside the energy's budget.
struct Evidence {
    spread: Option<Welch>,
    drawn: Result<Drawn, String>,
}

/// Deviations with how they were drawn.
#[derive(Clone)]
struct Drawn {
    deviations: Deviations,
    words: String,
}

fn repeats_spread(metric: &Metric, base: &ComparedSide, other: &ComparedSide) -> Option<Welch> {
    let sample = |side: &ComparedSide| {
        let values: Vec<f64> = side.runs.iter().filter_map(|run| metric.of(run).value).collect();
        Sample::of(&values)
    };
    welch(&sample(base)?, &sample(other)?)
}

/// A bootstrap over requests for the figures that no repeats judge.
fn drawn(
    base: &ComparedSide,
    other: &ComparedSide,
    known: &[Option<[f64; 2]>],
    spreads: &[Option<Welch>],
) -> Vec<Result<Drawn, String>> {
    let none = |why: &str| vec![Err(why.to_owned()); METRICS.len()];
    let points = |side: &ComparedSide| -> Option<Vec<RequestPoints>> {
        side.runs.iter().map(|run| run.requests.clone()).collect()
    };
    let (Some(first), Some(second)) = (points(base), points(other)) else {
        return none("a side does not carry its requests");
    };
    let wanted: Vec<usize> =
        (0..METRICS.len()).filter(|at| known[*at].is_some() && spreads[*at].is_none()).collect();
    if wanted.is_empty() {
        return none("not needed");
    }
    let hash = |side: &ComparedSide| side.runs.first().and_then(|run| run.identity.dataset_sha256.clone());
    let same_prompts =
        hash(base).is_some() && hash(base) == hash(other) && first.len() == 1 && second.len() == 1;
    let resampling =
        Resampling::new(&first.iter().collect::<Vec<_>>(), &second.iter().collect::<Vec<_>>(), same_prompts);
    let words = format!(
        "bootstrap over {} requests{}",
        resampling.requests(),
        if resampling.paired() { ", the same prompts on both sides" } else { "" }
    );
    let metrics: Vec<&Metric> = wanted.iter().map(|at| &METRICS[*at]).collect();
    let values: Vec<[f64; 2]> = wanted.iter().filter_map(|at| known[*at]).collect();
    let mut all = none("not needed");
    for (at, found) in wanted.into_iter().zip(resampling.run(&metrics, &values)) {
        all[at] = found.map(|deviations| Drawn { deviations, words: words.clone() });
    }
    all
}

/// A difference of two known values.
fn difference(
    metric: &Metric,
    sides: [&ComparedSide; 2],
    [base, other]: [f64; 2],
    evidence: &Evidence,
) -> Difference {
    let absolute = other - base;
    let relative = (base != 0.0).then(|| other / base - 1.0);
    let energy = match metric.kind {
        Kind::Energy(scope, _) => {
            Some(relative.and_then(|relative| doubt(sides[0], sides[1], scope, relative + 1.0)))
        }
        _ => None,
    };
    let chance = Chance::of(evidence, sides);
    let (absolute_half, relative_half, basis, method) = match energy {
        Some(Some(doubt)) => {
            let (absolute, relative) = chance.with_budget(&doubt, base);
            let basis = if chance.basis == Basis::Nothing { Basis::Budget } else { chance.basis };
            (Some(absolute), Some(relative), basis, chance.budget_words(&doubt))
        }
        // Requests alone would pass for more than is known of an energy.
        Some(None) if chance.basis != Basis::Repeats => {
            (None, None, Basis::Nothing, "no error budget of the energy is known".to_owned())
        }
        Some(None) => {
            let words = format!("{}; the energy's error budget is not known and not in it", chance.words);
            (chance.absolute, chance.relative, chance.basis, words)
        }
        None => (chance.absolute, chance.relative, chance.basis, chance.words.clone()),
    };
    let around = |middle: f64, ends: [f64; 2]| [middle + ends[0], middle + ends[1]];
    let absolute_ci95 = absolute_half.map(|ends| around(absolute, ends));
    let relative_ci95 = relative.zip(relative_half).map(|(middle, ends)| around(middle, ends));
    let significant = relative_ci95.or(absolute_ci95).map(|[low, high]| low > 0.0 || high < 0.0);
    Difference {
        absolute: Some(absolute),
        absolute_ci95,
        relative,
        relative_ci95,
        significant,
        basis,
        method,
    }
}

/// What chance makes of a difference: how far its ends lie from it.
struct Chance {
    absolute: Option<[f64; 2]>,
    relative: Option<[f64; 2]>,
    basis: Basis,
    words: String,
}

impl Chance {
    fn of(evidence: &Evidence, sides: [&ComparedSide; 2]) -> Self {
        let even = |half: f64| [-half, half];
        match (&evidence.spread, &evidence.drawn) {
            (Some(spread), _) => Self {
                absolute: Some(even(spread.absolute)),
                relative: spread.relative.map(even),
                basis: Basis::Repeats,
                words: format!(
                    "Welch's t over {} + {} repeats, {} degrees of freedom",
                    sides[0].runs.len(),
                    sides[1].runs.len(),
                    spread.freedom
                ),
            },
            (None, Ok(drawn)) => Self {
                // Percentiles of deviations from what was seen are the percentile interval itself.
                absolute: Some(drawn.deviations.absolute),
                relative: drawn.deviations.relative,
                basis: Basis::Requests,
                words: drawn.words.clone(),
            },
            (None, Err(why)) => {
                Self { absolute: None, relative: None, basis: Basis::Nothing, words: why.clone() }
            }
        }
    }

    /// The ends with an energy's budget. Repeats show the budget's random part themselves, so the larger of the two counts;
    /// requests do not, so they add in quadrature, as the gains do.
    fn with_budget(&self, doubt: &Doubt, base: f64) -> ([f64; 2], [f64; 2]) {
        let side = |chance: Option<[f64; 2]>, random: f64, gain: f64, sign: usize| {
            let chance = chance.map_or(0.0, |ends| ends[sign].abs());
            let together =
                if self.basis == Basis::Repeats { chance.max(random) } else { chance.hypot(random) };
            let half = together.hypot(gain);
            if sign == 0 { -half } else { half }
        };
        let ends =
            |chance, random: f64, gain: f64| [side(chance, random, gain, 0), side(chance, random, gain, 1)];
        let base = base.abs();
        (
            ends(self.absolute, doubt.random * base, doubt.common * base),
            ends(self.relative, doubt.random, doubt.gain),
        )
    }

    fn budget_words(&self, doubt: &Doubt) -> String {
        let gain = if doubt.cancels {
            "the gain of the same devices cancels"
        } else {
            "the gains of both sides count in full"
        };
        match self.basis {
            Basis::Nothing => format!("error budget alone ({}); {gain}", self.words),
            _ => format!("{}, with the error budget; {gain}", self.words),
        }
    }
}

/// How the intervals were made, for the foot of a report.
fn notes(figures: &[ComparedFigure]) -> Vec<String> {
    let used = |basis: Basis| {
        figures
            .iter()
            .any(|figure| figure.differences.iter().flatten().any(|difference| difference.basis == basis))
    };
    let mut notes = Vec::new();
    if used(Basis::Repeats) {
        notes.push("Intervals of repeated runs: Welch's t over the runs' own figures, 95 %.".to_owned());
    }
    if used(Basis::Requests) {
        notes.push(
            "Intervals of single runs: percentile bootstrap over requests, 1,000 draws, fixed seed, 95 %. It tells what other \
             requests would give in these runs, not what these runs would give on another day: repeat both (--repeat) to know."
                .to_owned(),
        );
    }
    if used(Basis::Budget) {
        notes.push(
            "Energies with the error budget alone: it tells how well these joules are known, not how others would differ."
                .to_owned(),
        );
    }
    if used(Basis::Repeats) || used(Basis::Requests) {
        notes.push(
            "Each figure is judged by itself: of twenty without any true difference, one is significant by chance.".to_owned(),
        );
    }
    notes
}
