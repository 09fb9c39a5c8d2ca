//! Wholes in their parts: a bar each, its parts beside each other.

use super::svg::{Anchor, Drawing};
use super::{Chart, Legend, colour};

/// Pixels of a bar with its name above.
const ROW: f64 = 46.0;
/// Of those, the bar's own.
const THICK: f64 = 20.0;

/// Share of the largest bar below which a part cannot be seen and is not named.
const VISIBLE: f64 = 5e-4;

/// A part of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Which part, by its place in [`Bars::parts`].
    pub part: usize,
    /// Its size, in the unit that all parts share; what is not above 0 is not drawn.
    pub value: f64,
    /// Its size in words, for example `12.8 ± 0.4 J`.
    pub text: String,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is.
    pub name: String,
    /// The whole in words; stands at the right.
    pub whole: String,
    /// Its parts.
    pub segments: Vec<Segment>,
}

/// Bars with common parts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// What the chart shows.
    pub title: String,
    /// The same in a sentence, for those who do not see it.
    pub description: String,
    /// The parts' names, in the order of their colours.
    pub parts: Vec<String>,
    /// The bars.
    pub bars: Vec<Bar>,
}

impl Bars {
    /// The chart, the largest bar as wide as the page; `id` is unique on its page. `None` where nothing is above 0.
    pub fn chart(&self, id: &str) -> Option<Chart> {
        let positive = |segment: &&Segment| segment.value.is_finite() && segment.value > 0.0;
        let sum = |bar: &Bar| bar.segments.iter().filter(positive).map(|segment| segment.value).sum::<f64>();
        let largest = self.bars.iter().map(sum).fold(0.0, f64::max);
        if largest <= 0.0 {
            return None;
        }
        let drawn = |segment: &&Segment| positive(segment) && segment.value >= largest * VISIBLE;
        let mut drawing = Drawing::default();
        for (number, bar) in self.bars.iter().enumerate() {
            let top = number as f64 * ROW;
            drawing.text("ink", (0.0, top + 13.0), 0.0, Anchor::Start, &bar.name);
            drawing.text("ink", (1.0, top + 13.0), 0.0, Anchor::End, &bar.whole);
            let mut left = 0.0;
            for segment in bar.segments.iter().filter(drawn) {
                let share = segment.value / largest;
                let name = self.parts.get(segment.part).map_or("", String::as_str);
                let class = format!("bar {}", colour(segment.part));
                let title = format!("{}, {name}: {}", bar.name, segment.text);
                drawing.rect(&class, (left, share), (top + 19.0, THICK), &title);
                left += share;
            }
        }
        let used = |part: &usize| {
            self.bars.iter().flat_map(|bar| &bar.segments).filter(drawn).any(|segment| segment.part == *part)
        };
        let parts = self.parts.iter().enumerate().filter(|(part, _)| used(part));
        let legend: Vec<Legend> =
            parts.map(|(part, name)| Legend { class: colour(part), name: name.clone() }).collect();
        let height = self.bars.len() as f64 * ROW;
        Some(Chart {
            title: self.title.clone(),
            legend,
            svg: drawing.finish(id, "whole", height, &self.title, &self.description),
            hover: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, values: &[f64]) -> Bar {
        let segment =
            |(part, value): (usize, &f64)| Segment { part, value: *value, text: format!("{value} J") };
        Bar {
            name: name.to_owned(),
            whole: String::new(),
            segments: values.iter().enumerate().map(segment).collect(),
        }
    }

    #[test]
    fn parts_are_as_wide_as_their_share_of_the_largest_whole() {
        let bars = Bars {
            parts: ["idle", "net", "none"].map(str::to_owned).into(),
            bars: vec![bar("GPU", &[30.0, 50.0, 0.0]), bar("CPU", &[20.0, f64::NAN])],
            ..Bars::default()
        };
        let chart = bars.chart("b").unwrap();
        for width in ["37.5%", "62.5%", "25%"] {
            assert!(chart.svg.contains(&format!("width=\"{width}\"")), "{width}: {}", chart.svg);
        }
        assert_eq!(chart.legend.len(), 2, "a part that nobody has is not named");
        assert_eq!(Bars::default().chart("b"), None);
    }
}
