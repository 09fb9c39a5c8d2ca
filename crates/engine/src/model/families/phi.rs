//! Phi 1, 1.5 and 2: attention and feed-forward side by side after one norm, part of each head rotary, biases everywhere,
//! the head's among them.

use serde_json::json;

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{FeedForward, Head, Layer, Linear, Mlp, Norm, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "Phi", model_types: &["phi"], describe };

/// Share of a head that turns, and base, where the config does not say (PhiConfig's documentation).
const ROTARY_SHARE: f64 = 0.5;
const THETA: f64 = 10_000.0;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    config.only("qk_layernorm", &json!(false))?;
    config.only("tie_word_embeddings", &json!(false))?;
    let sizes = common::Sizes::read(config)?;
    let rope = Rope::read(config, sizes.head_dim, Some(THETA), None)?;
    let eps = config.number_or("layer_norm_eps", 1e-5)?;
    let linear = Linear::named("lm_head", sizes.hidden, sizes.vocab, true);
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("phi").to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        embedding: sizes.embedding("model.embed_tokens.weight"),
        ropes: vec![common::rotary_share_or(config, rope, ROTARY_SHARE)],
        layers: layers(config, &sizes, eps)?,
        final_norm: Some(Norm::layer("model.final_layernorm", sizes.hidden, eps)),
        head: Head { linear, tied: false, scale: 1.0, soft_cap: None },
    })
}

fn layers(config: &Config<'_>, sizes: &common::Sizes, eps: f64) -> Result<Vec<Layer>, EngineError> {
    let activation = common::activation(config, "hidden_act", "gelu_new")?;
    let (hidden, width) = (sizes.hidden, sizes.intermediate);
    let layer = |index: usize| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), true, true);
        let queries = sizes.heads * sizes.head_dim;
        attention.output = Linear::named(&format!("{prefix}.self_attn.dense"), queries, hidden, true);
        let mlp = Mlp {
            activation,
            gated: false,
            up: Linear::named(&format!("{prefix}.mlp.fc1"), hidden, width, true),
            down: Linear::named(&format!("{prefix}.mlp.fc2"), width, hidden, true),
        };
        Layer {
            before_attention: Some(Norm::layer(&format!("{prefix}.input_layernorm"), hidden, eps)),
            attention,
            after_attention: None,
            // Both parts read what the one norm gives.
            before_feed_forward: None,
            feed_forward: FeedForward::Dense(mlp),
            after_feed_forward: None,
            parallel: true,
            residual_scale: 1.0,
        }
    };
    Ok((0..sizes.layers).map(layer).collect())
}
