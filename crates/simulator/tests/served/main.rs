//! The simulator over real sockets: its routes, its streams, its faults, its truth, its life and death.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod client;
mod faults;
mod life;
mod refusals;
mod routes;
mod streams;
mod truth;
