//! What a client asks for: the body of a chat, a completion or a `/tokenize` call, read and checked as vLLM would.
//!
//! Exists so that a wrong request gets the status and the shape of error that a real server gives. Refuses to know
//! how anything is answered.

use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::tokens;

/// A refusal in the shape of OpenAI's errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) kind: &'static str,
    pub(crate) param: Option<String>,
}

impl ApiError {
    pub(crate) fn bad(param: &str, message: impl Into<String>) -> Self {
        let param = (!param.is_empty()).then(|| param.to_owned());
        Self { status: 400, message: message.into(), kind: "BadRequestError", param }
    }

    pub(crate) fn server(status: u16, kind: &'static str, message: &str) -> Self {
        Self { status, message: message.to_owned(), kind, param: None }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.status,
        }})
    }
}

/// Which of the two ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Chat,
    Completions,
}

/// A generation that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) continuous_usage: bool,
    pub(crate) prompt_tokens: u32,
    pub(crate) max_tokens: u32,
    pub(crate) min_tokens: u32,
    pub(crate) ignore_eos: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) fault: Option<String>,
}

/// Reads a body that must be a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(ApiError::bad("body", "the body is JSON, but no object")),
        Err(error) => Err(ApiError::bad("body", format!("JSON decode error: {error}"))),
    }
}

/// Reads a generation request.
pub(crate) fn read(route: Route, body: &Map<String, Value>, options: &Options) -> Result<Ask, ApiError> {
    check_model(body, options)?;
    let prompt_tokens = match route {
        Route::Chat => count_messages(body)?,
        Route::Completions => count_prompt(body)?,
    };
    let (max_tokens, min_tokens) = limits(body, prompt_tokens, options)?;
    check_sampling(body)?;
    let stream = boolean(body, "stream")?.unwrap_or(false);
    let (include_usage, continuous_usage) = stream_options(body)?;
    Ok(Ask {
        stream,
        include_usage,
        continuous_usage: include_usage && continuous_usage,
        prompt_tokens,
        max_tokens,
        min_tokens,
        ignore_eos: boolean(body, "ignore_eos")?.unwrap_or(false),
        seed: seed(body)?,
        fault: text(body, "simulate_fault")?.map(str::to_owned),
    })
}

