//! The hub client against a hub on this machine: what it asks, whom it trusts with the token, what it keeps, and
//! what it says when things go wrong.

// The attribute tells clippy that helpers, too, are test code, where a panic is the right answer.
#[cfg(test)]
mod bench;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod faults;
#[cfg(test)]
#[allow(dead_code, reason = "each crate that shares it needs a part")]
#[path = "../../../hub/tests/support/server.rs"]
mod server;
