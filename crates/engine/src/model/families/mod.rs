//! The families of models, one file each, and the one list that names them.
//!
//! Exists so that a new family is one file and one line here. Refuses to know how anything is computed.

mod common;
mod gemma;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod llama;
mod mixtral;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod qwen_moe;

use super::config::Config;
use super::spec::Spec;
use crate::EngineError;

/// A family of models: which configs are its own, and what they describe.
pub struct Family {
    /// Its name, for reports.
    pub name: &'static str,
    /// Values of `model_type` that it knows.
    pub model_types: &'static [&'static str],
    /// Makes the description.
    pub describe: fn(&Config<'_>) -> Result<Spec, EngineError>,
}

/// Every family.
pub const FAMILIES: &[&Family] = &[
    &llama::FAMILY,
    &qwen::FAMILY,
    &phi3::FAMILY,
    &gemma::FAMILY,
    &gpt2::FAMILY,
    &gpt_neox::FAMILY,
    &opt::FAMILY,
    &phi::FAMILY,
    &mixtral::FAMILY,
    &qwen_moe::FAMILY,
    &gpt_oss::FAMILY,
];

/// The family a config belongs to, by its `model_type`.
///
/// # Errors
/// `Unsupported` where none knows it, `Model` where the config does not say.
pub fn find(config: &Config<'_>) -> Result<&'static Family, EngineError> {
    let Some(model_type) = config.word("model_type")? else {
        return Err(EngineError::model(
            "config.json",
            "`model_type` is missing, so that its architecture is not known",
        ));
    };
    FAMILIES.iter().find(|family| family.model_types.contains(&model_type)).copied().ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        let cause = format!("the native engine does not know `{model_type}`; it knows {}", known.join(", "));
        EngineError::unsupported("architecture", cause).remedy("use backend.engine=transformers")
    })
}
