//! The engine's clock: nanoseconds since the program started, monotonic.
//!
//! Refuses to know what is timed.

use std::time::Instant;

/// A monotonic clock with its origin at the program's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct EngineClock(Instant);

impl EngineClock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
