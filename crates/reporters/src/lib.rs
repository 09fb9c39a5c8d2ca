//! Result formats: one a file, the journal that writes as the run goes, the terminal's summary and its live line.
//!
//! Exists so that what was measured reaches people and programs in the shapes they know. Refuses to compute a figure
//! (beyond changing its unit or sharing it out over a count), to measure, and to print: the terminal parts return text.

pub mod ai_energy_score;
mod append;
pub mod batch;
mod bundle;
mod collect;
pub mod comparison;
pub mod config_file;
mod coverage;
pub mod csv;
pub mod emissions;
mod files;
mod frame;
pub mod html;
pub mod journal;
pub mod json;
pub mod jsonl;
pub mod live;
pub mod manifest;
pub mod markdown;
mod measures;
pub mod openmetrics;
mod options;
pub mod otlp;
pub mod place;
mod registry;
pub mod request_energy;
pub mod requests;
mod sweep;
pub mod terminal;
mod time;

pub use bundle::write_bundle;
pub use config_file::write_config;
pub use journal::Journal;
pub use live::{LiveMeter, LiveState, render_progress};
pub use options::{Formats, Options};
pub use registry::{ReporterEntry, all};
pub use sweep::{Sweep, SweepRow, sweep_cell, write_sweep};
pub use terminal::{
    TerminalOptions, render, render_comparison, render_ranking, render_repeats, render_saved,
};
