//! Named bytes of a checkpoint become tensors on a device, laid out as the computation wants them, one at a time.
//!
//! Refuses to know what the tensors are for.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::Quantization;
use super::linear::Linear;
use super::native::room::Room;
use crate::EngineError;
use crate::model::{self, Arrange, Norm, Pairing, Rope, Source};
use crate::weights::{Stored, Weights};

/// Reads tensors and says how far it is.
pub(super) struct Loader<'a> {
    weights: &'a dyn Weights,
    /// Number format of everything it loads.
    pub(super) kind: Kind,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    /// Tensors of which slices are wanted, such as a layer's experts: read once, until the layer is done.
    sliced: HashMap<String, Tensor>,
    /// Where matrices of the processor's memory go.
    room: Room,
}

impl<'a> Loader<'a> {
    /// A loader that counts up to `values` values.
    pub(super) fn new(
        weights: &'a dyn Weights,
        kind: Kind,
        values: u64,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Self {
        let total = values * kind.elt_size_in_bytes() as u64;
        Self { weights, kind, progress, done: 0, total, sliced: HashMap::new(), room: Room::new() }
    }

    /// Lets go of whole tensors that slices were taken from.
    pub(super) fn end_layer(&mut self) {
        self.sliced.clear();
    }

    /// Several sources stacked along the outputs, on a device.
    ///
    /// # Errors
    /// A tensor is missing or damaged, or there is not enough memory.
    pub(super) fn stacked(&mut self, sources: &[Source], device: Device) -> Result<Tensor, EngineError> {
        match sources {
            [one] => self.one(one, device),
            several => {
                let parts: Result<Vec<_>, _> =
                    several.iter().map(|source| self.one(source, device)).collect();
                Ok(Tensor::f_cat(&parts?, 0)?)
            }
        }
    }

    /// A matrix with its bias.
    ///
    /// # Errors
    /// As of [`Loader::one`].
    pub(super) fn linear(
        &mut self,
        spec: &model::Linear,
        device: Device,
        quantization: Quantization,
    ) -> Result<Linear, EngineError> {
        let weight = self.stacked(&spec.weight, device)?;
        let bias = self.bias(spec, device)?;
        self.matrix(weight, bias, quantization)
    }

    /// A matrix of what was loaded.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(super) fn matrix(
        &mut self,
        weight: Tensor,
        bias: Option<Tensor>,
        quantization: Quantization,
    ) -> Result<Linear, EngineError> {
        Linear::new(weight, bias, quantization, &mut self.room)
    }

    /// One source where matrices go, for a table that is one too.
    ///
    /// # Errors
    /// As of [`Loader::one`].
    pub(super) fn table(&mut self, source: &Source, device: Device) -> Result<Tensor, EngineError> {
        let table = self.one(source, device)?;
        self.room.moved(table)
    }

    /// Counts sources as done that were loaded before.
    pub(super) fn skip(&mut self, sources: &[Source]) {
        self.done += sources.iter().map(Source::values).sum::<u64>() * self.kind.elt_size_in_bytes() as u64;
        (self.progress)(self.done.min(self.total), self.total);
    }

    /// A matrix' bias, where it has one.
    ///
    /// # Errors
    /// As of [`Loader::one`].
    pub(super) fn bias(
        &mut self,
        spec: &model::Linear,
        device: Device,
    ) -> Result<Option<Tensor>, EngineError> {
        if spec.bias.is_empty() { Ok(None) } else { self.stacked(&spec.bias, device).map(Some) }
    }

    /// One source, laid out as `[outputs, inputs]` or `[outputs]`, on a device and in the loader's number format.
    ///
    /// # Errors
    /// The tensor is missing or damaged, or there is not enough memory.
    pub(super) fn one(&mut self, source: &Source, device: Device) -> Result<Tensor, EngineError> {
        let stored = self.stored(source)?;
        let arranged = arrange(&stored, source.arrange)?;
        let tensor = arranged.f_to_device(device)?.f_to_kind(self.kind)?.f_contiguous()?;
        self.done += source.values() * self.kind.elt_size_in_bytes() as u64;
        (self.progress)(self.done.min(self.total), self.total);
        Ok(tensor)
    }

    fn stored(&mut self, source: &Source) -> Result<Tensor, EngineError> {
        let Some(index) = source.slice else {
            return self.read(source);
        };
        if !self.sliced.contains_key(&source.tensor) {
            let whole = self.read(source)?;
            self.sliced.insert(source.tensor.clone(), whole);
        }
        let whole =
            self.sliced.get(&source.tensor).ok_or_else(|| EngineError::model(&source.tensor, "is gone"))?;
        Ok(whole.f_select(0, index as i64)?)
    }

    fn read(&self, source: &Source) -> Result<Tensor, EngineError> {
        let raw = self.weights.get(&source.tensor, &source.shape)?;
        let kind = match raw.stored {
            Stored::F32 => Kind::Float,
            Stored::F16 => Kind::Half,
            Stored::Bf16 => Kind::BFloat16,
            Stored::U8 => return Err(EngineError::model(&source.tensor, "holds packed bytes, not numbers")),
        };
        let wanted = raw.shape.iter().product::<usize>() * raw.stored.bytes();
        if raw.shape != source.shape || raw.bytes.len() != wanted {
            let cause = format!("is {:?} in {} bytes, not {:?}", raw.shape, raw.bytes.len(), source.shape);
            return Err(EngineError::model(&source.tensor, cause));
        }
        let shape: Vec<i64> = raw.shape.iter().map(|&size| size as i64).collect();
        Ok(Tensor::f_from_data_size(&raw.bytes, &shape, kind)?)
    }

