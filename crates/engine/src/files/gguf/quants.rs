//! How GGUF files pack values, and back to single precision.
//!
//! Values come in blocks with scales of their own; the layouts are those of ggml. Blocks of 32 values are here, the
//! "k-quants" of 256 in [`super::kquants`]. Refuses to know tensors.

use half::{bf16, f16};
use rayon::prelude::*;

use super::kquants;
use crate::weights::Stored;

/// Blocks that one task unpacks: enough that starting it costs nothing in comparison.
const BLOCKS_A_TASK: usize = 512;
/// Most values in a block.
pub(super) const MOST_VALUES: usize = 256;

/// A way of packing values.
#[derive(Debug)]
pub(super) struct Kind {
    /// Number in the file.
    pub(super) number: u32,
    /// ggml's name.
    pub(super) name: &'static str,
    /// Values in a block.
    pub(super) values: usize,
    /// Bytes of a block.
    pub(super) bytes: usize,
    /// What it is where it is not packed at all.
    pub(super) plain: Option<Stored>,
    /// Unpacks a block.
    unpack: fn(&[u8], &mut [f32]),
}

const fn packed(
    number: u32,
    name: &'static str,
    values: usize,
    bytes: usize,
    unpack: fn(&[u8], &mut [f32]),
) -> Kind {
    Kind { number, name, values, bytes, plain: None, unpack }
}

const fn plain(number: u32, name: &'static str, stored: Stored, unpack: fn(&[u8], &mut [f32])) -> Kind {
    let bytes = match stored {
        Stored::F32 => 4,
        _ => 2,
    };
    Kind { number, name, values: 1, bytes, plain: Some(stored), unpack }
}

/// Every kind that is known.
static KINDS: [Kind; 16] = [
    plain(0, "F32", Stored::F32, |block, out| {
        out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]])
    }),
    plain(1, "F16", Stored::F16, |block, out| out[0] = half_at(block, 0)),
    plain(30, "BF16", Stored::Bf16, |block, out| out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32()),
    packed(2, "Q4_0", 32, 18, q4_0),
    packed(3, "Q4_1", 32, 20, q4_1),
    packed(6, "Q5_0", 32, 22, q5_0),
    packed(7, "Q5_1", 32, 24, q5_1),
    packed(8, "Q8_0", 32, 34, q8_0),
    packed(10, "Q2_K", 256, 84, kquants::q2_k),
    packed(11, "Q3_K", 256, 110, kquants::q3_k),
    packed(12, "Q4_K", 256, 144, kquants::q4_k),
    packed(13, "Q5_K", 256, 176, kquants::q5_k),
    packed(14, "Q6_K", 256, 210, kquants::q6_k),
    packed(20, "IQ4_NL", 32, 18, iq4_nl),
    packed(23, "IQ4_XS", 256, 136, kquants::iq4_xs),
    packed(39, "MXFP4", 32, 17, mxfp4),
];

/// The kind of this number.
pub(super) fn kind(number: u32) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.number == number)
}

impl Kind {
    /// Values of whole blocks, as the bytes of single-precision numbers.
    pub(super) fn unpack(&self, blocks: &[u8]) -> Vec<u8> {
        let size = size_of::<f32>();
        let mut values = vec![0; blocks.len() / self.bytes * self.values * size];
        let tasks = values
            .par_chunks_mut(BLOCKS_A_TASK * self.values * size)
            .zip(blocks.par_chunks(BLOCKS_A_TASK * self.bytes));
        tasks.for_each(|(values, blocks)| {
            let mut buffer = [0.0; MOST_VALUES];
            let each = values.chunks_exact_mut(self.values * size).zip(blocks.chunks_exact(self.bytes));
            for (values, block) in each {
                let unpacked = &mut buffer[..self.values];
                (self.unpack)(block, unpacked);
                for (bytes, value) in values.chunks_exact_mut(size).zip(unpacked) {
                    bytes.copy_from_slice(&value.to_le_bytes());
                }
            }
        });
        values
    }
}

/// The half-precision number at a place in a block.
pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Four bits a value: the low halves of the bytes come first, then the high ones.
fn nibbles(packed: &[u8], out: &mut [f32], value: impl Fn(usize, u8) -> f32) {
    let half = packed.len();
    for (at, byte) in packed.iter().enumerate() {
        out[at] = value(at, byte & 15);
        out[at + half] = value(at + half, byte >> 4);
    }
}

fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    nibbles(&block[2..], out, |_, value| scale * (f32::from(value) - 8.0));
}

fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    nibbles(&block[4..], out, |_, value| scale * f32::from(value) + least);
}

/// The fifth bits, one a value.
fn fifth(bits: &[u8], at: usize) -> u8 {
    (bits[at / 8] >> (at % 8) & 1) << 4
}

fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let high = &block[2..6];
    nibbles(&block[6..], out, |at, value| scale * (f32::from(value | fifth(high, at)) - 16.0));
}

fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let high = &block[4..8];
    nibbles(&block[8..], out, |at, value| scale * f32::from(value | fifth(high, at)) + least);
}

fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for (out, value) in out.iter_mut().zip(&block[2..]) {
        *out = scale * f32::from(value.cast_signed());
    }
}

/// Sixteen levels that lie closer around zero.
pub(super) const IQ4_LEVELS: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0,
];

fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    nibbles(&block[2..], out, |_, value| scale * IQ4_LEVELS[usize::from(value)]);
}

/// Four-bit floating point (one sign, two exponent, one mantissa bit) of the OCP microscaling formats, version 1.0.
pub(crate) const E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

fn mxfp4(block: &[u8], out: &mut [f32]) {
    // Two to the power of the first byte less 127.
    let scale = libm::exp2f(f32::from(block[0]) - 127.0);
    nibbles(&block[1..], out, |_, value| scale * E2M1[usize::from(value)]);
}

#[cfg(test)]
#[path = "quants_tests.rs"]
mod tests;
