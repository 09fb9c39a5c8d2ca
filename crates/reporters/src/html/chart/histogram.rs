//! How often values of a quantity occurred.

use super::frame::Frame;
use super::scale::Scale;
use super::svg::Drawing;
use super::{Axis, Chart, colour, hover};
use crate::terminal::units::significant;

/// Pixels of height.
const HEIGHT: f64 = 200.0;
/// Share of a bin's width that stays free on each side.
const GAP: f64 = 0.04;

/// Values within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Lower bound, in the axis' unit.
    pub from: f64,
    /// Upper bound.
    pub to: f64,
    /// How many values lie between.
    pub count: usize,
}

/// A histogram.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// What the chart shows.
    pub title: String,
    /// The same in a sentence, for those who do not see it.
    pub description: String,
    /// The level axis.
    pub x: Axis,
    /// What is counted, for example `requests`.
    pub counted: String,
    /// The bins, ascending.
    pub bins: Vec<Bin>,
    /// Place of its colour, as the lines of other charts have theirs.
    pub colour: usize,
}

impl Histogram {
    /// The chart; `id` is unique on its page. `None` where nothing was counted.
    pub fn chart(&self, id: &str) -> Option<Chart> {
        let edges = self.bins.iter().flat_map(|bin| [bin.from, bin.to]);
        let x = Scale::around(edges, self.x.logarithmic)?;
        let most = self.bins.iter().map(|bin| bin.count).max().filter(|most| *most > 0)?;
        let frame = Frame { x, y: Scale::from_zero([most as f64].into_iter()), height: HEIGHT };
        let mut drawing = Drawing::default();
        let y = Axis::counts(&self.counted);
        frame.draw_grid(&mut drawing, &y);
        let (top, height) = frame.room();
        let mut values = Vec::new();
        for bin in &self.bins {
            let places = frame.place(bin.from).zip(frame.place(bin.to));
            let (Some((from, to)), Some(level)) = (places, frame.level(bin.count as f64)) else { continue };
            let (from_text, to_text) = (significant(bin.from, 3), significant(bin.to, 3));
            let text = format!("{from_text} to {to_text} {}\n{} {}", self.x.unit, bin.count, self.counted);
            if bin.count > 0 {
                let (gap, width) = ((to - from) * GAP, (to - from) * (1.0 - 2.0 * GAP));
                let class = format!("bar {}", colour(self.colour));
                drawing.rect(&class, (from + gap, width), (level, top + height - level), "");
            }
            values.push(((from + to) / 2.0, text));
        }
        frame.draw_labels(&mut drawing, &self.x, &y);
        Some(Chart {
            title: self.title.clone(),
            legend: Vec::new(),
            svg: drawing.finish(id, "axes", HEIGHT, &self.title, &self.description),
            hover: hover(&values),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_count() {
        let bins = vec![Bin { from: 0.0, to: 1.0, count: 10 }, Bin { from: 1.0, to: 2.0, count: 5 }];
        let histogram = Histogram { bins, counted: "requests".to_owned(), ..Histogram::default() };
        let chart = histogram.chart("h").unwrap();
        // Both stand on one scale from 0.
        let heights: Vec<f64> = chart
            .svg
            .split("<rect ")
            .skip(1)
            .map(|rect| rect.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((heights[0] / heights[1] - 2.0).abs() < 1e-3, "{heights:?}");
        assert!(chart.hover.unwrap().contains("5 requests"));
    }

    #[test]
    fn nothing_counted_is_no_chart() {
        assert_eq!(Histogram::default().chart("h"), None);
        let empty = Histogram { bins: vec![Bin { from: 0.0, to: 1.0, count: 0 }], ..Histogram::default() };
        assert_eq!(empty.chart("h"), None);
    }
}
