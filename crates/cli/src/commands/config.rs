//! `config`: the resolved configuration with origins, the schema, and what ships.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::args::{OutputFormat, ShowArgs};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::kept_config::leaves;
use crate::{advice, redact, resolve, settings};

/// Prints every resolved key with its value and where the value comes from.
///
/// # Errors
/// The config is wrong, or standard output cannot be written.
pub fn show(arguments: &ShowArgs) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    resolve::check(&loaded)?;
    for text in &advice::notes(&loaded) {
        note(&format!("note: {text}"));
    }
    let tree = redact::tree(&loaded.tree);
    let origin_of = |key: &str| resolve::origin(&loaded, key).to_string();
    let text = match arguments.format {
        OutputFormat::Text => as_yaml(&tree, &origin_of),
        OutputFormat::Json => {
            let origins: serde_json::Map<String, Value> =
                leaves("", &tree).into_iter().map(|(key, _)| (key.clone(), json!(origin_of(&key)))).collect();
            format!("{:#}\n", json!({ "config": tree, "origins": origins }))
        }
    };
    print_out(&text)?;
    Ok(Exit::Ok)
}

/// Prints the JSON schema of config files.
///
/// # Errors
/// Standard output cannot be written.
pub fn schema() -> Result<Exit, CliError> {
    print_out(&format!("{:#}\n", settings::file_schema()))?;
    Ok(Exit::Ok)
}

/// Prints the names of the configs that ship.
///
/// # Errors
/// Standard output cannot be written.
pub fn list() -> Result<Exit, CliError> {
    let mut text = String::from("configs that ship (--config-name NAME)\n");
    for (path, content) in resolve::SHIPPED.iter().filter(|(path, _)| !path.contains('/')) {
        let about = first_sentence(content);
        let _ = writeln!(text, "  {:20}  {}", path.trim_end_matches(".yaml"), about);
    }
    text.push_str("groups\n");
    for (path, _) in resolve::SHIPPED.iter().filter(|(path, _)| path.contains('/')) {
        let _ = writeln!(text, "  {}", path.trim_end_matches(".yaml").replace('/', "="));
    }
    print_out(&text)?;
    Ok(Exit::Ok)
}

/// The first sentence of a file's head comment.
fn first_sentence(content: &str) -> String {
    let comment: Vec<&str> = content
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .filter(|line| !line.is_empty() && !line.contains("$schema"))
        .collect();
    let text = comment.join(" ");
    text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.').to_owned()
}

/// The tree as YAML with the origin of each leaf as a comment. Scalars and lists are written as JSON, which is YAML.
fn as_yaml(tree: &Value, origin_of: &dyn Fn(&str) -> String) -> String {
    let mut lines = Vec::new();
    yaml_lines(tree, "", 0, &mut lines);
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
    let mut text = String::new();
    for (line, key) in lines {
        let _ = match key {
            Some(key) => writeln!(text, "{line:width$}  # {}", origin_of(&key)),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

fn yaml_lines(value: &Value, prefix: &str, depth: usize, lines: &mut Vec<(String, Option<String>)>) {
    let Value::Object(object) = value else { return };
    for (key, value) in object {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                lines.push((format!("{indent}{key}:"), None));
                yaml_lines(value, &path, depth + 1, lines);
            }
            leaf => lines.push((format!("{indent}{key}: {leaf}"), Some(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_yaml_with_an_origin_behind_each_leaf() {
        let tree = json!({"name": "x", "backend": {"device_ids": [0, 1], "extra": {}}});
        let text = as_yaml(&tree, &|key| format!("from {key}"));
        let expected = [
            "name: \"x\"            # from name",
            "backend:",
            "  device_ids: [0,1]  # from backend.device_ids",
            "  extra: {}          # from backend.extra",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
