//! The room that a chart is drawn in: axes, grid, labels.
//!
//! Marks of the upright axis stand to the left of the drawing, in a margin that the style sheet keeps free. Refuses to know
//! what is drawn in the room.

use super::Axis;
use super::scale::Scale;
use super::svg::{Anchor, Drawing};

/// Pixels above the room, for the name of the upright axis and those of stretches.
const TOP: f64 = 36.0;
/// Pixels to the left of it that the style sheet keeps free.
const MARGIN: f64 = 44.0;
/// Pixels below it, for marks and name of the level axis.
const BOTTOM: f64 = 36.0;

/// The room between the axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// Pixels in all.
    pub(super) height: f64,
}

impl Frame {
    /// Top and height of the room, pixels.
    pub(super) fn room(&self) -> (f64, f64) {
        (TOP, self.height - TOP - BOTTOM)
    }

    /// A value's height in the drawing, pixels from its top.
    pub(super) fn level(&self, value: f64) -> Option<f64> {
        let (top, height) = self.room();
        Some(top + height * (1.0 - self.y.place(value)?))
    }

    /// A value's place on the level axis, 0 to 1.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        self.x.place(value)
    }

    /// The marks of the upright axis.
    fn marks(&self, y: &Axis) -> Vec<(f64, String)> {
        let mut marks = self.y.marks();
        marks.retain(|(value, _)| !y.whole || (value - value.round()).abs() < 1e-9);
        marks
    }

    /// Grid and axes.
    pub(super) fn draw_grid(&self, drawing: &mut Drawing, y: &Axis) {
        for (value, _) in self.marks(y) {
            if let Some(level) = self.level(value) {
                drawing.line("grid", (0.0, level), (1.0, level));
            }
        }
        let (top, height) = self.room();
        drawing.line("axis", (0.0, top + height), (1.0, top + height));
    }

    /// The texts, which go over what was drawn.
    pub(super) fn draw_labels(&self, drawing: &mut Drawing, x: &Axis, y: &Axis) {
        let (top, height) = self.room();
        for (value, text) in self.marks(y) {
            if let Some(level) = self.level(value) {
                drawing.text("mark-text", (0.0, level + 4.0), -7.0, Anchor::End, &text);
            }
        }
        for (value, text) in self.x.marks() {
            let Some(place) = self.place(value) else { continue };
            let anchor = match place {
                place if place > 0.98 => Anchor::End,
                _ => Anchor::Middle,
            };
            drawing.line("axis", (place, top + height), (place, top + height + 4.0));
            drawing.text("mark-text", (place, top + height + 17.0), 0.0, anchor, &text);
        }
        drawing.text("ink", (0.0, 12.0), -MARGIN, Anchor::Start, &y.label());
        drawing.text("ink", (1.0, self.height - 3.0), 0.0, Anchor::End, &x.label());
    }
}
