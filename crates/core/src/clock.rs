//! One monotonic clock for tokens and counters, so that a window's energy and its tokens are about the same seconds.
//!
//! Refuses to know time zones and formats; wall time is kept once, at the origin, for naming and dating a run.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

use crate::units::Seconds;

/// An instant of a run: nanoseconds since the run's origin on the monotonic clock.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The time from `earlier` to `self`; zero where `earlier` is later.
    pub fn since(self, earlier: Stamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// [`Stamp::since`] in seconds.
    pub fn seconds_since(self, earlier: Stamp) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0) as f64 * 1e-9)
    }

    /// The stamp in seconds since the run's origin.
    pub fn seconds(self) -> f64 {
        self.0 as f64 * 1e-9
    }
}

/// The run's clock: an origin on the monotonic clock, and the wall time at that origin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall_origin: SystemTime,
}

impl Clock {
    /// Starts a clock whose origin is now.
    pub fn start() -> Self {
        Self { origin: Instant::now(), wall_origin: SystemTime::now() }
    }

    /// The stamp of this moment.
    pub fn now(&self) -> Stamp {
        self.at(Instant::now())
    }

    /// The stamp of an instant; instants before the origin become the origin.
    pub fn at(&self, instant: Instant) -> Stamp {
        let nanos = instant.saturating_duration_since(self.origin).as_nanos();
        Stamp(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The monotonic instant of a stamp.
    pub fn instant(&self, stamp: Stamp) -> Instant {
        self.origin + Duration::from_nanos(stamp.0)
    }

    /// The wall time at the origin. Steps of the wall clock during the run do not show in it.
    pub fn wall_origin(&self) -> SystemTime {
        self.wall_origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_and_its_instant_are_inverse() {
        let clock = Clock::start();
        let stamp = Stamp(1_234_567_890);
        assert_eq!(clock.at(clock.instant(stamp)), stamp);
    }

    #[test]
    fn time_before_the_origin_is_the_origin_and_never_wraps() {
        let before = Instant::now();
        let clock = Clock::start();
        assert_eq!(clock.at(before), Stamp(0));
        assert_eq!(Stamp(3).since(Stamp(7)), Duration::ZERO);
    }
}
