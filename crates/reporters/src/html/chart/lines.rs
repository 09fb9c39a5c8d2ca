//! Lines over a common axis: power over time, requests in flight, cumulative shares.

use std::fmt::Write;

use super::frame::Frame;
use super::scale::Scale;
use super::svg::{Anchor, Drawing};
use super::{Axis, Chart, Legend, colour, hover};
use crate::terminal::units::significant;

/// Pixels of height.
const HEIGHT: f64 = 276.0;
/// Places along the axis at which values can be read.
const READABLE: usize = 160;
/// Least share of the width at which a shade's name is written.
const NAMED: f64 = 0.1;

/// One line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, ascending.
    pub points: Vec<(f64, f64)>,
    /// `true` where a value holds until the next point.
    pub stepped: bool,
    /// `true` to colour the area below.
    pub filled: bool,
}

impl Line {
    /// The value at `x`; `None` beyond the line's ends.
    fn at(&self, x: f64) -> Option<f64> {
        let next = self.points.partition_point(|(at, _)| *at <= x);
        let (from_x, from) = *self.points.get(next.checked_sub(1)?)?;
        let Some((to_x, to)) = self.points.get(next) else {
            return (x <= from_x).then_some(from);
        };
        Some(if self.stepped { from } else { from + (x - from_x) / (to_x - from_x) * (to - from) })
    }
}

/// A stretch of the level axis with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Shade {
    /// Its begin on the axis.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// What it is.
    pub name: String,
    /// `true` for the stretch that matters most.
    pub main: bool,
}

/// Lines over a common axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// What the chart shows.
    pub title: String,
    /// The same in a sentence, with its most telling numbers, for those who do not see it.
    pub description: String,
    /// The level axis.
    pub x: Axis,
    /// The upright axis, which begins at 0.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// Stretches behind them.
    pub shades: Vec<Shade>,
    /// What the level axis shows, for charts that share it; `None` for what the points need.
    pub range: Option<(f64, f64)>,
}

impl Lines {
    /// The chart; `id` is unique on its page. `None` where no line has two points.
    pub fn chart(&self, id: &str) -> Option<Chart> {
        let drawn: Vec<&Line> = self.lines.iter().filter(|line| line.points.len() > 1).collect();
        let values = || drawn.iter().flat_map(|line| line.points.iter());
        let shown = self.range.map(|(from, to)| vec![from, to]);
        let shown = shown.unwrap_or_else(|| values().map(|(x, _)| *x).collect());
        let x = Scale::around(shown.into_iter(), self.x.logarithmic).filter(|_| !drawn.is_empty())?;
        let y = Scale::from_zero(values().map(|(_, y)| *y).filter(|y| y.is_finite()));
        let frame = Frame { x, y, height: HEIGHT };
        let mut drawing = Drawing::default();
        self.draw_shades(&frame, &mut drawing);
        frame.draw_grid(&mut drawing, &self.y);
        let (top, height) = frame.room();
        let paths: Vec<(String, String)> =
            drawn.iter().enumerate().flat_map(|(place, line)| paths(line, place, &frame)).collect();
        drawing.stretched(top, height, &paths);
        self.name_shades(&frame, &mut drawing);
        frame.draw_labels(&mut drawing, &self.x, &self.y);
        let legend = drawn.iter().enumerate();
        let legend: Vec<Legend> =
            legend.map(|(place, line)| Legend { class: colour(place), name: line.name.clone() }).collect();
        Some(Chart {
            title: self.title.clone(),
            legend: if legend.len() > 1 { legend } else { Vec::new() },
            svg: drawing.finish(id, "axes", HEIGHT, &self.title, &self.description),
            hover: hover(&self.readable(&drawn, &frame)),
        })
    }

    fn bounds(shade: &Shade, frame: &Frame) -> Option<(f64, f64)> {
        let place = |value| frame.place(value).map(|place| place.clamp(0.0, 1.0));
        place(shade.from).zip(place(shade.to)).filter(|(from, to)| to > from)
    }

    fn draw_shades(&self, frame: &Frame, drawing: &mut Drawing) {
        for shade in &self.shades {
            if let Some((from, to)) = Self::bounds(shade, frame) {
                let class = if shade.main { "shade main" } else { "shade" };
                drawing.rect(class, (from, to - from), frame.room(), &shade.name);
            }
        }
    }

