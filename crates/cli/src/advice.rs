//! What a config asks for that will not have the effect its writer may expect. Advice, never an error.
//!
//! Refuses to change anything: what is noted here still happens as the config says.

use ai_energy_config::Loaded;
use ai_energy_core::Backend;
use ai_energy_formatters::{Kind, Selected};
use serde_json::Value;

use crate::resolve;
use crate::settings::Settings;

/// Keys of the PyTorch engine that mean something for other backends too.
const SHARED_KEYS: [&str; 2] = ["device_ids", "device"];

/// Parameters that some model family is known to take.
const REASONING_KEYS: [&str; 7] = [
    "reasoning_effort",
    "enable_thinking",
    "thinking_budget",
    "cot_depth",
    "reasoning",
    "thinking",
    "effort",
];

/// Names of generation parameters that are understood.
const GENERATION_KEYS: [&str; 14] = [
    "max_new_tokens",
    "min_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "do_sample",
    "seed",
    "stop",
    "ignore_eos",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "min_p",
    "length_penalty",
];

/// Advice that needs nothing but the config.
pub fn on_config(loaded: &Loaded<Settings>) -> Vec<String> {
    let settings = &loaded.value;
    let mut advice = engine_keys(loaded);
    let (batch_size, offered) = (settings.scenario.input_shapes.batch_size, settings.load.concurrency);
    if settings.backend.kind == "pytorch" && batch_size > offered {
        advice.push(format!(
            "no batch holds more than {offered} of scenario.input_shapes.batch_size ({batch_size}) requests: load.concurrency \
             offers no more at a time"
        ));
    }
    let scenario = &settings.scenario;
    let params = scenario.reasoning_params.iter().flatten().map(|(key, _)| key.as_str());
    advice.extend(params.filter_map(|key| misspelt("scenario.reasoning_params", key, &REASONING_KEYS)));
    let kwargs = scenario.generate_kwargs.keys().map(String::as_str);
    advice.extend(kwargs.filter_map(|key| misspelt("scenario.generate_kwargs", key, &GENERATION_KEYS)));
    let has_params = scenario.reasoning_params.as_ref().is_some_and(|params| !params.is_empty());
    if has_params && !scenario.reasoning {
        advice.push("scenario.reasoning_params are not sent, because scenario.reasoning is false".to_owned());
    }
    advice
}

/// Advice that needs the model's family and the backend.
pub fn on_model(settings: &Settings, selected: &Selected, backend: &dyn Backend) -> Vec<String> {
    let mut advice = Vec::new();
    let no_params = settings.scenario.reasoning_params.as_ref().is_none_or(serde_json::Map::is_empty);
    if settings.scenario.reasoning && selected.kind == Kind::None && no_params {
        advice.push(format!(
            "scenario.reasoning is true, but nothing is known of how `{}` is told to reason: nothing is sent; set \
             scenario.reasoning_params, or add its family with scenario.formats_file",
            settings.backend.model
        ));
    }
    let completions = settings.backend.server.api == ai_energy_backends_vllm::Api::Completions;
    if settings.backend.kind == "vllm" && completions && selected.kind == Kind::ChatTemplate {
        advice.push(format!(
            "`{}` is told to reason or not by its chat template, which the completions API does not apply: it reasons as \
             it likes; use backend.server.api: chat",
            settings.backend.model
        ));
    }
    if let Some(host) = backend.info().endpoint.as_deref().and_then(remote_host)
        && settings.metrics.enabled
    {
        advice.push(format!(
            "the server seems to be on another machine ({host}): the energy below is this machine's, which only sends \
             requests; run this program on the server's machine to measure the model"
        ));
    }
    advice
}

/// Keys that somebody set for the engine although another backend runs.
fn engine_keys(loaded: &Loaded<Settings>) -> Vec<String> {
    let settings = &loaded.value;
    if settings.backend.kind == "pytorch" {
        return Vec::new();
    }
    let engine = serde_json::to_value(&settings.backend.pytorch).unwrap_or_default();
    let own = engine.as_object().into_iter().flat_map(|keys| keys.keys().cloned());
    let keys = own
        .filter(|key| !SHARED_KEYS.contains(&key.as_str()))
        .map(|key| format!("backend.{key}"))
        .chain(["scenario.input_shapes.batch_size".to_owned()]);
    let is_set = |key: &String| {
        let below = format!("{key}.");
        let ours = |(name, origin): (&String, &ai_energy_config::Origin)| {
            (name == key || name.starts_with(&below)) && *origin != ai_energy_config::Origin::Default
        };
        loaded.origins.iter().any(ours) && !is_trivial(&loaded.tree, key)
    };
    let set: Vec<String> = keys.filter(is_set).collect();
    if set.is_empty() {
        return Vec::new();
    }
    let kind = &settings.backend.kind;
    vec![format!("for the PyTorch engine alone, without effect on backend.type: {kind}: {}", set.join(", "))]
}

