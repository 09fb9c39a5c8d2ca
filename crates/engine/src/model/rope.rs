//! Rotary positions as numbers: what a config says about them, and the frequencies that follow.
//!
//! Exists apart from the code that turns vectors, so that every scaling rule is checked without tensors. Refuses to know
//! tensors.

use serde_json::{Map, Value};

use super::config::Config;
use crate::EngineError;

/// What errors call the settings.
const OBJECT: &str = "rope settings of config.json";

/// Which values of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Value `i` and value `i + rotary_dim / 2`.
    Halves,
    /// Value `2i` and value `2i + 1`.
    Neighbours,
}

/// Rotary positions of some layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Width of a head.
    pub head_dim: usize,
    /// How many of a head's values turn; the others stay.
    pub rotary_dim: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Which values turn together.
    pub pairing: Pairing,
    /// How it reaches beyond the positions it was trained on.
    pub scaling: Scaling,
}

/// How rotary positions reach beyond those they were trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// All frequencies divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// The base grows with the sequence beyond `trained` positions.
    Dynamic {
        /// The factor.
        factor: f64,
        /// Positions it was trained on.
        trained: usize,
    },
    /// Llama 3.1: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// Divides low frequencies.
        factor: f64,
        /// Wavelengths above `trained / low` are divided.
        low: f64,
        /// Wavelengths below `trained / high` are kept.
        high: f64,
        /// Positions it was trained on.
        trained: f64,
    },
    /// YaRN: a ramp between interpolation and extrapolation by dimension, and a factor on cosines and sines.
    Yarn {
        /// Divides the interpolated frequencies.
        factor: f64,
        /// Factor on cosines and sines.
        attention: f64,
        /// Turns above which frequencies are kept.
        beta_fast: f64,
        /// Turns below which frequencies are divided.
        beta_slow: f64,
        /// Positions it was trained on.
        trained: f64,
        /// Whether the ramp's ends are rounded to whole dimensions.
        truncate: bool,
    },
    /// LongRoPE: a divisor by frequency, one list for short sequences and one for long ones.
    LongRope {
        /// Divisors up to `trained` positions.
        short: Vec<f64>,
        /// Divisors beyond.
        long: Vec<f64>,
        /// Factor on cosines and sines.
        attention: f64,
        /// Positions it was trained on.
        trained: usize,
    },
}

impl Rope {
    /// What a config says: `rope_parameters` (for one kind of layer, where it is told apart by kind), else
    /// `rope_scaling` and the keys at the top.
    ///
    /// `documented_theta` is what the family's documentation says when no base is given; without one, a missing base is
    /// an error: a silent default is a wrong model.
    ///
    /// # Errors
    /// A missing base, a scaling that is not known, or numbers that make no sense.
    pub fn read(
        config: &Config<'_>,
        head_dim: usize,
        documented_theta: Option<f64>,
        layer_kind: Option<&str>,
    ) -> Result<Self, EngineError> {
        let settings = Settings::find(config, layer_kind)?;
        let theta = settings.number("rope_theta")?.or(config.number("rope_theta")?);
        // The new settings always name the base: where they are there without one, something is lost.
        let documented = documented_theta.filter(|_| config.value("rope_parameters").is_none());
        let theta = theta.or(config.number("rotary_emb_base")?).or(documented).ok_or_else(|| {
            EngineError::model(OBJECT, "there is no `rope_theta`, at the top or in `rope_parameters`")
                .remedy("get the model's complete config.json again")
        })?;
        let share = config.number("partial_rotary_factor")?.or(config.number("rotary_pct")?);
        let share = settings.number("partial_rotary_factor")?.or(share).unwrap_or(1.0);
        let rotary_dim = (head_dim as f64 * share) as usize;
        if rotary_dim == 0 || rotary_dim > head_dim || !rotary_dim.is_multiple_of(2) || theta <= 1.0 {
            let cause = format!(
                "{rotary_dim} of {head_dim} values of a head turning with base {theta} make no sense"
            );
            return Err(EngineError::model(OBJECT, cause));
        }
        let scaling = settings.scaling(config, rotary_dim)?;
        Ok(Self { head_dim, rotary_dim, theta, pairing: Pairing::Halves, scaling })
    }

