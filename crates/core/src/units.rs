//! Quantities with their unit in the type, so that a joule is never added to a watt-hour.
//!
//! Refuses to know how a quantity is printed: scaling and rounding belong to the reporters.

use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

/// Joules in one watt-hour (exact: 3600 s).
pub const JOULES_PER_WATT_HOUR: f64 = 3600.0;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
                Self(parts.map(|part| part.0).sum())
            }
        }
    };
}

quantity! {
    /// An energy in joules.
    Joules
}
quantity! {
    /// A power in watts.
    Watts
}
quantity! {
    /// A duration in seconds.
    Seconds
}
quantity! {
    /// A mass of CO2-equivalent in grams.
    Grams
}

impl Joules {
    /// The same energy in watt-hours.
    pub fn watt_hours(self) -> f64 {
        self.0 / JOULES_PER_WATT_HOUR
    }

    /// The same energy in kilowatt-hours.
    pub fn kilowatt_hours(self) -> f64 {
        self.watt_hours() / 1000.0
    }

    /// The mean power of this energy over a duration; `None` for a duration that is not positive.
    pub fn over(self, duration: Seconds) -> Option<Watts> {
        (duration.0 > 0.0).then(|| Watts(self.0 / duration.0))
    }
}

impl Watts {
    /// The energy of this power held for a duration.
    pub fn for_seconds(self, duration: Seconds) -> Joules {
        Joules(self.0 * duration.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_watts_for_an_hour_is_a_tenth_of_a_kilowatt_hour() {
        let energy = Watts(100.0).for_seconds(Seconds(3600.0));
        assert_eq!(energy, Joules(360_000.0));
        assert_eq!(energy.watt_hours(), 100.0);
        assert_eq!(energy.kilowatt_hours(), 0.1);
        assert_eq!(energy.over(Seconds(1800.0)), Some(Watts(200.0)));
        assert_eq!(energy.over(Seconds(0.0)), None);
    }
}
