//! A few rows times a matrix on the CPU, as fast as the matrix comes from memory.
//!
//! Refuses to know what the matrix is for.

use std::ffi::{c_char, c_int};

use tch::{Device, Kind, Tensor};

use super::{Raw, raw, taken};
use crate::EngineError;

/// Rows of input up to which a matrix is read once for all of them; the C++ side has the same number.
pub(in super::super) const MOST_ROWS: i64 = 4;

unsafe extern "C" {
    fn ai_energy_product(
        input: *const Raw,
        weight: *const Raw,
        bias: *const Raw,
        residual: *const Raw,
        gated: c_int,
        error: *mut *mut c_char,
    ) -> *mut Raw;
}

/// `true` where a weight of this format and place can be multiplied here.
pub(in super::super) fn knows(weight: &Tensor) -> bool {
    matches!(weight.kind(), Kind::Float | Kind::BFloat16)
        && weight.device() == Device::Cpu
        && weight.is_contiguous()
}

/// `true` where there are few enough rows.
pub(in super::super) fn fits(x: &Tensor) -> bool {
    x.size().first().is_some_and(|&rows| (1..=MOST_ROWS).contains(&rows)) && x.is_contiguous()
}

/// `x Wᵀ + bias + residual` over `[rows, inputs]`.
///
/// # Errors
/// Tensors that do not fit.
pub(in super::super) fn product(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
) -> Result<Tensor, EngineError> {
    call(x, weight, bias, residual, false)
}

/// `silu(gate) * rest`, of which the weight has the gate's outputs first.
///
/// # Errors
/// Tensors that do not fit.
pub(in super::super) fn swiglu(x: &Tensor, weight: &Tensor) -> Result<Tensor, EngineError> {
    call(x, weight, None, None, true)
}

fn call(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    gated: bool,
) -> Result<Tensor, EngineError> {
    let mut error = std::ptr::null_mut();
    // SAFETY: the pointers are valid for the call or null where that is allowed, formats and sizes are checked on the other
    // side, and no exception leaves it.
    let result = unsafe {
        ai_energy_product(
            x.as_ptr(),
            weight.as_ptr(),
            raw(bias),
            raw(residual),
            c_int::from(gated),
            &raw mut error,
        )
    };
    taken(result, error)
}
