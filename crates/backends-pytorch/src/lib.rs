//! The PyTorch engine as a backend: its options, the line protocol that its program speaks, and the side that starts
//! that program and talks to it.
//!
//! Exists so that the command line starts without libtorch: the engine is a program of its own, `ai-energy-torch`,
//! found at run time. Refuses to know tensors, tokenizers and devices; all of that is behind the protocol.

mod backend;
mod device_ids;
mod engine;
mod gpus;
mod launch;
mod libtorch;
mod locate;
mod mapping;
pub mod options;
mod places;
pub mod protocol;
mod python;
mod receive;
mod source;
mod start;
mod supervise;

pub use backend::PytorchBackend;
pub use device_ids::DeviceIds;
pub use gpus::{Gpus, VISIBLE_ENV};
pub use locate::{ENGINE_ENV, ENGINE_PROGRAM, locate};
pub use mapping::ClockMap;
pub use options::{DeviceMap, EngineChoice, EngineOptions, Options, TorchDtype};
pub use places::Places;
pub use python::PYTHON_ENV;
