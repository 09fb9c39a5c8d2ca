//! Weights in eight bits (one scale an output) or four (one scale and zero a group of inputs); activations keep their
//! format.
//!
//! Refuses to know what the weights are for.

use tch::{Device, Kind, Tensor};

use super::{Quantization, bytes};
use crate::EngineError;

/// Inputs that share a scale and a zero in four bits.
const GROUP: i64 = 32;
/// Outputs that libtorch's four-bit kernels for the CPU take at a time.
const BLOCK: i64 = 16;

/// A quantised weight.
#[derive(Debug)]
pub(super) enum Quantized {
    /// Signed bytes `[outputs, inputs]` and scales `[outputs]`.
    Int8 { weight: Tensor, scales: Tensor, direct: bool },
    /// As libtorch's CPU kernel wants it, and `[inputs / GROUP, outputs, 2]` of scales and zeros.
    Int4Packed { weight: Tensor, scales: Tensor, outputs: i64 },
    /// Two values a byte, `[outputs, inputs / 2]`, and `[outputs, inputs / GROUP]` of scales and lowest values.
    Int4 { weight: Tensor, scales: Tensor, lowest: Tensor, kind: Kind },
}

impl Quantized {
    /// The weight in fewer bits; `None` where none were asked for.
    pub(super) fn new(weight: &Tensor, how: Quantization) -> Result<Option<Self>, EngineError> {
        match how {
            Quantization::None => Ok(None),
            Quantization::Int8 => int8(weight).map(Some),
            // A row that is no whole number of groups keeps eight bits.
            Quantization::Int4 if weight.size().get(1).is_some_and(|inputs| inputs % GROUP != 0) => {
                int8(weight).map(Some)
            }
            Quantization::Int4 => int4(weight).map(Some),
        }
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Int8 { weight, scales, .. } | Self::Int4Packed { weight, scales, .. } => {
                bytes(weight) + bytes(scales)
            }
            Self::Int4 { weight, scales, lowest, .. } => bytes(weight) + bytes(scales) + bytes(lowest),
        }
    }

    /// How it multiplies, for reports.
    pub(super) fn kernel(&self) -> &'static str {
        match self {
            Self::Int8 { direct: true, .. } => "int8 weights",
            Self::Int8 { direct: false, .. } => "int8 weights, dequantised for each product",
            Self::Int4Packed { .. } => "int4 weights",
            Self::Int4 { .. } => "int4 weights, dequantised for each product",
        }
    }

    /// `x Wᵀ` over `[rows, inputs]`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        match self {
            Self::Int8 { weight, scales, direct: true } => {
                Ok(x.f_internal_weight_int8pack_mm(weight, scales)?)
            }
            Self::Int8 { weight, scales, .. } => {
                Ok(x.f_linear(&weight.f_to_kind(x.kind())?, None::<&Tensor>)?.f_mul_(scales)?)
            }
            Self::Int4Packed { weight, scales, outputs } => {
                let product = x.f_internal_weight_int4pack_mm_for_cpu(weight, GROUP, scales)?;
                Ok(product.f_narrow(1, 0, *outputs)?.f_contiguous()?)
            }
            Self::Int4 { weight, scales, lowest, kind } => {
                Ok(x.f_linear(&dequantized(weight, scales, lowest, *kind)?, None::<&Tensor>)?)
            }
        }
    }
}

/// One scale an output, so that the largest value becomes 127.
fn int8(weight: &Tensor) -> Result<Quantized, EngineError> {
    let wide = weight.f_to_kind(Kind::Float)?;
    let scales =
        wide.f_abs()?.f_amax([1], true)?.f_div_scalar_(127.0)?.f_clamp_min_(f64::from(f32::MIN_POSITIVE))?;
    let small = wide.f_div(&scales)?.f_round_()?.f_to_kind(Kind::Int8)?;
    let scales = scales.f_squeeze()?.f_to_kind(weight.kind())?.f_view([-1])?;
    let quantized = Quantized::Int8 { weight: small, scales, direct: true };
    // Whether the kernel is there for this device and format only shows when it is called.
    let trial = Tensor::f_zeros([1, weight.size()[1]], (weight.kind(), weight.device()))?;
    match (quantized.apply(&trial), quantized) {
        (Err(_), Quantized::Int8 { weight, scales, .. }) => {
            Ok(Quantized::Int8 { weight, scales, direct: false })
        }
        (_, quantized) => Ok(quantized),
    }
}

/// Values 0 to 15 between the lowest and the highest of each group.
fn int4(weight: &Tensor) -> Result<Quantized, EngineError> {
    let (outputs, inputs) = weight.size2()?;
    let wide = weight.f_to_kind(Kind::Float)?.f_view([outputs, inputs / GROUP, GROUP])?;
    let lowest = wide.f_amin([2], true)?;
    let scales = wide.f_amax([2], true)?.f_sub(&lowest)?.f_div_scalar_(15.0)?.f_clamp_min_(1e-9)?;
    let small = wide.f_sub(&lowest)?.f_div_(&scales)?.f_round_()?.f_clamp_(0.0, 15.0)?;
    let small = small.f_to_kind(Kind::Uint8)?.f_view([outputs, inputs])?;
    let (scales, lowest) = (scales.f_squeeze_dim(2)?, lowest.f_squeeze_dim(2)?);
    if weight.device() == Device::Cpu
        && let Ok(packed) = int4_for_cpu(&small, &scales, &lowest, weight.kind())
    {
        return Ok(packed);
    }
    let (even, odd) = (small.f_slice(1, 0, inputs, 2)?, small.f_slice(1, 1, inputs, 2)?);
    let pairs = even.f_add(&odd.f_mul_scalar(16)?)?;
    let kind = weight.kind();
    Ok(Quantized::Int4 {
        weight: pairs,
        scales: scales.f_to_kind(kind)?,
        lowest: lowest.f_to_kind(kind)?,
        kind,
    })
}

