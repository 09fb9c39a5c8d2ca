//! The bootstrap over requests: how a difference would vary with other requests of the same kind.
//!
//! Whole requests are drawn, never single tokens, since the tokens of one request share its fate. Where both sides sent the same
//! prompts, prompts are drawn and both sides follow: what a long prompt costs everywhere is then no difference. Refuses
//! to know energy budgets and what a run on another day would give.

use ai_energy_core::comparison::{RequestPoint, RequestPoints};
use ai_energy_core::draw::Draw;

use super::figures::{Kind, Metric, Per, Point, Scope, Series};
use crate::budget::NORMAL_95;
use crate::stats::{quantile, t95};

/// How often requests are drawn anew.
const RESAMPLES: usize = 1000;
/// Fixed, so that a comparison says the same each time.
const SEED: u64 = 0x0062_6f6f_7473_7472;
/// Fewest requests for any interval, and fewest observations beyond a quantile.
const FEWEST: f64 = 10.0;
const FEWEST_BEYOND: f64 = 5.0;

/// What resampling tells of a metric's difference: deviations from what was seen, as 2.5 % and 97.5 % points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deviations {
    /// Of the difference, in the metric's unit.
    pub(super) absolute: [f64; 2],
    /// Of the ratio; `None` where the baseline is 0 in some draw.
    pub(super) relative: Option<[f64; 2]>,
}

/// Two sides drawn anew together.
pub(super) struct Resampling {
    sides: [Side; 2],
    paired: bool,
}

/// A side's requests with the sorted observations of each series.
struct Side {
    points: Vec<RequestPoint>,
    of: usize,
    series: [Vec<(f64, u32, u32)>; 4],
}

const ALL_SERIES: [Series; 4] = [Series::Ttft, Series::Itl, Series::Tpot, Series::E2e];

impl Resampling {
    pub(super) fn new(base: &[&RequestPoints], other: &[&RequestPoints], same_prompts: bool) -> Self {
        let sides = [Side::new(base), Side::new(other)];
        let prompts = |side: &Side| side.points.iter().map(|point| point.prompt_index).collect::<Vec<_>>();
        let paired = same_prompts && prompts(&sides[0]) == prompts(&sides[1]);
        Self { sides, paired }
    }

    /// `true` where prompts are drawn for both sides at once.
    pub(super) fn paired(&self) -> bool {
        self.paired
    }

    /// Requests of the smaller side.
    pub(super) fn requests(&self) -> usize {
        self.sides.iter().map(|side| side.of).min().unwrap_or(0)
    }

    /// The deviations of each metric's difference from that of `values`, which are both sides' figures; why there are none
    /// where there are none. Statistics are scaled to the figures, which may be of other units or of all requests.
    pub(super) fn run(&self, metrics: &[&Metric], values: &[[f64; 2]]) -> Vec<Result<Deviations, String>> {
        let seen = self.statistics(None, metrics);
        let factor =
            |value: f64, seen: Option<f64>| seen.map(|seen| if seen == value { 1.0 } else { value / seen });
        let factors: Vec<[Option<f64>; 2]> = seen
            .iter()
            .zip(values)
            .map(|(seen, value)| [factor(value[0], seen[0]), factor(value[1], seen[1])])
            .collect();
        let mut differences: Vec<Vec<f64>> = vec![Vec::new(); metrics.len()];
        let mut ratios = differences.clone();
        let mut draw = Draw::new(SEED, 0);
        for _ in 0..RESAMPLES {
            let weights = self.weights(&mut draw);
            let drawn = self.statistics(Some(&weights), metrics);
            for (place, pair) in drawn.iter().enumerate() {
                if let ([Some(base), Some(other)], [Some(first), Some(second)]) = (pair, factors[place]) {
                    let (base, other, [was, is]) = (base * first, other * second, values[place]);
                    differences[place].push((other - base) - (is - was));
                    if base != 0.0 && was != 0.0 {
                        ratios[place].push(other / base - is / was);
                    }
                }
            }
        }
        let mut results = Vec::with_capacity(metrics.len());
        for (place, metric) in metrics.iter().enumerate() {
            let enough = self.enough(metric);
            results.push(enough.and_then(|()| self.points_of(&mut differences[place], &mut ratios[place])));
        }
        results
    }

