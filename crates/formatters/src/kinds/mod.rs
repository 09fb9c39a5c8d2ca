//! The kinds of format, one module each, and what they share.
//!
//! A kind refuses to know which models use it: its settings come from the table.

mod chat_template;
mod draft;
mod harmony;
mod parameter;
mod prefix;
mod system_flag;

use std::sync::Arc;

use ai_energy_core::PromptFormatter;
use serde::{Deserialize, Serialize};

/// A kind of format: the `type` of a family in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The Harmony layout of gpt-oss, with a reasoning effort.
    Harmony,
    /// A flag in the system message. `system_prompt` is the Python package's word for it.
    #[serde(alias = "system_prompt")]
    SystemFlag,
    /// Text before the prompt.
    Prefix,
    /// A switch of the model's chat template.
    ChatTemplate,
    /// Parameters in the request.
    Parameter,
    /// No reasoning format.
    None,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Harmony, Kind::SystemFlag, Kind::Prefix, Kind::ChatTemplate, Kind::Parameter, Kind::None];

    /// The word for it in the table; also the formatter's name.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Harmony => "harmony",
            Kind::SystemFlag => "system_flag",
            Kind::Prefix => "prefix",
            Kind::ChatTemplate => "chat_template",
            Kind::Parameter => "parameter",
            Kind::None => "none",
        }
    }

    /// One line for `list formats`.
    pub fn description(self) -> &'static str {
        match self {
            Kind::Harmony => {
                "Harmony layout; chat servers get reasoning_effort and apply the layout themselves"
            }
            Kind::SystemFlag => "a flag in the system message switches thinking",
            Kind::Prefix => "text before the prompt switches thinking on",
            Kind::ChatTemplate => "a switch of the chat template switches thinking",
            Kind::Parameter => "reasoning parameters are passed on in the request",
            Kind::None => "no format; reasoning parameters, if any, are passed on in the request",
        }
    }
}

/// What the kinds can be told; each uses the part that it documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Said in the system message to switch thinking on.
    pub enable_flag: Option<String>,
    /// Said in the system message to switch thinking off.
    pub disable_flag: Option<String>,
    /// The model thinks when nothing is said.
    pub default_enabled: bool,
    /// Before the prompt.
    pub prefix: String,
    /// After the prompt.
    pub suffix: String,
    /// Reasoning parameters that the chat template reads.
    pub template_switches: Vec<String>,
}

/// The formatter of a kind.
pub(crate) fn formatter(kind: Kind, settings: Settings) -> Arc<dyn PromptFormatter> {
    match kind {
        Kind::Harmony => Arc::new(harmony::Harmony(settings)),
        Kind::SystemFlag => Arc::new(system_flag::SystemFlag(settings)),
        Kind::Prefix => Arc::new(prefix::Prefix(settings)),
        Kind::ChatTemplate => Arc::new(chat_template::ChatTemplate(settings)),
        Kind::Parameter => Arc::new(parameter::Parameter { kind, settings }),
        // Without a format there is nothing to do but to pass on what the user gave.
        Kind::None => Arc::new(parameter::Parameter { kind, settings }),
    }
}
