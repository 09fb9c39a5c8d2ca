//! One position a row through all layers on the CPU, in one call.
//!
//! The structures are those of `decode.h`. Refuses to know how a model is loaded.

use std::ffi::{c_char, c_void};

use tch::Tensor;

use super::{Raw, raw, taken, told};
use crate::EngineError;
use crate::model::Activation;

/// A norm over the last axis.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in super::super) struct NormParts {
    weight: *const Raw,
    bias: *const Raw,
    eps: f64,
    layer_norm: i64,
}

/// A matrix with its bias.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in super::super) struct LinearParts {
    weight: *const Raw,
    bias: *const Raw,
}

/// A layer whose feed-forward part is one for all tokens.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in super::super) struct LayerParts {
    pub(in super::super) before_attention: NormParts,
    pub(in super::super) after_attention: NormParts,
    pub(in super::super) before_feed_forward: NormParts,
    pub(in super::super) after_feed_forward: NormParts,
    pub(in super::super) query_norm: NormParts,
    pub(in super::super) key_norm: NormParts,
    pub(in super::super) qkv: LinearParts,
    pub(in super::super) output: LinearParts,
    pub(in super::super) up: LinearParts,
    pub(in super::super) down: LinearParts,
    pub(in super::super) sinks: *const Raw,
    pub(in super::super) heads: i64,
    pub(in super::super) kv_heads: i64,
    pub(in super::super) head_dim: i64,
    /// 0 is none.
    pub(in super::super) window: i64,
    /// Below 0 is none.
    pub(in super::super) rope: i64,
    pub(in super::super) scale: f64,
    /// 0 is none.
    pub(in super::super) cap: f64,
    pub(in super::super) residual_scale: f64,
    pub(in super::super) activation: i64,
    pub(in super::super) gated: i64,
    pub(in super::super) parallel: i64,
}

#[repr(C)]
struct StepParts {
    x: *const Raw,
    keys: *const *const Raw,
    values: *const *const Raw,
    cosines: *const *const Raw,
    sines: *const *const Raw,
    mask: *const Raw,
    layers: i64,
    ropes: i64,
    place: i64,
}

unsafe extern "C" {
    fn ai_energy_plan_new(
        layers: *const LayerParts,
        count: i64,
        last: *const NormParts,
        head: *const LinearParts,
        error: *mut *mut c_char,
    ) -> *mut c_void;
    fn ai_energy_plan_delete(plan: *mut c_void);
    fn ai_energy_plan_run(plan: *mut c_void, parts: *const StepParts, error: *mut *mut c_char) -> *mut Raw;
}

impl NormParts {
    /// No norm.
    pub(in super::super) const NONE: Self =
        Self { weight: std::ptr::null(), bias: std::ptr::null(), eps: 0.0, layer_norm: 0 };

    /// A norm with its factor; `layer` also takes the mean away.
    pub(in super::super) fn new(weight: &Tensor, bias: Option<&Tensor>, eps: f64, layer: bool) -> Self {
        Self { weight: weight.as_ptr(), bias: raw(bias), eps, layer_norm: i64::from(layer) }
    }
}

impl LinearParts {
    /// A matrix with its bias.
    pub(in super::super) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Self {
        Self { weight: weight.as_ptr(), bias: raw(bias) }
    }
}

/// A tensor that may be there.
pub(in super::super) fn optional(tensor: Option<&Tensor>) -> *const Raw {
    raw(tensor)
}

/// The number of an activation of one tensor on the C++ side.
pub(in super::super) fn number(activation: Activation) -> Option<i64> {
    match activation {
        Activation::Silu => Some(1),
        Activation::Gelu => Some(2),
        Activation::GeluTanh => Some(3),
        Activation::Relu => Some(4),
        Activation::ClampedSwiglu { .. } => None,
    }
}

/// All layers, the last norm and the head of a model, ready to compute one position a row.
#[derive(Debug)]
pub(in super::super) struct Plan(*mut c_void);

// SAFETY: it belongs to one thread at a time, as the model does: it has no `Sync`, and nothing in it knows its thread.
unsafe impl Send for Plan {}

/// Where a step is.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct At<'a> {
    /// What to add to the scores, a row of the cache's capacity each.
    pub(in super::super) mask: Option<&'a Tensor>,
    /// The place of the new position in the cache.
    pub(in super::super) place: i64,
}

impl Plan {
    /// Keeps the tensors that the parts point to, which must be alive here and must not change later.
    ///
    /// # Errors
    /// Tensors that do not fit each other, or are not in the processor's memory.
    pub(in super::super) fn new(
        layers: &[LayerParts],
        last: NormParts,
        head: LinearParts,
    ) -> Result<Self, EngineError> {
        let mut error = std::ptr::null_mut();
        // SAFETY: the parts are valid for the call, the tensors they point to live in the model that the caller borrows,
        // and no exception leaves the function.
        let plan = unsafe {
            ai_energy_plan_new(
                layers.as_ptr(),
                layers.len() as i64,
                &raw const last,
                &raw const head,
                &raw mut error,
            )
        };
        if plan.is_null() { Err(told(error)) } else { Ok(Self(plan)) }
    }

    /// The logits after embedded tokens `[rows, hidden]`, `[rows, vocab_size]` in single precision; keys and values go to
    /// their place in the caches, a pair a layer. `angles` are cosines and signed sines, a pair a rope.
    ///
    /// # Errors
    /// Tensors that do not fit.
    pub(in super::super) fn run(
        &self,
        x: &Tensor,
        caches: &[(&Tensor, &Tensor)],
        angles: &[(&Tensor, &Tensor)],
        at: At<'_>,
    ) -> Result<Tensor, EngineError> {
        let apart = |pairs: &[(&Tensor, &Tensor)]| -> (Vec<_>, Vec<_>) {
            pairs.iter().map(|(one, two)| (one.as_ptr(), two.as_ptr())).unzip()
        };
        let ((keys, values), (cosines, sines)) = (apart(caches), apart(angles));
        let parts = StepParts {
            x: x.as_ptr(),
            keys: keys.as_ptr(),
            values: values.as_ptr(),
            cosines: cosines.as_ptr(),
            sines: sines.as_ptr(),
            mask: raw(at.mask),
            layers: keys.len() as i64,
            ropes: cosines.len() as i64,
            place: at.place,
        };
        let mut error = std::ptr::null_mut();
        // SAFETY: the plan lives, all lists and tensors are valid for the call, their number, formats and sizes are checked
        // on the other side, and no exception leaves it. Nobody else uses the plan meanwhile: it is not `Sync`.
        let result = unsafe { ai_energy_plan_run(self.0, &raw const parts, &raw mut error) };
        taken(result, error)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: it came from `ai_energy_plan_new` and is handed back once.
        unsafe { ai_energy_plan_delete(self.0) };
    }
}
