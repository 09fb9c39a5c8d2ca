//! Chat templates: a conversation as the text that a model was trained on, by the Jinja template that comes with it.
//!
//! The environment is the one transformers renders them in: blocks trimmed, Python's string and dict methods, JSON
//! without HTML escapes, `raise_exception`, `strftime_now`, loop controls, `{% generation %}`. Refuses to know models.

use std::collections::HashSet;

use ai_energy_core::prompt::Message;
use minijinja::value::{Kwargs, Value as Jinja};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

use super::SpecialTokens;
use super::json::python_json;
use crate::EngineError;

/// Name of the template in messages.
const NAME: &str = "chat_template";

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    /// Where it was found, for messages.
    origin: String,
    /// What it asks for and does not set itself.
    variables: HashSet<String>,
}

impl Template {
    /// Compiles `source`, found in `origin`.
    ///
    /// # Errors
    /// It is no Jinja; the error names the line.
    pub(super) fn new(source: &str, origin: impl Into<String>) -> Result<Self, EngineError> {
        let origin = origin.into();
        let mut environment = environment();
        environment
            .add_template_owned(NAME.to_owned(), generation_blocks(source))
            .map_err(|error| fault(&origin, &error, "its syntax is wrong"))?;
        let compiled = environment.get_template(NAME);
        let variables = compiled.map(|template| template.undeclared_variables(false)).unwrap_or_default();
        Ok(Self { environment, origin, variables })
    }

    /// Whether it asks for a value of this name.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.variables.contains(name)
    }

    /// Renders a conversation, ready for the model's answer; `switches` are the template's own, such as
    /// `enable_thinking`.
    ///
    /// # Errors
    /// The template refuses the conversation or fails; the error has its words and its line.
    pub(super) fn render(
        &self,
        messages: &[Message],
        special: &SpecialTokens,
        switches: &Map<String, Value>,
    ) -> Result<String, EngineError> {
        let mut values = Map::new();
        for (name, token) in special.named() {
            values.insert(name.to_owned(), token.into());
        }
        values.insert("tools".to_owned(), Value::Null);
        values.insert("documents".to_owned(), Value::Null);
        values.insert("add_generation_prompt".to_owned(), true.into());
        values.extend(switches.clone());
        let said: Vec<Value> = messages
            .iter()
            .map(|message| serde_json::json!({"role": message.role.word(), "content": message.content}))
            .collect();
        values.insert("messages".to_owned(), said.into());
        let wrong = |error| fault(&self.origin, &error, "it cannot render the conversation");
        let template = self.environment.get_template(NAME).map_err(wrong)?;
        template.render(Jinja::from_serialize(&values)).map_err(wrong)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, minijinja::Error> {
        let now = jiff::Zoned::now();
        jiff::fmt::strtime::format(&format, &now)
            .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment.add_filter("tojson", |value: Jinja, options: Kwargs| -> Result<Jinja, minijinja::Error> {
        let indent: Option<usize> = options.get("indent")?;
        let sort_keys: Option<bool> = options.get("sort_keys")?;
        let ascii: Option<bool> = options.get("ensure_ascii")?;
        // Separators are Python's in every template seen; another choice is refused by name.
        options.assert_all_used()?;
        let value = serde_json::to_value(&value)
            .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        let text = python_json(&value, indent, sort_keys.unwrap_or(false), ascii.unwrap_or(false));
        Ok(Jinja::from_safe_string(text))
    });
    environment
}

/// `{% generation %}` marks what a model says, for training; here its contents alone matter, so it becomes a block that
/// is always rendered and trims white space as the marker would.
fn generation_blocks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let tag = &rest[start..start + length + 2];
        let word = tag[2..tag.len() - 2].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        text.push_str(&rest[..start]);
        match word {
            "generation" => text.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => text.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => text.push_str(tag),
        }
        rest = &rest[start + length + 2..];
    }
    text + rest
}

fn fault(origin: &str, error: &minijinja::Error, what: &str) -> EngineError {
    let line = error.line().map_or_else(String::new, |line| format!(", line {line}"));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    EngineError::bad_request(format!("chat template in {origin}{line}"), format!("{what}: {detail}"))
        .remedy("send the prompt as text, or use the transformers engine (`backend.engine=transformers`)")
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
