//! From the engine's clock to the host's.
//!
//! Both are monotonic clocks of one host, so they run at one rate and differ by a constant. The host asks the engine for
//! its time a few times; the answer lies between asking and reading it, and the quickest exchange bounds the constant
//! best: its midpoint is taken, and half its length is the uncertainty. Refuses to know how the asking is done.

use std::time::{Duration, Instant};

/// How the engine's nanoseconds relate to the host's instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockMap {
    anchor: Instant,
    engine_ns: u64,
    uncertainty: Duration,
}

impl ClockMap {
    /// The map from one exchange: asked at `asked`, answered with `engine_ns`, read at `read`.
    pub fn from_exchange(asked: Instant, engine_ns: u64, read: Instant) -> Self {
        let half = read.saturating_duration_since(asked) / 2;
        Self { anchor: asked + half, engine_ns, uncertainty: half }
    }

    /// The better of two maps: the one from the quicker exchange.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        if other.uncertainty < self.uncertainty { other } else { self }
    }

    /// Most that a mapped instant can be wrong by.
    pub fn uncertainty(&self) -> Duration {
        self.uncertainty
    }

    /// The host's instant of an engine's time, kept between `earliest` and `latest`: a token cannot be known before its
    /// request was sent, nor after it was read.
    pub fn instant(&self, engine_ns: u64, earliest: Instant, latest: Instant) -> Instant {
        let mapped = if engine_ns >= self.engine_ns {
            self.anchor.checked_add(Duration::from_nanos(engine_ns - self.engine_ns))
        } else {
            self.anchor.checked_sub(Duration::from_nanos(self.engine_ns - engine_ns))
        };
        mapped.unwrap_or(latest).min(latest).max(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever the engine's origin and however an exchange is split, the error is within the uncertainty.
        #[test]
        fn the_error_stays_within_the_uncertainty(
            origin in 0u64..u64::MAX / 4,
            there in 0u64..50_000_000,
            back in 0u64..50_000_000,
            event in 0u64..1_000_000_000_000,
        ) {
            let start = Instant::now();
            let host = |ns: u64| start + Duration::from_nanos(ns);
            // The engine's clock shows `origin` at the host's `start`; it is read when the question arrives.
            let map = ClockMap::from_exchange(host(0), origin + there, host(there + back));
            let mapped = map.instant(origin + event, start, host(u64::MAX / 4));
            let error = mapped.max(host(event)) - mapped.min(host(event));
            // Halving a duration loses up to a nanosecond.
            proptest::prop_assert!(error <= map.uncertainty() + Duration::from_nanos(1), "{error:?}");
        }
    }

    #[test]
    fn the_quicker_exchange_wins() {
        let start = Instant::now();
        let slow = ClockMap::from_exchange(start, 0, start + Duration::from_micros(900));
        let quick = ClockMap::from_exchange(start, 0, start + Duration::from_micros(20));
        assert_eq!(slow.better(quick), quick);
        assert_eq!(quick.better(slow), quick);
    }

    #[test]
    fn nothing_is_known_before_it_was_asked_or_after_it_was_read() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let map = ClockMap::from_exchange(start, 1_000, start);
        assert_eq!(map.instant(0, start, end), start);
        assert_eq!(map.instant(u64::MAX, start, end), end);
    }
}
