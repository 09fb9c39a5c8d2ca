//! The summary of a run for people: what a request and a token cost, how fast they came, and how far to trust it.
//!
//! Returns text; printing is `cli`'s. Order: what ended or falsified the run, energy, speed, failures, what is not
//! known and what to do about it, what to know before trusting the figures. Readable without colour and, on request,
//! in plain ASCII.

mod comparison;
pub(crate) mod energy;
pub(crate) mod header;
pub(crate) mod health;
mod load;
pub(crate) mod notes;
pub(crate) mod page;
mod parts;
mod ranking;
mod saved;
pub(crate) mod speed;
mod table;
pub(crate) mod text;
pub(crate) mod units;

use ai_energy_core::{Report, Written};

pub use comparison::{render_comparison, render_repeats};
use page::Page;
pub use ranking::render_ranking;

/// Narrower terminals get lines of this width.
pub const MIN_WIDTH: usize = 60;
/// The width the summary is made for; wider terminals gain nothing.
pub const BEST_WIDTH: usize = 100;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Columns; no line is wider, though never less than [`MIN_WIDTH`] is used.
    pub width: usize,
    /// Draw with ANSI colours.
    pub color: bool,
    /// Use signs beyond ASCII.
    pub unicode: bool,
}

impl Default for TerminalOptions {
    /// 100 columns, no colour, Unicode.
    fn default() -> Self {
        Self { width: BEST_WIDTH, color: false, unicode: true }
    }
}

impl TerminalOptions {
    fn page(&self) -> Page {
        Page::new(self.width, self.color, self.unicode)
    }
}

/// The summary of a run.
pub fn render(report: Report<'_>, options: &TerminalOptions) -> String {
    let mut page = options.page();
    header::draw(report, &mut page);
    page.blank();
    energy::draw(report, &mut page);
    page.blank();
    speed::draw(report, &mut page);
    health::draw(report, &mut page);
    load::draw(report, &mut page);
    notes::draw_failures(report, &mut page);
    notes::draw_unknown(report, &mut page);
    page.blank();
    notes::draw_validity(report, &mut page);
    page.finish()
}

/// Where the run's files are and what to do next, to stand below the summary.
pub fn render_saved(written: &[Written], options: &TerminalOptions) -> String {
    let mut page = options.page();
    saved::draw(written, &mut page);
    page.finish()
}
