//! The computation on libtorch: loads what a [`Spec`](crate::model::Spec) describes onto devices and runs it.
//!
//! One attention, one feed-forward part, one norm and one rope, put together by the spec; no family is known here. Refuses
//! to know files, text, sampling and the protocol.

mod batch;
mod facts;
mod failure;
mod model;
mod options;

pub use batch::{Batch, Logits};
pub use facts::ModelFacts;
pub use model::Model;
pub use options::{LoadOptions, Quantization};
