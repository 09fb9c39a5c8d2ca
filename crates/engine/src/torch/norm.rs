//! The norms, over the last axis.
//!
//! Refuses to know what is normalised.

use tch::{Device, Kind, Tensor};

use super::load::Loader;
use super::native::decode::NormParts;
use super::native::step;
use crate::EngineError;
use crate::model::{self, NormKind};

/// Rows up to which one call is faster than libtorch's operators over several threads.
const FEW: i64 = 16;

/// A norm on its device.
#[derive(Debug)]
pub(super) struct Norm {
    kind: NormKind,
    eps: f64,
    weight: Tensor,
    bias: Option<Tensor>,
    width: i64,
    /// The factor is applied in single precision, before rounding (Gemma).
    precise: bool,
}

impl Norm {
    /// Loads what a spec describes.
    pub(super) fn load(
        norm: &model::Norm,
        loader: &mut Loader<'_>,
        device: Device,
    ) -> Result<Self, EngineError> {
        let weight = loader.factor(norm, device)?;
        let bias = norm.bias.as_ref().map(|bias| loader.one(bias, device)).transpose()?;
        let width = weight.size().first().copied().unwrap_or(0);
        Ok(Self { kind: norm.kind, eps: norm.eps, weight, bias, width, precise: norm.plus_one })
    }

    /// The same for a norm over heads whose values were put into another order.
    pub(super) fn reordered(mut self, order: Option<&[i64]>) -> Result<Self, EngineError> {
        if let Some(order) = order {
            self.weight = super::load::reorder(&self.weight, 1, order)?;
        }
        Ok(self)
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        super::bytes(&self.weight) + self.bias.as_ref().map_or(0, super::bytes)
    }

    /// The normalised tensor.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        match self.kind {
            NormKind::Layer => {
                Ok(x.f_layer_norm([self.width], Some(&self.weight), self.bias.as_ref(), self.eps, false)?)
            }
            NormKind::Rms => self.rms(x),
        }
    }

    /// The factor of an RMS norm, and what is added to the mean square.
    pub(super) fn rms_parts(&self) -> Option<(&Tensor, f64)> {
        (self.kind == NormKind::Rms).then_some((&self.weight, self.eps))
    }

    /// As a step in one call takes it.
    pub(super) fn parts(&self) -> NormParts {
        NormParts::new(&self.weight, self.bias.as_ref(), self.eps, self.kind == NormKind::Layer)
    }

    fn rms(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let kind = x.kind();
        if x.numel() as i64 <= FEW * self.width && step::fits(x) {
            return step::rms_norm(x, &self.weight, self.eps);
        }
        if kind == Kind::Float {
            return Ok(self.scaled(x)?.f_mul_(&self.weight)?);
        }
        let scaled = self.scaled(&x.f_to_kind(Kind::Float)?)?;
        if self.precise {
            return Ok(scaled.f_mul(&self.weight)?.f_to_kind(kind)?);
        }
        Ok(scaled.f_to_kind(kind)?.f_mul_(&self.weight)?)
    }

    /// `x / sqrt(mean(x²) + eps)`, written out: on the CPU that is faster than libtorch's own.
    fn scaled(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let mut mean = x.f_square()?.f_mean_dim(-1, true, None::<Kind>)?;
        Ok(x.f_mul(&mean.f_add_scalar_(self.eps)?.f_rsqrt_()?)?)
    }
}
