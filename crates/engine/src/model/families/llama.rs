//! Llama 1 to 3 and the models built like it: Mistral, Ministral, SmolLM 2 and 3, Yi, Granite.
//!
//! What differs between them is a window (Mistral), layers without rotary positions (SmolLM3) and four multipliers
//! (Granite).

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{FeedForward, Layer, Norm, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family =
    Family { name: "Llama", model_types: &["llama", "mistral", "ministral", "smollm3", "granite"], describe };

/// The base that LlamaConfig, MistralConfig and GraniteConfig document for configs older than the key, and SmolLM3Config's.
fn documented_theta(model_type: &str) -> Option<f64> {
    match model_type {
        "smollm3" => Some(2_000_000.0),
        "ministral" => None,
        _ => Some(10_000.0),
    }
}

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    let model_type = config.word("model_type")?.unwrap_or("llama").to_owned();
    let sizes = common::Sizes::read(config)?;
    let rope = Rope::read(config, sizes.head_dim, documented_theta(&model_type), None)?;
    let layers = layers(config, &sizes, &model_type)?;
    let mut embedding = sizes.embedding("model.embed_tokens.weight");
    // transformers' SmolLM3Config ties them unless told otherwise; all others do not.
    let tied = config.switch("tie_word_embeddings", model_type == "smollm3")?;
    let mut head = sizes.head(&embedding, tied);
    if model_type == "granite" {
        embedding.scale = config.number_or("embedding_multiplier", 1.0)?;
        head.scale = 1.0 / config.number_or("logits_scaling", 1.0)?;
    }
    Ok(Spec {
        family: FAMILY.name,
        model_type,
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, config.number_or("rms_norm_eps", 1e-6)?)),
        embedding,
        ropes: vec![rope],
        layers,
        head,
    })
}

fn layers(config: &Config<'_>, sizes: &common::Sizes, model_type: &str) -> Result<Vec<Layer>, EngineError> {
    let eps = config.number_or("rms_norm_eps", 1e-6)?;
    let activation = common::activation(config, "hidden_act", "silu")?;
    let attention_bias = config.switch("attention_bias", false)?;
    let mlp_bias = config.switch("mlp_bias", false)?;
    let windows = windows(config, sizes, model_type)?;
    let turning = turning(config, sizes.layers, model_type)?;
    let (mut scale, mut residual_scale) = (None, 1.0);
    if model_type == "granite" {
        scale = Some(config.number_or("attention_multiplier", 1.0)?);
        residual_scale = config.number_or("residual_multiplier", 1.0)?;
    }
    let layer = |index: usize| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), attention_bias, attention_bias);
        attention.window = windows[index];
        attention.rope = turning[index].then_some(0);
        attention.scale = scale.unwrap_or(attention.scale);
        let mlp =
            common::gated(&format!("{prefix}.mlp"), sizes.hidden, sizes.intermediate, activation, mlp_bias);
        let mut layer = common::rms_layer(&prefix, sizes.hidden, eps, attention, FeedForward::Dense(mlp));
        layer.residual_scale = residual_scale;
        layer
    };
    Ok((0..sizes.layers).map(layer).collect())
}

/// The window of each layer: all of Mistral's (4096 where the key is missing, none where it is null), those that
/// `layer_types` names of the others.
fn windows(
    config: &Config<'_>,
    sizes: &common::Sizes,
    model_type: &str,
) -> Result<Vec<Option<usize>>, EngineError> {
    let window = match model_type {
        "mistral" if !config.is_null("sliding_window") => Some(config.count_or("sliding_window", 4096)?),
        "ministral" | "smollm3" => config.integer("sliding_window")?,
        _ => None,
    };
    let switched = model_type != "smollm3" || config.switch("use_sliding_window", false)?;
    let turning = turning(config, sizes.layers, model_type)?;
    let sliding = common::sliding(config, sizes.layers, |index| match model_type {
        "smollm3" => switched && !turning[index],
        _ => true,
    })?;
    Ok(sliding.into_iter().map(|sliding| window.filter(|_| sliding)).collect())
}

/// Which layers turn their queries and keys: all, but for every fourth of SmolLM3 or those it lists.
fn turning(config: &Config<'_>, layers: usize, model_type: &str) -> Result<Vec<bool>, EngineError> {
    if model_type != "smollm3" {
        return Ok(vec![true; layers]);
    }
    let interval = config.count_or("no_rope_layer_interval", 4)?;
    let Some(listed) = config.value("no_rope_layers") else {
        return Ok((0..layers).map(|index| !(index + 1).is_multiple_of(interval)).collect());
    };
    let listed: Option<Vec<bool>> =
        listed.as_array().map(|list| list.iter().map(|turns| turns.as_u64() != Some(0)).collect());
    listed.filter(|listed| listed.len() >= layers).ok_or_else(|| {
        EngineError::model(
            "config.json",
            format!("`no_rope_layers` must be a list of {layers} numbers, 1 or 0"),
        )
    })
}
