//! The parts of a decoder-only transformer as data: sizes, kinds, and the tensors that hold each part's weights.
//!
//! Exists as the one description that loading, placement and computing share. Refuses to know how any part is computed.

use serde_json::{Map, Value};

use super::config::Config;
use super::families;
use super::rope::Rope;
use crate::EngineError;

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The family that described it, for example `Llama`.
    pub family: &'static str,
    /// `model_type` of the config.
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens the embedding and the head know.
    pub vocab_size: usize,
    /// Most positions of prompt and output together.
    pub max_context: usize,
    /// How tokens become vectors.
    pub embedding: Embedding,
    /// Rotary position tables that layers refer to by index.
    pub ropes: Vec<Rope>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// The norm before the head.
    pub final_norm: Option<Norm>,
    /// How vectors become logits.
    pub head: Head,
}

/// Where the values of a weight are in the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The tensor's name.
    pub tensor: String,
    /// Its shape as stored.
    pub shape: Vec<usize>,
    /// Which slice of the outermost axis is meant; `None` for the whole tensor.
    pub slice: Option<usize>,
    /// How to make `[outputs, inputs]` (or `[outputs]` of a bias) from what is stored.
    pub arrange: Arrange,
}

/// How a stored matrix is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrange {
    /// `[outputs, inputs]`, as `torch.nn.Linear` keeps it.
    AsStored,
    /// `[inputs, outputs]`, as GPT-2's `Conv1D` keeps it.
    Transposed,
    /// `[outputs, inputs]` with query, key and value rows of each head side by side, as GPT-NeoX keeps them.
    HeadwiseQkv {
        /// Number of heads.
        heads: usize,
    },
    /// `[inputs, outputs]` with gate and up columns taking turns, as gpt-oss keeps them; a bias likewise.
    TransposedAlternating,
}

/// A matrix with an optional bias: `y = x Wᵀ + b`. Several sources are stacked along the outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Width of what goes in.
    pub inputs: usize,
    /// Width of what comes out.
    pub outputs: usize,
    /// The weight's sources, first outputs first.
    pub weight: Vec<Source>,
    /// The bias' sources; empty where there is none.
    pub bias: Vec<Source>,
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Divides by the root of the mean square.
    Rms,
    /// Takes the mean away, then divides by the standard deviation.
    Layer,
}

/// A normalisation over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Which one.
    pub kind: NormKind,
    /// Added to the mean square or variance.
    pub eps: f64,
    /// The factor.
    pub weight: Source,
    /// What is added.
    pub bias: Option<Source>,
    /// `true` where the factor is one plus the stored weight (Gemma).
    pub plus_one: bool,
}

/// How tokens become vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `[vocab_size, hidden_size]`.
    pub tokens: Source,
    /// Factor on the vectors (Gemma: the root of the hidden size, Granite: a multiplier).
    pub scale: f64,
    /// `true` where the factor is first rounded to the weights' number format (Gemma).
    pub scale_rounded: bool,
    /// Learned positions that are added.
    pub positions: Option<Positions>,
}

/// Learned positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// `[rows, hidden_size]`.
    pub table: Source,
    /// Row of position 0.
    pub offset: usize,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Norm of what attention reads.
    pub before_attention: Option<Norm>,
    /// The attention.
    pub attention: Attention,
    /// Norm of what attention gives, before it is added to the residual (Gemma 2 and 3).
    pub after_attention: Option<Norm>,
    /// Norm of what the feed-forward part reads; in a parallel layer `None` means what attention reads.
    pub before_feed_forward: Option<Norm>,
    /// The feed-forward part.
    pub feed_forward: FeedForward,
    /// Norm of what the feed-forward part gives, before it is added to the residual (Gemma 2 and 3).
    pub after_feed_forward: Option<Norm>,
    /// `true` where the feed-forward part reads the layer's input instead of attention's result.
    pub parallel: bool,
    /// Factor on what is added to the residual (Granite).
    pub residual_scale: f64,
}