/// The layout of libtorch's CPU kernel, whose zero is the value of 8.
fn int4_for_cpu(
    small: &Tensor,
    scales: &Tensor,
    lowest: &Tensor,
    kind: Kind,
) -> Result<Quantized, EngineError> {
    let (outputs, inputs) = small.size2()?;
    let missing = (BLOCK - outputs % BLOCK) % BLOCK;
    let padded = small.f_to_kind(Kind::Int)?.f_constant_pad_nd([0, 0, 0, missing])?;
    let weight = padded.f_internal_convert_weight_to_int4pack_for_cpu(2)?;
    let zeros = lowest.f_add(&scales.f_mul_scalar(8.0)?)?;
    let both = Tensor::f_stack(&[scales, &zeros], 2)?.f_constant_pad_nd([0, 0, 0, 0, 0, missing])?;
    let scales = both.f_transpose(0, 1)?.f_contiguous()?.f_to_kind(kind)?;
    let packed = Quantized::Int4Packed { weight, scales, outputs };
    let _ = packed.apply(&Tensor::f_zeros([1, inputs], (kind, Device::Cpu))?)?;
    Ok(packed)
}

fn dequantized(weight: &Tensor, scales: &Tensor, lowest: &Tensor, kind: Kind) -> Result<Tensor, EngineError> {
    let (outputs, half) = weight.size2()?;
    let parts = [weight.f_bitwise_and(15)?, weight.f_bitwise_right_shift_tensor_scalar(4)?];
    let mut values =
        Tensor::f_stack(&parts, 2)?.f_to_kind(kind)?.f_view([outputs, half * 2 / GROUP, GROUP])?;
    let values = values.f_mul_(&scales.f_unsqueeze(2)?)?.f_add_(&lowest.f_unsqueeze(2)?)?;
    Ok(values.f_view([outputs, half * 2])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A weight and inputs as models have them, the product in full, and that of fewer bits.
    fn products(how: Quantization, kind: Kind, inputs: i64) -> (Tensor, Tensor, Quantized) {
        tch::manual_seed(7);
        let weight = (Tensor::randn([48, inputs], (Kind::Float, Device::Cpu)) * 0.05).to_kind(kind);
        let x = Tensor::randn([3, inputs], (Kind::Float, Device::Cpu)).to_kind(kind);
        let quantized = Quantized::new(&weight, how).unwrap().unwrap();
        let given = quantized.apply(&x).unwrap().to_kind(Kind::Float);
        (x.to_kind(Kind::Float).matmul(&weight.to_kind(Kind::Float).transpose(0, 1)), given, quantized)
    }

    /// Root mean square of the difference, as a share of the product's.
    fn off(expected: &Tensor, given: &Tensor) -> f64 {
        let size = |tensor: &Tensor| tensor.square().mean(Kind::Float).sqrt().double_value(&[]);
        size(&(given - expected)) / size(expected)
    }

    #[test]
    fn products_in_fewer_bits_are_off_by_what_the_bits_can_say() {
        // A step of q spreads errors evenly over it: q / sqrt(12). A normal row of 128 spans about five deviations, of 32
        // about four: 5.2 / 254 / 3.46 is 0.6 %, 4.1 / 15 / 3.46 is 8 %.
        for (how, least, most) in [(Quantization::Int8, 0.002, 0.012), (Quantization::Int4, 0.04, 0.12)] {
            for kind in [Kind::Float, Kind::BFloat16] {
                let (expected, given, quantized) = products(how, kind, 128);
                let off = off(&expected, &given);
                assert!((least..most).contains(&off), "{how:?} {kind:?} ({}): {off}", quantized.kernel());
            }
        }
    }

    #[test]
    fn fewer_bits_take_fewer_bytes() {
        let (_, _, eight) = products(Quantization::Int8, Kind::Float, 128);
        let (_, _, four) = products(Quantization::Int4, Kind::Float, 128);
        assert_eq!(eight.bytes(), 48 * 128 + 48 * 4);
        assert!(four.bytes() < eight.bytes() && four.bytes() >= 48 * 64, "{}", four.bytes());
    }

    #[test]
    fn rows_that_are_no_whole_number_of_groups_keep_eight_bits() {
        let (expected, given, quantized) = products(Quantization::Int4, Kind::Float, 72);
        assert!(matches!(quantized, Quantized::Int8 { .. }) && off(&expected, &given) < 0.012);
    }

    #[test]
    fn two_values_in_a_byte_come_apart_again() {
        let weight = Tensor::arange(2 * GROUP, (Kind::Float, Device::Cpu)).view([2, GROUP]);
        let small = weight.remainder(16.0).to_kind(Kind::Uint8);
        let pairs = small.slice(1, 0, GROUP, 2) + small.slice(1, 1, GROUP, 2) * 16;
        let (scales, lowest) =
            (Tensor::from_slice(&[1f32, 2.0]).view([2, 1]), Tensor::from_slice(&[0f32, -3.0]).view([2, 1]));
        let values = dequantized(&pairs, &scales, &lowest, Kind::Float).unwrap();
        assert_eq!(values.double_value(&[0, 5]), 5.0);
        assert_eq!(values.double_value(&[1, 1]), 2.0 - 3.0);
    }
}
