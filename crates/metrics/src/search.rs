//! Which load to try next, and which one is the answer: a search over rates or concurrencies.
//!
//! Levels double from the lowest on until the goal's own sign of having gone too far, then the bracket around the best is
//! halved, in ratios, down to the resolution. Every decision follows from the points alone. Refuses to run anything.

use ai_energy_core::Summary;
use ai_energy_core::figure::Figure;
use serde::{Deserialize, Serialize};

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The highest level at which the wanted share of requests surely keeps the objectives.
    Goodput,
    /// The knee: the level of the largest power in Kleinrock's sense, throughput over mean latency (ICC 1979).
    Knee,
    /// Of the levels that surely keep the objectives, the one of least energy per generated token.
    Energy,
}

/// Whether a level keeps the objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Surely: the interval of the share lies at or above what is wanted.
    Yes,
    /// Surely not: it lies below.
    No,
    /// The run was too short to tell.
    Unsure,
}

/// What a run at one level showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Requests a second or in flight.
    pub level: f64,
    /// Whether the objectives are kept; `None` where there are none, or nobody could see.
    pub kept: Option<Kept>,
    /// Share of good requests.
    pub good_share: Figure,
    /// Good requests a second.
    pub goodput: Figure,
    /// Successful requests a second.
    pub requests_per_second: Figure,
    /// Generated tokens a second.
    pub output_tokens_per_second: Figure,
    /// Time to first token, 50th and 99th percentile, s.
    pub ttft_seconds: Option<[f64; 2]>,
    /// Whole request, mean, s.
    pub mean_latency_seconds: Option<f64>,
    /// Energy per generated token, J.
    pub energy_per_output_token: Figure,
}

impl Point {
    /// The point of a run; `wanted` is the share of requests that have to be good.
    pub fn new(level: f64, summary: &Summary, wanted: f64) -> Self {
        let unset = || Figure::unavailable("1", "no objective is set");
        let goodput = summary.load.goodput.as_ref();
        let share = goodput.map_or_else(unset, |goodput| goodput.share.clone());
        let kept = share.value.map(|value| {
            let ci95 = share.ci95.unwrap_or(0.0);
            // No one is surer than the interval: at 100 % good its lower side still counts.
            match () {
                () if value - ci95 >= wanted => Kept::Yes,
                () if value + ci95 < wanted => Kept::No,
                () => Kept::Unsure,
            }
        });
        let latency = &summary.latency;
        Self {
            level,
            kept,
            good_share: share,
            goodput: goodput.map_or_else(unset, |goodput| goodput.rate.clone()),
            requests_per_second: summary.throughput.requests_per_second.clone(),
            output_tokens_per_second: summary.throughput.output_tokens_per_second.clone(),
            ttft_seconds: latency.time_to_first_token.as_ref().map(|ttft| [ttft.p50, ttft.p99]),
            mean_latency_seconds: latency.end_to_end.as_ref().map(|whole| whole.mean),
            energy_per_output_token: summary.energy.per_output_token.clone(),
        }
    }

    /// Throughput over mean latency, requests/s².
    fn power(&self) -> Option<f64> {
        Some(self.requests_per_second.value? / self.mean_latency_seconds.filter(|mean| *mean > 0.0)?)
    }
}

/// A search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// What for.
    pub goal: Goal,
    /// Lowest level.
    pub from: f64,
    /// Highest level.
    pub to: f64,
    /// Levels closer than this ratio less 1 are not told apart, for example 0.1.
    pub resolution: f64,
    /// Levels are whole numbers.
    pub whole: bool,
    /// Most runs.
    pub most: usize,
}

impl Search {
    /// The next level to try after these points; `None` where the search is over.
    pub fn next(&self, points: &[Point]) -> Option<f64> {
        if points.len() >= self.most {
            return None;
        }
        let Some(last) = points.last() else { return Some(self.from) };
        let highest = points.iter().map(|point| point.level).fold(0.0, f64::max);
        let climbing = points.windows(2).all(|pair| pair[1].level > pair[0].level);
        if climbing && highest < self.to && !self.too_far(points, last) {
            return Some(self.level((highest * 2.0).min(self.to)));
        }
        self.refine(points)
    }

