//! Points in a plane with their intervals: one figure against another, level by level.

use super::frame::Frame;
use super::scale::Scale;
use super::svg::{Anchor, Drawing};
use super::{Axis, Chart, colour, hover};

/// Pixels of height.
const HEIGHT: f64 = 300.0;
/// Share of the width that is added at both ends for dots and their names.
const ROOM: f64 = 0.06;

/// A point.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its name, written beside it.
    pub name: String,
    /// Its place.
    pub x: f64,
    /// Its height.
    pub y: f64,
    /// Half the width of its height's 95 % interval; `None` where unknown.
    pub ci95: Option<f64>,
    /// What the pointer reads.
    pub text: String,
    /// `true` for the one that was looked for.
    pub chosen: bool,
}

/// Points in a plane, joined in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Points {
    /// What the chart shows.
    pub title: String,
    /// The same in a sentence, for those who do not see it.
    pub description: String,
    /// The level axis.
    pub x: Axis,
    /// The upright axis, which begins at 0.
    pub y: Axis,
    /// The points.
    pub points: Vec<Point>,
}

impl Points {
    /// The chart; `id` is unique on its page. `None` where there is no point.
    pub fn chart(&self, id: &str) -> Option<Chart> {
        let x = Scale::around(self.points.iter().map(|point| point.x), self.x.logarithmic)?.widened(ROOM);
        let tops = self.points.iter().map(|point| point.y + point.ci95.unwrap_or(0.0));
        let frame = Frame { x, y: Scale::from_zero(tops.filter(|top| top.is_finite())), height: HEIGHT };
        let mut drawing = Drawing::default();
        frame.draw_grid(&mut drawing, &self.y);
        let placed: Vec<(&Point, f64, f64)> = self
            .points
            .iter()
            .filter_map(|point| Some((point, frame.place(point.x)?, frame.level(point.y)?)))
            .collect();
        for pair in placed.windows(2) {
            drawing.line(&format!("whisker {}", colour(4)), (pair[0].1, pair[0].2), (pair[1].1, pair[1].2));
        }
        for (point, x, y) in &placed {
            let ends = point
                .ci95
                .and_then(|ci95| frame.level((point.y - ci95).max(0.0)).zip(frame.level(point.y + ci95)));
            if let Some((low, high)) = ends {
                drawing.line(&format!("whisker {}", colour(0)), (*x, low), (*x, high));
            }
            drawing.circle(&format!("dot {}", colour(0)), (*x, *y), 5.0, &point.text);
            if point.chosen {
                drawing.circle(&format!("ring {}", colour(1)), (*x, *y), 9.0, &point.text);
            }
            let (dx, anchor) = if *x > 0.9 { (-11.0, Anchor::End) } else { (11.0, Anchor::Start) };
            drawing.text("ink", (*x, y - 8.0), dx, anchor, &point.name);
        }
        frame.draw_labels(&mut drawing, &self.x, &self.y);
        let mut values: Vec<(f64, String)> =
            placed.iter().map(|(point, x, _)| (*x, point.text.clone())).collect();
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
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
    fn a_point_shows_its_interval_and_the_chosen_one_a_ring() {
        let point = |name: &str, x: f64, ci95, chosen| Point {
            name: name.to_owned(),
            x,
            y: 10.0,
            ci95,
            text: format!("{name} text"),
            chosen,
        };
        let points = vec![point("1", 1.0, Some(2.0), false), point("8", 3.0, None, true)];
        let chart = Points { points, ..Points::default() }.chart("p").unwrap();
        assert_eq!(chart.svg.matches("<circle").count(), 3);
        assert_eq!(chart.svg.matches("class=\"whisker c1\"").count(), 1);
        assert_eq!(chart.svg.matches("class=\"ring").count(), 1);
        assert!(chart.hover.unwrap().contains("8 text"));
        assert_eq!(Points::default().chart("p"), None);
    }
}