    /// Frequencies of the `rotary_dim / 2` pairs, in radians a position, for a sequence of so many positions.
    pub fn frequencies(&self, positions: usize) -> Vec<f32> {
        let dim = self.rotary_dim as f64;
        let plain = |theta: f64| (0..self.rotary_dim / 2).map(move |i| theta.powf(-2.0 * i as f64 / dim));
        let frequencies: Vec<f64> = match &self.scaling {
            Scaling::None => plain(self.theta).collect(),
            Scaling::Linear { factor } => plain(self.theta).map(|f| f / factor).collect(),
            Scaling::Dynamic { factor, trained } => {
                let stretch = positions.max(*trained) as f64 / *trained as f64;
                let grown = factor * stretch - (factor - 1.0);
                plain(self.theta * grown.powf(dim / (dim - 2.0))).collect()
            }
            Scaling::Llama3 { factor, low, high, trained } => {
                plain(self.theta).map(|f| llama3(f, *factor, *low, *high, *trained)).collect()
            }
            Scaling::Yarn { factor, .. } => {
                let (start, end) = self.yarn_ramp();
                let ramp = |i: usize| ((i as f64 - start) / (end - start)).clamp(0.0, 1.0);
                plain(self.theta)
                    .enumerate()
                    .map(|(i, f)| f / factor * ramp(i) + f * (1.0 - ramp(i)))
                    .collect()
            }
            Scaling::LongRope { short, long, trained, .. } => {
                let divisors = if positions > *trained { long } else { short };
                plain(self.theta).zip(divisors).map(|(f, divisor)| f / divisor).collect()
            }
        };
        frequencies.into_iter().map(|f| f as f32).collect()
    }

    /// First and last dimension of YaRN's ramp (Peng et al. 2023, "YaRN", equation 22 and 23).
    fn yarn_ramp(&self) -> (f64, f64) {
        let Scaling::Yarn { beta_fast, beta_slow, trained, truncate, .. } = self.scaling else {
            return (0.0, 1.0);
        };
        let dim = self.rotary_dim as f64;
        let at =
            |turns: f64| dim * (trained / (turns * std::f64::consts::TAU)).ln() / (2.0 * self.theta.ln());
        let (mut start, mut end) = (at(beta_fast), at(beta_slow));
        if truncate {
            (start, end) = (start.floor(), end.ceil());
        }
        let (start, end) = (start.max(0.0), end.min(dim - 1.0));
        // The same small step as transformers' where the ramp has no length.
        if start == end { (start, end + 0.001) } else { (start, end) }
    }

    /// Factor on cosines and sines.
    pub fn attention_factor(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { attention, .. } | Scaling::LongRope { attention, .. } => attention,
            _ => 1.0,
        }
    }

    /// Number of positions beyond which a sequence must be computed anew with other frequencies; `None` where they stay.
    pub fn switches_at(&self) -> Option<usize> {
        match &self.scaling {
            Scaling::LongRope { trained, .. } => Some(*trained),
            _ => None,
        }
    }

    /// `true` where frequencies change with every position beyond those it was trained on.
    pub fn grows(&self) -> bool {
        matches!(self.scaling, Scaling::Dynamic { .. })
    }
}

