//! Matrices: laid out for oneDNN on the CPU, plain elsewhere, or quantised.
//!
//! Refuses to know what they are for.

use tch::{Device, Kind, Tensor};

use super::native::{Combine, Packed, PostOp};
use super::quantized::Quantized;
use super::{Quantization, bytes};
use crate::EngineError;
use crate::model::Activation;

/// How a weight is kept.
#[derive(Debug)]
enum Weight {
    /// `[outputs, inputs]`.
    Plain(Tensor),
    /// `[pieces, inputs, outputs / pieces]`, so that a product with one row runs on several threads.
    Split(Tensor),
    /// As oneDNN wants it.
    Packed(Packed),
    /// In eight or four bits.
    Quantized(Quantized),
}

/// `y = x Wᵀ + b` over `[rows, inputs]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    bytes: u64,
}

impl Linear {
    /// Lays a weight `[outputs, inputs]` out for its device.
    pub(super) fn new(
        weight: Tensor,
        bias: Option<Tensor>,
        quantization: Quantization,
    ) -> Result<Self, EngineError> {
        let bias_bytes = bias.as_ref().map_or(0, bytes);
        let plain_bytes = bytes(&weight);
        let quantized = Quantized::new(&weight, quantization)?;
        let (weight, weight_bytes) = match quantized {
            Some(quantized) => {
                let small = quantized.bytes();
                (Weight::Quantized(quantized), small)
            }
            None if weight.device() == Device::Cpu => (on_cpu(weight)?, plain_bytes),
            None => (Weight::Plain(weight), plain_bytes),
        };
        Ok(Self { weight, bias, bytes: weight_bytes + bias_bytes })
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How it multiplies, for reports.
    pub(super) fn kernel(&self) -> &'static str {
        match &self.weight {
            Weight::Plain(_) => "plain",
            Weight::Split(_) => "split over threads",
            Weight::Packed(_) => "oneDNN prepacked",
            Weight::Quantized(quantized) => quantized.kernel(),
        }
    }

    /// `true` where what follows a product can be done as it is written.
    pub(super) fn fuses(&self) -> bool {
        matches!(self.weight, Weight::Packed(_))
    }

    /// The product.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let product = match &self.weight {
            Weight::Plain(weight) => return Ok(x.f_linear(weight, self.bias.as_ref())?),
            Weight::Packed(weight) => return weight.apply(x, self.bias.as_ref(), PostOp::None),
            Weight::Split(weight) => split_product(x, weight)?,
            Weight::Quantized(weight) => weight.apply(x)?,
        };
        match &self.bias {
            Some(bias) => Ok(product.f_add(bias)?),
            None => Ok(product),
        }
    }

    /// The product, activated.
    pub(super) fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
        match (&self.weight, post(activation)) {
            (Weight::Packed(weight), Some(post)) => weight.apply(x, self.bias.as_ref(), post),
            _ => activate(&self.apply(x)?, activation),
        }
    }

    /// The product times another tensor.
    pub(super) fn times(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, EngineError> {
        match &self.weight {
            Weight::Packed(weight) => weight.combine(x, self.bias.as_ref(), Combine::Multiply, other),
            _ => Ok(self.apply(x)?.f_mul_(other)?),
        }
    }

    /// The product plus another tensor.
    pub(super) fn plus(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, EngineError> {
        match &self.weight {
            Weight::Packed(weight) => weight.combine(x, self.bias.as_ref(), Combine::Add, other),
            _ => Ok(self.apply(x)?.f_add_(other)?),
        }
    }
}

/// The fastest layout there is on the CPU: oneDNN's where this libtorch, processor and number format have it.
fn on_cpu(weight: Tensor) -> Result<Weight, EngineError> {
    if let Ok(packed) = Packed::new(&weight) {
        return Ok(Weight::Packed(packed));
    }
    let outputs = weight.size().first().copied().unwrap_or(0);
    let pieces = i64::from(tch::get_num_threads());
    // One row times a matrix runs on one thread in single precision; over pieces it runs on as many as there are.
    if weight.kind() == Kind::Float && pieces > 1 && outputs % pieces == 0 {
        let inputs = weight.size().get(1).copied().unwrap_or(0);
        let split = weight.f_view([pieces, outputs / pieces, inputs])?;
        return Ok(Weight::Split(split.f_transpose(1, 2)?));
    }
    Ok(Weight::Plain(weight))
}

fn split_product(x: &Tensor, weight: &Tensor) -> Result<Tensor, EngineError> {
    let (pieces, inputs, _) = weight.size3()?;
    let rows = x.size().first().copied().unwrap_or(0);
    let all = x.f_unsqueeze(0)?.f_expand([pieces, rows, inputs], false)?.f_bmm(weight)?;
    Ok(all.f_transpose(0, 1)?.f_reshape([rows, -1])?)
}

fn post(activation: Activation) -> Option<PostOp> {
    match activation {
        Activation::Silu => Some(PostOp::Silu),
        Activation::Gelu => Some(PostOp::Gelu),
        Activation::GeluTanh => Some(PostOp::GeluTanh),
        Activation::Relu => Some(PostOp::Relu),
        Activation::ClampedSwiglu { .. } => None,
    }
}

/// An activation of one tensor.
///
/// # Errors
/// libtorch fails, or the activation needs two tensors.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
    Ok(match activation {
        Activation::Silu => x.f_silu()?,
        Activation::Gelu => x.f_gelu("none")?,
        Activation::GeluTanh => x.f_gelu("tanh")?,
        Activation::Relu => x.f_relu()?,
        Activation::ClampedSwiglu { .. } => {
            return Err(EngineError::unsupported("activation", "a clamped SwiGLU needs a gate and a value"));
        }
    })
}
