//! The contracts that every other crate meets at: what a backend, an energy source, a dataset, a prompt
//! formatter, a reporter and an observer are, the data that flows between them, and the runner that drives them.
//!
//! Exists so that the leaf crates need not know each other. Refuses to know any vendor, any file format, and how
//! any figure is computed or shown. Does no input or output of its own.

pub mod backend;
pub mod chunks;
pub mod client;
pub mod clock;
pub mod comparison;
pub mod dataset;
pub mod draw;
pub mod energy;
pub mod fakes;
pub mod fault;
pub mod figure;
pub mod formatter;
pub mod load;
pub mod observer;
pub mod observing;
pub mod offer;
pub mod phase;
pub mod plan;
pub mod prompt;
pub mod ranking;
pub mod record;
pub mod reporter;
pub mod runner;
pub mod segment;
pub mod server;
pub mod several;
pub mod store;
pub mod summary;
pub mod units;

pub use backend::{Backend, BackendInfo, Check, CheckOutcome};
pub use chunks::Chunks;
pub use clock::{Clock, Stamp};
pub use dataset::{Dataset, DatasetInfo, LoadProgress, LoadedPrompts};
pub use energy::{Channel, Domain, EnergyReading, EnergySource, ReadFault, SourceDiscovery};
pub use fault::{Fault, FaultKind};
pub use figure::{Figure, Provenance};
pub use formatter::{PromptFormatter, Target};
pub use observer::Observer;
pub use phase::{Phase, PhaseKind};
pub use plan::{LoadPlan, Plan};
pub use prompt::{FormattedPrompt, GenerationParams, Message, Prompt, PromptContent, Role};
pub use record::{ErrorClass, RequestRecord, RunRecord, TokenCount, TokenCountSource};
pub use reporter::{Place, Report, Reporter, Written};
pub use runner::{Parts, Stop};
pub use segment::{Segment, Shift};
pub use summary::Summary;
pub use units::{Grams, Joules, Seconds, Watts};
