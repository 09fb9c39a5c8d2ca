//! The body of a generation request.
//!
//! Turns a prompt and its parameters into the JSON that OpenAI-compatible servers take, with vLLM's names for what
//! goes beyond OpenAI's. Refuses to know which server takes what: what a server refuses is left out by option.

use ai_energy_core::backend::Request;
use ai_energy_core::{GenerationParams, PromptContent};
use serde_json::{Map, Value, json};

use crate::options::{Api, ServerOptions};

/// The body for one request. `no_cache` asks llama.cpp not to take the prompt from its cache, which would make the
/// prompt's work, and so its energy, vanish from the measurement.
pub(crate) fn body(
    request: &Request,
    model: &str,
    options: &ServerOptions,
    no_cache: bool,
) -> Map<String, Value> {
    let prompt = &request.prompt;
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::Null);
    add_params(&mut body, &request.params, prompt.target_output_tokens, options);
    if no_cache {
        body.insert("cache_prompt".to_owned(), Value::Bool(false));
    }
    if options.stream {
        let mut usage = Map::from_iter([("include_usage".to_owned(), Value::Bool(true))]);
        if options.continuous_usage {
            usage.insert("continuous_usage_stats".to_owned(), Value::Bool(true));
        }
        body.insert("stream_options".to_owned(), Value::Object(usage));
    }
    add_flattened(&mut body, &request.params.extra);
    add_flattened(&mut body, &prompt.params);
    if !prompt.chat_template_kwargs.is_empty() {
        merge(&mut body, "chat_template_kwargs", &prompt.chat_template_kwargs);
    }
    for name in &options.omit {
        body.remove(name);
    }
    // These four make the request what it is: nothing overrides them.
    body.insert("model".to_owned(), Value::String(model.to_owned()));
    let (key, content) = content(&prompt.content, options.api);
    body.insert(key.to_owned(), content);
    body.insert("stream".to_owned(), Value::Bool(options.stream));
    body
}

