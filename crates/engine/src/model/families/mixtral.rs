//! Mixtral: Mistral's attention, and in every layer a mixture of experts whose weights are normalised over the chosen.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{Activation, Experts, FeedForward, Linear, Mlp, Norm, Routing, Spec};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "Mixtral", model_types: &["mixtral"], describe };

/// The base that MixtralConfig documents.
const THETA: f64 = 1_000_000.0;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    // Of training.
    config.skip(&["output_router_logits"]);
    let sizes = common::Sizes::read(config)?;
    let rope = Rope::read(config, sizes.head_dim, Some(THETA), None)?;
    let eps = config.number_or("rms_norm_eps", 1e-5)?;
    let window = config.integer("sliding_window")?;
    let activation = common::activation(config, "hidden_act", "silu")?;
    let (experts, chosen) = common::experts(config, "num_local_experts")?;
    let layer = |index: usize| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), false, false);
        attention.window = window;
        let part = format!("{prefix}.block_sparse_moe");
        let mix = Experts {
            chosen,
            routing: Routing::SoftmaxThenTop { normalize: true },
            router: Linear::named(&format!("{part}.gate"), sizes.hidden, experts, false),
            experts: (0..experts)
                .map(|n| expert(&format!("{part}.experts.{n}"), &sizes, activation))
                .collect(),
            shared: None,
        };
        common::rms_layer(&prefix, sizes.hidden, eps, attention, FeedForward::Experts(Box::new(mix)))
    };
    let embedding = sizes.embedding("model.embed_tokens.weight");
    let head = sizes.head(&embedding, config.switch("tie_word_embeddings", false)?);
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("mixtral").to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        embedding,
        ropes: vec![rope],
        layers: (0..sizes.layers).map(layer).collect(),
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, eps)),
        head,
    })
}

/// `w1` is the gate, `w3` goes up, `w2` down.
fn expert(prefix: &str, sizes: &common::Sizes, activation: Activation) -> Mlp {
    let (gate, up, width) = (format!("{prefix}.w1"), format!("{prefix}.w3"), sizes.intermediate);
    Mlp {
        activation,
        gated: true,
        up: Linear::stacked(sizes.hidden, &[(&gate, width), (&up, width)], false),
        down: Linear::named(&format!("{prefix}.w2"), width, sizes.hidden, false),
    }
}