    /// The place of the best point; `None` where no level reaches the goal.
    pub fn best(&self, points: &[Point]) -> Option<usize> {
        let kept = |point: &Point| point.kept == Some(Kept::Yes);
        let value = |point: &Point| match self.goal {
            Goal::Goodput => Some(point.level).filter(|_| kept(point)),
            Goal::Knee => point.power(),
            Goal::Energy => point.energy_per_output_token.value.filter(|_| kept(point)).map(|joules| -joules),
        };
        let valued = points.iter().enumerate().filter_map(|(place, point)| Some((place, value(point)?)));
        valued.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    }

    /// Whether higher levels are of no use.
    fn too_far(&self, points: &[Point], last: &Point) -> bool {
        match self.goal {
            Goal::Goodput | Goal::Energy => last.kept != Some(Kept::Yes),
            // One fall may be chance, two are a slope.
            Goal::Knee => self.best(points).is_none_or(|best| best + 2 < points.len()),
        }
    }

    /// Halves the bracket around the best: on its upper side first, which is the one that doubling left wide.
    fn refine(&self, points: &[Point]) -> Option<f64> {
        let best = points.get(self.best(points)?)?.level;
        let levels = || points.iter().map(|point| point.level);
        let above = levels().filter(|level| *level > best).reduce(f64::min);
        let below = levels().filter(|level| *level < best).reduce(f64::max);
        let sides = if self.goal == Goal::Goodput { [above, None] } else { [above, below] };
        let between = sides.into_iter().flatten().filter(|side| {
            let ratio = side.max(best) / side.min(best);
            ratio > 1.0 + self.resolution
        });
        between
            .map(|side| self.level((side * best).sqrt()))
            .find(|level| levels().all(|tried| (tried - level).abs() > 1e-9 * level))
    }

    fn level(&self, level: f64) -> f64 {
        if self.whole { level.round().max(1.0) } else { level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::Provenance;

    /// A server of 10 requests/s: latency grows as in a queue of one, energy per token falls with load.
    fn point(level: f64) -> Point {
        let figure = |value: f64, unit: &str| Figure::new(value, unit, Provenance::Derived, "");
        let load = (level / 10.0).min(0.999);
        let latency = 0.1 / (1.0 - load);
        let kept = if latency < 0.5 { Kept::Yes } else { Kept::No };
        Point {
            level,
            kept: Some(kept),
            good_share: figure(1.0, "1"),
            goodput: figure(level, "request/s"),
            requests_per_second: figure(level.min(10.0), "request/s"),
            output_tokens_per_second: figure(level, "token/s"),
            ttft_seconds: None,
            mean_latency_seconds: Some(latency),
            energy_per_output_token: figure(1.0 / level, "J/token"),
        }
    }

    fn found(goal: Goal, whole: bool) -> (f64, Vec<f64>) {
        let search = Search { goal, from: 1.0, to: 64.0, resolution: 0.05, whole, most: 40 };
        let mut points = Vec::new();
        while let Some(level) = search.next(&points) {
            points.push(point(level));
        }
        let best = points[search.best(&points).unwrap()].level;
        (best, points.iter().map(|point| point.level).collect())
    }

    #[test]
    fn the_highest_rate_that_keeps_the_objectives_is_found_to_the_resolution() {
        // Latency is below 0.5 s up to 8 requests/s, not included.
        let (best, tried) = found(Goal::Goodput, false);
        assert!((8.0 / 1.05..8.0).contains(&best), "{best} after {tried:?}");
        assert!(tried.len() <= 10, "{tried:?}");
        assert_eq!(found(Goal::Goodput, true).0, 7.0, "whole numbers");
    }

    #[test]
    fn the_knee_of_a_queue_is_at_half_its_capacity() {
        let (best, tried) = found(Goal::Knee, false);
        assert!((4.6..5.4).contains(&best), "{best} after {tried:?}");
    }

    #[test]
    fn the_least_energy_is_looked_for_only_where_the_objectives_are_kept() {
        let (best, tried) = found(Goal::Energy, false);
        assert!((8.0 / 1.06..8.0).contains(&best), "{best} after {tried:?}");
    }

    #[test]
    fn a_goal_that_no_level_reaches_ends_the_search_at_once() {
        let search =
            Search { goal: Goal::Goodput, from: 9.0, to: 64.0, resolution: 0.1, whole: false, most: 9 };
        let points = [point(9.0)];
        assert_eq!((search.next(&points), search.best(&points)), (None, None));
        let unsure = [Point { kept: Some(Kept::Unsure), ..point(1.0) }];
        assert_eq!(search.best(&unsure), None, "what is not sure is no answer");
    }
}