/// One frequency under Llama 3.1's rule.
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, trained: f64) -> f64 {
    let wavelength = std::f64::consts::TAU / frequency;
    if wavelength > trained / low {
        frequency / factor
    } else if wavelength < trained / high {
        frequency
    } else {
        let smooth = (trained / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// The nested settings, wherever the config keeps them.
struct Settings<'a>(Option<&'a Map<String, Value>>);

impl<'a> Settings<'a> {
    fn find(config: &Config<'a>, layer_kind: Option<&str>) -> Result<Self, EngineError> {
        let new = config.object("rope_parameters")?;
        let old = config.object("rope_scaling")?;
        let by_kind = layer_kind.and_then(|kind| new?.get(kind)).and_then(Value::as_object);
        Ok(Self(by_kind.or(new).or(old)))
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str) -> Result<Option<f64>, EngineError> {
        let wrong =
            |value: &Value| EngineError::model(OBJECT, format!("`{key}` is {value}, which is no number"));
        self.value(key).map(|value| value.as_f64().ok_or_else(|| wrong(value))).transpose()
    }

    fn required(&self, key: &str) -> Result<f64, EngineError> {
        match self.number(key)? {
            Some(number) if number > 0.0 => Ok(number),
            Some(number) => {
                Err(EngineError::model(OBJECT, format!("`{key}` is {number}; it must be above 0")))
            }
            None => Err(EngineError::model(OBJECT, format!("`{key}` is missing"))),
        }
    }

    fn divisors(&self, key: &str, rotary_dim: usize) -> Result<Vec<f64>, EngineError> {
        let list = self.value(key).and_then(Value::as_array);
        let list: Option<Vec<f64>> = list.and_then(|list| list.iter().map(Value::as_f64).collect());
        list.filter(|list| list.len() == rotary_dim / 2 && list.iter().all(|&divisor| divisor > 0.0))
            .ok_or_else(|| {
                EngineError::model(
                    OBJECT,
                    format!("`{key}` must be a list of {} numbers above 0", rotary_dim / 2),
                )
            })
    }

    fn scaling(&self, config: &Config<'_>, rotary_dim: usize) -> Result<Scaling, EngineError> {
        let kind =
            self.value("rope_type").or(self.value("type")).and_then(Value::as_str).unwrap_or("default");
        let context = config.integer("max_position_embeddings")?.map(|n| n as f64);
        // Phi-3 keeps the trained length at the top, and it goes before the nested one.
        let top = config.number("original_max_position_embeddings")?;
        let trained = top.or(self.number("original_max_position_embeddings")?).or(context);
        let trained = || {
            trained
                .filter(|&n| n >= 1.0)
                .ok_or_else(|| EngineError::model(OBJECT, "`original_max_position_embeddings` is missing"))
        };
        match kind {
            "default" => Ok(Scaling::None),
            "linear" => Ok(Scaling::Linear { factor: self.required("factor")? }),
            "dynamic" => {
                let trained = context
                    .ok_or_else(|| EngineError::model(OBJECT, "`max_position_embeddings` is missing"))?;
                Ok(Scaling::Dynamic { factor: self.required("factor")?, trained: trained as usize })
            }
            "llama3" => Ok(Scaling::Llama3 {
                factor: self.required("factor")?,
                low: self.required("low_freq_factor")?,
                high: self.required("high_freq_factor")?,
                trained: trained()?,
            }),
            // Early Phi-3 configs call LongRoPE by two other names.
            "longrope" | "su" | "yarn" if self.value("short_factor").is_some() || kind == "longrope" => {
                self.longrope(context, trained()?, rotary_dim)
            }
            "yarn" => self.yarn(context, trained()?),
            other => Err(EngineError::unsupported(OBJECT, format!("the scaling `{other}` is not known"))
                .remedy("use backend.engine=transformers")),
        }
    }

    fn yarn(&self, context: Option<f64>, trained: f64) -> Result<Scaling, EngineError> {
        let factor = self.number("factor")?.or(context.map(|context| context / trained)).unwrap_or(1.0);
        let scale = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
        let attention = match (
            self.number("attention_factor")?,
            self.number("mscale")?,
            self.number("mscale_all_dim")?,
        ) {
            (Some(attention), _, _) => attention,
            (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => scale(one) / scale(all),
            _ => scale(1.0),
        };
        let turns =
            |key, default| Ok::<_, EngineError>(self.number(key)?.filter(|&n| n != 0.0).unwrap_or(default));
        let truncate = self.value("truncate").and_then(Value::as_bool).unwrap_or(true);
        let (beta_fast, beta_slow) = (turns("beta_fast", 32.0)?, turns("beta_slow", 1.0)?);
        Ok(Scaling::Yarn { factor, attention, beta_fast, beta_slow, trained, truncate })
    }

    fn longrope(
        &self,
        context: Option<f64>,
        trained: f64,
        rotary_dim: usize,
    ) -> Result<Scaling, EngineError> {
        let factor = self.number("factor")?.or(context.map(|context| context / trained)).unwrap_or(1.0);
        let suggested = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / trained.ln()).sqrt() };
        Ok(Scaling::LongRope {
            short: self.divisors("short_factor", rotary_dim)?,
            long: self.divisors("long_factor", rotary_dim)?,
            attention: self.number("attention_factor")?.unwrap_or(suggested),
            trained: trained as usize,
        })
    }
}
