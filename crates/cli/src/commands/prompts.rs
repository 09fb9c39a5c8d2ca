//! `prompts`: what a run would send, without sending it.
//!
//! Exists so that a reasoning format or a dataset can be looked at before it is measured, and so that the Python package asks
//! the program instead of holding rules of its own. Refuses to open a backend: where the model is `auto`, nobody is asked.

use ai_energy_config::Origin;
use ai_energy_core::{DatasetInfo, FormattedPrompt, Prompt, PromptContent};
use ai_energy_formatters::{DEFAULT_FAMILY, Selected};
use clap::Args;
use serde_json::{Value, json};

use crate::args::{ConfigSource, Globals, OutputFormat};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};
use crate::progress::LoadBar;
use crate::{assemble, resolve, workload};

/// Arguments of `prompts`.
#[derive(Debug, Clone, Default, Args)]
pub struct PromptsArgs {
    /// What is configured.
    #[command(flatten)]
    pub source: ConfigSource,
    /// This one prompt instead of the dataset's
    #[arg(long, value_name = "PROMPT")]
    pub text: Option<String>,
    /// How to print them
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// Prints the prompts, and the format that they are written in.
///
/// # Errors
/// The config or a reasoning parameter is wrong, the dataset cannot be loaded, or standard output cannot be written.
pub fn prompts(arguments: &PromptsArgs, globals: &Globals) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    let checked = resolve::check(&loaded)?;
    let named = *resolve::origin(&loaded, "scenario.dataset_name") != Origin::Default;
    let settings = loaded.value;
    let (prompts, dataset) = match &arguments.text {
        Some(text) => (vec![Prompt::text(0, text.as_str())], None),
        None => super::run::block_on(async {
            let bar = LoadBar::new(globals);
            let workload = workload::load(&settings, &checked.load, named, &bar).await?;
            bar.finish();
            Ok((workload.prompts.prompts, Some(workload.prompts.info)))
        })?,
    };
    let selected = assemble::formatter(&settings, &settings.backend.model)?;
    let target = assemble::backend_kind(&settings)?.opener.target(&settings);
    let formatted = assemble::format_prompts(&settings, &*selected.formatter, target, &prompts)?;
    let formatted = formatted.iter().map(|prompt| &**prompt);
    print_out(&match arguments.format {
        OutputFormat::Text => as_text(&settings.backend.model, &selected, formatted),
        OutputFormat::Json => {
            let all: Vec<Value> = formatted.map(prompt_value).collect();
            let dataset = dataset.as_ref();
            format!("{:#}\n", as_value(&settings.backend.model, &selected, dataset, all))
        }
    })?;
    Ok(Exit::Ok)
}

/// The whole answer for programs. `known` is false where no family's pattern fits the model's name.
fn as_value(model: &str, selected: &Selected, dataset: Option<&DatasetInfo>, prompts: Vec<Value>) -> Value {
    json!({
        "model": model,
        "format": {
            "family": selected.family,
            "known": selected.family != DEFAULT_FAMILY,
            "type": selected.kind,
            "settings": selected.settings,
        },
        "dataset": dataset,
        "prompts": prompts,
    })
}

fn prompt_value(prompt: &FormattedPrompt) -> Value {
    let (messages, text) = match &prompt.content {
        PromptContent::Chat(messages) => (json!(messages), Value::Null),
        PromptContent::Text(text) => (Value::Null, json!(text)),
    };
    json!({
        "index": prompt.index,
        "messages": messages,
        "text": text,
        "params": prompt.params,
        "chat_template_kwargs": prompt.chat_template_kwargs,
    })
}

/// The same for people: a line about the format, then each message behind its role.
fn as_text<'a>(
    model: &str,
    selected: &Selected,
    prompts: impl Iterator<Item = &'a FormattedPrompt>,
) -> String {
    let mut text = format!("{model}: format {} ({})\n", selected.family, selected.kind.description());
    for prompt in prompts {
        text += &format!("\n#{}\n", prompt.index);
        match &prompt.content {
            PromptContent::Chat(messages) => {
                for message in messages {
                    text += &format!("{}: {}\n", message.role.word(), message.content);
                }
            }
            PromptContent::Text(content) => text += &format!("{content}\n"),
        }
        for (name, values) in [("request", &prompt.params), ("template", &prompt.chat_template_kwargs)] {
            for (key, value) in values {
                text += &format!("  {name} {key}={value}\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::Target;

    fn written(model: &str, reasoning: Value, target: Target) -> (Selected, FormattedPrompt) {
        let selected = ai_energy_formatters::Registry::builtin().for_model(model);
        let params = reasoning.as_object().cloned();
        let prompt = selected.formatter.format(&Prompt::text(3, "Hi"), params.as_ref(), target).unwrap();
        (selected, prompt)
    }

    #[test]
    fn programs_get_content_parameters_and_the_formats_settings() {
        let (selected, prompt) = written("smollm3", json!({"enable_thinking": true}), Target::ChatApi);
        let value = as_value("smollm3", &selected, None, vec![prompt_value(&prompt)]);
        assert_eq!(value["format"]["type"], "system_flag");
        assert_eq!(value["format"]["known"], true);
        assert_eq!(value["format"]["settings"]["enable_flag"], "/think");
        assert_eq!(value["prompts"][0]["messages"][0], json!({"role": "system", "content": "/think"}));
        assert_eq!(value["prompts"][0]["index"], 3);
        let (selected, prompt) = written("nobody/x", Value::Null, Target::Completion);
        let value = as_value("nobody/x", &selected, None, vec![prompt_value(&prompt)]);
        assert_eq!((&value["format"]["known"], &value["prompts"][0]["text"]), (&json!(false), &json!("Hi")));
    }

    #[test]
    fn people_see_roles_and_where_each_parameter_goes() {
        let (selected, prompt) =
            written("openai/gpt-oss-20b", json!({"reasoning_effort": "low"}), Target::ChatApi);
        let text = as_text("m", &selected, [&prompt].into_iter());
        assert!(text.contains("#3\nuser: Hi\n  request reasoning_effort=\"low\"\n"), "{text}");
        let (selected, prompt) = written("qwen3", json!({"enable_thinking": false}), Target::ChatApi);
        let text = as_text("m", &selected, [&prompt].into_iter());
        assert!(text.contains("  template enable_thinking=false\n"), "{text}");
    }
}
