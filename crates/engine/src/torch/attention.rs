//! Attention with grouped heads, for prompts and for one token at a time.
//!
//! libtorch's fused attention computes it, but for what that does not know: a cap on the scores and sinks, which are written
//! out here. Refuses to know families.

use tch::{Device, Kind, Tensor};

use super::Quantization;
use super::cache::Cache;
use super::linear::Linear;
use super::load::{self, Loader};
use super::mask::{Masks, Span};
use super::native;
use super::native::decode::{LayerParts, optional};
use super::norm::Norm;
use super::rope::Angles;
use super::step::Step;
use crate::EngineError;
use crate::model::{self, Rope};

/// Factors of the norms of queries and keys, and what is added to the mean square.
type HeadNorms<'a> = Option<(&'a Tensor, &'a Tensor, f64)>;

/// One layer's attention on its device.
#[derive(Debug)]
pub(super) struct Attention {
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    scale: f64,
    qkv: Linear,
    qk_norm: Option<[Norm; 2]>,
    rope: Option<usize>,
    window: Option<i64>,
    soft_cap: Option<f64>,
    /// `[1, kv_heads, heads / kv_heads, 1, 1]`.
    sinks: Option<Tensor>,
    output: Linear,
}

impl Attention {
    /// Loads what a spec describes.
    pub(super) fn load(
        spec: &model::Attention,
        ropes: &[Rope],
        loader: &mut Loader<'_>,
        device: Device,
        quantization: Quantization,
    ) -> Result<Self, EngineError> {
        let order = spec.rope.and_then(|index| ropes.get(index)).and_then(load::turning_order);
        let qkv = load_qkv(spec, order.as_deref(), loader, device, quantization)?;
        let qk_norm = match &spec.qk_norm {
            Some([queries, keys]) => Some([
                Norm::load(queries, loader, device)?.reordered(order.as_deref())?,
                Norm::load(keys, loader, device)?.reordered(order.as_deref())?,
            ]),
            None => None,
        };
        let (heads, kv_heads) = (spec.heads as i64, spec.kv_heads as i64);
        let sinks = spec.sinks.as_ref().map(|sinks| {
            let sinks = loader.one(sinks, device)?;
            Ok::<_, EngineError>(sinks.f_view([1, kv_heads, heads / kv_heads, 1, 1])?)
        });
        Ok(Self {
            heads,
            kv_heads,
            head_dim: spec.head_dim as i64,
            scale: spec.scale,
            qkv,
            qk_norm,
            rope: spec.rope,
            window: spec.window.map(|window| window as i64),
            soft_cap: spec.soft_cap,
            sinks: sinks.transpose()?,
            output: loader.linear(&spec.output, device, quantization)?,
        })
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        let norms: u64 = self.qk_norm.iter().flatten().map(Norm::bytes).sum();
        self.qkv.bytes() + self.output.bytes() + norms + self.sinks.as_ref().map_or(0, super::bytes)
    }

