//! gpt-oss's packed experts, as the tensors they stand for.
//!
//! The checkpoint keeps `…_blocks` (two 4-bit numbers a byte) and `…_scales` (an exponent for 32 of them), outputs as rows;
//! the model wants inputs as rows, in bfloat16, as transformers makes them. Refuses to know files.

use std::borrow::Cow;

use half::bf16;
use rayon::prelude::*;

use super::gguf::quants::E2M1;
use super::safetensors::SafetensorsWeights;
use crate::EngineError;
use crate::weights::{RawTensor, Stored, Weights};

/// Values that share an exponent.
const BLOCK: usize = 32;
/// Rows that are turned at a time.
const ROWS: usize = 16;

/// A safetensors checkpoint whose packed tensors are there under the names of what they stand for.
#[derive(Debug)]
pub(super) struct Unpacking(pub(super) SafetensorsWeights);

impl Unpacking {
    fn is_packed(&self, name: &str) -> bool {
        !self.0.has(name) && self.0.has(&format!("{name}_blocks"))
    }

    fn unpack(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'static>, EngineError> {
        let wrong = |cause: String| {
            EngineError::model(format!("tensor `{name}`"), cause).remedy("fetch the model again")
        };
        let [experts, inputs, outputs] = *shape else {
            return Err(wrong(format!("its shape is {shape:?}, and packed experts have three sizes")));
        };
        if !inputs.is_multiple_of(BLOCK) {
            return Err(wrong(format!("{inputs} inputs are no whole number of blocks of {BLOCK}")));
        }
        let packed = [experts, outputs, inputs / BLOCK, BLOCK / 2];
        let blocks = self.0.get(&format!("{name}_blocks"), &packed)?;
        let scales = self.0.get(&format!("{name}_scales"), &packed[..3])?;
        if (blocks.stored, scales.stored) != (Stored::U8, Stored::U8) {
            return Err(wrong("its blocks or scales are not bytes".to_owned()));
        }
        let mut bytes = vec![0; experts * inputs * outputs * 2];
        let size = inputs * outputs;
        let each = bytes
            .par_chunks_mut(size * 2)
            .zip(blocks.bytes.par_chunks(size / 2))
            .zip(scales.bytes.par_chunks(size / BLOCK));
        each.for_each(|((values, blocks), scales)| expert(values, blocks, scales, inputs, outputs));
        Ok(RawTensor { stored: Stored::Bf16, shape: shape.to_vec(), bytes: Cow::Owned(bytes) })
    }
}

/// One expert's matrix, turned.
fn expert(values: &mut [u8], blocks: &[u8], scales: &[u8], inputs: usize, outputs: usize) {
    let mut rows = vec![[0_u8; 2]; ROWS * inputs];
    for first in (0..outputs).step_by(ROWS) {
        let count = ROWS.min(outputs - first);
        for row in 0..count {
            let at = (first + row) * inputs;
            let (blocks, scales) =
                (&blocks[at / 2..(at + inputs) / 2], &scales[at / BLOCK..(at + inputs) / BLOCK]);
            unpack_row(&mut rows[row * inputs..(row + 1) * inputs], blocks, scales);
        }
        for input in 0..inputs {
            let start = (input * outputs + first) * 2;
            let column = values[start..start + count * 2].chunks_exact_mut(2);
            for (row, value) in column.enumerate() {
                value.copy_from_slice(&rows[row * inputs + input]);
            }
        }
    }
}

/// The low half of a byte comes first.
fn unpack_row(values: &mut [[u8; 2]], blocks: &[u8], scales: &[u8]) {
    for (block, scale) in scales.iter().enumerate() {
        let scale = libm::exp2f(f32::from(*scale) - 127.0);
        for at in 0..BLOCK / 2 {
            let byte = blocks[block * BLOCK / 2 + at];
            let pair = [byte & 15, byte >> 4]
                .map(|code| bf16::from_f32(scale * E2M1[usize::from(code)]).to_le_bytes());
            values[block * BLOCK + 2 * at..][..2].copy_from_slice(&pair);
        }
    }
}

impl Weights for Unpacking {
    fn has(&self, name: &str) -> bool {
        self.0.has(name) || self.is_packed(name)
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, EngineError> {
        if self.is_packed(name) { self.unpack(name, shape) } else { self.0.get(name, shape) }
    }

    fn main_format(&self) -> Stored {
        self.0.main_format()
    }

    fn describe(&self) -> String {
        format!("{}, experts unpacked from MXFP4", self.0.describe())
    }
}

#[cfg(test)]
#[path = "mxfp4_tests.rs"]
mod tests;