    fn name_shades(&self, frame: &Frame, drawing: &mut Drawing) {
        for shade in &self.shades {
            if let Some((from, to)) = Self::bounds(shade, frame).filter(|(from, to)| to - from >= NAMED) {
                let (top, _) = frame.room();
                drawing.text("mark-text", ((from + to) / 2.0, top - 5.0), 0.0, Anchor::Middle, &shade.name);
            }
        }
    }

    /// What the pointer reads: all lines at equal distances along the axis.
    fn readable(&self, drawn: &[&Line], frame: &Frame) -> Vec<(f64, String)> {
        (0..=READABLE)
            .filter_map(|number| {
                let place = number as f64 / READABLE as f64;
                let x = frame.x.value(place);
                let mut text = format!("{} {}", significant(x, 3), self.x.unit);
                let shade = self.shades.iter().find(|shade| x >= shade.from && x < shade.to);
                if let Some(shade) = shade {
                    let _ = write!(text, " ({})", shade.name);
                }
                let mut any = false;
                for line in drawn {
                    if let Some(value) = line.at(x) {
                        let _ = write!(text, "\n{}: {} {}", line.name, significant(value, 3), self.y.unit);
                        any = true;
                    }
                }
                any.then_some((place, text))
            })
            .collect()
    }
}

/// The area, where it is filled, then the line: class and path of each.
fn paths(line: &Line, place: usize, frame: &Frame) -> Vec<(String, String)> {
    let (top, height) = frame.room();
    let mut path = String::new();
    let mut before: Option<(f64, f64)> = None;
    let mut first = None;
    for (x, y) in &line.points {
        let (Some(x), Some(y)) = (frame.place(*x), frame.level(*y)) else { continue };
        let (x, y) = (x * 1000.0, y - top);
        if let Some((_, level)) = before.filter(|_| line.stepped) {
            let _ = write!(path, "L{x:.1} {level:.1}");
        }
        let _ = write!(path, "{}{x:.1} {y:.1}", if before.is_none() { "M" } else { "L" });
        first.get_or_insert(x);
        before = Some((x, y));
    }
    let mut paths = Vec::new();
    if let (true, Some(first), Some((last, _))) = (line.filled, first, before) {
        let area = format!("{path}L{last:.1} {height:.1}L{first:.1} {height:.1}Z");
        paths.push((format!("area {}", colour(place)), area));
    }
    paths.push((format!("line {}", colour(place)), path));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power() -> Lines {
        Lines {
            title: "Power".to_owned(),
            x: Axis::new("time", "s"),
            y: Axis::new("power", "W"),
            lines: vec![
                Line { name: "GPU".to_owned(), points: vec![(0.0, 100.0), (10.0, 300.0)], ..Line::default() },
                Line {
                    name: "<b>".to_owned(),
                    points: vec![(0.0, 1.0), (5.0, 2.0), (10.0, 2.0)],
                    stepped: true,
                    ..Line::default()
                },
            ],
            shades: vec![Shade { from: 2.0, to: 8.0, name: "load".to_owned(), main: true }],
            ..Lines::default()
        }
    }

    #[test]
    fn what_the_pointer_reads_is_what_the_lines_say() {
        let chart = power().chart("p").unwrap();
        let values: Vec<(f64, String)> = serde_json::from_str(chart.hover.as_deref().unwrap()).unwrap();
        let (_, middle) = values.iter().find(|(place, _)| *place == 0.5).unwrap();
        assert_eq!(middle, "5.00 s (load)\nGPU: 200 W\n<b>: 2.00 W");
        assert_eq!(values.first().unwrap().1, "0.00 s\nGPU: 100 W\n<b>: 1.00 W");
        assert_eq!(chart.legend.len(), 2);
        assert!(!chart.svg.contains("<b>"), "{}", chart.svg);
    }

    #[test]
    fn points_lie_where_their_values_say() {
        let chart = power().chart("p").unwrap();
        // 276 pixels less 36 above and 36 below; the axis goes to 300 W.
        assert!(chart.svg.contains(r#"d="M0.0 136.0L1000.0 0.0""#), "{}", chart.svg);
        assert!(
            chart.svg.contains("L500.0 202.6L500.0 202.6") || chart.svg.contains("L500.0 203.3L500.0 202.6")
        );
    }

    #[test]
    fn nothing_to_draw_is_no_chart() {
        assert_eq!(Lines::default().chart("p"), None);
        let one = Line { points: vec![(1.0, 1.0)], ..Line::default() };
        assert_eq!(Lines { lines: vec![one], ..Lines::default() }.chart("p"), None);
    }
}
