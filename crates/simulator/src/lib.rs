//! (being written)

mod clock;
mod connection;
mod distribution;
mod events;
mod fault;
mod flight;
mod generate;
mod handle;
mod http;
mod options;
mod quantity;
mod request;
mod routes;
mod script;
mod server;
mod stats;
mod stream;
mod timer;
pub mod tokens;
mod truth;

pub use clock::ServerClock;
pub use distribution::{Count, Delay, Distribution};
pub use fault::{FAULT_NAMES, FaultRule, InducedFault, When};
pub use handle::{Handle, View};
pub use options::{Options, ReasoningField, RoleChunk, Usage};
pub use quantity::{Nanoseconds, Quantity, Tokens};
pub use server::{Ended, Simulator};
pub use stats::Stats;
pub use truth::{Channel, TokenWrite, Truth, TruthReport};
