//! What moves on a terminal: a bar while a dataset comes, a line while the load runs. Silent where standard error is no
//! terminal, with `--quiet`, and where logs are JSON.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ai_energy_core::backend::Tally;
use ai_energy_core::{Clock, LoadProgress, Observer};
use ai_energy_reporters::{LiveMeter, render_progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Globals, LogFormat};
use crate::diagnostics;

/// How often the live line is drawn.
const PERIOD: Duration = Duration::from_millis(250);

/// `true` where something may move on standard error.
pub(crate) fn lively(globals: &Globals) -> bool {
    !globals.quiet && globals.log_format == LogFormat::Text && std::io::stderr().is_terminal()
}

/// Width of the terminal that reports are printed to; 100 where there is none or it is wider.
pub fn width() -> usize {
    match console::Term::stdout().size_checked() {
        Some((_, columns)) => usize::from(columns).clamp(60, 100),
        None => 100,
    }
}

/// Width of the live line: the terminal's own, since a line that wraps cannot be taken away again.
fn live_width() -> usize {
    let columns = console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns));
    columns.saturating_sub(1).clamp(1, 100)
}

/// A bar for downloads.
#[derive(Debug, Default)]
pub struct LoadBar {
    bar: Option<ProgressBar>,
}

impl LoadBar {
    /// A bar that shows itself with the first byte, or never where nothing may move.
    pub fn new(globals: &Globals) -> Self {
        let bar = lively(globals).then(|| {
            let bar = ProgressBar::hidden();
            if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// Takes the bar away until there is something to show again.
    pub fn rest(&self) {
        if let Some(bar) = &self.bar {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl LoadProgress for LoadBar {
    fn bytes(&self, what: &str, done: u64, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        bar.set_message(what.to_owned());
        match total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        bar.set_position(done);
    }
}

/// The live line of a running load.
pub struct Progress {
    meter: Option<Arc<LiveMeter>>,
    thread: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts drawing on a thread of its own, so that a slow terminal never makes the load wait.
    pub fn start(globals: &Globals, tally: Arc<Tally>, clock: Clock) -> Self {
        if !lively(globals) {
            return Self { meter: None, thread: None };
        }
        let meter = Arc::new(LiveMeter::new(tally));
        let done = Arc::new(AtomicBool::new(false));
        let unicode = diagnostics::unicode();
        let thread = {
            let (meter, done) = (Arc::clone(&meter), Arc::clone(&done));
            std::thread::spawn(move || draw(&meter, &done, clock, unicode))
        };
        Self { meter: Some(meter), thread: Some((done, thread)) }
    }

    /// What has to hear the run for the line to be right.
    pub fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.meter.clone().map(|meter| meter as Arc<dyn Observer>)
    }

    /// Takes the line away.
    pub fn finish(self) {
        if let Some((done, thread)) = self.thread {
            done.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            // The thread only draws; nothing is lost with it.
            let _ = thread.join();
        }
    }
}

fn draw(meter: &LiveMeter, done: &AtomicBool, clock: Clock, unicode: bool) {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    while !done.load(Ordering::Relaxed) {
        let state = meter.state(clock.now());
        bar.set_message(render_progress(&state, live_width(), unicode));
        std::thread::park_timeout(PERIOD);
    }
    bar.finish_and_clear();
}
