//! OPT: learned positions whose table begins two rows late, a norm before each part.
//!
//! OPT-350m's norms after each part and its projections around the embedding are not known here.

use serde_json::json;

use super::super::config::Config;
use super::super::spec::{
    Attention, Embedding, FeedForward, Head, Layer, Linear, Mlp, Norm, Positions, Source, Spec,
};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "OPT", model_types: &["opt"], describe };

/// Rows of the table of positions before that of position 0.
const OFFSET: usize = 2;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    config.skip(&["init_std", "layerdrop"]);
    config.only("do_layer_norm_before", &json!(true))?;
    config.only("layer_norm_elementwise_affine", &json!(true))?;
    let (hidden, vocab) = (config.count("hidden_size")?, config.count("vocab_size")?);
    config.only("word_embed_proj_dim", &json!(hidden))?;
    let context = config.count("max_position_embeddings")?;
    let bias = config.switch("enable_bias", true)?;
    let bare = config.switch("_remove_final_layer_norm", false)?;
    let tokens = Source::new("model.decoder.embed_tokens.weight", &[vocab, hidden]);
    let table = Source::new("model.decoder.embed_positions.weight", &[context + OFFSET, hidden]);
    let mut linear = Linear::named("lm_head", hidden, vocab, false);
    let tied = config.switch("tie_word_embeddings", true)?;
    if tied {
        linear.weight = vec![tokens.clone()];
    }
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("opt").to_owned(),
        hidden_size: hidden,
        vocab_size: vocab,
        max_context: context,
        embedding: Embedding {
            tokens,
            scale: 1.0,
            scale_rounded: false,
            positions: Some(Positions { table, offset: OFFSET }),
        },
        ropes: Vec::new(),
        layers: layers(config, hidden, bias)?,
        final_norm: (!bare).then(|| norm("model.decoder.final_layer_norm", hidden)),
        head: Head { linear, tied, scale: 1.0, soft_cap: None },
    })
}

/// OPT's code knows one epsilon, torch's own.
fn norm(prefix: &str, hidden: usize) -> Norm {
    Norm::layer(prefix, hidden, 1e-5)
}

fn layers(config: &Config<'_>, hidden: usize, bias: bool) -> Result<Vec<Layer>, EngineError> {
    let (heads, width) = (config.count("num_attention_heads")?, config.count("ffn_dim")?);
    let activation = common::activation(config, "activation_function", "relu")?;
    let head_dim = common::even_share(hidden, heads, "hidden_size", "num_attention_heads")?;
    let layer = |index: usize| {
        let prefix = format!("model.decoder.layers.{index}");
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| format!("{prefix}.self_attn.{name}"));
        let attention = Attention {
            heads,
            kv_heads: heads,
            head_dim,
            scale: (head_dim as f64).powf(-0.5),
            qkv: Linear::stacked(hidden, &[(&q, hidden), (&k, hidden), (&v, hidden)], bias),
            qk_norm: None,
            rope: None,
            window: None,
            soft_cap: None,
            sinks: None,
            output: Linear::named(&format!("{prefix}.self_attn.out_proj"), hidden, hidden, bias),
        };
        let mlp = Mlp {
            activation,
            gated: false,
            up: Linear::named(&format!("{prefix}.fc1"), hidden, width, bias),
            down: Linear::named(&format!("{prefix}.fc2"), width, hidden, bias),
        };
        Layer {
            before_attention: Some(norm(&format!("{prefix}.self_attn_layer_norm"), hidden)),
            attention,
            after_attention: None,
            before_feed_forward: Some(norm(&format!("{prefix}.final_layer_norm"), hidden)),
            feed_forward: FeedForward::Dense(mlp),
            after_feed_forward: None,
            parallel: false,
            residual_scale: 1.0,
        }
    };
    Ok((0..config.count("num_hidden_layers")?).map(layer).collect())
}
