//! A run's config as its folder keeps it: `config.yaml`, which makes the run again, and who set each key.
//!
//! Only what somebody set stands in it as a value: a default is a remark, since the program takes some keys' being stated for
//! a choice. Refuses to hold a secret; what is hidden has to be given again.

use std::fmt::Write;

use ai_energy_config::{Loaded, Origin};
use serde_json::{Map, Value, json};

use crate::settings::Settings;
use crate::{redact, resolve};

/// Keys whose default depends on whether a config was named: the file always says them.
const SAID_ALWAYS: [&str; 2] = ["backend.model", "scenario.dataset_name"];

/// All leaves of a tree as dotted keys, in order.
pub fn leaves(prefix: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(object) if !object.is_empty() => object
            .iter()
            .flat_map(|(key, value)| {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                leaves(&path, value)
            })
            .collect(),
        leaf => vec![(prefix.to_owned(), leaf.clone())],
    }
}

/// Who set each leaf of the config, in words; defaults are left out.
pub fn origins(loaded: &Loaded<Settings>) -> Map<String, Value> {
    let said = |key: &String| *resolve::origin(loaded, key) != Origin::Default;
    let all = leaves("", &loaded.tree).into_iter().map(|(key, _)| key).filter(said);
    all.map(|key| {
        let origin = redact::text(&resolve::origin(loaded, &key).to_string());
        (key, json!(origin))
    })
    .collect()
}

/// The text of `config.yaml`.
pub fn yaml(loaded: &Loaded<Settings>, run_id: &str) -> String {
    let mut text = format!(
        "# The config of the run {run_id}, by ai-energy-benchmark {}. It makes the run again:\n#   ai-energy-benchmark run \
         config.yaml\n# Behind each value stands who set it. What is a default is a remark, and *** hides a secret: give it \
         again.\n",
        env!("CARGO_PKG_VERSION")
    );
    let tree = redact::tree(&loaded.tree);
    let mut written: Vec<String> = Vec::new();
    let mut defaults = Vec::new();
    for (key, value) in leaves("", &tree) {
        let origin = resolve::origin(loaded, &key);
        let value = escaped(&value.to_string());
        if *origin == Origin::Default && !said_anyway(loaded, &key) {
            defaults.push(format!("#   {key}: {value}"));
            continue;
        }
        let parts: Vec<&str> = key.split('.').collect();
        let (sections, name) = parts.split_at(parts.len().saturating_sub(1));
        let shared = sections.iter().zip(&written).take_while(|(one, other)| *one == *other).count();
        for (depth, section) in sections.iter().enumerate().skip(shared) {
            let _ = writeln!(text, "{}{}:", "  ".repeat(depth), quoted(section));
        }
        written = sections.iter().map(|section| (*section).to_owned()).collect();
        let name = name.first().copied().unwrap_or_default();
        let origin = redact::text(&origin.to_string()).replace('\n', " ");
        let _ = writeln!(text, "{}{}: {value}  # {origin}", "  ".repeat(sections.len()), quoted(name));
    }
    let _ = writeln!(text, "# Defaults at the time:");
    for line in defaults {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Whether a default has to be said all the same. The prompts of a profile and of sized steps are made where no dataset is
/// named, so naming one would change the run.
fn said_anyway(loaded: &Loaded<Settings>, key: &str) -> bool {
    let load = &loaded.value.load;
    let sized = || {
        let steps = crate::load_plan::steps(load);
        steps.iter().any(|step| step.input_tokens.is_some() || step.output_tokens.is_some())
    };
    SAID_ALWAYS.contains(&key) && !(key == "scenario.dataset_name" && sized())
}

/// A scalar or list as JSON, which is YAML; `${` would be read as a variable.
fn escaped(json: &str) -> String {
    json.replace("${", "\\\\${")
}

/// A key as YAML reads it back: plain where it is a word.
fn quoted(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && !["yes", "no", "on", "off", "true", "false", "null", "y", "n"]
            .contains(&key.to_lowercase().as_str());
    if plain { key.to_owned() } else { json!(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ConfigSource;

    fn loaded(inputs: &[&str], environment: &dyn Fn(&str) -> Option<String>) -> Loaded<Settings> {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        let source = ConfigSource { inputs, num_samples: Some(7), ..ConfigSource::default() };
        resolve::resolve_with(&source, environment).unwrap()
    }

    fn again(text: &str) -> Loaded<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let inputs = vec![path.display().to_string()];
        resolve::resolve_with(&ConfigSource { inputs, ..ConfigSource::default() }, &|_| None).unwrap()
    }

    #[test]
    fn the_kept_file_resolves_to_the_same_settings_with_nothing_more_stated() {
        let model = |name: &str| (name == "BENCHMARK_MODEL").then(|| "m:1".to_owned());
        for inputs in [
            &["load.rate=3.5", "scenario.generate_kwargs.stop=[\"a: b\", '#']"][..],
            &["load.profile=light"],
            &["backend.server.headers.X-Trace=1", "name=a # b"],
            &[],
        ] {
            let first = loaded(inputs, &model);
            let text = yaml(&first, "r");
            let second = again(&text);
            let (mut one, mut other) = (redact::tree(&first.tree), redact::tree(&second.tree));
            if inputs.contains(&"load.profile=light") {
                // Nobody named a dataset, and none is named for it: its default is not used.
                one["scenario"]["dataset_name"] = Value::Null;
                other["scenario"]["dataset_name"] = Value::Null;
            }
            assert_eq!(one, other, "{text}");
            assert!(resolve::check(&second).is_ok(), "{text}");
            assert!(text.contains("# environment variable BENCHMARK_MODEL"), "{text}");
            assert!(text.contains("num_samples: 7  # flag --num-samples"), "{text}");
            assert_eq!(origins(&first)["scenario.num_samples"], "flag --num-samples");
        }
    }

    #[test]
    fn what_looks_like_a_variable_is_read_back_as_it_was() {
        let first = loaded(&["name=x\\${y}"], &|_| None);
        assert_eq!(first.value.name, "x${y}");
        assert_eq!(again(&yaml(&first, "r")).value.name, "x${y}");
    }
}
