//! Random weights of a model's shape, so that speed and energy can be measured without a download.
//!
//! Values are normal, as a new model's are: around 0 with the deviation its configuration gives, around 1 for norms. Each
//! tensor has random numbers of its own, from the seed and its name, so neither order nor threads make a difference.
//! Refuses to know which tensors a model has: it makes what it is asked for.

use std::borrow::Cow;
use std::sync::OnceLock;

use half::{bf16, f16};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::EngineError;
use crate::weights::{RawTensor, Stored, Weights};

/// Deviation where a configuration gives none: that of GPT-2 and most models since.
const DEFAULT_DEVIATION: f64 = 0.02;
/// Values a task makes.
const VALUES_A_TASK: usize = 1 << 18;
/// Values that 16 random bits choose from.
const QUANTILES: usize = 1 << 16;

/// A generator of weights.
#[derive(Debug, Clone)]
pub(super) struct RandomWeights {
    seed: u64,
    deviation: f64,
    stored: Stored,
    /// Norms of this model multiply by one more than their weight.
    norms_add_one: bool,
}

impl RandomWeights {
    /// Weights for a configuration.
    pub(super) fn new(config: &Map<String, Value>, seed: u64) -> Self {
        let text = config.get("text_config").and_then(Value::as_object);
        let find = |key: &str| config.get(key).or_else(|| text?.get(key)).filter(|value| !value.is_null());
        let word = find("dtype").or_else(|| find("torch_dtype")).and_then(Value::as_str).unwrap_or("float32");
        let stored = match word.trim_start_matches("torch.") {
            "bfloat16" => Stored::Bf16,
            "float16" => Stored::F16,
            _ => Stored::F32,
        };
        let deviation = find("initializer_range").and_then(Value::as_f64);
        let model_type = find("model_type").and_then(Value::as_str).unwrap_or_default();
        Self {
            seed,
            deviation: deviation.filter(|size| size.is_finite() && *size > 0.0).unwrap_or(DEFAULT_DEVIATION),
            stored,
            norms_add_one: model_type.starts_with("gemma"),
        }
    }

    /// Middle and deviation of a tensor's values, by its name.
    fn distribution(&self, name: &str) -> (f64, f64) {
        let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        let last = stem.rsplit('.').next().unwrap_or(stem);
        let norm = last.contains("norm") || last.starts_with("ln_");
        match kind {
            "weight" if norm && self.norms_add_one => (0.0, self.deviation),
            "weight" if norm => (1.0, self.deviation),
            "bias" => (0.0, self.deviation / 10.0),
            _ => (0.0, self.deviation),
        }
    }

    /// A tensor's values, in tasks that know nothing of each other.
    fn make<const SIZE: usize>(&self, name: &str, bytes: &mut [u8], table: &[[u8; SIZE]]) {
        let values = bytes.as_chunks_mut::<SIZE>().0;
        values.par_chunks_mut(VALUES_A_TASK).enumerate().for_each(|(task, values)| {
            fill(values, table, &mut self.random(name, task * VALUES_A_TASK));
        });
    }

    /// The tensor's random numbers from the value at an even place on.
    fn random(&self, name: &str, at: usize) -> ChaCha8Rng {
        let key = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(name).finalize();
        let mut random = ChaCha8Rng::from_seed(key.into());
        // Two values a word of 32 bits.
        random.set_word_pos(at as u128 / 2);
        random
    }
}

impl Weights for RandomWeights {
    fn has(&self, _name: &str) -> bool {
        true
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, EngineError> {
        let size = self.stored.bytes();
        let length = shape.iter().try_fold(size, |product, side| product.checked_mul(*side));
        let length = length.ok_or_else(|| {
            EngineError::model(format!("tensor `{name}`"), format!("the shape {shape:?} is too large"))
        })?;
        let how = self.distribution(name);
        let mut bytes = vec![0; length];
        match self.stored {
            Stored::F32 => self.make(name, &mut bytes, &table(how, |value| (value as f32).to_le_bytes())),
            Stored::F16 => {
                self.make(name, &mut bytes, &table(how, |value| f16::from_f64(value).to_le_bytes()))
            }
            Stored::Bf16 | Stored::U8 => {
                self.make(name, &mut bytes, &table(how, |value| bf16::from_f64(value).to_le_bytes()));
            }
        }
        Ok(RawTensor { stored: self.stored, shape: shape.to_vec(), bytes: Cow::Owned(bytes) })
    }

    fn main_format(&self) -> Stored {
        self.stored
    }

    fn is_random(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("random weights, seed {}", self.seed)
    }
}

/// Every value there can be, as its bytes.
fn table<const SIZE: usize>(
    (middle, deviation): (f64, f64),
    pack: impl Fn(f64) -> [u8; SIZE],
) -> Vec<[u8; SIZE]> {
    quantiles().iter().map(|normal| pack(middle + deviation * f64::from(*normal))).collect()
}

/// Fills up with values from the table; 16 random bits choose each.
fn fill<const SIZE: usize>(values: &mut [[u8; SIZE]], table: &[[u8; SIZE]], random: &mut ChaCha8Rng) {
    let mut buffer = [0_u8; 4096];
    for values in values.chunks_mut(buffer.len() / 2) {
        let bits = &mut buffer[..(values.len() * 2).next_multiple_of(4)];
        random.fill_bytes(bits);
        for (value, bits) in values.iter_mut().zip(bits.as_chunks::<2>().0) {
            *value = table[usize::from(u16::from_le_bytes(*bits))];
        }
    }
}

/// The standard normal distribution cut into equally likely parts, each by its middle: choosing one at random draws from
/// the distribution, with tails up to 4.3 deviations.
fn quantiles() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut upper = Vec::with_capacity(QUANTILES / 2);
        let mut value = 0.0_f64;
        for part in QUANTILES / 2..QUANTILES {
            value = normal_quantile((part as f64 + 0.5) / QUANTILES as f64, value);
            upper.push(value as f32);
        }
        upper.iter().rev().map(|value| -value).chain(upper.iter().copied()).collect()
    })
}

