//! Distributions of delays and of token counts, written as text: `20ms`, `uniform:10ms..50ms`, `lognormal:20ms,0.5`.
//!
//! Exists so that a config, a flag and a test say a distribution the same way. Refuses to know what is drawn for.

use ai_energy_core::{Fault, FaultKind};
use rand::Rng;
use rand_distr::Distribution as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use crate::quantity::{Nanoseconds, Quantity, Tokens};

/// A distribution of delays.
pub type Delay = Distribution<Nanoseconds>;

/// A distribution of token counts.
pub type Count = Distribution<Tokens>;

/// The forms that a distribution can have, its parameters in the quantity's base unit (ns, tokens).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Constant(f64),
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, deviation: f64 },
    LogNormal { median: f64, sigma: f64 },
    Exponential { mean: f64 },
    Gamma { mean: f64, shape: f64 },
}

/// A distribution of a quantity. What is drawn below zero counts as zero, and what is above the quantity's limit
/// (a day; four million tokens) as the limit.
///
/// | text | meaning |
/// |---|---|
/// | `20ms`, `constant:20ms` | always that |
/// | `uniform:10ms..50ms` | each value between the two, ends included, as likely |
/// | `normal:20ms,5ms` | mean and standard deviation |
/// | `lognormal:20ms,0.5` | median, and the standard deviation of the logarithm |
/// | `exponential:20ms` | mean |
/// | `gamma:20ms,2` | mean and shape |
pub struct Distribution<Q> {
    shape: Shape,
    quantity: PhantomData<Q>,
}

impl<Q: Quantity> Distribution<Q> {
    fn of(shape: Shape) -> Self {
        Self { shape, quantity: PhantomData }
    }

    /// One draw in the base unit, a whole number within the limits.
    fn draw(&self, rng: &mut impl Rng) -> f64 {
        let drawn = match self.shape {
            Shape::Constant(value) => value,
            // Whole numbers with both ends in, so that `1..4` tokens gives 1 and 4 as often as 2 and 3.
            Shape::Uniform { low, high } => rng.random_range(low as u64..=high as u64) as f64,
            Shape::Normal { mean, deviation } => {
                rand_distr::Normal::new(mean, deviation).map_or(mean, |normal| normal.sample(rng))
            }
            Shape::LogNormal { median, sigma } => {
                rand_distr::LogNormal::new(0.0, sigma).map_or(median, |factor| median * factor.sample(rng))
            }
            Shape::Exponential { mean } => {
                let unit: f64 = rand_distr::Exp1.sample(rng);
                mean * unit
            }
            Shape::Gamma { mean, shape } => {
                rand_distr::Gamma::new(shape, mean / shape).map_or(mean, |gamma| gamma.sample(rng))
            }
        };
        if drawn.is_nan() { 0.0 } else { drawn.round().clamp(0.0, Q::LIMIT) }
    }

    /// Whether every draw is zero.
    pub fn is_zero(&self) -> bool {
        self.shape == Shape::Constant(0.0)
    }
}

impl Delay {
    /// Always `delay`.
    pub fn constant(delay: Duration) -> Self {
        Self::of(Shape::Constant((delay.as_nanos() as f64).min(Nanoseconds::LIMIT)))
    }

    /// One draw.
    pub fn sample(&self, rng: &mut impl Rng) -> Duration {
        Duration::from_nanos(self.draw(rng) as u64)
    }
}

impl Count {
    /// Always `tokens`.
    pub fn constant(tokens: u32) -> Self {
        Self::of(Shape::Constant(f64::from(tokens).min(Tokens::LIMIT)))
    }

    /// One draw.
    pub fn sample(&self, rng: &mut impl Rng) -> u32 {
        self.draw(rng) as u32
    }
}

impl<Q> Clone for Distribution<Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Distribution<Q> {}

impl<Q> PartialEq for Distribution<Q> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
    }
}

impl<Q> fmt::Debug for Distribution<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)
    }
}

