//! `config.json` from the metadata of a GGUF file.
//!
//! One list says which of the file's keys is which of the configuration's; what the file leaves to the reader is added a
//! family at a time. Refuses to know tensors' values beyond the rotation factors, which some files keep as a tensor.

use serde_json::{Map, Value, json};

use super::reader::shortest;
use super::weights::GgufWeights;

/// Families that can be read, by GGUF's word and by the configuration's, with the class name.
const FAMILIES: [(&str, &str, &str); 12] = [
    ("llama", "llama", "LlamaForCausalLM"),
    ("qwen2", "qwen2", "Qwen2ForCausalLM"),
    ("qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM"),
    ("qwen3", "qwen3", "Qwen3ForCausalLM"),
    ("qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"),
    ("phi3", "phi3", "Phi3ForCausalLM"),
    ("gemma", "gemma", "GemmaForCausalLM"),
    ("gemma2", "gemma2", "Gemma2ForCausalLM"),
    ("gemma3", "gemma3_text", "Gemma3ForCausalLM"),
    ("granite", "granite", "GraniteForCausalLM"),
    ("smollm3", "smollm3", "SmolLM3ForCausalLM"),
    ("gpt2", "gpt2", "GPT2LMHeadModel"),
];

/// The file's keys, each after the family's name and a full stop, and the configuration's.
const KEYS: [(&str, &str); 16] = [
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ("attention.sliding_window", "sliding_window"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("rope.freq_base", "rope_theta"),
    ("expert_used_count", "num_experts_per_tok"),
    ("expert_feed_forward_length", "moe_intermediate_size"),
    ("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
];

/// Granite's multipliers, which other families do not have.
const GRANITE: [(&str, &str); 4] = [
    ("attention.scale", "attention_multiplier"),
    ("embedding_scale", "embedding_multiplier"),
    ("residual_scale", "residual_multiplier"),
    ("logit_scale", "logits_scaling"),
];

/// The configuration that the file's metadata stands for.
///
/// # Errors
/// The family is not known here, or the file says what a configuration cannot; a few words why.
pub(super) fn config(
    metadata: &Map<String, Value>,
    weights: &GgufWeights,
) -> Result<Map<String, Value>, String> {
    let family = weights.architecture.as_str();
    let (_, model_type, class) = FAMILIES
        .iter()
        .find(|(known, ..)| *known == family)
        .ok_or_else(|| format!("its architecture `{family}` is not known here"))?;
    let mut config = Map::new();
    config.insert("architectures".to_owned(), json!([class]));
    config.insert("model_type".to_owned(), json!(model_type));
    let granite = if family == "granite" { &GRANITE[..] } else { &[] };
    for (key, name) in KEYS.iter().chain(granite) {
        if let Some(value) = metadata.get(&format!("{family}.{key}")) {
            config.insert((*name).to_owned(), single(key, value)?);
        }
    }
    let said = Said { metadata, weights, family };
    said.vocabulary(&mut config)?;
    said.tensors(&mut config);
    said.special_tokens(&mut config);
    said.rotation(&mut config)?;
    said.family(&mut config);
    Ok(config)
}

/// A value for all layers; a list of one a layer must say the same throughout.
fn single(key: &str, value: &Value) -> Result<Value, String> {
    match value.as_array().map(Vec::as_slice) {
        None => Ok(value.clone()),
        Some([first, rest @ ..]) if rest.iter().all(|other| other == first) => Ok(first.clone()),
        Some(_) => Err(format!("its layers differ in `{key}`, which this engine does not know")),
    }
}

struct Said<'a> {
    metadata: &'a Map<String, Value>,
    weights: &'a GgufWeights,
    family: &'a str,
}

impl Said<'_> {
    fn own(&self, key: &str) -> Option<&Value> {
        self.metadata.get(&format!("{}.{key}", self.family))
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.own(key)?.as_u64()
    }

    fn has(&self, tensor: &str) -> bool {
        self.weights.tensors.contains_key(tensor)
    }

    /// Tokens are rows of the embedding, whatever else is said.
    fn vocabulary(&self, config: &mut Map<String, Value>) -> Result<(), String> {
        let embedding = self.weights.tensors.get("token_embd.weight").ok_or("it has no token_embd.weight")?;
        let [rows, columns] = embedding.shape.as_slice() else {
            return Err("its token_embd.weight is no matrix".to_owned());
        };
        config.insert("vocab_size".to_owned(), json!(rows));
        config.entry("hidden_size").or_insert(json!(columns));
        Ok(())
    }

    /// What the presence of tensors says.
    fn tensors(&self, config: &mut Map<String, Value>) {
        config.insert("tie_word_embeddings".to_owned(), json!(!self.has("output.weight")));
        if matches!(self.family, "llama" | "granite" | "smollm3") {
            config.insert("attention_bias".to_owned(), json!(self.has("blk.0.attn_q.bias")));
            config.insert("mlp_bias".to_owned(), json!(self.has("blk.0.ffn_up.bias")));
        }
    }

    /// Width of a head, where the file does not say and a configuration may.
    fn head(&self) -> Option<u64> {
        let heads = self.count("attention.head_count").filter(|heads| *heads > 0)?;
        self.count("attention.key_length").or(Some(self.count("embedding_length")? / heads))
    }

    fn special_tokens(&self, config: &mut Map<String, Value>) {
        let token = |key: &str| self.metadata.get(&format!("tokenizer.ggml.{key}_token_id")).cloned();
        for (key, name) in [("bos", "bos_token_id"), ("padding", "pad_token_id")] {
            if let Some(id) = token(key) {
                config.insert(name.to_owned(), id);
            }
        }
        // A turn of a conversation may end with a token of its own.
        let mut ends: Vec<Value> = ["eos", "eot", "eom"].into_iter().filter_map(token).collect();
        ends.dedup();
        if !ends.is_empty() {
            config.insert("eos_token_id".to_owned(), Value::Array(ends));
        }
    }

    /// Scaled rotation: by metadata, or by factors that some families keep as tensors.
    fn rotation(&self, config: &mut Map<String, Value>) -> Result<(), String> {
        let original = self.count("rope.scaling.original_context_length");
        if let Some(factors) = self.weights.values("rope_freqs.weight") {
            config.insert("rope_scaling".to_owned(), self.llama3(&factors)?);
            return Ok(());
        }
        let long = self.weights.values("rope_factors_long.weight");
        let short = self.weights.values("rope_factors_short.weight");
        if let (Some(long), Some(short)) = (long, short) {
            let numbers = |factors: Vec<f32>| factors.into_iter().map(shortest).collect::<Value>();
            let (long, short) = (numbers(long), numbers(short));
            let scaling = json!({"rope_type": "longrope", "long_factor": long, "short_factor": short});
            config.insert("rope_scaling".to_owned(), scaling);
            let original = original.ok_or("it has rotation factors without the context they extend")?;
            config.insert("original_max_position_embeddings".to_owned(), json!(original));
            return Ok(());
        }
        let kind = self.own("rope.scaling.type").and_then(Value::as_str).unwrap_or("none");
        let factor = self.own("rope.scaling.factor").or_else(|| self.own("rope.scale_linear"));
        let scaling = match (kind, factor) {
            ("none", None) => return Ok(()),
            ("none" | "linear", Some(factor)) => json!({"rope_type": "linear", "factor": factor}),
            ("yarn", Some(factor)) => {
                let original = original.ok_or("its rotation is scaled without the context that extends")?;
                json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original})
            }
            (other, _) => {
                return Err(format!("its rotation is scaled in a way that is not known, `{other}`"));
            }
        };
        config.insert("rope_scaling".to_owned(), scaling);
        Ok(())
    }

    /// Llama 3's scaling from its factors. The file keeps the result alone, so the parameters that every release has had
    /// are put in and the result is compared.
    fn llama3(&self, factors: &[f32]) -> Result<Value, String> {
        let factor = factors.iter().copied().fold(1.0, f32::max);
        let base = self.own("rope.freq_base").and_then(Value::as_f64).unwrap_or(10_000.0);
        let (low, high, context) = (1.0_f64, 4.0_f64, 8192.0_f64);
        let size = 2.0 * factors.len() as f64;
        let same = factors.iter().enumerate().all(|(at, found)| {
            let wave = 2.0 * std::f64::consts::PI * base.powf(2.0 * at as f64 / size);
            let turns = context / wave;
            let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            let wanted = 1.0 / ((1.0 - smooth) / f64::from(factor) + smooth);
            (f64::from(*found) / wanted - 1.0).abs() < 1e-3
        });
        let scaling = json!({
            "rope_type": "llama3", "factor": shortest(factor), "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": context as u64,
        });
        same.then_some(scaling).ok_or_else(|| "its rotation factors are not those of Llama 3".to_owned())
    }

    /// What files of a family leave to the reader.
    fn family(&self, config: &mut Map<String, Value>) {
        let experts = self.count("expert_count").filter(|count| *count > 0);
        match (self.family, experts) {
            ("llama", Some(experts)) => {
                config.insert("model_type".to_owned(), json!("mixtral"));
                config.insert("architectures".to_owned(), json!(["MixtralForCausalLM"]));
                config.insert("num_local_experts".to_owned(), json!(experts));
            }
            ("qwen2moe" | "qwen3moe", Some(experts)) => {
                config.insert("num_experts".to_owned(), json!(experts));
                // Qwen3's routed weights are made to add up to one, Qwen2's are not.
                config.insert("norm_topk_prob".to_owned(), json!(self.family == "qwen3moe"));
            }
            ("gemma" | "gemma2" | "gemma3", _) => self.gemma(config),
            ("gpt2", _) => rename(config, &GPT2),
            ("phi3", _) => self.partial_rotation(config),
            _ => {}
        }
        if config.get("num_experts_per_tok").and_then(Value::as_u64) == Some(0) {
            config.remove("num_experts_per_tok");
        }
        if let (false, Some(head)) =
            (matches!(self.family, "gpt2" | "phi3" | "qwen2" | "qwen2moe"), self.head())
        {
            config.insert("head_dim".to_owned(), json!(head));
        }
    }

    /// Only the first part of a head is rotated in some models.
    fn partial_rotation(&self, config: &mut Map<String, Value>) {
        if let (Some(rotated), Some(head)) = (self.count("rope.dimension_count"), self.head())
            && rotated < head
        {
            config.insert("partial_rotary_factor".to_owned(), json!(rotated as f64 / head as f64));
        }
    }

    fn gemma(&self, config: &mut Map<String, Value>) {
        config.insert("hidden_activation".to_owned(), json!("gelu_pytorch_tanh"));
        config.insert("hidden_act".to_owned(), json!("gelu_pytorch_tanh"));
        let layers = self.count("block_count").unwrap_or(0);
        // The largest of each generation scale attention by the width of a head's share, the others by a head's size.
        let largest = matches!((self.family, layers), ("gemma2", 46) | ("gemma3", 62));
        let share = self.count("embedding_length").zip(self.count("attention.head_count"));
        let scalar = match share {
            Some((hidden, heads)) if largest && heads > 0 => json!(hidden / heads),
            _ => json!(self.head()),
        };
        config.insert("query_pre_attn_scalar".to_owned(), scalar);
        let every = match self.family {
            "gemma2" => 2,
            "gemma3" => 6,
            _ => return,
        };
        if self.family == "gemma3" {
            config.insert("rope_local_base_freq".to_owned(), json!(10_000.0));
        }
        let kind = |layer: u64| {
            if (layer + 1).is_multiple_of(every) { "full_attention" } else { "sliding_attention" }
        };
        config.insert("layer_types".to_owned(), (0..layers).map(kind).collect());
    }
}

/// GPT-2's configuration has words of its own.
const GPT2: [(&str, &str); 6] = [
    ("max_position_embeddings", "n_positions"),
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("intermediate_size", "n_inner"),
    ("layer_norm_eps", "layer_norm_epsilon"),
];

fn rename(config: &mut Map<String, Value>, words: &[(&str, &str)]) {
    for (from, to) in words {
        if let Some(value) = config.remove(*from) {
            config.insert((*to).to_owned(), value);
        }
    }
    config.insert("activation_function".to_owned(), json!("gelu_new"));
}