    /// How its matrices multiply.
    pub(super) fn kernel(&self) -> &'static str {
        self.qkv.kernel()
    }

    /// Its share of what a step in one call takes of a layer; the rest is as it was.
    pub(super) fn describe(&self, parts: &mut LayerParts) -> Option<()> {
        (parts.qkv, parts.output) = (self.qkv.parts()?, self.output.parts()?);
        if let Some([queries, keys]) = &self.qk_norm {
            (parts.query_norm, parts.key_norm) = (queries.parts(), keys.parts());
        }
        parts.sinks = optional(self.sinks.as_ref());
        (parts.heads, parts.kv_heads, parts.head_dim) = (self.heads, self.kv_heads, self.head_dim);
        parts.window = self.window.unwrap_or(0);
        parts.rope = self.rope.map_or(-1, |rope| rope as i64);
        parts.scale = self.scale;
        parts.cap = self.soft_cap.unwrap_or(0.0);
        Some(())
    }

    /// The shape of its cache.
    pub(super) fn cache_shape(&self, rows: i64, capacity: i64) -> [i64; 4] {
        [rows, self.kv_heads, capacity, self.head_dim]
    }

    /// Attends over `[rows * positions, hidden]`; with `residual`, that is added to the result.
    pub(super) fn apply(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        cache: &Cache,
        step: &Step,
    ) -> Result<Tensor, EngineError> {
        let qkv = self.qkv.apply(x)?;
        let mixed = match self.head_norms() {
            Some(norms) if step.count == 1 && native::step::fits(&qkv) => {
                self.one_token_on_cpu(&qkv, norms, cache, step)?
            }
            _ => self.by_operators(&qkv, cache, step)?,
        };
        match residual {
            Some(residual) => self.output.plus(&mixed, residual),
            None => self.output.apply(&mixed),
        }
    }

    /// Attention by libtorch's operators.
    fn by_operators(&self, qkv: &Tensor, cache: &Cache, step: &Step) -> Result<Tensor, EngineError> {
        let shape = [step.rows, step.count, self.heads + 2 * self.kv_heads, self.head_dim];
        let qkv = qkv.f_view(shape)?;
        let (queries, keys) = self.turned(&qkv, step)?;
        let values = qkv.f_narrow(2, self.heads + self.kv_heads, self.kv_heads)?;
        cache.write(step.start, &keys, &values)?;
        if step.count == 1 {
            self.one_token(&queries, cache, step)
        } else {
            self.prompt(&queries, cache, step)
        }
    }

    /// Norms of the heads as one call on the CPU takes them: `None` where it does not know their kind, `Some(None)` where
    /// there are none.
    fn head_norms(&self) -> Option<HeadNorms<'_>> {
        let Some([queries, keys]) = &self.qk_norm else {
            return Some(None);
        };
        let ((queries, eps), (keys, _)) = (queries.rms_parts()?, keys.rms_parts()?);
        Some(Some((queries, keys, eps)))
    }

    /// Queries and keys, normalised and turned, `[rows, positions, heads, head_dim]` each.
    fn turned(&self, qkv: &Tensor, step: &Step) -> Result<(Tensor, Tensor), EngineError> {
        let both = match &self.qk_norm {
            Some([for_queries, for_keys]) => {
                let queries = for_queries.apply(&qkv.f_narrow(2, 0, self.heads)?)?;
                let keys = for_keys.apply(&qkv.f_narrow(2, self.heads, self.kv_heads)?)?;
                Tensor::f_cat(&[queries, keys], 2)?
            }
            None => qkv.f_narrow(2, 0, self.heads + self.kv_heads)?,
        };
        let both = match self.rope {
            Some(rope) => step.angles(rope)?.turn(&both)?,
            None => both,
        };
        Ok((both.f_narrow(2, 0, self.heads)?, both.f_narrow(2, self.heads, self.kv_heads)?))
    }

    /// One position a row on the CPU, in two calls.
    fn one_token_on_cpu(
        &self,
        qkv: &Tensor,
        norms: HeadNorms<'_>,
        cache: &Cache,
        step: &Step,
    ) -> Result<Tensor, EngineError> {
        let angles = self.rope.map(|rope| step.angles(rope)).transpose()?.map(Angles::both);
        let turning = native::step::Turning { angles, norms };
        let queries = native::step::turn_and_store(qkv, self.heads, turning, cache.whole(), step.start)?;
        let end = step.start + 1;
        let first = self.window.map_or(0, |window| (end - window).max(0));
        let look = native::step::Look {
            first,
            count: end - first,
            scale: self.scale,
            cap: self.soft_cap,
            mask: step.padding.as_deref(),
            sinks: self.sinks.as_ref(),
        };
        native::step::attend(&queries, cache.whole(), look)
    }

    /// One position a row: the heads that share keys become rows of one query, so that keys and values are read once.
    fn one_token(&self, queries: &Tensor, cache: &Cache, step: &Step) -> Result<Tensor, EngineError> {
        let end = step.start + 1;
        let first = self.window.map_or(0, |window| (end - window).max(0));
        let (keys, values) = cache.read(first, end - first)?;
        let mask = step.key_mask(first, end - first)?;
        let group = self.heads / self.kv_heads;
        let mixed = if self.soft_cap.is_some() || self.sinks.is_some() {
            let queries = queries.f_reshape([step.rows, self.kv_heads, group, 1, self.head_dim])?;
            let mask = mask.map(|mask| mask.f_unsqueeze(1)).transpose()?;
            self.written_out(&queries, &keys, &values, mask.as_ref())?
        } else {
            let queries = queries.f_reshape([step.rows, self.kv_heads, group, self.head_dim])?;
            fused(&queries, &keys, &values, mask.as_ref(), false, self.scale, false)?
        };
        Ok(mixed.f_reshape([step.rows, self.heads * self.head_dim])?)
    }

    /// A whole prompt.
    fn prompt(&self, queries: &Tensor, cache: &Cache, step: &Step) -> Result<Tensor, EngineError> {
        let written_out = self.soft_cap.is_some() || self.sinks.is_some();
        let window = self.window.filter(|&window| window < step.count);
        let shared = self.heads != self.kv_heads;
        let mixed = if !written_out && window.is_none() && !step.masks.padded() {
            let (keys, values) = cache.read(0, step.count)?;
            fused(&queries.f_transpose(1, 2)?, &keys, &values, None, true, self.scale, shared)?
                .f_transpose(1, 2)?
        } else {
            let spans = Masks::spans(step.count, window);
            let parts: Result<Vec<_>, _> =
                spans.map(|span| self.span(queries, cache, step, span, window)).collect();
            let parts = parts?;
            match parts.as_slice() {
                [one] => one.shallow_clone(),
                several => Tensor::f_cat(several, 1)?,
            }
        };
        Ok(mixed.f_reshape([step.rows * step.count, self.heads * self.head_dim])?)
    }

    /// Some queries of a prompt under a mask, `[rows, queries, heads, head_dim]`.
    fn span(
        &self,
        queries: &Tensor,
        cache: &Cache,
        step: &Step,
        span: Span,
        window: Option<i64>,
    ) -> Result<Tensor, EngineError> {
        let mask = step.masks.of(span, window)?;
        let (keys, values) = cache.read(span.key, span.keys)?;
        let queries = queries.f_narrow(1, span.first, span.queries)?.f_transpose(1, 2)?;
        if self.soft_cap.is_none() && self.sinks.is_none() {
            let shared = self.heads != self.kv_heads;
            let mixed = fused(&queries, &keys, &values, Some(&mask), false, self.scale, shared)?;
            return Ok(mixed.f_transpose(1, 2)?);
        }
        let group = self.heads / self.kv_heads;
        let split = [step.rows, self.kv_heads, group, span.queries, self.head_dim];
        let mixed =
            self.written_out(&queries.f_reshape(split)?, &keys, &values, Some(&mask.f_unsqueeze(1)?))?;
        let joined = [step.rows, self.heads, span.queries, self.head_dim];
        Ok(mixed.f_view(joined)?.f_transpose(1, 2)?)
    }

    /// Attention step by step, over queries `[rows, kv_heads, group, positions, head_dim]`.
    fn written_out(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        let kind = queries.kind();
        let size = queries.size();
        let count = size.get(3).copied().unwrap_or(1);
        let (group, rows) = (self.heads / self.kv_heads, size.first().copied().unwrap_or(1));
        // The heads of a group read the same keys: as rows of one matrix they read them once.
        let flat = queries.f_reshape([rows, self.kv_heads, group * count, self.head_dim])?;
        let scores = flat.f_matmul(&keys.f_transpose(2, 3)?)?.f_mul_scalar_(self.scale)?;
        let mut scores = scores.f_view([rows, self.kv_heads, group, count, -1])?;
        if let Some(cap) = self.soft_cap {
            scores = scores.f_div_scalar_(cap)?.f_tanh_()?.f_mul_scalar_(cap)?;
        }
        if let Some(mask) = mask {
            scores = scores.f_add_(mask)?;
        }
        let keys_seen = scores.size().last().copied().unwrap_or(0);
        let weights = match &self.sinks {
            Some(sinks) => {
                let column = sinks.f_expand([rows, self.kv_heads, group, count, 1], false)?;
                let with_sink = Tensor::f_cat(&[scores, column], 4)?;
                with_sink.f_softmax(-1, Kind::Float)?.f_narrow(4, 0, keys_seen)?
            }
            None => scores.f_softmax(-1, Kind::Float)?,
        };
        let weights = weights.f_to_kind(kind)?.f_reshape([rows, self.kv_heads, group * count, keys_seen])?;
        Ok(weights.f_matmul(values)?.f_view([rows, self.kv_heads, group, count, self.head_dim])?)
    }
}

