//! The PyTorch engine as a backend: its options, the line protocol that its program speaks, and the side that starts
//! that program and talks to it.
//!
//! Exists so that the command line starts without libtorch: the engine is a program of its own, `ai-energy-torch`,
//! found at run time. Refuses to know tensors, tokenizers and devices; all of that is behind the protocol.

mod backend;
mod device_ids;
mod engine;
mod locate;
mod mapping;
mod options;
pub mod protocol;
mod receive;
mod supervise;

pub use backend::PytorchBackend;
pub use device_ids::DeviceIds;
pub use locate::{ENGINE_ENV, ENGINE_PROGRAM, Places, locate};
pub use mapping::ClockMap;
pub use options::{DeviceMap, EngineChoice, EngineOptions, Options, TorchDtype};
