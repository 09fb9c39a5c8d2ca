//! The command that repeats a run: every setting that somebody set, whatever file, variable or flag did.
//!
//! Quoted for a POSIX shell. Secrets are not in it: they come from the environment again.

use std::ffi::OsString;

use ai_energy_config::{Loaded, Origin};
use serde_json::Value;

use crate::redact;
use crate::settings::Settings;

/// Keys whose default depends on whether a config was named, so that they are always written out.
const ALWAYS: [&str; 2] = ["backend.model", "scenario.dataset_name"];
/// Keys of where results go, which a repetition chooses anew.
const NOT: [&str; 3] = ["output_dir", "reporter.output_file", "metrics.output_dir"];

/// `ai-energy-benchmark run a.b=c …`.
pub fn command(loaded: &Loaded<Settings>) -> String {
    let tree = redact::tree(&loaded.tree);
    let set = |key: &&String| {
        let origin = loaded.origins.get(*key);
        ALWAYS.contains(&key.as_str()) || origin.is_some_and(|origin| *origin != Origin::Default)
    };
    let keys = loaded.origins.keys().filter(set).filter(|key| !NOT.contains(&key.as_str()));
    let words = keys.filter_map(|key| {
        let value = tree.pointer(&format!("/{}", key.replace('.', "/")))?;
        Some(quoted(&format!("{key}={}", written(value))))
    });
    ["ai-energy-benchmark".to_owned(), "run".to_owned()]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The command as it was typed, without secrets.
pub fn typed(arguments: impl Iterator<Item = OsString>) -> String {
    let words = arguments
        .skip(1)
        .map(|argument| quoted(&redact::text(&redact::argument(&argument.to_string_lossy()))));
    ["ai-energy-benchmark".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// A value as an override takes it: a bare word where YAML reads the same text back, else JSON, which YAML reads.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text that YAML takes as text: begins with a letter and is none of its words.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "nan", "inf"];
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/:".contains(letter))
        && !text.ends_with(':')
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

/// An argument that a shell hands on as it is.
fn quoted(argument: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "._-/:=,+@%".contains(letter);
    if !argument.is_empty() && argument.chars().all(safe) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ConfigSource;
    use crate::resolve;

    fn loaded(inputs: &[&str]) -> Loaded<Settings> {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        resolve::resolve_with(&ConfigSource { inputs, ..ConfigSource::default() }, &|_| None).unwrap()
    }

    #[test]
    fn the_command_gives_the_same_settings_again() {
        let first = loaded(&[
            "name=it's <odd>",
            "scenario.generate_kwargs={max_new_tokens: 7, stop: [\"a b\"]}",
            "backend.device_ids=[1, 2]",
            "metrics.enabled=off",
            "load.concurrency=3",
        ]);
        let text = command(&first);
        // What a shell would make of the words.
        let script =
            format!("for word in {}; do printf '%s\\0' \"$word\"; done", text.split_once(" run ").unwrap().1);
        let words = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap().stdout;
        let words = String::from_utf8(words).unwrap();
        let words: Vec<&str> = words.split('\0').filter(|word| !word.is_empty()).collect();
        assert_eq!(loaded(&words).value, first.value, "{text}");
    }

    #[test]
    fn no_secret_stands_in_either_command() {
        let set = ["backend.endpoint=http://me:secret@h/v1", "backend.server.headers={x-key: secret}"];
        let arguments = ["prog", "run"].into_iter().chain(set).map(OsString::from);
        for text in [command(&loaded(&set)), typed(arguments)] {
            assert!(!text.contains("secret") && text.contains("backend.endpoint"), "{text}");
        }
    }
}
