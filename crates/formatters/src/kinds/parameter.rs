//! Reasoning parameters passed on in the request, for families that read them and for models without a format.

use ai_energy_core::{Fault, FormattedPrompt, Prompt, PromptFormatter, Target};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{Kind, Settings};
use crate::switch::{self, ENABLE_THINKING};

/// Parameters by name. Of the settings it uses `template_switches`, and `default_enabled` for [`Kind::Parameter`].
pub(super) struct Parameter {
    /// [`Kind::Parameter`] or [`Kind::None`].
    pub(super) kind: Kind,
    pub(super) settings: Settings,
}

impl PromptFormatter for Parameter {
    fn name(&self) -> &str {
        self.kind.word()
    }

    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault> {
        let switches = &self.settings.template_switches;
        let mut draft = Draft::new(prompt, target);
        if let Some(params) = reasoning {
            switch::check(params)?;
        }
        draft.pass_on(reasoning, switches, &[]);
        if self.kind == Kind::Parameter
            && let Some(on) = self.unspoken(reasoning)
        {
            draft.set(ENABLE_THINKING, Value::Bool(on), switches);
        }
        Ok(draft.finish())
    }
}

impl Parameter {
    /// What the scenario wants without having a parameter for it: reasoning switched on and nothing else said, or
    /// left off for a model that thinks by default.
    fn unspoken(&self, reasoning: Option<&Map<String, Value>>) -> Option<bool> {
        match reasoning {
            None => self.settings.default_enabled.then_some(false),
            Some(params) => params.is_empty().then_some(true),
        }
    }
}
