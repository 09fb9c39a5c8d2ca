//! A switch of the model's chat template: what Qwen3 reads.
//!
//! Text that goes to the model as it is passes no template, so there the switch has no place and is not sent.

use ai_energy_core::{Fault, FormattedPrompt, Prompt, PromptFormatter, Target};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{Kind, Settings};
use crate::switch::{self, ENABLE_THINKING, REASONING, REASONING_EFFORT};

/// A switch of the chat template. Of the settings it uses `template_switches`, the first of which is the switch
/// (`enable_thinking` where there is none), and `default_enabled`.
pub(super) struct ChatTemplate(pub(super) Settings);

impl PromptFormatter for ChatTemplate {
    fn name(&self) -> &str {
        Kind::ChatTemplate.word()
    }

    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault> {
        if let Some(params) = reasoning {
            switch::check(params)?;
        }
        let thinking = switch::to_say(reasoning, self.0.default_enabled)?;
        let usual = [ENABLE_THINKING.to_owned()];
        let switches: &[String] =
            if self.0.template_switches.is_empty() { &usual } else { &self.0.template_switches };
        let mut draft = Draft::new(prompt, target);
        draft.pass_on(reasoning, switches, &[ENABLE_THINKING, REASONING, REASONING_EFFORT]);
        switch_template(&mut draft, switches, thinking);
        Ok(draft.finish())
    }
}

/// Sets the first of `switches` to `thinking`, unless the user has set that very switch.
pub(super) fn switch_template(draft: &mut Draft<'_>, switches: &[String], thinking: Option<bool>) {
    if let (Some(switch), Some(on)) = (switches.first(), thinking) {
        draft.template.entry(switch.clone()).or_insert(Value::Bool(on));
    }
}
