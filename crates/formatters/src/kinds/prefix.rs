//! Text before the prompt, for example an opening think tag.
//!
//! There is no text for "off": without reasoning the prompt goes as it is.

use ai_energy_core::{Fault, FormattedPrompt, Prompt, PromptFormatter, Target};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{Kind, Settings};
use crate::switch::{self, ENABLE_THINKING, REASONING};

/// Text around the last user message. Of the settings it uses `prefix`, `suffix` and `template_switches`.
pub(super) struct Prefix(pub(super) Settings);

impl PromptFormatter for Prefix {
    fn name(&self) -> &str {
        Kind::Prefix.word()
    }

    fn format(
        &self,
        prompt: &Prompt,
        reasoning: Option<&Map<String, Value>>,
        target: Target,
    ) -> Result<FormattedPrompt, Fault> {
        let mut draft = Draft::new(prompt, target);
        if let Some(params) = reasoning {
            switch::check(params)?;
            // An effort does not switch here: it goes to the server.
            draft.pass_on(reasoning, &self.0.template_switches, &[ENABLE_THINKING, REASONING]);
            if switch::switched(params)? != Some(false) {
                draft.wrap_last_user(&self.0.prefix, &self.0.suffix);
            }
        }
        Ok(draft.finish())
    }
}
