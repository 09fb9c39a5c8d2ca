//! Distributions of token counts as a user writes them: `512`, `uniform:100..300`, `normal:512,64`,
//! `lognormal:300,0.8`.
//!
//! Refuses to know what is counted and how text of that length is made.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use ai_energy_core::draw::Draw;

/// The largest count that can be asked for or drawn; longer than any model's context.
pub const MAX_TOKENS: u32 = 10_000_000;

/// How token counts are spread. Every draw lies in `1..=MAX_TOKENS`; the tails beyond are moved to the border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Always the same count.
    Constant(u32),
    /// Each count from `low` to `high`, both included, equally often.
    Uniform {
        /// Smallest count.
        low: u32,
        /// Largest count.
        high: u32,
    },
    /// The normal distribution, rounded.
    Normal {
        /// Mean in tokens.
        mean: f64,
        /// Standard deviation in tokens.
        sd: f64,
    },
    /// The log-normal distribution, rounded: many short ones and a long tail, as real prompts have.
    LogNormal {
        /// Median in tokens.
        median: f64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
}

impl Distribution {
    /// One count.
    pub(crate) fn draw(&self, draw: &mut Draw) -> u32 {
        match *self {
            Self::Constant(count) => count,
            Self::Uniform { low, high } => {
                let span = u64::from(high - low) + 1;
                low + draw.below(span) as u32
            }
            Self::Normal { mean, sd } => to_count(mean + sd * draw.normal()),
            Self::LogNormal { median, sigma } => to_count(median * libm::exp(sigma * draw.normal())),
        }
    }
}

/// The nearest count in range. The comparison is written so that a value that is no number becomes 1.
fn to_count(value: f64) -> u32 {
    let rounded = libm::round(value);
    if rounded >= f64::from(MAX_TOKENS) {
        MAX_TOKENS
    } else if rounded >= 1.0 {
        rounded as u32
    } else {
        1
    }
}

/// Why a text is no distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributionError(String);

impl fmt::Display for DistributionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; write a count such as `512`, `uniform:100..300`, `normal:512,64` or `lognormal:300,0.8`",
            self.0
        )
    }
}

impl std::error::Error for DistributionError {}

impl FromStr for Distribution {
    type Err = DistributionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), rest.trim()),
            None if range(text).is_some() => ("uniform", text),
            None => ("constant", text),
        };
        let known = match name {
            "constant" => count(rest).map(Self::Constant),
            "uniform" => range(rest).and_then(|(low, high)| {
                Some((count(low)?, count(high)?)).map(|(low, high)| Self::Uniform { low, high })
            }),
            "normal" => pair(rest).map(|(mean, sd)| Self::Normal { mean, sd }),
            "lognormal" => pair(rest).map(|(median, sigma)| Self::LogNormal { median, sigma }),
            _ => {
                return Err(DistributionError(format!("`{name}` is no distribution of token counts")));
            }
        };
        let distribution =
            known.ok_or_else(|| DistributionError(format!("cannot read token counts from `{text}`")))?;
        distribution.checked(text)
    }
}

impl Distribution {
    /// The same distribution where its parameters make sense.
    fn checked(self, text: &str) -> Result<Self, DistributionError> {
        let most = f64::from(MAX_TOKENS);
        let cause = match self {
            Self::Constant(count) if !(1..=MAX_TOKENS).contains(&count) => "a count lies in 1 to 10 million",
            Self::Uniform { low, high } if low > high => "the range ends before it begins",
            Self::Uniform { low, high } if low < 1 || high > MAX_TOKENS => "a count lies in 1 to 10 million",
            Self::Normal { mean, sd } if !(1.0..=most).contains(&mean) || !(0.0..=most).contains(&sd) => {
                "a mean lies in 1 to 10 million and a deviation is not negative"
            }
            Self::LogNormal { median, sigma }
                if !(1.0..=most).contains(&median) || !(0.0..=10.0).contains(&sigma) =>
            {
                "a median lies in 1 to 10 million and a sigma in 0 to 10"
            }
            _ => return Ok(self),
        };
        Err(DistributionError(format!("`{text}`: {cause}")))
    }
}

/// A whole number.
fn count(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

/// The two ends of `a..b`, `a..=b` or `a-b`. The ends are both meant to be drawn, whichever way it is written.
fn range(text: &str) -> Option<(&str, &str)> {
    let ends = text.split_once("..=").or_else(|| text.split_once("..")).or_else(|| text.split_once('-'))?;
    (count(ends.0).is_some() && count(ends.1).is_some()).then_some(ends)
}

/// Two numbers with a comma between.
fn pair(text: &str) -> Option<(f64, f64)> {
    let (first, second) = text.split_once(',')?;
    Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(count) => write!(f, "{count}"),
            Self::Uniform { low, high } => write!(f, "uniform:{low}..{high}"),
            Self::Normal { mean, sd } => write!(f, "normal:{mean},{sd}"),
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{median},{sigma}"),
        }
    }
}

impl Serialize for Distribution {
    /// A constant as a number, so that a config shows it the way it was most likely written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant(count) => serializer.serialize_u32(*count),
            other => serializer.collect_str(other),
        }
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Distribution;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token count or a distribution such as `uniform:100..300`")
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Distribution, E> {
                value.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Distribution, E> {
                value.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Distribution, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Distribution {
    fn schema_name() -> Cow<'static, str> {
        "Distribution".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a token count, or uniform:LOW..HIGH, normal:MEAN,SD, lognormal:MEDIAN,SIGMA",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": MAX_TOKENS },
                // Lets a config check name the key and the line; what the numbers may be is checked on reading.
                { "type": "string",
                  "description": "a token count, uniform:LOW..HIGH, normal:MEAN,SD or lognormal:MEDIAN,SIGMA",
                  "pattern": r"^\s*((constant:)?\s*\d+|(uniform:)?\s*\d+\s*(\.\.|-)\s*\d+|(log)?normal:\s*[0-9.]+\s*,\s*[0-9.]+)\s*$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests;
