//! One layer: attention and the feed-forward part around the residual.
//!
//! Refuses to know families.

use tch::{Device, Tensor};

use super::Quantization;
use super::attention::Attention;
use super::cache::Cache;
use super::load::Loader;
use super::mlp::FeedForward;
use super::native::decode::{LayerParts, NormParts};
use super::norm::Norm;
use super::step::Step;
use crate::EngineError;
use crate::model::{self, Rope};

/// One layer on its device.
#[derive(Debug)]
pub(super) struct Layer {
    before_attention: Option<Norm>,
    attention: Attention,
    after_attention: Option<Norm>,
    before_feed_forward: Option<Norm>,
    feed_forward: FeedForward,
    after_feed_forward: Option<Norm>,
    parallel: bool,
    residual_scale: f64,
}

impl Layer {
    /// Loads what a spec describes.
    pub(super) fn load(
        spec: &model::Layer,
        ropes: &[Rope],
        loader: &mut Loader<'_>,
        device: Device,
        quantization: Quantization,
    ) -> Result<Self, EngineError> {
        let mut norm = |norm: &Option<model::Norm>| {
            norm.as_ref().map(|norm| Norm::load(norm, loader, device)).transpose()
        };
        let norms = [
            &spec.before_attention,
            &spec.after_attention,
            &spec.before_feed_forward,
            &spec.after_feed_forward,
        ];
        let [before_attention, after_attention, before_feed_forward, after_feed_forward] =
            norms.map(&mut norm);
        let layer = Self {
            before_attention: before_attention?,
            attention: Attention::load(&spec.attention, ropes, loader, device, quantization)?,
            after_attention: after_attention?,
            before_feed_forward: before_feed_forward?,
            feed_forward: FeedForward::load(&spec.feed_forward, loader, device, quantization)?,
            after_feed_forward: after_feed_forward?,
            parallel: spec.parallel,
            residual_scale: spec.residual_scale,
        };
        loader.end_layer();
        Ok(layer)
    }

    /// Bytes it holds, and those of them that one token reads.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let norms = [
            &self.before_attention,
            &self.after_attention,
            &self.before_feed_forward,
            &self.after_feed_forward,
        ];
        let both = self.attention.bytes() + norms.into_iter().flatten().map(Norm::bytes).sum::<u64>();
        let (held, read) = self.feed_forward.bytes();
        (held + both, read + both)
    }

    /// How its matrices multiply.
    pub(super) fn kernel(&self) -> &'static str {
        self.attention.kernel()
    }

    /// What a step in one call takes; `None` where it cannot compute such a layer.
    pub(super) fn parts(&self) -> Option<LayerParts> {
        let (up, down, activation, gated) = self.feed_forward.parts()?;
        let norm = |norm: &Option<Norm>| norm.as_ref().map_or(NormParts::NONE, Norm::parts);
        let mut parts = LayerParts {
            before_attention: norm(&self.before_attention),
            after_attention: norm(&self.after_attention),
            before_feed_forward: norm(&self.before_feed_forward),
            after_feed_forward: norm(&self.after_feed_forward),
            query_norm: NormParts::NONE,
            key_norm: NormParts::NONE,
            // Attention describes its own part.
            qkv: up,
            output: up,
            up,
            down,
            sinks: std::ptr::null(),
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            window: 0,
            rope: -1,
            scale: 1.0,
            cap: 0.0,
            residual_scale: self.residual_scale,
            activation,
            gated: i64::from(gated),
            parallel: i64::from(self.parallel),
        };
        self.attention.describe(&mut parts)?;
        Some(parts)
    }

    /// The shape of its cache.
    pub(super) fn cache_shape(&self, rows: i64, capacity: i64) -> [i64; 4] {
        self.attention.cache_shape(rows, capacity)
    }

    /// The layer over `[rows * positions, hidden]`.
    pub(super) fn apply(&self, x: &Tensor, cache: &Cache, step: &Step) -> Result<Tensor, EngineError> {
        let normal = normalised(self.before_attention.as_ref(), x)?;
        // The sum with the residual is part of the product where nothing comes between.
        let direct = self.residual_scale == 1.0;
        let residual = (direct && self.after_attention.is_none()).then_some(x);
        let attended = self.attention.apply(&normal, residual, cache, step)?;
        let middle = match residual {
            Some(_) => attended,
            None => self.added(x, attended, self.after_attention.as_ref())?,
        };
        let input = match (&self.before_feed_forward, self.parallel) {
            (None, true) => normal,
            (norm, true) => normalised(norm.as_ref(), x)?,
            (norm, false) => normalised(norm.as_ref(), &middle)?,
        };
        let residual = (direct && self.after_feed_forward.is_none()).then_some(&middle);
        let given = self.feed_forward.apply(&input, residual)?;
        match residual {
            Some(_) => Ok(given),
            None => self.added(&middle, given, self.after_feed_forward.as_ref()),
        }
    }

    /// The residual plus what a part gave, normalised and scaled.
    fn added(&self, residual: &Tensor, given: Tensor, norm: Option<&Norm>) -> Result<Tensor, EngineError> {
        let mut given = normalised(norm, &given)?;
        if self.residual_scale != 1.0 {
            given = given.f_mul_scalar(self.residual_scale)?;
        }
        Ok(residual.f_add(&given)?)
    }
}

fn normalised(norm: Option<&Norm>, x: &Tensor) -> Result<Tensor, EngineError> {
    match norm {
        Some(norm) => norm.apply(x),
        None => Ok(x.shallow_clone()),
    }
}
