//! ggml's "k-quants": blocks of 256 values in groups of 16 or 32, whose scales are packed themselves.
//!
//! Refuses to know tensors.

use super::quants::{IQ4_LEVELS, half_at};

/// Two bits a value; each group of 16 has a scale and a minimum of four bits.
pub(super) fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, values) = (&block[..16], &block[16..80]);
    let (scale, least) = (half_at(block, 80), half_at(block, 82));
    for (at, out) in out.iter_mut().enumerate() {
        let group = scales[at / 16];
        let value = two_bits(values, at);
        *out = scale * f32::from(group & 15) * f32::from(value) - least * f32::from(group >> 4);
    }
}

/// Three bits a value, the third in a mask of its own (set means nothing is taken away); scales of six bits.
pub(super) fn q3_k(block: &[u8], out: &mut [f32]) {
    let (mask, values, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half_at(block, 108);
    for (at, out) in out.iter_mut().enumerate() {
        let group = at / 16;
        let low = scales[group % 8] >> (4 * (group / 8)) & 15;
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let group_scale = f32::from(low | high << 4) - 32.0;
        let away = if mask[at % 32] >> (at / 32) & 1 == 0 { 4.0 } else { 0.0 };
        *out = scale * group_scale * (f32::from(two_bits(values, at)) - away);
    }
}

/// Four bits a value; each group of 32 has a scale and a minimum of six bits.
pub(super) fn q4_k(block: &[u8], out: &mut [f32]) {
    let groups = Groups::new(block);
    let values = &block[16..144];
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, least) = groups.at(group);
        for (at, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(four_bits(values, group, at)) - least;
        }
    }
}

/// As [`q4_k`] with a fifth bit.
pub(super) fn q5_k(block: &[u8], out: &mut [f32]) {
    let groups = Groups::new(block);
    let (high, values) = (&block[16..48], &block[48..176]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, least) = groups.at(group);
        for (at, out) in out.iter_mut().enumerate() {
            let value = four_bits(values, group, at) | (high[at] >> group & 1) << 4;
            *out = scale * f32::from(value) - least;
        }
    }
}

/// Six bits a value around 32; each group of 16 has a scale of eight bits.
pub(super) fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208);
    for (at, out) in out.iter_mut().enumerate() {
        // Each half of the block keeps 64 bytes of low bits and 32 bytes of high bits for its 128 values.
        let (half, within) = (at / 128, at % 128);
        let lower = low[64 * half + within % 64] >> (4 * (within / 64)) & 15;
        let upper = high[32 * half + within % 32] >> (2 * (within / 32)) & 3;
        let group = f32::from(scales[at / 16].cast_signed());
        *out = scale * group * (f32::from(lower | upper << 4) - 32.0);
    }
}

/// Four bits a value on uneven levels; each group of 32 has a scale of six bits.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    let (low, values) = (&block[4..8], &block[8..136]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let low = low[group / 2] >> (4 * (group % 2)) & 15;
        let high = (high >> (2 * group) & 3) as u8;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        let packed = &values[16 * group..16 * group + 16];
        for (at, byte) in packed.iter().enumerate() {
            out[at] = scale * IQ4_LEVELS[usize::from(byte & 15)];
            out[at + 16] = scale * IQ4_LEVELS[usize::from(byte >> 4)];
        }
    }
}

/// Two-bit values: 32 bytes hold 128 of them, in four layers.
fn two_bits(values: &[u8], at: usize) -> u8 {
    let (half, within) = (at / 128, at % 128);
    values[32 * half + within % 32] >> (2 * (within / 32)) & 3
}

/// Four-bit values: 32 bytes hold two groups, one in the low halves, one in the high ones.
fn four_bits(values: &[u8], group: usize, at: usize) -> u8 {
    values[32 * (group / 2) + at] >> (4 * (group % 2)) & 15
}

/// Eight scales and minima of six bits in twelve bytes, over a scale each for all.
struct Groups<'a> {
    packed: &'a [u8],
    scale: f32,
    least: f32,
}

impl<'a> Groups<'a> {
    fn new(block: &'a [u8]) -> Self {
        Self { packed: &block[4..16], scale: half_at(block, 0), least: half_at(block, 2) }
    }

    fn at(&self, group: usize) -> (f32, f32) {
        let packed = self.packed;
        let (scale, least) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let rest = packed[group + 4];
            (rest & 15 | packed[group - 4] >> 6 << 4, rest >> 4 | packed[group] >> 6 << 4)
        };
        (self.scale * f32::from(scale), self.least * f32::from(least))
    }
}
