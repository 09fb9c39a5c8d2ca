//! The PyTorch engine: loads a model's files, tokenizes, computes on libtorch, samples, and answers the line protocol of
//! `ai-energy-backends-pytorch`.
//!
//! Exists apart from that crate because it alone may link libtorch, and only behind the feature `torch`: without it,
//! everything that needs no tensor (files, text, sampling, placement, the description of model families) compiles and is
//! tested everywhere. Refuses to know plans, load patterns, energy and reports.

pub mod error;
pub mod files;
pub mod model;
pub mod sampling;
pub mod serve;
pub mod text;
#[cfg(feature = "torch")]
pub mod torch;
pub mod weights;

pub use error::EngineError;
