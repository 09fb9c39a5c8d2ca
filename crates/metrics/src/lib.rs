//! Energy sources, integration, statistics and carbon: from what a machine offers to the figures of a run.
//!
//! Two halves meet only in core's record. [`discover`] finds what can be read and hands sources to the sampler;
//! [`summarize`] computes every figure from a record alone, so that a record read back from disk gives the same
//! figures. Refuses to know servers, report formats and config files, and prints nothing.
//!
//! # Error budget
//!
//! Every energy carries half the width of a 95 % interval. Independent parts are combined in quadrature:
//!
//! - **tick**: a counter's value can be as old as its tick, at each end of the window: tick × mean power, twice.
//!   The tick is estimated from the readings themselves (see [`integrate`]);
//! - **edge**: a window's end lies between two readings: the energy of that interval times the smaller share;
//! - **sampling**: a sampled power is joined by straight lines: a quarter of |step| × interval, and where the sensor
//!   averages over time, half its averaging span × the span of powers seen;
//! - **gain**: the instrument's or model's relative error as its channel states it. Gains of channels of one domain
//!   are added linearly, since they come from one design; domains are independent.

pub mod attribution;
pub mod carbon;
mod codecarbon;
mod efficiency;
pub mod energy;
pub mod environment;
mod gain;
pub mod grid;
pub mod integrate;
pub mod latency;
pub mod location;
mod machine;
pub mod options;
pub mod phases;
pub mod shares;
pub mod sources;
pub mod stats;
pub mod summary;
mod topology;
mod validity;
pub mod warnings;

pub use environment::environment;
pub use location::{Location, check_location};
pub use options::{GpuChoice, IdleSeconds, Options, Roots, SourceSelection, check_options};
pub use sources::{SOURCES, SourceKind, discover};
pub use summary::{SummaryOptions, summarize};
