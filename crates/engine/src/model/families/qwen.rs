//! Qwen 2, 2.5 and 3, dense.
//!
//! Qwen 2 has biases on queries, keys and values; Qwen 3 norms over each query and key head instead. Both can switch late
//! layers to a sliding window.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{Attention, FeedForward, Layer, Norm, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "Qwen", model_types: &["qwen2", "qwen3"], describe };

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    let sizes = sizes(config)?;
    let activation = common::activation(config, "hidden_act", "silu")?;
    let eps = config.number_or("rms_norm_eps", 1e-6)?;
    let attentions = attentions(config, &sizes, eps)?;
    let layer = |(index, attention): (usize, Attention)| {
        let prefix = format!("model.layers.{index}");
        let mlp =
            common::gated(&format!("{prefix}.mlp"), sizes.hidden, sizes.intermediate, activation, false);
        common::rms_layer(&prefix, sizes.hidden, eps, attention, FeedForward::Dense(mlp))
    };
    let layers: Vec<Layer> = attentions.into_iter().enumerate().map(layer).collect();
    spec(config, &sizes, FAMILY.name, eps, layers)
}

/// Sizes of a Qwen config; Qwen 3 documents a head width of its own.
fn sizes(config: &Config<'_>) -> Result<common::Sizes, EngineError> {
    let mut sizes = common::Sizes::read(config)?;
    if is_third(config)? {
        sizes.head_dim = config.count_or("head_dim", 128)?;
    }
    Ok(sizes)
}

fn is_third(config: &Config<'_>) -> Result<bool, EngineError> {
    Ok(config.word("model_type")?.is_some_and(|model_type| model_type.starts_with("qwen3")))
}

/// The attention of every layer.
fn attentions(config: &Config<'_>, sizes: &common::Sizes, eps: f64) -> Result<Vec<Attention>, EngineError> {
    let third = is_third(config)?;
    let (qkv_bias, output_bias) = if third {
        let bias = config.switch("attention_bias", false)?;
        (bias, bias)
    } else {
        (config.switch("qkv_bias", true)?, false)
    };
    let switched = config.switch("use_sliding_window", false)?;
    let window = config.count_or("sliding_window", 4096).ok().filter(|_| switched);
    config.skip(&["sliding_window"]);
    let first = config.integer("max_window_layers")?.unwrap_or(28);
    let sliding = common::sliding(config, sizes.layers, |index| switched && index >= first)?;
    let attention = |(index, sliding): (usize, bool)| {
        let prefix = format!("model.layers.{index}.self_attn");
        let mut attention = sizes.attention(&prefix, qkv_bias, output_bias);
        attention.window = window.filter(|_| sliding);
        attention.qk_norm = third.then(|| {
            ["q_norm", "k_norm"].map(|name| Norm::rms(&format!("{prefix}.{name}"), sizes.head_dim, eps))
        });
        attention
    };
    Ok(sliding.into_iter().enumerate().map(attention).collect())
}

/// The model around its layers.
fn spec(
    config: &Config<'_>,
    sizes: &common::Sizes,
    family: &'static str,
    eps: f64,
    layers: Vec<Layer>,
) -> Result<Spec, EngineError> {
    let embedding = sizes.embedding("model.embed_tokens.weight");
    Ok(Spec {
        family,
        model_type: config.word("model_type")?.unwrap_or_default().to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        // RotaryEmbeddingConfigMixin documents this base for Qwen configs that lack one.
        ropes: vec![Rope::read(config, sizes.head_dim, Some(10_000.0), None)?],
        layers,
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, eps)),
        head: sizes.head(&embedding, config.switch("tie_word_embeddings", false)?),
        embedding,
    })
}
