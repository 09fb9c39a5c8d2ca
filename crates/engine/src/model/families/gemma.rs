//! Gemma 2 and the text models of Gemma 3.
//!
//! Norms on both sides of each part, with one added to their factors; embeddings times the root of their width; windows on
//! most layers. Gemma 2 caps scores and logits; Gemma 3 norms each query and key head and turns windowed layers by a base
//! of their own.

use serde_json::Value;

use super::super::config::Config;
use super::super::rope::{Rope, Scaling};
use super::super::spec::{FeedForward, Layer, Norm, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "Gemma", model_types: &["gemma2", "gemma3_text"], describe };

/// What the layers share.
struct Shared {
    eps: f64,
    scale: f64,
    window: usize,
    soft_cap: Option<f64>,
    third: bool,
}

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    let third = config.word("model_type")? == Some("gemma3_text");
    config.only("use_bidirectional_attention", &Value::Bool(false))?;
    let mut sizes = common::Sizes::read(config)?;
    sizes.head_dim = config.count_or("head_dim", 256)?;
    let shared = Shared {
        eps: config.number_or("rms_norm_eps", 1e-6)?,
        scale: config.number_or("query_pre_attn_scalar", 256.0)?.powf(-0.5),
        window: config.count_or("sliding_window", 4096)?,
        soft_cap: cap(config, "attn_logit_softcapping", (!third).then_some(50.0))?,
        third,
    };
    let mut embedding = sizes.embedding("model.embed_tokens.weight");
    embedding.scale = (sizes.hidden as f64).sqrt();
    embedding.scale_rounded = true;
    let mut head = sizes.head(&embedding, config.switch("tie_word_embeddings", true)?);
    head.soft_cap = cap(config, "final_logit_softcapping", (!third).then_some(30.0))?;
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or_default().to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        ropes: ropes(config, &sizes, third)?,
        layers: layers(config, &sizes, &shared)?,
        final_norm: Some(norm("model.norm", sizes.hidden, shared.eps)),
        embedding,
        head,
    })
}

fn layers(config: &Config<'_>, sizes: &common::Sizes, shared: &Shared) -> Result<Vec<Layer>, EngineError> {
    let activation = common::activation(config, "hidden_activation", "gelu_pytorch_tanh")?;
    // An older name of the same; where both are there, the newer one counts.
    config.skip(&["hidden_act"]);
    let bias = config.switch("attention_bias", false)?;
    let every = if shared.third { config.count_or("sliding_window_pattern", 6)? } else { 2 };
    let sliding = common::sliding(config, sizes.layers, |index| !(index + 1).is_multiple_of(every))?;
    let layer = |(index, sliding): (usize, bool)| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), bias, bias);
        attention.scale = shared.scale;
        attention.soft_cap = shared.soft_cap;
        attention.window = sliding.then_some(shared.window);
        if shared.third {
            attention.rope = Some(usize::from(sliding));
            let head_norm = |name| norm(&format!("{prefix}.self_attn.{name}"), sizes.head_dim, shared.eps);
            attention.qk_norm = Some(["q_norm", "k_norm"].map(head_norm));
        }
        let around = |name| Some(norm(&format!("{prefix}.{name}"), sizes.hidden, shared.eps));
        let mlp =
            common::gated(&format!("{prefix}.mlp"), sizes.hidden, sizes.intermediate, activation, false);
        Layer {
            before_attention: around("input_layernorm"),
            attention,
            after_attention: around("post_attention_layernorm"),
            before_feed_forward: around("pre_feedforward_layernorm"),
            feed_forward: FeedForward::Dense(mlp),
            after_feed_forward: around("post_feedforward_layernorm"),
            parallel: false,
            residual_scale: 1.0,
        }
    };
    Ok(sliding.into_iter().enumerate().map(layer).collect())
}

/// One table for Gemma 2; for Gemma 3 that of the full layers, then that of the windowed ones.
fn ropes(config: &Config<'_>, sizes: &common::Sizes, third: bool) -> Result<Vec<Rope>, EngineError> {
    if !third {
        // Gemma2Config documents this base for configs that lack one.
        return Ok(vec![Rope::read(config, sizes.head_dim, Some(10_000.0), None)?]);
    }
    // Gemma3TextConfig documents a base for either kind of layer.
    let full = Rope::read(config, sizes.head_dim, Some(1_000_000.0), Some("full_attention"))?;
    let local = config.number_or("rope_local_base_freq", 10_000.0)?;
    let windowed = if config.object("rope_parameters")?.is_some() {
        Rope::read(config, sizes.head_dim, Some(local), Some("sliding_attention"))?
    } else {
        // Before, one key gave the base of windowed layers, and scaling was for the full ones alone.
        Rope { theta: local, scaling: Scaling::None, ..full.clone() }
    };
    Ok(vec![full, windowed])
}

fn norm(prefix: &str, width: usize, eps: f64) -> Norm {
    Norm { plus_one: true, ..Norm::rms(prefix, width, eps) }
}

/// A cap that a null switches off and a missing key leaves at what the family documents.
fn cap(config: &Config<'_>, key: &str, documented: Option<f64>) -> Result<Option<f64>, EngineError> {
    if config.is_null(key) { Ok(None) } else { Ok(config.number(key)?.or(documented)) }
}