/// A batch of one is what every backend does.
fn is_trivial(tree: &Value, key: &str) -> bool {
    let value = key.split('.').fold(tree, |value, part| &value[part]);
    key.ends_with("batch_size") && value == 1
}

/// A key that is passed on although it looks like a slip of the pen.
fn misspelt(section: &str, key: &str, known: &[&str]) -> Option<String> {
    if known.contains(&key) {
        return None;
    }
    let close =
        known.iter().map(|name| (strsim::jaro_winkler(key, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    let (_, name) = close.filter(|(score, _)| *score > 0.9)?;
    Some(format!("{section}.{key} is passed on by that name; did you mean `{name}`?"))
}

/// The host of an endpoint, where it is not this machine as far as its name tells.
fn remote_host(endpoint: &str) -> Option<&str> {
    let authority = endpoint.split_once("://")?.1.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let local = host == "localhost" || host == "::1" || host.starts_with("127.") || host == "0.0.0.0";
    (!local).then_some(host)
}

/// Notes of a load that are not advice, and advice on the config, for commands that only show.
pub fn notes(loaded: &Loaded<Settings>) -> Vec<String> {
    let mut notes = loaded.notes.clone();
    notes.extend(on_config(loaded));
    let (max, min) = ("scenario.generate_kwargs.max_new_tokens", "scenario.generate_kwargs.min_new_tokens");
    let number = |key: &str| key.split('.').fold(&loaded.tree, |value, part| &value[part]).as_u64();
    if let (Some(max), Some(low)) = (number(max), number(min))
        && low > max
        && *resolve::origin(loaded, min) == ai_energy_config::Origin::Default
    {
        notes.push(format!("the default of {min} ({low}) is above max_new_tokens ({max}) and is not sent"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ConfigSource;

    fn advice(inputs: &[&str]) -> Vec<String> {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        let source = ConfigSource { inputs, ..ConfigSource::default() };
        on_config(&resolve::resolve_with(&source, &|_| None).unwrap())
    }

    #[test]
    fn hosts_that_are_this_machine_are_told_from_others() {
        for local in ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"] {
            assert_eq!(remote_host(local), None, "{local}");
        }
        assert_eq!(remote_host("https://gpu-box.example:8443/v1"), Some("gpu-box.example"));
        assert_eq!(remote_host("http://[2001:db8::1]:80/v1"), Some("2001:db8::1"));
    }

    #[test]
    fn keys_without_effect_are_named_and_quiet_configs_stay_quiet() {
        assert_eq!(
            advice(&["scenario.input_shapes.batch_size=1", "load.concurrency=4"]),
            Vec::<String>::new()
        );
        let found = advice(&["backend.load_in_8bit=true", "scenario.input_shapes.batch_size=8"]);
        assert!(found[0].contains("backend.load_in_8bit") && found[0].contains("batch_size"), "{found:?}");
        assert!(advice(&["backend.type=pytorch", "backend.load_in_8bit=true"]).is_empty());
        let batches = ["backend.type=pytorch", "scenario.input_shapes.batch_size=8"];
        assert!(advice(&batches).is_empty(), "as many are offered");
        let few = advice(&[&batches[..], &["load.concurrency=2"]].concat());
        assert!(few[0].contains("no batch holds more than 2"), "{few:?}");
    }

    #[test]
    fn slips_of_the_pen_are_noticed_where_any_key_is_allowed() {
        let found = advice(&["+scenario.generate_kwargs.temprature=0.5"]);
        assert!(found[0].contains("`temperature`"), "{found:?}");
        assert!(advice(&["+scenario.generate_kwargs.guided_json=x"]).is_empty());
        let found = advice(&["+scenario.reasoning_params.enable_thinkin=true"]);
        assert!(found.iter().any(|line| line.contains("`enable_thinking`")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("not sent")), "{found:?}");
    }
}
