//! The next token from logits: what was asked and what the model says brought together, then the choice.
//!
//! Order and meaning of the steps are those of transformers' `generate`. Refuses to know tensors: logits come as a slice.

mod candidates;
mod sampler;
mod settings;

pub use self::sampler::Sampler;
pub use self::settings::{Sampling, Settings};

#[cfg(test)]
mod tests;
