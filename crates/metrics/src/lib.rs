//! Energy sources, integration, statistics and carbon: from what a machine offers to the figures of a run.
//!
//! Two halves meet only in core's record. [`discover`] finds what can be read and hands sources to the sampler;
//! [`summarize`] computes every figure from a record alone, so that a record read back from disk gives the same
//! figures. Refuses to know servers, report formats and config files, and prints nothing.
//!
//! # Error budget
//!
//! Every energy carries half the width of a 95 % interval: see [`budget`] for what its causes add, and
//! `docs/measurement.md` for their derivation.

pub mod attribution;
mod blocks;
pub mod budget;
pub mod carbon;
mod codecarbon;
pub mod compare;
mod curves;
mod efficiency;
pub mod energy;
pub mod environment;
mod gain;
pub mod grid;
mod health;
pub mod integrate;
pub mod latency;
mod load;
pub mod location;
mod machine;
pub mod meter;
pub mod options;
pub mod phases;
mod process;
pub mod rank;
pub mod search;
mod segments;
pub mod shares;
pub mod sources;
pub mod stats;
pub mod summary;
mod tokens;
mod topology;
mod validity;
pub mod warnings;

pub use curves::curves;
pub use environment::{MachineIdentity, environment, machine_identity};
pub use location::{Location, check_location};
pub use meter::{Measurement, Meter};
pub use options::{GpuChoice, IdleSeconds, Options, Roots, SourceSelection, check_options};
pub use process::ProcessMeter;
pub use sources::{SOURCES, SourceKind, discover};
pub use summary::{SummaryOptions, summarize};
