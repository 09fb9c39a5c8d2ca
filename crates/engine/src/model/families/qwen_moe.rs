//! Qwen 2 and Qwen 3 with experts: some layers may stay dense; Qwen 2 has biases and an expert that every token goes
//! through, Qwen 3 norms of queries and keys.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{
    Activation, Attention, Experts, FeedForward, Linear, Norm, Routing, SharedExpert, Spec,
};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family =
    Family { name: "Qwen with experts", model_types: &["qwen2_moe", "qwen3_moe"], describe };

/// The base that both configurations document.
const THETA: f64 = 10_000.0;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    // Of training.
    config.skip(&["output_router_logits"]);
    let model_type = config.word("model_type")?.unwrap_or("qwen2_moe").to_owned();
    let sizes = common::Sizes::read(config)?;
    let rope = Rope::read(config, sizes.head_dim, Some(THETA), None)?;
    let eps = config.number_or("rms_norm_eps", 1e-6)?;
    let attentions = attentions(config, &sizes, model_type == "qwen3_moe", eps)?;
    let parts = FeedForwards::read(config, &sizes, model_type == "qwen2_moe")?;
    let layer = |(index, attention)| {
        let prefix = format!("model.layers.{index}");
        common::rms_layer(&prefix, sizes.hidden, eps, attention, parts.of_layer(index, &sizes))
    };
    let embedding = sizes.embedding("model.embed_tokens.weight");
    let head = sizes.head(&embedding, config.switch("tie_word_embeddings", false)?);
    Ok(Spec {
        family: FAMILY.name,
        model_type,
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        embedding,
        ropes: vec![rope],
        layers: attentions.into_iter().enumerate().map(layer).collect(),
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, eps)),
        head,
    })
}

fn attentions(
    config: &Config<'_>,
    sizes: &common::Sizes,
    third: bool,
    eps: f64,
) -> Result<Vec<Attention>, EngineError> {
    let (qkv_bias, output_bias) = if third {
        let bias = config.switch("attention_bias", false)?;
        (bias, bias)
    } else {
        (config.switch("qkv_bias", true)?, false)
    };
    let switched = config.switch("use_sliding_window", false)?;
    let window = config.integer("sliding_window")?.filter(|&window| switched && window > 0);
    let first = config.integer("max_window_layers")?.unwrap_or(28);
    // Without a list, Qwen 3 slides everywhere; Qwen 2 in every other layer of the first ones.
    let otherwise = |index: usize| third || (index.is_multiple_of(2) && index < first);
    let sliding = common::sliding(config, sizes.layers, otherwise)?;
    let attention = |(index, sliding): (usize, bool)| {
        let prefix = format!("model.layers.{index}.self_attn");
        let mut attention = sizes.attention(&prefix, qkv_bias, output_bias);
        attention.window = window.filter(|_| sliding);
        let norm = |name: &str| Norm::rms(&format!("{prefix}.{name}"), sizes.head_dim, eps);
        attention.qk_norm = third.then(|| [norm("q_norm"), norm("k_norm")]);
        attention
    };
    Ok(sliding.into_iter().enumerate().map(attention).collect())
}

/// What stands after attention in each layer.
struct FeedForwards {
    activation: Activation,
    /// Layers that are dense.
    dense: Vec<usize>,
    /// Of the others, every how many-th has experts.
    step: usize,
    experts: usize,
    chosen: usize,
    width: usize,
    /// Width of the expert that every token goes through.
    shared: Option<usize>,
    normalize: bool,
}

impl FeedForwards {
    fn read(config: &Config<'_>, sizes: &common::Sizes, shared: bool) -> Result<Self, EngineError> {
        let dense = match config.value("mlp_only_layers").map(|list| list.as_array()) {
            None => Vec::new(),
            Some(list) => {
                let list: Option<Vec<u64>> =
                    list.and_then(|list| list.iter().map(serde_json::Value::as_u64).collect());
                let list = list.ok_or_else(|| {
                    EngineError::model("config.json", "`mlp_only_layers` is no list of layers")
                })?;
                list.into_iter().filter_map(|index| usize::try_from(index).ok()).collect()
            }
        };
        let (experts, chosen) = common::experts(config, experts_key(config))?;
        let documented = if shared { 1408 } else { 768 };
        let shared =
            if shared { Some(config.count_or("shared_expert_intermediate_size", 5632)?) } else { None };
        Ok(Self {
            activation: common::activation(config, "hidden_act", "silu")?,
            dense: dense.into_iter().filter(|&index| index < sizes.layers).collect(),
            step: config.count_or("decoder_sparse_step", 1)?,
            experts,
            chosen,
            width: config.count_or("moe_intermediate_size", documented)?,
            shared,
            normalize: config.switch("norm_topk_prob", false)?,
        })
    }

    fn of_layer(&self, index: usize, sizes: &common::Sizes) -> FeedForward {
        let part = format!("model.layers.{index}.mlp");
        if self.dense.contains(&index) || !(index + 1).is_multiple_of(self.step) {
            let mlp = common::gated(&part, sizes.hidden, sizes.intermediate, self.activation, false);
            return FeedForward::Dense(mlp);
        }
        let gated = |prefix: &str, width| common::gated(prefix, sizes.hidden, width, self.activation, false);
        let shared = self.shared.map(|width| SharedExpert {
            mlp: gated(&format!("{part}.shared_expert"), width),
            gate: Some(Linear::named(&format!("{part}.shared_expert_gate"), sizes.hidden, 1, false)),
        });
        let experts = (0..self.experts).map(|n| gated(&format!("{part}.experts.{n}"), self.width)).collect();
        FeedForward::Experts(Box::new(Experts {
            chosen: self.chosen,
            routing: Routing::SoftmaxThenTop { normalize: self.normalize },
            router: Linear::named(&format!("{part}.gate"), sizes.hidden, self.experts, false),
            experts,
            shared,
        }))
    }
}

/// Qwen's own configs and those that transformers 5 writes call the same number differently.
fn experts_key(config: &Config<'_>) -> &'static str {
    if config.value("num_experts").is_some() { "num_experts" } else { "num_local_experts" }
}
