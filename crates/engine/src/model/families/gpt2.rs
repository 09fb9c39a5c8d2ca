//! GPT-2 and what is built like it: learned positions, matrices stored as `[inputs, outputs]`.
//!
//! Checkpoints name the tensors with or without `transformer.` in front; the files' side knows both.

use super::super::config::Config;
use super::super::spec::{
    Arrange, Attention, Embedding, FeedForward, Head, Layer, Linear, Mlp, Norm, Positions, Source, Spec,
};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "GPT-2", model_types: &["gpt2"], describe };

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    // Of classification heads and of training; `reorder_and_upcast_attn` orders the same factors otherwise for half precision.
    config.skip(&[
        "n_ctx",
        "summary_activation",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
        "reorder_and_upcast_attn",
    ]);
    let (hidden, vocab) = (config.count("n_embd")?, config.count("vocab_size")?);
    let context = config.count("n_positions")?;
    let eps = config.number_or("layer_norm_epsilon", 1e-5)?;
    let tokens = Source::new("transformer.wte.weight", &[vocab, hidden]);
    let positions = Positions { table: Source::new("transformer.wpe.weight", &[context, hidden]), offset: 0 };
    let mut linear = Linear::named("lm_head", hidden, vocab, false);
    let tied = config.switch("tie_word_embeddings", true)?;
    if tied {
        linear.weight = vec![tokens.clone()];
    }
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("gpt2").to_owned(),
        hidden_size: hidden,
        vocab_size: vocab,
        max_context: context,
        embedding: Embedding { tokens, scale: 1.0, scale_rounded: false, positions: Some(positions) },
        ropes: Vec::new(),
        layers: layers(config, hidden, eps)?,
        final_norm: Some(Norm::layer("transformer.ln_f", hidden, eps)),
        head: Head { linear, tied, scale: 1.0, soft_cap: None },
    })
}

fn layers(config: &Config<'_>, hidden: usize, eps: f64) -> Result<Vec<Layer>, EngineError> {
    let heads = config.count("n_head")?;
    let width = config.count_or("n_inner", 4 * hidden)?;
    let activation = common::activation(config, "activation_function", "gelu_new")?;
    let head_dim = common::even_share(hidden, heads, "n_embd", "n_head")?;
    let scaled = config.switch("scale_attn_weights", true)?;
    let by_layer = config.switch("scale_attn_by_inverse_layer_idx", false)?;
    let layer = |index: usize| {
        let prefix = format!("transformer.h.{index}");
        let plain = if scaled { (head_dim as f64).powf(-0.5) } else { 1.0 };
        let attention = Attention {
            heads,
            kv_heads: heads,
            head_dim,
            scale: if by_layer { plain / (index + 1) as f64 } else { plain },
            qkv: transposed(&format!("{prefix}.attn.c_attn"), hidden, 3 * hidden),
            qk_norm: None,
            rope: None,
            window: None,
            soft_cap: None,
            sinks: None,
            output: transposed(&format!("{prefix}.attn.c_proj"), hidden, hidden),
        };
        let mlp = Mlp {
            activation,
            gated: false,
            up: transposed(&format!("{prefix}.mlp.c_fc"), hidden, width),
            down: transposed(&format!("{prefix}.mlp.c_proj"), width, hidden),
        };
        Layer {
            before_attention: Some(Norm::layer(&format!("{prefix}.ln_1"), hidden, eps)),
            attention,
            after_attention: None,
            before_feed_forward: Some(Norm::layer(&format!("{prefix}.ln_2"), hidden, eps)),
            feed_forward: FeedForward::Dense(mlp),
            after_feed_forward: None,
            parallel: false,
            residual_scale: 1.0,
        }
    };
    Ok((0..config.count("n_layer")?).map(layer).collect())
}

/// A matrix that is stored as `[inputs, outputs]`, with its bias.
fn transposed(prefix: &str, inputs: usize, outputs: usize) -> Linear {
    let weight = Source::new(format!("{prefix}.weight"), &[inputs, outputs]).arranged(Arrange::Transposed);
    Linear { weight: vec![weight], ..Linear::named(prefix, inputs, outputs, true) }
}
