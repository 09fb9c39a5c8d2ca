//! Weights of a GGUF file under the names and in the layout of the Hugging Face checkpoint it was made from.
//!
//! Packed values are unpacked to single precision when they are asked for; plain ones stay as they are. Refuses to know
//! the metadata's other uses.

use std::borrow::Cow;
use std::collections::HashMap;

use super::names::{self, Change, Place};
use super::reader::Tensor;
use crate::EngineError;
use crate::files::map::MappedFile;
use crate::weights::{RawTensor, Stored, Weights};

/// Tensors of one file.
#[derive(Debug)]
pub(super) struct GgufWeights {
    pub(super) file: MappedFile,
    pub(super) tensors: HashMap<String, Tensor>,
    /// GGUF's word for the family.
    pub(super) architecture: String,
    /// Query heads and key heads.
    pub(super) heads: (usize, usize),
}

impl GgufWeights {
    /// A tensor by the file's own name, unpacked.
    pub(super) fn values(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.tensors.get(name)?;
        let bytes = tensor.kind.unpack(self.file.bytes().get(tensor.bytes.clone())?);
        Some(
            bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
        )
    }

    /// The packing of most bytes.
    fn main_kind(&self) -> (&'static str, Option<Stored>) {
        let mut bytes: HashMap<&str, (usize, Option<Stored>)> = HashMap::new();
        for tensor in self.tensors.values() {
            let entry = bytes.entry(tensor.kind.name).or_insert((0, tensor.kind.plain));
            entry.0 += tensor.bytes.len();
        }
        let most = bytes.into_iter().max_by_key(|(name, (bytes, _))| (*bytes, *name));
        most.map_or(("no tensors", None), |(name, (_, plain))| (name, plain))
    }

    fn undo(
        &self,
        change: Change,
        shape: &[usize],
        tensor: RawTensor<'static>,
    ) -> Result<RawTensor<'static>, String> {
        let RawTensor { stored, bytes, .. } = tensor;
        let bytes = bytes.into_owned();
        let (query, key) = self.heads;
        let rows = shape.first().copied().unwrap_or(1);
        let bytes = match change {
            Change::None => bytes,
            Change::QueryHeads => heads_in_halves(&bytes, rows, query)?,
            Change::KeyHeads => heads_in_halves(&bytes, rows, key)?,
            Change::PlusOne => minus_one(bytes),
            Change::Transposed if shape.len() == 2 => transposed(&bytes, shape, stored.bytes()),
            Change::Transposed => bytes,
        };
        Ok(RawTensor { stored, shape: shape.to_vec(), bytes: Cow::Owned(bytes) })
    }

    fn fetch(&self, name: &str, shape: &[usize], place: &Place) -> Result<RawTensor<'_>, EngineError> {
        let object = format!("tensor `{name}` (`{}` in {})", place.name, self.file.name());
        let tensor = self.tensors.get(&place.name).ok_or_else(|| self.missing(name))?;
        let transposed = place.change == Change::Transposed && shape.len() == 2;
        let wanted: Vec<usize> =
            if transposed { shape.iter().rev().copied().collect() } else { shape.to_vec() };
        let (bytes, stored_shape) = match (place.expert, tensor.shape.split_first()) {
            (Some(expert), Some((experts, one))) if expert < *experts => {
                let each = tensor.bytes.len() / experts;
                let start = tensor.bytes.start + expert * each;
                (start..start + each, one)
            }
            (Some(_), _) => return Err(self.missing(name)),
            (None, _) => (tensor.bytes.clone(), tensor.shape.as_slice()),
        };
        if *stored_shape != wanted {
            let cause = format!("its shape is {stored_shape:?}, and the file's metadata makes it {wanted:?}");
            return Err(
                EngineError::model(object, cause).remedy("fetch the file again, or use another conversion")
            );
        }
        let bytes = self.file.bytes().get(bytes).ok_or_else(|| self.missing(name))?;
        let plain =
            tensor.kind.plain.filter(|stored| place.change != Change::PlusOne || *stored == Stored::F32);
        if let (Some(stored), Change::None) = (plain, place.change) {
            return Ok(RawTensor { stored, shape: shape.to_vec(), bytes: Cow::Borrowed(bytes) });
        }
        let raw = match plain {
            Some(stored) => RawTensor { stored, shape: wanted, bytes: Cow::Owned(bytes.to_vec()) },
            None => {
                let values = tensor.kind.unpack(bytes);
                RawTensor { stored: Stored::F32, shape: wanted, bytes: Cow::Owned(values) }
            }
        };
        self.undo(place.change, shape, raw).map_err(|cause| EngineError::model(object, cause))
    }

    fn missing(&self, name: &str) -> EngineError {
        EngineError::model(format!("tensor `{name}`"), format!("it is missing from {}", self.file.name()))
            .remedy("use another conversion of the model, or its safetensors files")
    }
}

impl Weights for GgufWeights {
    fn has(&self, name: &str) -> bool {
        names::place(&self.architecture, name).is_some_and(|place| {
            self.tensors.get(&place.name).is_some_and(|tensor| {
                place.expert.is_none_or(|expert| tensor.shape.first().is_some_and(|count| expert < *count))
            })
        })
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, EngineError> {
        let place = names::place(&self.architecture, name).ok_or_else(|| self.missing(name))?;
        self.fetch(name, shape, &place)
    }

    fn main_format(&self) -> Stored {
        self.main_kind().1.unwrap_or(Stored::F32)
    }

    fn describe(&self) -> String {
        let (name, plain) = self.main_kind();
        format!("GGUF {name}{}", if plain.is_some() { "" } else { ", dequantised" })
    }
}

/// Puts each head's rows back in order: the conversion moved rows `i` and `i + half` side by side.
fn heads_in_halves(bytes: &[u8], rows: usize, heads: usize) -> Result<Vec<u8>, String> {
    if heads == 0 || !rows.is_multiple_of(heads * 2) {
        return Err(format!("its {rows} rows are not those of {heads} heads"));
    }
    let (row, head) = (bytes.len() / rows, rows / heads);
    let mut ordered = Vec::with_capacity(bytes.len());
    for first in (0..rows).step_by(head) {
        for part in 0..2 {
            for at in (part..head).step_by(2) {
                let start = (first + at) * row;
                ordered.extend_from_slice(&bytes[start..start + row]);
            }
        }
    }
    Ok(ordered)
}

fn minus_one(mut bytes: Vec<u8>) -> Vec<u8> {
    for four in bytes.chunks_exact_mut(4) {
        let value = f32::from_le_bytes([four[0], four[1], four[2], four[3]]) - 1.0;
        four.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// A matrix of `shape` from its transpose.
fn transposed(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let (rows, columns) = (shape[0], shape[1]);
    let mut turned = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        for column in 0..columns {
            let start = (column * rows + row) * size;
            turned.extend_from_slice(&bytes[start..start + size]);
        }
    }
    turned
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
