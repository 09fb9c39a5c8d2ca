//! A figure: a value that knows its unit, how it is known, and how well.
//!
//! Exists so that nothing unmeasured can read 0: a figure without a value carries the reason instead.

use serde::{Deserialize, Serialize};

/// How a figure is known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Read from an instrument.
    Measured,
    /// Computed from measured figures alone.
    Derived,
    /// Contains a model or an assumption.
    Estimated,
    /// Not known; the figure's `reason` says why.
    Unavailable,
}

impl Provenance {
    /// The weaker of two: a sum of a measured and an estimated part is estimated.
    pub fn weaker(self, other: Self) -> Self {
        self.max(other)
    }

    /// The word that reports print.
    pub fn word(self) -> &'static str {
        match self {
            Provenance::Measured => "measured",
            Provenance::Derived => "derived",
            Provenance::Estimated => "estimated",
            Provenance::Unavailable => "unavailable",
        }
    }
}

/// A value with unit, provenance, source and uncertainty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Figure {
    /// The value; `None` exactly where `provenance` is [`Provenance::Unavailable`].
    pub value: Option<f64>,
    /// The unit's symbol, for example `J`, `W`, `s`, `token/s`.
    pub unit: String,
    /// Half the width of the 95 % interval, in `unit`; `None` where no error budget is known.
    pub ci95: Option<f64>,
    /// How the value is known.
    pub provenance: Provenance,
    /// Where it comes from, for example `NVML total-energy counter` or `2 DIMMs × 5 W`.
    pub source: String,
    /// Why there is no value; also a remark on one that there is.
    pub reason: Option<String>,
}

impl Default for Figure {
    /// Not known: the version that wrote the report did not compute it.
    fn default() -> Self {
        Self::unavailable("", "not computed")
    }
}

impl Figure {
    /// A figure with a value. Values that are not finite become unavailable: they would not survive JSON.
    pub fn new(value: f64, unit: &str, provenance: Provenance, source: impl Into<String>) -> Self {
        if !value.is_finite() {
            return Self::unavailable(unit, "the computation gave no finite number");
        }
        Self {
            value: Some(value),
            unit: unit.to_owned(),
            ci95: None,
            provenance,
            source: source.into(),
            reason: None,
        }
    }

    /// A figure that is not known, and why.
    pub fn unavailable(unit: &str, reason: impl Into<String>) -> Self {
        Self {
            value: None,
            unit: unit.to_owned(),
            ci95: None,
            provenance: Provenance::Unavailable,
            source: String::new(),
            reason: Some(reason.into()),
        }
    }

    /// The same figure with half the width of its 95 % interval. Not a number means unknown.
    #[must_use]
    pub fn with_ci95(mut self, half_width: f64) -> Self {
        self.ci95 = (half_width.is_finite() && self.value.is_some()).then_some(half_width.abs());
        self
    }

    /// The same figure with a remark.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Value and interval times an exact factor, in another unit; a measured figure becomes derived.
    #[must_use]
    pub fn scaled(&self, factor: f64, unit: &str) -> Self {
        let mut scaled = self.clone();
        scaled.unit = unit.to_owned();
        scaled.value = self.value.map(|value| value * factor).filter(|value| value.is_finite());
        scaled.ci95 = self.ci95.map(|ci95| (ci95 * factor).abs());
        match scaled.value {
            Some(_) if scaled.provenance == Provenance::Measured => scaled.provenance = Provenance::Derived,
            None if self.value.is_some() => {
                return Self::unavailable(unit, "the computation gave no finite number");
            }
            _ => {}
        }
        scaled
    }

    /// The figure over an exact count, for example joules over tokens. A count of zero gives an unavailable figure.
    #[must_use]
    pub fn per(&self, count: f64, unit: &str) -> Self {
        if count > 0.0 {
            self.scaled(1.0 / count, unit)
        } else if self.value.is_some() {
            Self::unavailable(unit, "there is nothing to divide by")
        } else {
            self.scaled(1.0, unit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_by_nothing_is_unavailable_not_zero_and_not_infinite() {
        let energy = Figure::new(12.0, "J", Provenance::Measured, "counter").with_ci95(1.0);
        let per_token = energy.per(0.0, "J/token");
        assert_eq!(per_token.value, None);
        assert_eq!(per_token.provenance, Provenance::Unavailable);
        assert!(per_token.reason.is_some());
    }

    #[test]
    fn scaling_keeps_the_relative_interval_and_marks_the_figure_derived() {
        let energy = Figure::new(12.0, "J", Provenance::Measured, "counter").with_ci95(1.2);
        let per_token = energy.per(4.0, "J/token");
        assert_eq!((per_token.value, per_token.ci95), (Some(3.0), Some(0.3)));
        assert_eq!(per_token.provenance, Provenance::Derived);
        assert_eq!(energy.scaled(2.0, "J").provenance, Provenance::Derived);
    }

    #[test]
    fn an_unavailable_figure_keeps_its_reason_through_arithmetic() {
        let none = Figure::unavailable("J", "no GPU").per(7.0, "J/token");
        assert_eq!((none.value, none.reason.as_deref()), (None, Some("no GPU")));
        assert_eq!(Figure::new(f64::NAN, "J", Provenance::Measured, "x").value, None);
    }
}
