//! The secrets that this process knows by value, so that they can be kept out of every line and file whatever key or
//! message they come in.
//!
//! Known are: variables of the environment whose names end as those of keys and tokens do, credentials in the environment's
//! URLs (proxies), and what a config gives as a header, a password or a URL's credentials. Refuses to look anywhere else.

use std::sync::{LazyLock, RwLock};

use serde_json::Value;

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// Shorter values are words such as `EMPTY` that stand in for a key; hiding them would garble texts.
const SHORTEST: usize = 6;

/// How the names of variables end that hold a secret.
const SECRET_NAMES: [&str; 7] =
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "AUTHORIZATION"];

static KNOWN: LazyLock<RwLock<Vec<String>>> = LazyLock::new(|| {
    let mut known = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let name = name.to_uppercase();
        if SECRET_NAMES.iter().any(|end| name.ends_with(end)) {
            push(&mut known, value);
        }
        of_url(value).for_each(|secret| push(&mut known, secret));
    }
    RwLock::new(known)
});

/// Remembers a value that is to be shown nowhere.
pub fn remember(value: &str) {
    if let Ok(mut known) = KNOWN.write() {
        push(&mut known, value);
    }
}

/// Remembers what a resolved config holds in secret places: headers, keys that name a secret, credentials in URLs.
pub fn remember_config(tree: &Value) {
    walk(tree, false);
}

/// The text with every known secret hidden.
pub fn hide(text: &str) -> String {
    let Ok(known) = KNOWN.read() else { return text.to_owned() };
    let mut text = text.to_owned();
    for secret in known.iter().filter(|secret| !secret.is_empty()) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), HIDDEN);
        }
    }
    text
}

/// Whether the bytes hold a known secret.
pub fn found_in(bytes: &[u8]) -> bool {
    let Ok(known) = KNOWN.read() else { return false };
    let text = String::from_utf8_lossy(bytes);
    known.iter().any(|secret| text.contains(secret.as_str()))
}

fn push(known: &mut Vec<String>, value: &str) {
    let value = value.trim();
    let forms = [
        value,
        value.strip_prefix("Bearer ").unwrap_or(value),
        value.strip_prefix("Basic ").unwrap_or(value),
    ];
    for form in forms {
        // A path names where a secret is kept and is none.
        let secret = form.len() >= SHORTEST && !form.starts_with('/') && form != HIDDEN;
        if secret && !known.iter().any(|one| one == form) {
            known.push(form.to_owned());
            // The longest first, so that no rest of one stays behind where another is within it.
            known.sort_by_key(|one| std::cmp::Reverse(one.len()));
        }
    }
}

/// The credentials of each URL in a text: the whole user part, and the password alone.
fn of_url(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").flat_map(move |(at, _)| {
        let rest = &text[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#'\"".contains(c)).unwrap_or(rest.len());
        let user = rest[..end].rfind('@').map(|at| &rest[..at]);
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        user.into_iter().chain(password)
    })
}

fn walk(value: &Value, secret: bool) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                walk(value, secret || crate::redact::is_secret_key(key));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, secret)),
        Value::String(text) if secret => remember(text),
        Value::String(text) => of_url(text).for_each(remember),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_config_hides_is_hidden_wherever_it_turns_up() {
        remember_config(&json!({
            "endpoint": "https://me:pass-word-7@host/v1",
            "server": {"headers": {"Authorization": "Bearer abcdefgh12345"}, "api_key_env": "X"},
            "name": "harmless-name",
        }));
        let shown = hide("401: key abcdefgh12345 of me, pass-word-7; harmless-name");
        assert_eq!(shown, "401: key *** of me, ***; harmless-name");
        assert!(found_in(b"x abcdefgh12345 y") && !found_in(b"harmless-name"));
    }

    #[test]
    fn short_words_and_paths_are_no_secrets() {
        remember("EMPTY");
        remember("/run/secrets/token-file");
        assert_eq!(hide("EMPTY /run/secrets/token-file"), "EMPTY /run/secrets/token-file");
    }

    #[test]
    fn urls_give_their_credentials() {
        let found: Vec<&str> = of_url("see http://u:p%40w@h:1/x@y and https://tok@h").collect();
        assert_eq!(found, ["u:p%40w", "p%40w", "tok"]);
    }
}
