//! What one position a row needs between two products on the CPU: one call each for norm, cache and attention.
//!
//! libtorch's operators for the same cost more in finding their code than in computing. Refuses to know layers.

use std::ffi::c_char;

use tch::{Device, Kind, Tensor};

use super::{Raw, raw, taken};
use crate::EngineError;

unsafe extern "C" {
    fn ai_energy_rms_norm(
        input: *const Raw,
        weight: *const Raw,
        eps: f64,
        error: *mut *mut c_char,
    ) -> *mut Raw;
    fn ai_energy_turn_and_store(
        qkv: *const Raw,
        heads: i64,
        cosines: *const Raw,
        sines: *const Raw,
        query_norm: *const Raw,
        key_norm: *const Raw,
        eps: f64,
        keys: *const Raw,
        values: *const Raw,
        place: i64,
        error: *mut *mut c_char,
    ) -> *mut Raw;
    fn ai_energy_attend(
        queries: *const Raw,
        keys: *const Raw,
        values: *const Raw,
        mask: *const Raw,
        sinks: *const Raw,
        first: i64,
        count: i64,
        scale: f64,
        cap: f64,
        error: *mut *mut c_char,
    ) -> *mut Raw;
}

/// `true` where these functions take such a tensor.
pub(in super::super) fn fits(tensor: &Tensor) -> bool {
    let kind = matches!(tensor.kind(), Kind::Float | Kind::BFloat16 | Kind::Half);
    kind && tensor.device() == Device::Cpu && tensor.is_contiguous()
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last axis; a weight in single precision is applied before rounding.
///
/// # Errors
/// Tensors that do not fit.
pub(in super::super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, EngineError> {
    let mut error = std::ptr::null_mut();
    // SAFETY: the pointers are valid for the call, formats and sizes are checked on the other side, and no exception leaves it.
    let result = unsafe { ai_energy_rms_norm(x.as_ptr(), weight.as_ptr(), eps, &raw mut error) };
    taken(result, error)
}

/// What becomes of queries and keys before they meet.
#[derive(Debug, Default, Clone, Copy)]
pub(in super::super) struct Turning<'a> {
    /// Cosines and signed sines, one row or a row each.
    pub(in super::super) angles: Option<(&'a Tensor, &'a Tensor)>,
    /// Factors of the norms of query and key heads, and what is added to the mean square.
    pub(in super::super) norms: Option<(&'a Tensor, &'a Tensor, f64)>,
}

/// Turns the queries and keys of `[rows, heads + 2 kv_heads, head_dim]`, writes keys and values to a place of the cache and
/// gives the queries, `[rows, heads * head_dim]`.
///
/// # Errors
/// Tensors that do not fit.
pub(in super::super) fn turn_and_store(
    qkv: &Tensor,
    heads: i64,
    turning: Turning<'_>,
    cache: (&Tensor, &Tensor),
    place: i64,
) -> Result<Tensor, EngineError> {
    let (cosines, sines) = turning.angles.unzip();
    let norms = turning.norms;
    let mut error = std::ptr::null_mut();
    // SAFETY: the pointers are valid for the call or null where that is allowed, formats, sizes and the place are checked on
    // the other side, and no exception leaves it.
    let result = unsafe {
        ai_energy_turn_and_store(
            qkv.as_ptr(),
            heads,
            raw(cosines),
            raw(sines),
            raw(norms.map(|norms| norms.0)),
            raw(norms.map(|norms| norms.1)),
            norms.map_or(0.0, |norms| norms.2),
            cache.0.as_ptr(),
            cache.1.as_ptr(),
            place,
            &raw mut error,
        )
    };
    taken(result, error)
}

/// How queries look at the cache.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Look<'a> {
    /// First key.
    pub(in super::super) first: i64,
    /// Number of keys.
    pub(in super::super) count: i64,
    /// Factor on the scores.
    pub(in super::super) scale: f64,
    /// Cap on the scores.
    pub(in super::super) cap: Option<f64>,
    /// What to add to the scores, a row of the cache's capacity each.
    pub(in super::super) mask: Option<&'a Tensor>,
    /// One more score a head that gives nothing.
    pub(in super::super) sinks: Option<&'a Tensor>,
}

/// What queries `[rows, heads * head_dim]` find in a cache `[rows, kv_heads, capacity, head_dim]`.
///
/// # Errors
/// Tensors that do not fit.
pub(in super::super) fn attend(
    queries: &Tensor,
    cache: (&Tensor, &Tensor),
    look: Look<'_>,
) -> Result<Tensor, EngineError> {
    let mut error = std::ptr::null_mut();
    // SAFETY: the pointers are valid for the call or null where that is allowed, formats, sizes and places are checked on
    // the other side, and no exception leaves it.
    let result = unsafe {
        ai_energy_attend(
            queries.as_ptr(),
            cache.0.as_ptr(),
            cache.1.as_ptr(),
            raw(look.mask),
            raw(look.sinks),
            look.first,
            look.count,
            look.scale,
            look.cap.unwrap_or(0.0),
            &raw mut error,
        )
    };
    taken(result, error)
}