/// Where the standard normal distribution function reaches `probability` (at least one half): Halley's method from a
/// value that is near and not above.
fn normal_quantile(probability: f64, near: f64) -> f64 {
    let mut value = near;
    for _ in 0..8 {
        let above = 0.5 * libm::erfc(value * std::f64::consts::FRAC_1_SQRT_2) - (1.0 - probability);
        let density = (-0.5 * value * value).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = above / density;
        value += step / (1.0 - 0.5 * step * value).max(0.5);
        if step.abs() < 1e-12 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn weights(config: Value, seed: u64) -> RandomWeights {
        RandomWeights::new(config.as_object().unwrap(), seed)
    }

    fn values(weights: &RandomWeights, name: &str, shape: &[usize]) -> Vec<f64> {
        let tensor = weights.get(name, shape).unwrap();
        let size = tensor.stored.bytes();
        assert_eq!(tensor.bytes.len(), shape.iter().product::<usize>() * size);
        let one = |bytes: &[u8]| match tensor.stored {
            Stored::F32 => f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            Stored::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
            _ => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
        };
        tensor.bytes.chunks_exact(size).map(one).collect()
    }

    #[test]
    fn values_are_normal_with_the_deviation_that_is_asked_for() {
        for dtype in ["float32", "float16", "bfloat16"] {
            let made = weights(json!({"torch_dtype": dtype, "initializer_range": 0.04}), 1);
            let values = values(&made, "model.layers.0.mlp.up_proj.weight", &[600, 1000]);
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let moment =
                |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / count;
            assert!(mean.abs() < 2e-4, "{mean}");
            assert!((moment(2).sqrt() / 0.04 - 1.0).abs() < 5e-3, "{dtype}");
            // A normal distribution's fourth moment is three times its squared second one.
            assert!((moment(4) / moment(2).powi(2) - 3.0).abs() < 0.05, "{dtype}");
            let within = values.iter().filter(|value| value.abs() < 0.04).count() as f64 / count;
            assert!((within - 0.6827).abs() < 5e-3, "{dtype}: {within}");
        }
    }

    #[test]
    fn norms_are_near_one_and_biases_near_zero() {
        let made = weights(json!({"model_type": "llama"}), 1);
        let norm = values(&made, "model.layers.0.input_layernorm.weight", &[1000]);
        assert!(norm.iter().all(|value| (value - 1.0).abs() < 0.1));
        let bias = values(&made, "model.layers.0.self_attn.q_proj.bias", &[1000]);
        assert!(bias.iter().all(|value| value.abs() < 0.01) && bias.iter().any(|value| *value != 0.0));
        let gemma = weights(json!({"model_type": "gemma2"}), 1);
        assert!(values(&gemma, "model.norm.weight", &[100]).iter().all(|value| value.abs() < 0.1));
    }

    #[test]
    fn seed_and_name_decide_and_nothing_else() {
        let config = json!({"torch_dtype": "bfloat16"});
        let (one, same, other) = (weights(config.clone(), 7), weights(config.clone(), 7), weights(config, 8));
        let long = one.get("a.weight", &[VALUES_A_TASK * 2 + 5]).unwrap();
        let _ = same.get("b.weight", &[9]).unwrap();
        assert_eq!(long, same.get("a.weight", &[VALUES_A_TASK * 2 + 5]).unwrap());
        assert_ne!(long.bytes, other.get("a.weight", &[VALUES_A_TASK * 2 + 5]).unwrap().bytes);
        assert_ne!(long.bytes, one.get("b.weight", &[VALUES_A_TASK * 2 + 5]).unwrap().bytes);
        // A task's values are those that one task alone would have made there.
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(long, single.install(|| one.get("a.weight", &[VALUES_A_TASK * 2 + 5]).unwrap()));
        let repeats = long.bytes[..2000] == long.bytes[VALUES_A_TASK * 2..VALUES_A_TASK * 2 + 2000];
        assert!(!repeats);
    }

    #[test]
    fn quantiles_rise_and_mirror() {
        let table = quantiles();
        assert_eq!(table.len(), QUANTILES);
        assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
        // Known values of the distribution: 97.5 % lie below 1.95996, one half of 65,536 parts beyond 4.1 deviations.
        let at = |share: f64| table[(share * QUANTILES as f64) as usize];
        assert!((at(0.975) - 1.95996).abs() < 1e-3, "{}", at(0.975));
        assert!((table[QUANTILES - 1] - 4.323).abs() < 0.01, "{}", table[QUANTILES - 1]);
    }

    #[test]
    fn a_shape_beyond_memory_is_an_error() {
        let made = weights(json!({}), 1);
        assert!(made.get("x.weight", &[usize::MAX, 2]).is_err());
    }
}