/// Refuses any model but the one that is served; no name at all means that one.
pub(crate) fn check_model(body: &Map<String, Value>, options: &Options) -> Result<(), ApiError> {
    match text(body, "model")? {
        Some(model) if model != options.model && !options.any_model => Err(ApiError {
            status: 404,
            message: format!("The model `{model}` does not exist. Valid aliases: {}.", options.model),
            kind: "NotFoundError",
            param: Some("model".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// Most and fewest tokens of the answer.
fn limits(body: &Map<String, Value>, prompt: u32, options: &Options) -> Result<(u32, u32), ApiError> {
    let longest = options.max_model_len;
    if prompt >= longest {
        let message = format!(
            "This model's maximum context length is {longest} tokens. However, your prompt contains {prompt} input \
             tokens, which leaves no room for an answer. Please reduce the length of the input prompt."
        );
        return Err(ApiError::bad("input_tokens", message));
    }
    let asked = match whole(body, "max_completion_tokens")? {
        Some(tokens) => Some(("max_completion_tokens", tokens)),
        None => whole(body, "max_tokens")?.map(|tokens| ("max_tokens", tokens)),
    };
    let room = longest - prompt;
    let Some((name, asked)) = asked else {
        let max = options.default_max_tokens.min(room);
        return Ok((max, minimum(body, max)?));
    };
    if asked == 0 {
        return Err(ApiError::bad(name, format!("{name} must be at least 1, got 0.")));
    }
    let fitting = u32::try_from(asked).ok().filter(|asked| *asked <= room).ok_or_else(|| {
        let message = format!(
            "{name}={asked} cannot be greater than max_model_len={longest} less the {prompt} tokens of the prompt. \
             Please request fewer output tokens."
        );
        ApiError::bad(name, message)
    })?;
    Ok((fitting, minimum(body, fitting)?))
}

fn minimum(body: &Map<String, Value>, max: u32) -> Result<u32, ApiError> {
    let min = whole(body, "min_tokens")?.unwrap_or(0);
    u32::try_from(min).ok().filter(|min| *min <= max).ok_or_else(|| {
        ApiError::bad(
            "min_tokens",
            format!("min_tokens must be less than or equal to max_tokens={max}, got {min}."),
        )
    })
}

fn check_sampling(body: &Map<String, Value>) -> Result<(), ApiError> {
    if let Some(temperature) = present(body, "temperature") {
        match temperature.as_f64() {
            Some(value) if value >= 0.0 => {}
            _ => return Err(wrong("temperature", "a non-negative number", temperature)),
        }
    }
    match whole(body, "n")? {
        None | Some(1) => Ok(()),
        Some(n) => {
            Err(ApiError::bad("n", format!("the simulator gives one answer a request, {n} were asked")))
        }
    }
}

/// The seed that picks the text. vLLM takes negative ones; they are seeds like any other.
fn seed(body: &Map<String, Value>) -> Result<Option<u64>, ApiError> {
    match present(body, "seed") {
        None => Ok(None),
        Some(value) => match value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned)) {
            Some(seed) => Ok(Some(seed)),
            None => Err(wrong("seed", "an integer", value)),
        },
    }
}

fn stream_options(body: &Map<String, Value>) -> Result<(bool, bool), ApiError> {
    match present(body, "stream_options") {
        None => Ok((false, false)),
        Some(Value::Object(map)) => Ok((
            boolean(map, "include_usage")?.unwrap_or(false),
            boolean(map, "continuous_usage_stats")?.unwrap_or(false),
        )),
        Some(other) => Err(wrong("stream_options", "an object", other)),
    }
}

/// Tokens of a chat under the token rule.
fn count_messages(body: &Map<String, Value>) -> Result<u32, ApiError> {
    let messages = messages(body)?;
    let costs = messages.iter().map(|(role, text)| tokens::count_message(role, text));
    Ok(costs.fold(0, u32::saturating_add))
}

/// Roles and texts of a chat as one text, whose tokens are those of the chat.
pub(crate) fn chat_text(body: &Map<String, Value>) -> Result<String, ApiError> {
    let texts = messages(body)?.into_iter().map(|(role, text)| format!("{role} {text}"));
    Ok(texts.collect::<Vec<_>>().join(" "))
}

fn messages(body: &Map<String, Value>) -> Result<Vec<(&str, String)>, ApiError> {
    let messages = match present(body, "messages") {
        None => return Err(ApiError::bad("messages", "messages: field required")),
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(other) => return Err(wrong("messages", "a list with at least one message", other)),
    };
    messages.iter().map(message).collect()
}

/// Role and text of a message.
fn message(message: &Value) -> Result<(&str, String), ApiError> {
    let map = message.as_object().ok_or_else(|| wrong("messages", "a list of objects", message))?;
    match text(map, "role")? {
        Some(role) if !role.trim().is_empty() => Ok((role, message_text(map)?)),
        _ => Err(ApiError::bad("role", "messages: a message has no role")),
    }
}

/// The text of a message: a string, nothing, or the text parts of a list.
fn message_text(message: &Map<String, Value>) -> Result<String, ApiError> {
    match present(message, "content") {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            Ok(texts.collect::<Vec<_>>().join(" "))
        }
        Some(other) => Err(wrong("content", "a string or a list of parts", other)),
    }
}

/// Tokens of a prompt: a string under the token rule, or token ids, alone or as the only one of a list.
fn count_prompt(body: &Map<String, Value>) -> Result<u32, ApiError> {
    let prompt = present(body, "prompt").ok_or_else(|| ApiError::bad("prompt", "prompt: field required"))?;
    let single = match prompt {
        Value::Array(list) => match list.as_slice() {
            [only @ (Value::String(_) | Value::Array(_))] => only,
            _ => prompt,
        },
        _ => prompt,
    };
    match single {
        Value::String(text) => Ok(tokens::count(text)),
        Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => {
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        }
        other => Err(wrong("prompt", "one string or one list of token ids", other)),
    }
}

fn present<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).filter(|value| !value.is_null())
}

pub(crate) fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match present(map, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(name, "a string", other)),
    }
}

pub(crate) fn boolean(map: &Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match present(map, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong(name, "true or false", other)),
    }
}

fn whole(map: &Map<String, Value>, name: &str) -> Result<Option<u64>, ApiError> {
    match present(map, name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(name, "a non-negative integer", value)),
    }
}

fn wrong(name: &str, wanted: &str, got: &Value) -> ApiError {
    let kind = match got {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => got.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    };
    ApiError::bad(name, format!("{name} must be {wanted}, got {kind}"))
}

#[cfg(test)]
mod tests;
