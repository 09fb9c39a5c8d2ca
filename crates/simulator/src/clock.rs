//! The server's clock: what every stamp of the truth is read from.
//!
//! Exists so that a stamp means the same to the server and to a client on the same machine. Refuses to know wall
//! time.

use std::time::Instant;

/// A monotonic clock in nanoseconds. On Linux its zero is that of `CLOCK_MONOTONIC`, so any program on the machine
/// can compare its own readings with the server's; elsewhere its zero is the server's start.
#[derive(Debug, Clone, Copy)]
pub struct ServerClock {
    origin: Instant,
    origin_ns: u64,
}

impl ServerClock {
    /// What the stamps are, in words, as `/truth` says them.
    pub const NAME: &'static str = if cfg!(target_os = "linux") {
        "CLOCK_MONOTONIC of the server's machine, ns"
    } else {
        "monotonic, ns since the server's start"
    };

    /// Reads both clocks once, so that later stamps need one reading only.
    pub fn start() -> Self {
        Self { origin: Instant::now(), origin_ns: monotonic_ns() }
    }

    /// The stamp of this moment, ns.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The stamp of an instant, ns. Instants before the server's start become its start.
    pub fn at(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.origin).as_nanos();
        self.origin_ns.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(target_os = "linux")]
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
fn monotonic_ns() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stamps_follow_instants_exactly() {
        let clock = ServerClock::start();
        let later = clock.origin + Duration::from_nanos(1_234_567);
        assert_eq!(clock.at(later) - clock.at(clock.origin), 1_234_567);
        assert!(clock.now() >= clock.at(clock.origin));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_zero_is_the_machines() {
        let before = monotonic_ns();
        let stamp = ServerClock::start().now();
        // The two readings of `start` are not one: the stamp may lag by the time between them, never lead.
        assert!(stamp >= before);
        assert!(stamp <= monotonic_ns());
    }
}