    /// The percentile interval's ends, spread a little, since that of few requests is too narrow (Hesterberg, The American
    /// Statistician 69, 2015): √(n/(n−1)) for the variance and t for the normal's tails. Drawn from m of n requests, the
    /// deviations are √(m/n) of what they were.
    fn points_of(&self, differences: &mut [f64], ratios: &mut [f64]) -> Result<Deviations, String> {
        if differences.len() < RESAMPLES / 2 || differences.iter().any(|value| !value.is_finite()) {
            return Err("the requests do not carry it".to_owned());
        }
        let few = self.sides.iter().map(|side| side.points.len()).min().unwrap_or(2).max(2);
        let part = |side: &Side| side.points.len() as f64 / side.of.max(1) as f64;
        let part = part(&self.sides[0]).max(part(&self.sides[1]));
        let wider = (few as f64 / (few - 1) as f64).sqrt() * t95(few - 1) / NORMAL_95 * part.sqrt();
        let ends = |values: &mut [f64]| {
            values.sort_by(f64::total_cmp);
            [quantile(values, 0.025) * wider, quantile(values, 0.975) * wider]
        };
        let whole = ratios.len() == differences.len();
        Ok(Deviations { absolute: ends(differences), relative: whole.then(|| ends(ratios)) })
    }

    /// Whether there are requests enough to tell this metric's interval.
    fn enough(&self, metric: &Metric) -> Result<(), String> {
        for side in &self.sides {
            let (observed, share) = match metric.kind {
                Kind::Latency(series, Point::Quantile(q)) => (side.observations(series), q.min(1.0 - q)),
                _ => (side.points.len() as f64, 1.0),
            };
            if (side.points.len() as f64) < FEWEST || observed * share < FEWEST_BEYOND {
                let needed = (FEWEST_BEYOND / share).max(FEWEST).ceil();
                let cause = format!("{observed:.0} observations are too few to tell it; {needed:.0} would");
                return Err(cause);
            }
        }
        Ok(())
    }

    /// How often each request is drawn, on both sides.
    fn weights(&self, draw: &mut Draw) -> [Vec<u32>; 2] {
        let mut drawn = |count: usize| {
            let mut weights = vec![0_u32; count];
            for _ in 0..count {
                weights[draw.below(count as u64) as usize] += 1;
            }
            weights
        };
        let first = drawn(self.sides[0].points.len());
        let second = if self.paired { first.clone() } else { drawn(self.sides[1].points.len()) };
        [first, second]
    }

    fn statistics(&self, weights: Option<&[Vec<u32>; 2]>, metrics: &[&Metric]) -> Vec<[Option<f64>; 2]> {
        let of = |number: usize| {
            let side = &self.sides[number];
            side.statistics(weights.map(|weights| weights[number].as_slice()), metrics)
        };
        of(0).into_iter().zip(of(1)).map(|(base, other)| [base, other]).collect()
    }
}

impl Side {
    fn new(runs: &[&RequestPoints]) -> Self {
        let points: Vec<RequestPoint> = runs.iter().flat_map(|run| run.points.iter().cloned()).collect();
        let series = ALL_SERIES.map(|series| observations(&points, series));
        Self { points, of: runs.iter().map(|run| run.of).sum(), series }
    }

    fn observations(&self, series: Series) -> f64 {
        self.series[place(series)].iter().map(|(_, times, _)| f64::from(*times)).sum()
    }

