//! A model's files through the client, against a hub on this machine. What goes wrong on the way is tested with datasets,
//! in their crate, over the same server.

// The attribute tells clippy that helpers, too, are test code, where a panic is the right answer.
#[cfg(test)]
#[allow(dead_code, reason = "each crate that shares it needs a part")]
#[path = "../support/server.rs"]
mod server;
#[cfg(test)]
mod snapshots;
