//! Rotary positions as tables on a device, and turning vectors by them.
//!
//! Every model is turned the same way, value `i` with value `i + head_dim / 2`: loading has put the values into that order
//! (see [`super::load::turning_order`]), and values that do not turn have a cosine of one and a sine of zero. Refuses to
//! know attention.

use tch::{Device, Kind, Tensor};

use crate::EngineError;
use crate::model::Rope;

/// Cosines and sines of positions `0..rows`, each `[rows, head_dim]`.
#[derive(Debug)]
pub(super) struct Table {
    cosines: Tensor,
    /// Negative in the first half, so that turning is two products and a sum.
    sines: Tensor,
    half: i64,
}

/// Cosines and sines of the positions at hand, `[rows or 1, positions, 1, head_dim]`.
#[derive(Debug)]
pub(super) struct Angles {
    cosines: Tensor,
    sines: Tensor,
    half: i64,
}

impl Table {
    /// The table for sequences of so many positions: `rows` of it, with the frequencies of a sequence of `length`.
    pub(super) fn new(
        rope: &Rope,
        rows: usize,
        length: usize,
        kind: Kind,
        device: Device,
    ) -> Result<Self, EngineError> {
        let turned = rope.frequencies(length);
        let half = rope.head_dim / 2;
        let mut frequencies = vec![0f32; half];
        frequencies[..turned.len()].copy_from_slice(&turned);
        let frequencies = Tensor::from_slice(&frequencies);
        let positions = Tensor::f_arange(rows as i64, (Kind::Float, Device::Cpu))?;
        let angles = positions.f_unsqueeze(1)?.f_mul(&frequencies.f_unsqueeze(0)?)?;
        // The factor goes to the turned values only.
        let factor = |turned_value: f64| {
            let mut factors = vec![1f32; half];
            factors[..turned.len()].fill(turned_value as f32);
            Tensor::from_slice(&factors)
        };
        let attention = factor(rope.attention_factor());
        let (cosines, sines) = (angles.f_cos()?.f_mul(&attention)?, angles.f_sin()?.f_mul(&attention)?);
        let both = |first: &Tensor, second: &Tensor| -> Result<Tensor, EngineError> {
            Ok(Tensor::f_cat(&[first, second], 1)?.f_to_kind(kind)?.f_to_device(device)?)
        };
        Ok(Self {
            cosines: both(&cosines, &cosines)?,
            sines: both(&sines.f_neg()?, &sines)?,
            half: half as i64,
        })
    }

    /// The angles of `count` positions from `start`, the same in every row.
    pub(super) fn range(&self, start: i64, count: i64) -> Result<Angles, EngineError> {
        let pick = |table: &Tensor| table.f_narrow(0, start, count)?.f_view([1, count, 1, self.half * 2]);
        Ok(Angles { cosines: pick(&self.cosines)?, sines: pick(&self.sines)?, half: self.half })
    }

    /// The angles of `[rows, positions]` positions.
    pub(super) fn rows(&self, positions: &Tensor) -> Result<Angles, EngineError> {
        let size = positions.size();
        let flat = positions.f_reshape([-1])?;
        let shape = [size[0], size[1], 1, self.half * 2];
        let pick = |table: &Tensor| table.f_index_select(0, &flat)?.f_view(shape);
        Ok(Angles { cosines: pick(&self.cosines)?, sines: pick(&self.sines)?, half: self.half })
    }
}

impl Angles {
    /// Cosines and signed sines.
    pub(super) fn both(&self) -> (&Tensor, &Tensor) {
        (&self.cosines, &self.sines)
    }

    /// Turns `[rows, positions, heads, head_dim]`.
    pub(super) fn turn(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let swapped = x.f_roll([self.half], [-1])?;
        Ok(x.f_mul(&self.cosines)?.f_addcmul_(&swapped, &self.sines)?)
    }
}