/// Attention with grouped heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor on the scores.
    pub scale: f64,
    /// Rows of all queries, then all keys, then all values.
    pub qkv: Linear,
    /// Norms over each query and key head (Qwen 3, Gemma 3).
    pub qk_norm: Option<[Norm; 2]>,
    /// Index into [`Spec::ropes`]; `None` for a layer without rotary positions.
    pub rope: Option<usize>,
    /// A query sees itself and this many less one before it; `None` for everything.
    pub window: Option<usize>,
    /// Scores become `cap * tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
    /// A learned score a head that takes part in the softmax and gives nothing (gpt-oss).
    pub sinks: Option<Source>,
    /// Heads back to the residual's width.
    pub output: Linear,
}

/// The part of a layer that treats each position alone.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForward {
    /// One for every token.
    Dense(Mlp),
    /// Some of many, chosen by token.
    Experts(Box<Experts>),
}

/// What is between the two matrices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// With the error function.
    Gelu,
    /// With the tanh approximation.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// gpt-oss: `gate * sigmoid(alpha * gate) * (up + 1)`, the gate at most `limit`, up within it on both sides.
    ClampedSwiglu {
        /// Steepness of the sigmoid.
        alpha: f64,
        /// Bound of gate and up.
        limit: f64,
    },
}

/// Two matrices with an activation between.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// The activation.
    pub activation: Activation,
    /// `true`: `up` gives gate rows, then up rows, and `down` reads `act(gate) * up`.
    pub gated: bool,
    /// Into the intermediate width.
    pub up: Linear,
    /// Back.
    pub down: Linear,
}

/// How experts are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Softmax over all, then the best are taken; normalised to a sum of one or not.
    SoftmaxThenTop {
        /// Whether the taken weights are divided by their sum.
        normalize: bool,
    },
    /// The best are taken, then softmax over those.
    TopThenSoftmax,
}

/// A mixture of experts.
#[derive(Debug, Clone, PartialEq)]
pub struct Experts {
    /// Experts a token goes through.
    pub chosen: usize,
    /// How they are weighted.
    pub routing: Routing,
    /// Scores the experts.
    pub router: Linear,
    /// All of them.
    pub experts: Vec<Mlp>,
    /// One that every token goes through.
    pub shared: Option<SharedExpert>,
}

/// An expert that every token goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedExpert {
    /// The expert.
    pub mlp: Mlp,
    /// Its weight: the sigmoid of one number a token.
    pub gate: Option<Linear>,
}

/// How vectors become logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[vocab_size, hidden_size]`.
    pub linear: Linear,
    /// `true` where the weight is the embedding's.
    pub tied: bool,
    /// Factor on the logits (Granite).
    pub scale: f64,
    /// Logits become `cap * tanh(logit / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
}

impl Spec {
    /// The model that a `config.json` describes.
    ///
    /// # Errors
    /// `Unsupported` for an architecture, or a setting of one, that no family here knows; `Model` for a config that lacks
    /// what its family cannot do without, or contradicts itself.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self, EngineError> {
        let config = Config::new(config);
        let family = families::find(&config)?;
        let spec = (family.describe)(&config)?;
        config.refuse_unread(family.name)?;
        Ok(spec)
    }

    /// Values of all weights together; a tied head counts once.
    pub fn parameters(&self) -> u64 {
        let positions = self.embedding.positions.as_ref().map_or(0, |positions| positions.table.values());
        let head = if self.head.tied { 0 } else { self.head.linear.parameters() };
        let layers: u64 = self.layers.iter().map(Layer::parameters).sum();
        let norm = self.final_norm.as_ref().map_or(0, Norm::parameters);
        self.embedding.tokens.values() + positions + layers + norm + head
    }
}

impl Source {
    /// The whole tensor of this name and shape, as stored.
    pub fn new(tensor: impl Into<String>, shape: &[usize]) -> Self {
        Self { tensor: tensor.into(), shape: shape.to_vec(), slice: None, arrange: Arrange::AsStored }
    }

