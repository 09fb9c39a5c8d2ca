//! How a batch goes on: a bar over models on a terminal, a line a model elsewhere.
//!
//! Refuses to know how a model is run.

use std::time::Duration;

use ai_energy_reporters::batch::MasterRow;
use indicatif::{ProgressBar, ProgressStyle};

use super::models::Model;
use crate::args::Globals;
use crate::diagnostics::note;
use crate::progress::lively;

/// Shows how far a batch is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// Begins; `done` of `all` were run before.
    pub(super) fn start(globals: &Globals, all: usize, done: usize) -> Self {
        if done > 0 && !globals.quiet {
            note(&format!("{done} of {all} models have their row already"));
        }
        let bar = lively(globals).then(|| {
            let bar = ProgressBar::new(all as u64);
            if let Ok(style) =
                ProgressStyle::with_template("{pos}/{len} {bar:20} {elapsed_precise} {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_position(done as u64);
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, quiet: globals.quiet }
    }

    /// A model begins.
    pub(super) fn begin(&self, model: &Model, number: usize, of: usize) {
        for told in &model.notes {
            self.say(&format!("note: {}: {told}", model.id));
        }
        match &self.bar {
            Some(bar) => bar.set_message(words(model)),
            None => self.say(&format!("model {number} of {of}: {}", words(model))),
        }
    }

    /// A model has ended.
    pub(super) fn end(&self, model: &Model, row: &MasterRow, number: usize, of: usize) {
        let outcome = match (&row.error_message, row.number("wh_per_1000_queries")) {
            (error, _) if !error.is_empty() => format!("failed: {error}"),
            (_, Some(wh)) => format!("{wh:.3} Wh of the GPU per 1000 queries"),
            (_, None) => "well; the GPU's energy is not known".to_owned(),
        };
        self.say(&format!("model {number} of {of}: {}: {outcome}", words(model)));
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }
}

fn words(model: &Model) -> String {
    match model.reasoning_state.as_str() {
        "" => model.id.clone(),
        state => format!("{} ({state})", model.id),
    }
}