/// libtorch's fused attention.
fn fused(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    mask: Option<&Tensor>,
    causal: bool,
    scale: f64,
    shared: bool,
) -> Result<Tensor, EngineError> {
    Ok(Tensor::f_scaled_dot_product_attention(queries, keys, values, mask, 0.0, causal, scale, shared)?)
}

/// Loads the rows of queries, keys and values, those that turn in the order that turning wants.
fn load_qkv(
    spec: &model::Attention,
    order: Option<&[i64]>,
    loader: &mut Loader<'_>,
    device: Device,
    quantization: Quantization,
) -> Result<Linear, EngineError> {
    let mut weight = loader.stacked(&spec.qkv.weight, device)?;
    let mut bias = loader.bias(&spec.qkv, device)?;
    if let Some(order) = order {
        let turning = spec.heads + spec.kv_heads;
        let rows = (turning * spec.head_dim) as i64;
        let sorted = |tensor: &Tensor| -> Result<Tensor, EngineError> {
            let others = tensor.f_narrow(0, rows, (spec.kv_heads * spec.head_dim) as i64)?;
            Ok(Tensor::f_cat(&[load::reorder(&tensor.f_narrow(0, 0, rows)?, turning, order)?, others], 0)?)
        };
        weight = sorted(&weight)?;
        bias = bias.as_ref().map(sorted).transpose()?;
    }
    loader.matrix(weight, bias, quantization)
}
