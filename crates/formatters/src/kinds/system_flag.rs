//! A flag in the system message: what SmolLM3, Hunyuan and Nemotron read.
//!
//! The flag is a line of its own at the end of the system message, which is made where there is none.

use ai_energy_core::{Fault, FormattedPrompt, Prompt, PromptFormatter, Target};
use serde_json::{Map, Value};

use super::chat_template::switch_template;
use super::draft::Draft;
use super::{Kind, Settings};
use crate::switch::{self, ENABLE_THINKING, REASONING, REASONING_EFFORT};

/// Flags in the system message. Of the settings it uses `enable_flag`, `disable_flag`, `default_enabled` and, for
/// models whose chat template can switch too, `template_switches`.
pub(super) struct SystemFlag(pub(super) Settings);

impl PromptFormatter for SystemFlag {
    fn name(&self) -> &str {
        Kind::SystemFlag.word()
    }

    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault> {
        let Settings { enable_flag, disable_flag, default_enabled, template_switches, .. } = &self.0;
        if let Some(params) = reasoning {
            switch::check(params)?;
        }
        let thinking = switch::to_say(reasoning, *default_enabled)?;
        let mut draft = Draft::new(prompt, target);
        draft.pass_on(reasoning, template_switches, &[ENABLE_THINKING, REASONING, REASONING_EFFORT]);
        switch_template(&mut draft, template_switches, thinking);
        let flag = match thinking {
            Some(true) => enable_flag.as_deref(),
            Some(false) => disable_flag.as_deref(),
            None => None,
        };
        if let Some(flag) = flag {
            draft.tell_system(flag);
        }
        Ok(draft.finish())
    }
}
