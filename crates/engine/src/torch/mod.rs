//! The computation on libtorch: loads what a [`Spec`](crate::model::Spec) describes onto devices and runs it.
//!
//! One attention, one feed-forward part, one norm and one rope, put together by the spec; no family is known here. Refuses
//! to know files, text, sampling and the protocol.

mod attention;
mod batch;
mod cache;
mod device;
mod facts;
mod failure;
mod layer;
mod linear;
mod load;
mod mask;
mod mlp;
mod model;
mod native;
mod norm;
mod options;
mod places;
mod quantized;
mod rope;
mod step;

pub use batch::{Batch, Logits};
pub use device::{gpus, prepare};
pub use facts::ModelFacts;
pub use model::Model;
pub use native::{GpuMemory, gpu_memory, version};
pub use options::{LoadOptions, Quantization};

/// Bytes that a tensor's values take.
fn bytes(tensor: &tch::Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}
