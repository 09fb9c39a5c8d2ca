//! Matrices: plain, or quantised. On the CPU a few rows are multiplied as fast as the matrix comes from memory; everything
//! else is libtorch's product.
//!
//! Refuses to know what they are for.

use tch::Tensor;

use super::native::decode::LinearParts;
use super::native::product;
use super::native::room::Room;
use super::quantized::Quantized;
use super::{Quantization, bytes};
use crate::EngineError;
use crate::model::Activation;

/// How a weight is kept.
#[derive(Debug)]
enum Weight {
    /// `[outputs, inputs]`.
    Plain(Tensor),
    /// `[outputs, inputs]` in large pages of the processor's memory, where a few rows go their own way.
    Streamed(Tensor),
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
    /// Puts a weight `[outputs, inputs]` where it is read fast.
    pub(super) fn new(
        weight: Tensor,
        bias: Option<Tensor>,
        quantization: Quantization,
        room: &mut Room,
    ) -> Result<Self, EngineError> {
        let bytes = bytes(&weight) + bias.as_ref().map_or(0, bytes);
        match Quantized::new(&weight, quantization)? {
            Some(small) => {
                let bytes = small.bytes() + bias.as_ref().map_or(0, super::bytes);
                Ok(Self { weight: Weight::Quantized(small), bias, bytes })
            }
            None if product::knows(&weight) => {
                Ok(Self { weight: Weight::Streamed(room.moved(weight)?), bias, bytes })
            }
            None => Ok(Self { weight: Weight::Plain(weight), bias, bytes }),
        }
    }

    /// Over a weight that is where it belongs, such as an embedding that is the head too.
    pub(super) fn over(weight: Tensor, bias: Option<Tensor>) -> Self {
        let bytes = bytes(&weight) + bias.as_ref().map_or(0, bytes);
        let weight = if product::knows(&weight) { Weight::Streamed(weight) } else { Weight::Plain(weight) };
        Self { weight, bias, bytes }
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How it multiplies, for reports.
    pub(super) fn kernel(&self) -> &'static str {
        match &self.weight {
            Weight::Plain(_) => "libtorch's product",
            Weight::Streamed(_) => "streamed weights",
            Weight::Quantized(quantized) => quantized.kernel(),
        }
    }

    /// What a whole step in one call reads; `None` where it cannot.
    pub(super) fn parts(&self) -> Option<LinearParts> {
        match &self.weight {
            Weight::Streamed(weight) => Some(LinearParts::new(weight, self.bias.as_ref())),
            Weight::Plain(_) | Weight::Quantized(_) => None,
        }
    }

    /// The weight, where these few rows go their own way.
    fn streamed(&self, x: &Tensor) -> Option<&Tensor> {
        match &self.weight {
            Weight::Streamed(weight) if product::fits(x) => Some(weight),
            _ => None,
        }
    }

    /// The product.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        if let Some(weight) = self.streamed(x) {
            return product::product(x, weight, self.bias.as_ref(), None);
        }
        match (&self.weight, &self.bias) {
            (Weight::Plain(weight) | Weight::Streamed(weight), bias) => {
                Ok(x.f_linear(weight, bias.as_ref())?)
            }
            (Weight::Quantized(weight), Some(bias)) => Ok(weight.apply(x)?.f_add(bias)?),
            (Weight::Quantized(weight), None) => weight.apply(x),
        }
    }

    /// The product, activated.
    pub(super) fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
        activate(&self.apply(x)?, activation)
    }

    /// The first half of the product, activated, times the second.
    pub(super) fn gated(&self, x: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
        match self.streamed(x) {
            Some(weight) if activation == Activation::Silu && self.bias.is_none() => {
                product::swiglu(x, weight)
            }
            _ => join(&self.apply(x)?, activation),
        }
    }

    /// The product plus another tensor.
    pub(super) fn plus(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, EngineError> {
        match self.streamed(x) {
            Some(weight) => product::product(x, weight, self.bias.as_ref(), Some(other)),
            None => Ok(self.apply(x)?.f_add_(other)?),
        }
    }
}

/// `act(gate) * up` of `[rows, gate and up]`.
fn join(both: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
    let half = both.size().get(1).copied().unwrap_or(0) / 2;
    let (gate, up) = (both.f_narrow(1, 0, half)?, both.f_narrow(1, half, half)?);
    if let Activation::ClampedSwiglu { alpha, limit } = activation {
        let (gate, up) = (gate.f_clamp_max(limit)?, up.f_clamp(-limit, limit)?);
        let steep = gate.f_mul_scalar(alpha)?.f_sigmoid_()?;
        return Ok(up.f_add_scalar(1.0)?.f_mul_(&gate.f_mul(&steep)?)?);
    }
    Ok(activate(&gate, activation)?.f_mul_(&up)?)
}

/// An activation of one tensor.
///
/// # Errors
/// libtorch fails, or the activation needs two tensors.
fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
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