    fn statistics(&self, weights: Option<&[u32]>, metrics: &[&Metric]) -> Vec<Option<f64>> {
        let weight = |owner: usize| weights.map_or(1, |weights| weights[owner]);
        let mut found = vec![None; metrics.len()];
        for series in ALL_SERIES {
            self.series_statistics(series, &weight, metrics, &mut found);
        }
        let sum = |value: &dyn Fn(&RequestPoint) -> Option<f64>| {
            let mut sum = 0.0;
            for (owner, point) in self.points.iter().enumerate() {
                // One request without it leaves the sum unknown.
                sum += f64::from(weight(owner)) * value(point)?;
            }
            Some(sum)
        };
        for (place, metric) in metrics.iter().enumerate() {
            let amount = |per: Per| sum(&|point| amount(point, per));
            let over =
                |above: Option<f64>, below: Option<f64>| Some(above? / below.filter(|below| *below > 0.0)?);
            found[place] = match metric.kind {
                Kind::Latency(..) => continue,
                Kind::Energy(scope, per @ (Per::Request | Per::OutputToken | Per::Token)) => {
                    over(sum(&|point| joules(point, scope)), amount(per))
                }
                // In a closed loop so many requests are in flight, whatever they are: time goes as the sum of theirs.
                Kind::Rate(per) if !self.points.iter().any(|point| point.planned) => {
                    over(amount(per), sum(&|point| point.e2e))
                }
                Kind::Count(Per::Token) => {
                    over(sum(&|point| point.prompt_tokens.map(f64::from)), amount(Per::Request))
                }
                Kind::Count(per) => over(amount(per), amount(Per::Request)),
                Kind::Energy(_, Per::Window) | Kind::Rate(_) | Kind::Other => None,
            };
        }
        found
    }

    /// Mean and quantiles of a series in one pass over its sorted observations.
    fn series_statistics(
        &self,
        series: Series,
        weight: &dyn Fn(usize) -> u32,
        metrics: &[&Metric],
        found: &mut [Option<f64>],
    ) {
        let observed = &self.series[place(series)];
        let (mut count, mut sum) = (0_u64, 0.0);
        for (value, times, owner) in observed {
            let times = u64::from(*times) * u64::from(weight(*owner as usize));
            count += times;
            sum += value * times as f64;
        }
        if count == 0 {
            return;
        }
        let mut wanted: Vec<(u64, usize)> = Vec::new();
        for (place, metric) in metrics.iter().enumerate() {
            match metric.kind {
                Kind::Latency(of, Point::Mean) if of == series => found[place] = Some(sum / count as f64),
                Kind::Latency(of, Point::Quantile(q)) if of == series => {
                    wanted.push(((q * (count - 1) as f64).round() as u64, place));
                }
                _ => {}
            }
        }
        wanted.sort_unstable();
        let (mut upto, mut wanted) = (0_u64, wanted.into_iter().peekable());
        for (value, times, owner) in observed {
            upto += u64::from(*times) * u64::from(weight(*owner as usize));
            while let Some((_, place)) = wanted.next_if(|(number, _)| *number < upto) {
                found[place] = Some(*value);
            }
            if wanted.peek().is_none() {
                break;
            }
        }
    }
}

fn place(series: Series) -> usize {
    series as usize
}

/// A series' observations in order: value, how often, whose.
fn observations(points: &[RequestPoint], series: Series) -> Vec<(f64, u32, u32)> {
    let mut all = Vec::new();
    for (owner, point) in points.iter().enumerate() {
        let owner = owner as u32;
        let one = |value: Option<f64>| value.map(|value| (value, 1, owner));
        match series {
            Series::Ttft => all.extend(one(point.ttft)),
            Series::Tpot => all.extend(one(point.tpot)),
            Series::E2e => all.extend(one(point.e2e)),
            Series::Itl => all.extend(
                point
                    .gaps
                    .iter()
                    .map(|(value, times)| (*value, u32::try_from(*times).unwrap_or(u32::MAX), owner)),
            ),
        }
    }
    all.retain(|(value, ..)| value.is_finite());
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

fn amount(point: &RequestPoint, per: Per) -> Option<f64> {
    match per {
        Per::Request => Some(1.0),
        Per::OutputToken => point.output_tokens.map(f64::from),
        Per::Token => Some(f64::from(point.output_tokens?) + f64::from(point.prompt_tokens?)),
        Per::Window => None,
    }
}

fn joules(point: &RequestPoint, scope: Scope) -> Option<f64> {
    match scope {
        Scope::Gpu => point.gpu_joules,
        Scope::Total => point.total_joules,
    }
}