    /// The same laid out otherwise.
    #[must_use]
    pub fn arranged(mut self, arrange: Arrange) -> Self {
        self.arrange = arrange;
        self
    }

    /// One slice of the outermost axis.
    #[must_use]
    pub fn sliced(mut self, index: usize) -> Self {
        self.slice = Some(index);
        self
    }

    /// How many values it holds.
    pub fn values(&self) -> u64 {
        let skip = usize::from(self.slice.is_some());
        self.shape.iter().skip(skip).map(|&n| n as u64).product()
    }
}

impl Linear {
    /// `{prefix}.weight` of shape `[outputs, inputs]`, and `{prefix}.bias` where there is one.
    pub fn named(prefix: &str, inputs: usize, outputs: usize, bias: bool) -> Self {
        Self::stacked(inputs, &[(prefix, outputs)], bias)
    }

    /// Several matrices that read the same input, stacked along the outputs.
    pub fn stacked(inputs: usize, parts: &[(&str, usize)], bias: bool) -> Self {
        let weight =
            |(prefix, outputs): &(&str, usize)| Source::new(format!("{prefix}.weight"), &[*outputs, inputs]);
        let add = |(prefix, outputs): &(&str, usize)| Source::new(format!("{prefix}.bias"), &[*outputs]);
        Self {
            inputs,
            outputs: parts.iter().map(|part| part.1).sum(),
            weight: parts.iter().map(weight).collect(),
            bias: if bias { parts.iter().map(add).collect() } else { Vec::new() },
        }
    }

    /// How many values it holds, the bias among them.
    pub fn parameters(&self) -> u64 {
        self.weight.iter().chain(&self.bias).map(Source::values).sum()
    }
}

impl Norm {
    /// An RMS norm named `{prefix}.weight`.
    pub fn rms(prefix: &str, width: usize, eps: f64) -> Self {
        let weight = Source::new(format!("{prefix}.weight"), &[width]);
        Self { kind: NormKind::Rms, eps, weight, bias: None, plus_one: false }
    }

    /// A layer norm named `{prefix}.weight` and `{prefix}.bias`.
    pub fn layer(prefix: &str, width: usize, eps: f64) -> Self {
        let bias = Some(Source::new(format!("{prefix}.bias"), &[width]));
        Self { kind: NormKind::Layer, bias, ..Self::rms(prefix, width, eps) }
    }

    /// How many values it holds.
    pub fn parameters(&self) -> u64 {
        self.weight.values() + self.bias.as_ref().map_or(0, Source::values)
    }
}

impl Mlp {
    /// How many values it holds.
    pub fn parameters(&self) -> u64 {
        self.up.parameters() + self.down.parameters()
    }
}

impl FeedForward {
    /// How many values it holds.
    pub fn parameters(&self) -> u64 {
        match self {
            Self::Dense(mlp) => mlp.parameters(),
            Self::Experts(mix) => {
                let experts: u64 = mix.experts.iter().map(Mlp::parameters).sum();
                let shared = mix.shared.as_ref().map_or(0, |shared| {
                    shared.mlp.parameters() + shared.gate.as_ref().map_or(0, Linear::parameters)
                });
                mix.router.parameters() + experts + shared
            }
        }
    }
}

impl Layer {
    /// How many values it holds.
    pub fn parameters(&self) -> u64 {
        let norms = [
            &self.before_attention,
            &self.after_attention,
            &self.before_feed_forward,
            &self.after_feed_forward,
        ];
        let norms: u64 = norms.into_iter().flatten().map(Norm::parameters).sum();
        let attention = &self.attention;
        let head_norms: u64 = attention.qk_norm.iter().flatten().map(Norm::parameters).sum();
        let sinks = attention.sinks.as_ref().map_or(0, Source::values);
        let matrices = attention.qkv.parameters() + attention.output.parameters();
        norms + head_norms + sinks + matrices + self.feed_forward.parameters()
    }
}
