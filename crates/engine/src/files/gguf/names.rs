//! From the names of a Hugging Face checkpoint to those of a GGUF file, and what the conversion did to the values.
//!
//! Refuses to know how values are packed.

/// What the conversion to GGUF did to a tensor and has to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Rows of each query head were reordered for interleaved rotation.
    QueryHeads,
    /// Rows of each key head were reordered for interleaved rotation.
    KeyHeads,
    /// One was added.
    PlusOne,
    /// Rows and columns were exchanged.
    Transposed,
}

/// Where a tensor of the checkpoint is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Name in the GGUF file.
    pub(super) name: String,
    /// What to undo.
    pub(super) change: Change,
    /// Which expert of a tensor that holds all of a layer's.
    pub(super) expert: Option<usize>,
}

/// Families whose conversion reorders query and key heads.
const REORDERED: [&str; 3] = ["llama", "granite", "smollm3"];
/// Families whose norms are stored with one added.
const NORM_PLUS_ONE: [&str; 3] = ["gemma", "gemma2", "gemma3"];

/// Names beside the layers.
const OUTER: [(&str, &str); 8] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("wte", "token_embd"),
    ("wpe", "position_embd"),
    ("ln_f", "output_norm"),
    ("score", "cls.output"),
    ("model.final_layernorm", "output_norm"),
];

/// Names within a layer, for every family that does not say otherwise.
const INNER: [(&str, &str); 30] = [
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
    ("experts.gate_proj", "ffn_gate_exps"),
    ("experts.up_proj", "ffn_up_exps"),
    ("experts.down_proj", "ffn_down_exps"),
    ("experts.w1", "ffn_gate_exps"),
    ("experts.w3", "ffn_up_exps"),
    ("experts.w2", "ffn_down_exps"),
    ("ln_1", "attn_norm"),
    ("ln_2", "ffn_norm"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("mlp.c_fc", "ffn_up"),
];

/// Names within a layer that mean something else in Gemma 2 and 3, which have four norms a layer.
const SANDWICH: [(&str, &str); 3] = [
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

/// Where the checkpoint's tensor `name` is in a file of the family `architecture` (GGUF's word); `None` where there is no
/// such tensor in any.
pub(super) fn place(architecture: &str, name: &str) -> Option<Place> {
    let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    let stem = stem.strip_prefix("transformer.").unwrap_or(stem);
    let stem =
        stem.strip_prefix("model.language_model.").or(stem.strip_prefix("language_model.")).unwrap_or(stem);
    if let Some((_, gguf)) = OUTER.iter().find(|(known, _)| *known == stem) {
        let change = change(architecture, gguf, stem);
        return Some(Place { name: format!("{gguf}.{kind}"), change, expert: None });
    }
    let rest = ["model.layers.", "layers.", "h."].iter().find_map(|prefix| stem.strip_prefix(prefix))?;
    let (layer, inner) = rest.split_once('.')?;
    layer.parse::<u32>().ok()?;
    let (inner, expert) = without_expert(inner);
    let sandwich = if matches!(architecture, "gemma2" | "gemma3") { &SANDWICH[..] } else { &[] };
    let gpt2 = [("mlp.c_proj", "ffn_down")];
    let (_, gguf) = sandwich.iter().chain(&INNER).chain(&gpt2).find(|(known, _)| *known == inner)?;
    let change = change(architecture, gguf, &inner);
    Some(Place { name: format!("blk.{layer}.{gguf}.{kind}"), change, expert })
}

fn change(architecture: &str, gguf: &str, name: &str) -> Change {
    match gguf {
        "attn_q" if REORDERED.contains(&architecture) => Change::QueryHeads,
        "attn_k" if REORDERED.contains(&architecture) => Change::KeyHeads,
        norm if norm.ends_with("norm") && NORM_PLUS_ONE.contains(&architecture) => Change::PlusOne,
        // GPT-2's layers keep inputs as rows in the checkpoint.
        _ if name.contains(".c_") => Change::Transposed,
        _ => Change::None,
    }
}

/// `mlp.experts.7.up_proj` is expert 7 of `experts.up_proj`.
fn without_expert(inner: &str) -> (String, Option<usize>) {
    let split = inner.split_once("experts.").and_then(|(_, rest)| rest.split_once('.'));
    match split.and_then(|(expert, rest)| Some((expert.parse().ok()?, rest))) {
        Some((expert, rest)) => (format!("experts.{rest}"), Some(expert)),
        None => (inner.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(architecture: &str, name: &str) -> (String, Change, Option<usize>) {
        let place = place(architecture, name).unwrap();
        (place.name, place.change, place.expert)
    }

    #[test]
    fn names_of_each_kind_are_found() {
        assert_eq!(
            found("llama", "model.embed_tokens.weight"),
            ("token_embd.weight".into(), Change::None, None)
        );
        assert_eq!(
            found("llama", "model.layers.3.self_attn.q_proj.weight"),
            ("blk.3.attn_q.weight".into(), Change::QueryHeads, None)
        );
        assert_eq!(
            found("qwen2", "model.layers.3.self_attn.k_proj.bias"),
            ("blk.3.attn_k.bias".into(), Change::None, None)
        );
        assert_eq!(
            found("gemma2", "model.layers.0.post_attention_layernorm.weight"),
            ("blk.0.post_attention_norm.weight".into(), Change::PlusOne, None)
        );
        assert_eq!(
            found("llama", "model.layers.0.post_attention_layernorm.weight").0,
            "blk.0.ffn_norm.weight"
        );
        assert_eq!(
            found("qwen3moe", "model.layers.1.mlp.experts.12.up_proj.weight"),
            ("blk.1.ffn_up_exps.weight".into(), Change::None, Some(12))
        );
        assert_eq!(
            found("llama", "model.layers.1.block_sparse_moe.experts.7.w2.weight"),
            ("blk.1.ffn_down_exps.weight".into(), Change::None, Some(7))
        );
        assert_eq!(
            found("gpt2", "transformer.h.11.mlp.c_proj.weight"),
            ("blk.11.ffn_down.weight".into(), Change::Transposed, None)
        );
        assert_eq!(found("gpt2", "h.0.attn.c_attn.bias").0, "blk.0.attn_qkv.bias");
    }

    #[test]
    fn what_no_file_has_is_not_found() {
        for name in
            ["model.layers.x.input_layernorm.weight", "model.layers.0.unknown.weight", "lm_head", "a.b"]
        {
            assert_eq!(place("llama", name), None, "{name}");
        }
    }
}
