//! Tokenizer and chat template of a model folder: `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`.
//!
//! Refuses to know GGUF files.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::codec::Codec;
use super::{SpecialTokens, TemplateSource, Text};
use crate::EngineError;
use crate::files::json;

/// See [`Text::from_folder`].
pub(super) fn open(folder: &Path) -> Result<Option<Text>, EngineError> {
    let path = folder.join("tokenizer.json");
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = json::bytes(&path)?;
    let tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| {
        EngineError::model(path.display().to_string(), format!("it is no tokenizer: {error}"))
            .remedy("fetch the model again; a tokenizer of a newer kind needs `backend.engine=transformers`")
    })?;
    let config = json::object_if_there(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let special = special_tokens(folder, &config)?;
    let bos = bos_rule(&tokenizer, &special, &config);
    let template = template(folder, &config)?;
    Text::assemble(Codec::Tokenizer { tokenizer: Box::new(tokenizer), bos }, special, template).map(Some)
}

/// From the configuration, else from the older file beside it.
fn special_tokens(folder: &Path, config: &Map<String, Value>) -> Result<SpecialTokens, EngineError> {
    let older = json::object_if_there(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
    let find = |key: &str| {
        let value = config.get(key).filter(|value| !value.is_null()).or_else(|| older.get(key))?;
        // A token is its text, or an object that has it with how to match it.
        value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
    };
    Ok(SpecialTokens {
        bos: find("bos_token"),
        eos: find("eos_token"),
        unk: find("unk_token"),
        pad: find("pad_token"),
    })
}

/// `add_bos_token`, which transformers obeys for the classes that have the switch and ignores for the others.
fn bos_rule(
    tokenizer: &Tokenizer,
    special: &SpecialTokens,
    config: &Map<String, Value>,
) -> Option<(u32, bool)> {
    let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    let obeys = ["Llama", "CodeLlama", "Gemma", "GPT2"].iter().any(|family| class.starts_with(family));
    let add = config.get("add_bos_token").and_then(Value::as_bool).filter(|_| obeys)?;
    Some((tokenizer.token_to_id(special.bos.as_deref()?)?, add))
}

/// A file of its own first, as transformers does; then the configuration's text, or its list of named templates.
fn template(folder: &Path, config: &Map<String, Value>) -> Result<Option<TemplateSource>, EngineError> {
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        let source = String::from_utf8(json::bytes(&path)?)
            .map_err(|_| EngineError::model(path.display().to_string(), "it is not UTF-8"))?;
        return Ok(Some(TemplateSource { source, origin: path.display().to_string() }));
    }
    let older = json::object_if_there(&folder.join("chat_template.json"))?.unwrap_or_default();
    let places = [("tokenizer_config.json", config), ("chat_template.json", &older)];
    Ok(places.iter().find_map(|(file, map)| {
        let (source, name) = pick(map.get("chat_template")?)?;
        let origin = format!("{}{name}", folder.join(file).display());
        Some(TemplateSource { source, origin })
    }))
}

/// One template, or of several the one called `default`, else the first.
fn pick(value: &Value) -> Option<(String, String)> {
    if let Some(source) = value.as_str() {
        return Some((source.to_owned(), String::new()));
    }
    let list = value.as_array()?;
    let named =
        |name: &str| list.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    let entry = named("default").or_else(|| list.first())?;
    let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
    Some((entry.get("template")?.as_str()?.to_owned(), format!(", `{name}`")))
}
