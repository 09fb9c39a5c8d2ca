//! GPT-NeoX and Pythia: attention and feed-forward side by side, part of each head rotary, query, key and value rows
//! interleaved by head.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{Arrange, Attention, FeedForward, Head, Layer, Linear, Mlp, Norm, Source, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "GPT-NeoX", model_types: &["gpt_neox"], describe };

/// Share of a head that turns, and base, where the config does not say (GPTNeoXConfig's documentation).
const ROTARY_SHARE: f64 = 0.25;
const THETA: f64 = 10_000.0;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    config.skip(&["num_key_value_heads", "classifier_dropout"]);
    let sizes = common::Sizes::read(config)?;
    let rope = Rope::read(config, sizes.head_dim, Some(THETA), None)?;
    let eps = config.number_or("layer_norm_eps", 1e-5)?;
    let embedding = sizes.embedding("gpt_neox.embed_in.weight");
    let tied = config.switch("tie_word_embeddings", false)?;
    let mut linear = Linear::named("embed_out", sizes.hidden, sizes.vocab, false);
    if tied {
        linear.weight = vec![embedding.tokens.clone()];
    }
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("gpt_neox").to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        embedding,
        ropes: vec![common::rotary_share_or(config, rope, ROTARY_SHARE)],
        layers: layers(config, &sizes, eps)?,
        final_norm: Some(Norm::layer("gpt_neox.final_layer_norm", sizes.hidden, eps)),
        head: Head { linear, tied, scale: 1.0, soft_cap: None },
    })
}

fn layers(config: &Config<'_>, sizes: &common::Sizes, eps: f64) -> Result<Vec<Layer>, EngineError> {
    let parallel = config.switch("use_parallel_residual", true)?;
    let bias = config.switch("attention_bias", true)?;
    let activation = common::activation(config, "hidden_act", "gelu")?;
    let (hidden, width) = (sizes.hidden, sizes.intermediate);
    let layer = |index: usize| {
        let prefix = format!("gpt_neox.layers.{index}");
        let mut attention: Attention = sizes.attention(&prefix, bias, bias);
        attention.qkv = interleaved(&format!("{prefix}.attention.query_key_value"), sizes, bias);
        attention.output = Linear::named(&format!("{prefix}.attention.dense"), hidden, hidden, bias);
        let mlp = Mlp {
            activation,
            gated: false,
            up: Linear::named(&format!("{prefix}.mlp.dense_h_to_4h"), hidden, width, true),
            down: Linear::named(&format!("{prefix}.mlp.dense_4h_to_h"), width, hidden, true),
        };
        Layer {
            before_attention: Some(Norm::layer(&format!("{prefix}.input_layernorm"), hidden, eps)),
            attention,
            after_attention: None,
            before_feed_forward: Some(Norm::layer(
                &format!("{prefix}.post_attention_layernorm"),
                hidden,
                eps,
            )),
            feed_forward: FeedForward::Dense(mlp),
            after_feed_forward: None,
            parallel,
            residual_scale: 1.0,
        }
    };
    Ok((0..sizes.layers).map(layer).collect())
}

/// Query, key and value rows side by side for each head.
fn interleaved(prefix: &str, sizes: &common::Sizes, bias: bool) -> Linear {
    let arrange = |source: Source| source.arranged(Arrange::HeadwiseQkv { heads: sizes.heads });
    let mut linear = Linear::named(prefix, sizes.hidden, 3 * sizes.hidden, bias);
    linear.weight = linear.weight.into_iter().map(arrange).collect();
    linear.bias = linear.bias.into_iter().map(arrange).collect();
    linear
}
