//! Phi-3 and Phi-4: Llama's layer with queries, keys and values in one matrix, gate and up in another.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{FeedForward, Layer, Linear, Mlp, Norm, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "Phi-3", model_types: &["phi3"], describe };

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    let sizes = common::Sizes::read(config)?;
    let activation = common::activation(config, "hidden_act", "silu")?;
    let eps = config.number_or("rms_norm_eps", 1e-5)?;
    let window = config.integer("sliding_window")?;
    let layer = |index: usize| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), false, false);
        let outputs = attention.qkv.outputs;
        attention.qkv = Linear::named(&format!("{prefix}.self_attn.qkv_proj"), sizes.hidden, outputs, false);
        attention.window = window;
        let mlp = Mlp {
            activation,
            gated: true,
            up: Linear::named(
                &format!("{prefix}.mlp.gate_up_proj"),
                sizes.hidden,
                2 * sizes.intermediate,
                false,
            ),
            down: Linear::named(&format!("{prefix}.mlp.down_proj"), sizes.intermediate, sizes.hidden, false),
        };
        common::rms_layer(&prefix, sizes.hidden, eps, attention, FeedForward::Dense(mlp))
    };
    let layers: Vec<Layer> = (0..sizes.layers).map(layer).collect();
    let embedding = sizes.embedding("model.embed_tokens.weight");
    // The factors are for the whole length, of which the trained one is a part at the top of the config.
    config.skip(&["original_max_position_embeddings"]);
    Ok(Spec {
        family: FAMILY.name,
        model_type: "phi3".to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        // Phi3Config documents this base for configs that lack one.
        ropes: vec![Rope::read(config, sizes.head_dim, Some(10_000.0), None)?],
        layers,
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, eps)),
        head: sizes.head(&embedding, config.switch("tie_word_embeddings", false)?),
        embedding,
    })
}