fn add_params(
    body: &mut Map<String, Value>,
    params: &GenerationParams,
    target: Option<u32>,
    options: &ServerOptions,
) {
    let most = target.or(params.max_new_tokens);
    // A prompt that comes with a length of its own overrides the scenario's; a higher minimum would contradict it.
    let fewest = match (params.min_new_tokens, target) {
        (Some(fewest), Some(target)) => Some(fewest.min(target)),
        (fewest, _) => fewest,
    };
    let temperature = if params.do_sample == Some(false) { Some(0.0) } else { params.temperature };
    let entries = [
        (options.max_tokens_field.word(), most.map(Value::from)),
        ("min_tokens", fewest.map(Value::from)),
        ("temperature", temperature.map(Value::from)),
        ("top_p", params.top_p.map(Value::from)),
        ("top_k", params.top_k.map(|top_k| Value::from(if top_k <= 0 { -1 } else { top_k }))),
        ("seed", params.seed.map(Value::from)),
        ("stop", (!params.stop.is_empty()).then(|| Value::from(params.stop.clone()))),
        ("ignore_eos", params.ignore_eos.map(Value::from)),
    ];
    for (name, value) in entries {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
}

/// Adds parameters at the top level. `extra_body` is a word of one client library: a server gets what is in it.
fn add_flattened(body: &mut Map<String, Value>, params: &Map<String, Value>) {
    for (name, value) in params {
        match (name.as_str(), value) {
            ("extra_body", Value::Object(inner)) => add_flattened(body, inner),
            ("chat_template_kwargs", Value::Object(inner)) => merge(body, name, inner),
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
}

fn merge(body: &mut Map<String, Value>, name: &str, inner: &Map<String, Value>) {
    match body.get_mut(name) {
        Some(Value::Object(present)) => present.extend(inner.clone()),
        _ => {
            body.insert(name.to_owned(), Value::Object(inner.clone()));
        }
    }
}

/// The prompt in the route's shape. Text becomes one user message; messages for the completions route, which applies
/// no template, are joined by blank lines.
fn content(content: &PromptContent, api: Api) -> (&'static str, Value) {
    match (api, content) {
        (Api::Chat, PromptContent::Chat(messages)) => {
            let messages = messages
                .iter()
                .map(|message| json!({"role": message.role.word(), "content": message.content}));
            ("messages", messages.collect())
        }
        (Api::Chat, PromptContent::Text(text)) => ("messages", json!([{"role": "user", "content": text}])),
        (Api::Completions, PromptContent::Text(text)) => ("prompt", Value::String(text.clone())),
        (Api::Completions, PromptContent::Chat(messages)) => {
            let texts: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
            ("prompt", Value::String(texts.join("\n\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::MaxTokensField;
    use ai_energy_core::{FormattedPrompt, Message, Role};
    use std::sync::Arc;

    fn request(content: PromptContent, params: GenerationParams, target: Option<u32>) -> Request {
        let prompt = FormattedPrompt {
            index: 0,
            content,
            params: Map::new(),
            chat_template_kwargs: Map::new(),
            target_output_tokens: target,
        };
        Request {
            id: "r".to_owned(),
            prompt: Arc::new(prompt),
            params: Arc::new(params),
            stop: ai_energy_core::Stop::new(),
        }
    }

    fn made(request: &Request, options: &ServerOptions) -> Value {
        Value::Object(body(request, "m", options, false))
    }

    #[test]
    fn a_chat_request_carries_the_defaults_under_the_servers_names() {
        let request = request(PromptContent::Text("hi".to_owned()), GenerationParams::default(), None);
        assert_eq!(
            made(&request, &ServerOptions::default()),
            json!({
                "model": "m", "max_tokens": 100, "min_tokens": 50, "temperature": 0.7, "top_p": 0.9, "top_k": 50,
                "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}], "stream": true
            })
        );
    }

    #[test]
    fn absent_parameters_are_not_sent_and_greedy_is_temperature_zero() {
        let none = GenerationParams {
            max_new_tokens: None,
            min_new_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            ..GenerationParams::default()
        };
        let greedy = GenerationParams {
            do_sample: Some(false),
            temperature: Some(0.7),
            top_k: Some(0),
            seed: Some(-3),
            ..none.clone()
        };
        let options = ServerOptions { stream: false, api: Api::Completions, ..ServerOptions::default() };
        let text = || PromptContent::Text("hi".to_owned());
        assert_eq!(
            made(&request(text(), none, None), &options),
            json!({"model": "m", "prompt": "hi", "stream": false})
        );
        assert_eq!(
            made(&request(text(), greedy, None), &options),
            json!({"model": "m", "temperature": 0.0, "top_k": -1, "seed": -3, "prompt": "hi", "stream": false})
        );
    }

    #[test]
    fn a_prompts_own_length_wins_and_pulls_the_minimum_down() {
        let options = ServerOptions {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            ..ServerOptions::default()
        };
        let short = made(
            &request(PromptContent::Text(String::new()), GenerationParams::default(), Some(7)),
            &options,
        );
        assert_eq!((&short["max_completion_tokens"], &short["min_tokens"]), (&json!(7), &json!(7)));
        let long = made(
            &request(PromptContent::Text(String::new()), GenerationParams::default(), Some(700)),
            &options,
        );
        assert_eq!((&long["max_completion_tokens"], &long["min_tokens"]), (&json!(700), &json!(50)));
        assert!(long.get("max_tokens").is_none());
    }

    #[test]
    fn extras_are_flattened_merged_and_cannot_change_what_is_asked() {
        let extra = json!({
            "extra_body": {"repetition_penalty": 1.1, "chat_template_kwargs": {"a": 1}},
            "stream": false, "model": "other", "messages": []
        });
        let params =
            GenerationParams { extra: extra.as_object().unwrap().clone(), ..GenerationParams::default() };
        let mut request = request(
            PromptContent::Chat(vec![Message { role: Role::System, content: "s".to_owned() }]),
            params,
            None,
        );
        let prompt = Arc::get_mut(&mut request.prompt).unwrap();
        prompt.params = json!({"reasoning_effort": "high"}).as_object().unwrap().clone();
        prompt.chat_template_kwargs = json!({"enable_thinking": true}).as_object().unwrap().clone();
        let options = ServerOptions {
            omit: vec!["min_tokens".to_owned(), "stream_options".to_owned()],
            ..ServerOptions::default()
        };
        let made = made(&request, &options);
        assert_eq!(made["chat_template_kwargs"], json!({"a": 1, "enable_thinking": true}));
        assert_eq!(made["messages"], json!([{"role": "system", "content": "s"}]));
        assert_eq!((&made["reasoning_effort"], &made["repetition_penalty"]), (&json!("high"), &json!(1.1)));
        assert_eq!((&made["stream"], &made["model"]), (&json!(true), &json!("m")));
        for absent in ["extra_body", "min_tokens", "stream_options"] {
            assert!(made.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn continuous_usage_and_the_cache_switch() {
        let request = request(PromptContent::Text(String::new()), GenerationParams::default(), None);
        let options = ServerOptions { continuous_usage: true, ..ServerOptions::default() };
        let made = Value::Object(body(&request, "m", &options, true));
        assert_eq!(made["stream_options"], json!({"include_usage": true, "continuous_usage_stats": true}));
        assert_eq!(made["cache_prompt"], json!(false));
    }
}
