//! Charts as inline SVG that follows the page: its colours by style sheet, its width by percentages, its text as text.
//!
//! A module of our own because no crate gives all of that at once: what plotters and its kin write has fixed colours and
//! sizes, so that a page in the dark or on a phone shows either unreadable text or a scaled picture of it, and the
//! browser libraries that could follow are megabytes of script. Lines lie in an inner `svg` that stretches, while texts,
//! dots and grid stay as large as they are. Refuses to compute: callers bring values in the unit that the axis names.

mod bars;
mod frame;
mod histogram;
mod lines;
mod points;
mod scale;
mod svg;

use serde::Serialize;

pub use bars::{Bar, Bars, Segment};
pub use histogram::{Bin, Histogram};
pub use lines::{Line, Lines, Shade};
pub use points::{Point, Points};

/// An axis in the words of its label.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// What it shows, for example `power`.
    pub name: String,
    /// Its unit, for example `W`; empty for none.
    pub unit: String,
    /// `true` for powers of ten at equal distances; values of 0 and below are then left out.
    pub logarithmic: bool,
    /// `true` for things that are counted: no mark stands between whole numbers.
    pub whole: bool,
}

impl Axis {
    /// A linear axis.
    pub fn new(name: &str, unit: &str) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), ..Self::default() }
    }

    /// The same with powers of ten at equal distances.
    #[must_use]
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// An axis of things that are counted.
    pub fn counts(name: &str) -> Self {
        Self { name: name.to_owned(), whole: true, ..Self::default() }
    }

    fn label(&self) -> String {
        if self.unit.is_empty() { self.name.clone() } else { format!("{}, {}", self.name, self.unit) }
    }
}

/// A name in the legend with the colour it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Legend {
    /// The colour's class.
    class: String,
    /// What has it.
    name: String,
}

/// A drawn chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows.
    title: String,
    /// Its colours; empty where there is one alone.
    legend: Vec<Legend>,
    /// The drawing. Only this module makes one, from escaped texts.
    svg: String,
    /// Values by place for the page's script, as JSON; `None` where there are none.
    hover: Option<String>,
}

/// Colours there are; further lines begin again with the first.
const COLOURS: usize = 6;

/// The class of a line's or segment's colour, by its place.
fn colour(place: usize) -> String {
    format!("c{}", place % COLOURS + 1)
}

/// Places from 0 to 1 with their texts as the page's script reads them.
fn hover(values: &[(f64, String)]) -> Option<String> {
    let rounded: Vec<(f64, &String)> =
        values.iter().map(|(place, text)| ((place * 1e4).round() / 1e4, text)).collect();
    // Numbers and texts always become JSON.
    if rounded.is_empty() { None } else { serde_json::to_string(&rounded).ok() }
}