impl<Q: Quantity> fmt::Display for Distribution<Q> {
    /// The text that parses to the same distribution.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Constant(value) => write!(f, "{}", Q::show(value)),
            Shape::Uniform { low, high } => write!(f, "uniform:{}..{}", Q::show(low), Q::show(high)),
            Shape::Normal { mean, deviation } => {
                write!(f, "normal:{},{}", Q::show(mean), Q::show(deviation))
            }
            Shape::LogNormal { median, sigma } => write!(f, "lognormal:{},{sigma}", Q::show(median)),
            Shape::Exponential { mean } => write!(f, "exponential:{}", Q::show(mean)),
            Shape::Gamma { mean, shape } => write!(f, "gamma:{},{shape}", Q::show(mean)),
        }
    }
}

impl<Q: Quantity> FromStr for Distribution<Q> {
    type Err = Fault;

    /// Reads the forms in the type's table.
    ///
    /// # Errors
    /// A usage fault that names the text, what is wrong with it and the forms there are.
    fn from_str(text: &str) -> Result<Self, Fault> {
        parse::<Q>(text.trim()).map(Self::of).map_err(|cause| {
            Fault::new(FaultKind::Usage, format!("{} `{text}`", Q::NAME), cause).remedy(remedy::<Q>())
        })
    }
}

fn remedy<Q: Quantity>() -> String {
    let [low, middle, high] = Q::EXAMPLES;
    format!(
        "write {middle}, uniform:{low}..{high}, normal:{middle},{low}, lognormal:{middle},0.5, \
         exponential:{middle} or gamma:{middle},2"
    )
}

fn parse<Q: Quantity>(text: &str) -> Result<Shape, String> {
    let Some((form, rest)) = text.split_once(':') else {
        return Q::parse(text).map(Shape::Constant);
    };
    match form.trim() {
        "constant" => Q::parse(rest).map(Shape::Constant),
        "uniform" => {
            let (low, high) =
                rest.split_once("..").ok_or("uniform takes two values with `..` between them")?;
            let (low, high) = (Q::parse(low)?, Q::parse(high)?);
            if low > high {
                return Err("the lower end lies above the upper end".to_owned());
            }
            Ok(Shape::Uniform { low, high })
        }
        "normal" => {
            let (mean, deviation) = pair("normal", "a mean and a standard deviation", rest)?;
            Ok(Shape::Normal { mean: Q::parse(mean)?, deviation: Q::parse(deviation)? })
        }
        "lognormal" => {
            let (median, sigma) = pair("lognormal", "a median and a sigma", rest)?;
            Ok(Shape::LogNormal { median: Q::parse(median)?, sigma: number("sigma", sigma, 0.0, 10.0)? })
        }
        "exponential" => Ok(Shape::Exponential { mean: Q::parse(rest)? }),
        "gamma" => {
            let (mean, shape) = pair("gamma", "a mean and a shape", rest)?;
            Ok(Shape::Gamma { mean: Q::parse(mean)?, shape: number("the shape", shape, 0.001, 1e6)? })
        }
        other => Err(format!("no distribution is called `{other}`")),
    }
}

fn pair<'a>(form: &str, what: &str, rest: &'a str) -> Result<(&'a str, &'a str), String> {
    rest.split_once(',').ok_or_else(|| format!("{form} takes {what} with a comma between them"))
}

/// A parameter without a unit, between `low` and `high`.
fn number(name: &str, text: &str, low: f64, high: f64) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("{name} `{}` is no number", text.trim()))?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("{name} must lie in {low} to {high}")) }
}

impl<Q: Quantity> Serialize for Distribution<Q> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, Q: Quantity> Deserialize<'de> for Distribution<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber(PhantomData))
    }
}

/// Reads a distribution from a string, or from a bare number as config files write constants.
struct TextOrNumber<Q>(PhantomData<Q>);

impl<Q: Quantity> de::Visitor<'_> for TextOrNumber<Q> {
    type Value = Distribution<Q>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, example, _] = Q::EXAMPLES;
        write!(f, "a {} such as {example} or exponential:{example}", Q::NAME)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(|fault: Fault| {
            E::custom(format_args!("{}: {}; {}", fault.object, fault.cause, fault.remedy))
        })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }
}

impl<Q: Quantity> schemars::JsonSchema for Distribution<Q> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Q::SCHEMA.into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"], "description": remedy::<Q>() })
    }
}