    /// A norm's factor, with Gemma's one added (in single precision, as transformers adds it).
    ///
    /// # Errors
    /// As of [`Loader::one`].
    pub(super) fn factor(&mut self, norm: &Norm, device: Device) -> Result<Tensor, EngineError> {
        let weight = self.one(&norm.weight, device)?;
        if !norm.plus_one {
            return Ok(weight);
        }
        Ok(weight.f_to_kind(Kind::Float)?.f_add_scalar(1.0)?)
    }
}

/// `[outputs, inputs]` (or `[outputs]`) of what is stored.
fn arrange(stored: &Tensor, how: Arrange) -> Result<Tensor, EngineError> {
    let vector = stored.dim() == 1;
    Ok(match how {
        Arrange::AsStored => stored.shallow_clone(),
        Arrange::Transposed if vector => stored.shallow_clone(),
        Arrange::Transposed => stored.f_transpose(0, 1)?,
        Arrange::HeadwiseQkv { heads } => {
            let size = stored.size();
            let split = stored.f_view([&[heads as i64, 3, -1], &size[1..]].concat().as_slice())?;
            split.f_transpose(0, 1)?.f_reshape(size.as_slice())?
        }
        Arrange::TransposedAlternating => {
            let rows = if vector { stored.shallow_clone() } else { stored.f_transpose(0, 1)? };
            let outputs = rows.size().first().copied().unwrap_or(0);
            let gate = rows.f_slice(0, 0, outputs, 2)?;
            Tensor::f_cat(&[gate, rows.f_slice(0, 1, outputs, 2)?], 0)?
        }
    })
}

/// The order of a head's values in which value `i` always turns with value `i + head_dim / 2`, whatever the model pairs;
/// `None` where that is how it is stored.
///
/// Scores are sums over a head's values, so queries and keys may be reordered as long as both are: one way of turning then
/// serves every model, also those that turn a part of a head.
pub(super) fn turning_order(rope: &Rope) -> Option<Vec<i64>> {
    let (half, turned) = (rope.head_dim / 2, rope.rotary_dim / 2);
    if rope.pairing == Pairing::Halves && rope.rotary_dim == rope.head_dim {
        return None;
    }
    let pair = |i: usize| match rope.pairing {
        Pairing::Halves => (i, i + turned),
        Pairing::Neighbours => (2 * i, 2 * i + 1),
    };
    let still = half - turned;
    let first = (0..turned).map(|i| pair(i).0).chain((0..still).map(|i| rope.rotary_dim + i));
    let second = (0..turned).map(|i| pair(i).1).chain((0..still).map(|i| rope.rotary_dim + still + i));
    Some(first.chain(second).map(|i| i as i64).collect())
}

/// Puts the values of `heads` heads, along the first axis, into another order.
///
/// # Errors
/// libtorch fails.
pub(super) fn reorder(rows: &Tensor, heads: usize, order: &[i64]) -> Result<Tensor, EngineError> {
    let size = rows.size();
    let index = Tensor::from_slice(order).f_to_device(rows.device())?;
    let split = rows.f_view([&[heads as i64, -1], &size[1..]].concat().as_slice())?;
    Ok(split.f_index_select(1, &index)?.f_reshape(size.as_slice())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scaling;

    fn rope(rotary_dim: usize, pairing: Pairing) -> Rope {
        Rope { head_dim: 8, rotary_dim, theta: 10.0, pairing, scaling: Scaling::None }
    }

    #[test]
    fn pairs_end_up_half_a_head_apart() {
        assert_eq!(turning_order(&rope(8, Pairing::Halves)), None);
        assert_eq!(turning_order(&rope(8, Pairing::Neighbours)).unwrap(), [0, 2, 4, 6, 1, 3, 5, 7]);
        assert_eq!(turning_order(&rope(4, Pairing::Halves)).unwrap(), [0, 1, 4, 5, 2, 3, 6, 7]);
    }

    #[test]
    fn headwise_and_alternating_rows_are_sorted() {
        let rows = Tensor::from_slice(&[0f32, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]);
        let qkv: Vec<f32> =
            Vec::try_from(arrange(&rows, Arrange::HeadwiseQkv { heads: 2 }).unwrap()).unwrap();
        assert_eq!(qkv, [0., 1., 6., 7., 2., 3., 8., 9., 4., 5., 10., 11.]);
        let pair: Vec<f32> = Vec::try_from(arrange(&rows, Arrange::TransposedAlternating).unwrap()).unwrap();
        assert_eq!(pair, [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
        let matrix = rows.view([3, 4]);
        let turned = arrange(&matrix, Arrange::Transposed).unwrap();
        assert_eq!((turned.size(), turned.double_value(&[1, 2])), (vec![4, 3], 9.0));
    }
}
