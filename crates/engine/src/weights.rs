//! The seam between a model's files and the tensors that compute: named, typed, shaped bytes.
//!
//! Names are those of the Hugging Face checkpoint of the model's family, whatever the file format. Refuses to know devices
//! and layers.

use std::borrow::Cow;

use crate::EngineError;

/// Number format of stored values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float.
    Bf16,
    /// Unsigned bytes: packed values and block scales.
    U8,
}

impl Stored {
    /// Bytes a value takes.
    pub fn bytes(self) -> usize {
        match self {
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
            Stored::U8 => 1,
        }
    }
}

/// One tensor as it is stored: row-major, little-endian.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor<'a> {
    /// Number format.
    pub stored: Stored,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `product(shape) * stored.bytes()` bytes.
    pub bytes: Cow<'a, [u8]>,
}

/// Where weights come from: safetensors shards, a GGUF file, or a random generator.
pub trait Weights: Send + Sync {
    /// `true` where a tensor of this name is there; a generator has every tensor, so families must not probe for optional
    /// tensors when [`Weights::is_random`].
    fn has(&self, name: &str) -> bool;

    /// The tensor of this name, whose shape must be `shape`.
    ///
    /// # Errors
    /// It is missing, of another shape, of a number format that is not known, or its bytes are damaged; the error names the
    /// tensor and its file.
    fn get(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, EngineError>;

    /// Number format of most of the weights, for `torch_dtype: auto`; F32 for dequantised files.
    fn main_format(&self) -> Stored;

    /// `true` where values are random: every report says so then.
    fn is_random(&self) -> bool {
        false
    }

    /// Where they come from, for reports, for example `2 safetensors shards` or `GGUF Q4_1, dequantised`.
    fn describe(&self) -> String;
}
