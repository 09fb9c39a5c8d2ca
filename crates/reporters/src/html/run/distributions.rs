//! How single requests' times are spread: cumulative shares and histograms, drawn from the times the summary gives.
//!
//! Counting into bins is drawing: every figure beside the charts is the summary's.

use ai_energy_core::Report;
use ai_energy_core::summary::{RequestTimes, TimeBin};

use crate::html::chart::{Axis, Bin, Histogram, Line, Lines};
use crate::html::page::Block;
use crate::terminal::speed::between;
use crate::terminal::units::{SECONDS, pick, plain};

/// Points of a cumulative curve at most.
const MOST_POINTS: usize = 240;
/// Fewer requests than this have no shape worth drawing.
const FEWEST: usize = 5;
/// Bins at least and at most.
const BINS: (usize, usize) = (8, 40);

/// A kind of time with where to find it.
type Kind = (&'static str, fn(&RequestTimes) -> Option<f64>);

const KINDS: [Kind; 3] = [
    ("time to first token", |times| times.time_to_first_token),
    ("time per output token", |times| times.time_per_output_token),
    ("time of the whole request", |times| times.end_to_end),
];

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let lines: Vec<(usize, &str, Vec<f64>)> = KINDS
        .into_iter()
        .enumerate()
        .map(|(place, (name, of))| (place, name, sorted(report, of)))
        .filter(|(_, _, values)| values.len() >= FEWEST)
        .collect();
    let mut blocks = Vec::new();
    blocks.extend(cumulative(&lines).chart("spread").map(Block::Chart));
    for (place, name, values) in &lines {
        blocks.extend(histogram(*place, name, values).chart(&format!("histogram-{place}")).map(Block::Chart));
    }
    blocks.extend(gaps(&report.summary.curves.inter_token, between(report)).chart("gaps").map(Block::Chart));
    blocks
}

/// How long each token came after the one before, of all tokens of the run.
fn gaps(bins: &[TimeBin], name: &str) -> Histogram {
    let tokens: u64 = bins.iter().map(|bin| bin.count).sum();
    let bin = |bin: &TimeBin| Bin {
        from: bin.from * 1e3,
        to: bin.to * 1e3,
        count: usize::try_from(bin.count).unwrap_or(usize::MAX),
    };
    Histogram {
        title: format!("Tokens by the time {name}"),
        description: format!("{tokens} times {name} in {} bins of equal ratio", bins.len()),
        x: Axis::new(&format!("time {name}"), "ms").logarithmic(),
        counted: "tokens".to_owned(),
        bins: if bins.len() > 1 { bins.iter().map(bin).collect() } else { Vec::new() },
        colour: KINDS.len(),
    }
}

/// One kind of time of the requests that succeeded, ascending.
fn sorted(report: Report<'_>, of: fn(&RequestTimes) -> Option<f64>) -> Vec<f64> {
    let times = report.record.requests.iter().zip(&report.summary.curves.requests);
    let mut values: Vec<f64> =
        times.filter(|(request, _)| request.succeeded()).filter_map(|(_, times)| of(times)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The share of requests that took at most so long, times in ms.
fn cumulative(kinds: &[(usize, &str, Vec<f64>)]) -> Lines {
    let line = |(_, name, values): &(usize, &str, Vec<f64>)| {
        let last = values.len() - 1;
        let points = MOST_POINTS.min(values.len());
        let point = |number: usize| {
            let index = if points > 1 { number * last / (points - 1) } else { last };
            (values[index] * 1e3, 100.0 * (index + 1) as f64 / values.len() as f64)
        };
        Line { name: (*name).to_owned(), points: (0..points).map(point).collect(), ..Line::default() }
    };
    let described: Vec<String> = kinds
        .iter()
        .filter_map(|(_, name, values)| {
            let median = *values.get(values.len() / 2)?;
            let text = plain(median, pick(SECONDS, median), &super::glyphs());
            Some(format!("half of the values of {name} are below {text}"))
        })
        .collect();
    Lines {
        title: "Share of requests that took at most so long".to_owned(),
        description: described.join("; "),
        x: Axis::new("time", "ms").logarithmic(),
        y: Axis::new("share", "%"),
        lines: kinds.iter().map(line).collect(),
        ..Lines::default()
    }
}

/// How many requests took how long. A long tail gets bins of equal ratio, so that it does not press all else into one.
fn histogram(colour: usize, name: &str, values: &[f64]) -> Histogram {
    let (Some(low), Some(high)) = (values.first().copied(), values.last().copied()) else {
        return Histogram::default();
    };
    let scale = pick(SECONDS, values[values.len() / 2]);
    let tailed = low > 0.0 && high / low > 20.0;
    let count = ((values.len() as f64).sqrt().ceil() as usize).clamp(BINS.0, BINS.1);
    let edge = |number: usize| {
        let share = number as f64 / count as f64;
        if tailed { low * (high / low).powf(share) } else { low + share * (high - low) }
    };
    let below = |number: usize| match number {
        0 => 0,
        number if number == count => values.len(),
        number => values.partition_point(|value| *value < edge(number)),
    };
    let bin = |number: usize| Bin {
        from: edge(number) / scale.factor(),
        to: edge(number + 1) / scale.factor(),
        count: below(number + 1) - below(number),
    };
    let axis = Axis::new(name, &scale.unit(&super::glyphs()));
    Histogram {
        title: format!("Requests by {name}"),
        description: format!("{} requests in {count} bins", values.len()),
        x: if tailed { axis.logarithmic() } else { axis },
        counted: "requests".to_owned(),
        bins: if high > low { (0..count).map(bin).collect() } else { Vec::new() },
        colour,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_exactly_one_bin() {
        for values in [vec![0.1, 0.2, 0.2, 0.3, 0.4], (1..500).map(|n| f64::from(n) * 1e-3).collect()] {
            let drawn = histogram(0, "x", &values);
            assert_eq!(drawn.bins.iter().map(|bin| bin.count).sum::<usize>(), values.len());
            assert!(drawn.bins.windows(2).all(|pair| (pair[0].to - pair[1].from).abs() < 1e-9));
        }
    }

    #[test]
    fn equal_values_have_no_shape() {
        assert!(histogram(0, "x", &[0.5; 9]).bins.is_empty());
    }
}
