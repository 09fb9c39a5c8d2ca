//! Sequences that are computed together, and the logits that come out.

use tch::{Kind, Tensor};

use super::Model;
use crate::EngineError;

/// Sequences that are computed together: their cache and the logits of their last positions.
#[derive(Debug)]
pub struct Batch<'m> {
    model: &'m Model,
    rows: usize,
    logits: Logits,
}

/// The logits of each row's last position, on the device that computed them.
#[derive(Debug)]
pub struct Logits {
    /// `[rows, vocab_size]`, in single precision.
    values: Tensor,
}

impl Batch<'_> {
    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The logits of each row's last position.
    pub fn logits(&self) -> &Logits {
        &self.logits
    }

    /// Appends one token to each row and computes the next logits.
    ///
    /// # Errors
    /// Not one token a row, a token that the model does not know, more positions than the capacity, or libtorch fails.
    pub fn step(&mut self, _tokens: &[u32]) -> Result<(), EngineError> {
        Err(EngineError::unsupported(&self.model.facts().family, "under construction"))
    }

    /// Keeps only these rows, in this order; the others' sequences are let go.
    ///
    /// # Errors
    /// A row that is not there, or libtorch fails.
    pub fn keep(&mut self, _rows: &[usize]) -> Result<(), EngineError> {
        Err(EngineError::unsupported(&self.model.facts().family, "under construction"))
    }
}

impl Logits {
    /// The most likely token of each row: one small copy from the device.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn argmax(&self) -> Result<Vec<u32>, EngineError> {
        let best = self.values.f_argmax(-1, false)?;
        let best: Vec<i64> = Vec::try_from(best)?;
        Ok(best.into_iter().map(|token| u32::try_from(token).unwrap_or(u32::MAX)).collect())
    }

    /// All logits, a vector a row.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn rows(&self) -> Result<Vec<Vec<f32>>, EngineError> {
        let (rows, width) = self.values.size2()?;
        let mut all = vec![0f32; (rows * width) as usize];
        let values = self.values.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
        values.f_copy_data(&mut all, (rows * width) as usize)?;
        Ok(all.chunks_exact(width as usize).map(<[f32]>::to_vec).collect())
    }
}
