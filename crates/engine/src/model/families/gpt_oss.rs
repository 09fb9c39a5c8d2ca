//! gpt-oss: experts with a clamped SwiGLU whose gate and up columns take turns, attention sinks, every other layer sliding,
//! YaRN. Its experts' MXFP4 blocks are unpacked where the files are read.

use serde_json::{Value, json};

use super::super::config::Config;
use super::super::rope::{Rope, Scaling};
use super::super::spec::{
    Activation, Arrange, Experts, FeedForward, Linear, Mlp, Norm, Routing, Source, Spec,
};
use super::{Family, common};
use crate::EngineError;

pub(super) const FAMILY: Family = Family { name: "gpt-oss", model_types: &["gpt_oss"], describe };

/// What GptOssConfig documents for a config that has no rotary settings at all.
const THETA: f64 = 150_000.0;
const SCALING_FACTOR: f64 = 32.0;

fn describe(config: &Config<'_>) -> Result<Spec, EngineError> {
    // Of training, or repeating what other keys say.
    config.skip(&["output_router_logits", "experts_per_token", "initial_context_length"]);
    unpacked(config)?;
    let sizes = common::Sizes::read(config)?;
    let eps = config.number_or("rms_norm_eps", 1e-5)?;
    let bias = config.switch("attention_bias", true)?;
    let window = config.count_or("sliding_window", 128)?;
    let window = (!config.is_null("sliding_window")).then_some(window);
    let sliding = common::sliding(config, sizes.layers, |index| index.is_multiple_of(2))?;
    let mix = mixture(config)?;
    let layer = |(index, sliding): (usize, bool)| {
        let prefix = format!("model.layers.{index}");
        let mut attention = sizes.attention(&format!("{prefix}.self_attn"), bias, bias);
        attention.window = window.filter(|_| sliding);
        attention.sinks = Some(Source::new(format!("{prefix}.self_attn.sinks"), &[sizes.heads]));
        let experts = mix.of_layer(&format!("{prefix}.mlp"), &sizes);
        common::rms_layer(&prefix, sizes.hidden, eps, attention, FeedForward::Experts(Box::new(experts)))
    };
    let embedding = sizes.embedding("model.embed_tokens.weight");
    let head = sizes.head(&embedding, config.switch("tie_word_embeddings", false)?);
    Ok(Spec {
        family: FAMILY.name,
        model_type: config.word("model_type")?.unwrap_or("gpt_oss").to_owned(),
        hidden_size: sizes.hidden,
        vocab_size: sizes.vocab,
        max_context: sizes.context,
        embedding,
        ropes: vec![rope(config, &sizes)?],
        layers: sliding.into_iter().enumerate().map(layer).collect(),
        final_norm: Some(Norm::rms("model.norm", sizes.hidden, eps)),
        head,
    })
}

/// MXFP4 is unpacked by the files' side; anything else is not.
fn unpacked(config: &Config<'_>) -> Result<(), EngineError> {
    let method = config.object("quantization_config")?.map(|how| how.get("quant_method"));
    match method {
        None => Ok(()),
        Some(Some(Value::String(method))) if method == "mxfp4" => Ok(()),
        Some(other) => {
            let cause =
                format!("weights quantised by {} are not known", other.unwrap_or(&json!("nothing named")));
            Err(EngineError::unsupported("config.json", cause).remedy("use backend.engine=transformers"))
        }
    }
}

fn rope(config: &Config<'_>, sizes: &common::Sizes) -> Result<Rope, EngineError> {
    let mut rope = Rope::read(config, sizes.head_dim, Some(THETA), None)?;
    if config.value("rope_parameters").is_none() && config.value("rope_scaling").is_none() {
        rope.scaling = Scaling::Yarn {
            factor: SCALING_FACTOR,
            attention: 0.1 * SCALING_FACTOR.ln() + 1.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            trained: 4096.0,
            truncate: false,
        };
    }
    Ok(rope)
}

/// The mixture of every layer.
struct Mixture {
    experts: usize,
    chosen: usize,
    activation: Activation,
}

fn mixture(config: &Config<'_>) -> Result<Mixture, EngineError> {
    config.only("hidden_act", &json!("silu"))?;
    let (experts, chosen) = common::experts(config, "num_local_experts")?;
    let (alpha, limit) = (config.number_or("swiglu_alpha", 1.702)?, config.number_or("swiglu_limit", 7.0)?);
    Ok(Mixture { experts, chosen, activation: Activation::ClampedSwiglu { alpha, limit } })
}

impl Mixture {
    fn of_layer(&self, part: &str, sizes: &common::Sizes) -> Experts {
        Experts {
            chosen: self.chosen,
            routing: Routing::TopThenSoftmax,
            router: Linear::named(&format!("{part}.router"), sizes.hidden, self.experts, true),
            experts: (0..self.experts).map(|n| self.expert(&format!("{part}.experts"), n, sizes)).collect(),
            shared: None,
        }
    }

    /// One slice of the tensors that hold all experts of a layer.
    fn expert(&self, part: &str, index: usize, sizes: &common::Sizes) -> Mlp {
        let (hidden, width) = (sizes.hidden, sizes.intermediate);
        let linear = |name: &str, inputs: usize, outputs: usize, arrange: Arrange| {
            let slice = |suffix: &str, shape: &[usize]| {
                Source::new(format!("{part}.{name}{suffix}"), shape).sliced(index).arranged(arrange)
            };
            let weight = vec![slice("", &[self.experts, inputs, outputs])];
            Linear { inputs, outputs, weight, bias: vec![slice("_bias", &[self.experts, outputs])] }
        };
        Mlp {
            activation: self.activation,
            gated: true,
            up: linear("gate_up_proj", hidden, 2 * width, Arrange::TransposedAlternating),
            down: linear("down_proj", width, hidden, Arrange::Transposed),
        }
    }
}
