//! What is worth knowing about a loaded model, for reports and benchmarks.

/// What is worth knowing about a loaded model.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct ModelFacts {
    /// The family that described it.
    pub family: String,
    /// Values of all weights; a tied head counts once.
    pub parameters: u64,
    /// Bytes the weights take on their devices.
    pub weight_bytes: u64,
    /// Bytes of weights that one decoded token reads: of the embedding a row, of a mixture the chosen experts.
    pub weight_bytes_per_token: u64,
    /// Number format of the activations, and of the weights where they are not quantised: `float32`, `bfloat16`, `float16`.
    pub dtype: String,
    /// `int8` or `int4`; empty where the weights are not quantised.
    pub quantization: String,
    /// What it computes on, for example `cpu`, `cuda:0` or `cuda:0, cuda:1`.
    pub device: String,
    /// The device of each layer, first to last.
    pub layer_devices: Vec<String>,
    /// How matrices are multiplied, for example `streamed weights, a step in one call`.
    pub kernels: String,
    /// Threads that compute on the CPU.
    pub threads: usize,
    /// Most positions of prompt and output together.
    pub max_context: usize,
    /// Logits a token.
    pub vocab_size: usize,
    /// Anything a reader of the results should know.
    pub remarks: Vec<String>,
}
