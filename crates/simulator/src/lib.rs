//! (being written)

mod clock;
mod distribution;
mod fault;
mod options;
mod quantity;
mod timer;
pub mod tokens;

pub use clock::ServerClock;
pub use distribution::{Count, Delay, Distribution};
pub use fault::{FAULT_NAMES, FaultRule, InducedFault, When};
pub use options::{Options, ReasoningField, RoleChunk, Usage};
pub use quantity::{Nanoseconds, Quantity, Tokens};
