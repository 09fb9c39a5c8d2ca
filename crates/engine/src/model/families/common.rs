//! What many families share: sizes every config has, split matrices with their usual names, the usual embedding and head.
//!
//! Exists so that a family's file says only what is its own. Refuses to know any one family.

use super::super::config::Config;
use super::super::rope::Rope;
use super::super::spec::{
    Activation, Attention, Embedding, FeedForward, Head, Layer, Linear, Mlp, Norm, Source,
};
use crate::EngineError;

/// Sizes that every Llama-like config has.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) vocab: usize,
    pub(super) context: usize,
}

impl Sizes {
    /// Reads them under their usual names.
    pub(super) fn read(config: &Config<'_>) -> Result<Self, EngineError> {
        let (hidden, heads) = (config.count("hidden_size")?, config.count("num_attention_heads")?);
        let kv_heads = config.count_or("num_key_value_heads", heads)?;
        let head_dim = config.count_or("head_dim", hidden / heads)?;
        if !heads.is_multiple_of(kv_heads) {
            let cause = format!("{heads} query heads cannot share {kv_heads} key and value heads");
            return Err(EngineError::model("config.json", cause));
        }
        Ok(Self {
            hidden,
            heads,
            kv_heads,
            head_dim,
            intermediate: config.count("intermediate_size")?,
            layers: config.count("num_hidden_layers")?,
            vocab: config.count("vocab_size")?,
            context: config.count("max_position_embeddings")?,
        })
    }

    /// Attention with `q_proj`, `k_proj`, `v_proj` and `o_proj` under a prefix; everything else plain.
    pub(super) fn attention(&self, prefix: &str, qkv_bias: bool, output_bias: bool) -> Attention {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| format!("{prefix}.{name}"));
        let parts = [(q.as_str(), queries), (k.as_str(), keys), (v.as_str(), keys)];
        Attention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: (self.head_dim as f64).powf(-0.5),
            qkv: Linear::stacked(self.hidden, &parts, qkv_bias),
            qk_norm: None,
            rope: Some(0),
            window: None,
            soft_cap: None,
            sinks: None,
            output: Linear::named(&format!("{prefix}.o_proj"), queries, self.hidden, output_bias),
        }
    }

    /// The usual embedding, `{prefix}embed_tokens.weight`.
    pub(super) fn embedding(&self, tensor: &str) -> Embedding {
        let tokens = Source::new(tensor, &[self.vocab, self.hidden]);
        Embedding { tokens, scale: 1.0, scale_rounded: false, positions: None }
    }

    /// The usual head: `lm_head`, or the embedding's weight where they are tied.
    pub(super) fn head(&self, embedding: &Embedding, tied: bool) -> Head {
        let mut linear = Linear::named("lm_head", self.hidden, self.vocab, false);
        if tied {
            linear.weight = vec![embedding.tokens.clone()];
        }
        Head { linear, tied, scale: 1.0, soft_cap: None }
    }
}

/// `gate_proj`, `up_proj` and `down_proj` under a prefix.
pub(super) fn gated(prefix: &str, hidden: usize, width: usize, activation: Activation, bias: bool) -> Mlp {
    let [gate, up, down] = ["gate_proj", "up_proj", "down_proj"].map(|name| format!("{prefix}.{name}"));
    Mlp {
        activation,
        gated: true,
        up: Linear::stacked(hidden, &[(&gate, width), (&up, width)], bias),
        down: Linear::named(&down, width, hidden, bias),
    }
}

/// The activation under its name in configs.
pub(super) fn activation(config: &Config<'_>, key: &str, default: &str) -> Result<Activation, EngineError> {
    match config.word(key)?.unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_python_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(EngineError::unsupported(
            "config.json",
            format!("the activation `{other}` of `{key}` is not known"),
        )
        .remedy("use backend.engine=transformers")),
    }
}

/// Which layers see a sliding window only: `layer_types` where the config lists them, else what the family says.
pub(super) fn sliding(
    config: &Config<'_>,
    layers: usize,
    otherwise: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, EngineError> {
    let Some(kinds) = config.words("layer_types")? else {
        return Ok((0..layers).map(otherwise).collect());
    };
    if kinds.len() != layers {
        let cause = format!("`layer_types` names {} layers, `num_hidden_layers` {layers}", kinds.len());
        return Err(EngineError::model("config.json", cause));
    }
    let kind = |kind: &&str| match *kind {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        other => Err(EngineError::unsupported(
            "config.json",
            format!("layers of the type `{other}` are not known"),
        )
        .remedy("use backend.engine=transformers")),
    };
    kinds.iter().map(kind).collect()
}

/// `whole` in `parts` equal parts.
pub(super) fn even_share(whole: usize, parts: usize, key: &str, by: &str) -> Result<usize, EngineError> {
    if whole.is_multiple_of(parts) {
        return Ok(whole / parts);
    }
    let cause = format!("`{key}` is {whole}, which does not split evenly by `{by}`, {parts}");
    Err(EngineError::model("config.json", cause))
}

/// A layer with RMS norms before both parts under their usual names.
pub(super) fn rms_layer(
    prefix: &str,
    hidden: usize,
    eps: f64,
    attention: Attention,
    feed_forward: FeedForward,
) -> Layer {
    Layer {
        before_attention: Some(Norm::rms(&format!("{prefix}.input_layernorm"), hidden, eps)),
        attention,
        after_attention: None,
        before_feed_forward: Some(Norm::rms(&format!("{prefix}.post_attention_layernorm"), hidden, eps)),
        feed_forward,
        after_feed_forward: None,
        parallel: false,
        residual_scale: 1.0,
    }
}

/// How many experts there are, under the key that a family uses, and how many of them a token goes through.
pub(super) fn experts(config: &Config<'_>, key: &str) -> Result<(usize, usize), EngineError> {
    let (experts, chosen) = (config.count(key)?, config.count("num_experts_per_tok")?);
    if chosen > experts {
        let cause = format!("`num_experts_per_tok` is {chosen}, and there are {experts} experts");
        return Err(EngineError::model("config.json", cause));
    }
    Ok((experts, chosen))
}

/// The same rope with a family's own share of turning values where the config names none.
pub(super) fn rotary_share_or(config: &Config<'_>, mut rope: Rope, share: f64) -> Rope {
    let nested = |key: &str| {
        let settings = config.value(key).and_then(|settings| settings.get("partial_rotary_factor"));
        settings.is_some_and(|share| !share.is_null())
    };
    let top = ["partial_rotary_factor", "rotary_pct"].iter().any(|key| config.value(key).is_some());
    if !top && !nested("rope_parameters") && !nested("rope_scaling") {
        rope.rotary_dim = (rope.head_dim as f64 * share) as usize;
    }
    rope
}
