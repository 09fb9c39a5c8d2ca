//! What a decoder-only transformer is made of, as plain data, and which tensors of a checkpoint it is made from.
//!
//! Exists so that a new family of models is one file that fills in a [`Spec`]; the code that computes reads the spec and
//! knows no family. Refuses to know tensors, devices and libtorch.

pub mod config;
pub mod families;
pub mod placement;
pub mod rope;
pub mod spec;

pub use config::Config;
pub use rope::{Pairing, Rope, Scaling};
pub use spec::{
    Activation, Arrange, Attention, Embedding, Experts, FeedForward, Head, Layer, Linear, Mlp, Norm,
    NormKind, Positions, Routing, SharedExpert, Source, Spec,
};
