//! Takes secrets out of a resolved config before it is shown or stored.
//!
//! Keys themselves come from the environment and are never in a config; what can slip in are credentials inside URLs
//! and values of request headers.

use serde_json::Value;

use crate::secrets::{self, HIDDEN};

/// The tree without secrets.
pub fn tree(tree: &Value) -> Value {
    let mut tree = tree.clone();
    walk(&mut tree, false);
    tree
}

fn walk(value: &mut Value, secret: bool) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                walk(value, secret || is_secret_key(key));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, secret)),
        Value::String(text) if secret && !text.is_empty() => HIDDEN.clone_into(text),
        Value::String(shown) => *shown = text(shown),
        _ => {}
    }
}

/// Whether what stands under a key of a config is secret.
pub(crate) fn is_secret_key(key: &str) -> bool {
    key == "headers" || names_a_secret(key)
}

/// `api_key` and the like, but not `api_key_env`, which names a variable.
fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["api_key", "token", "hf_token", "password", "secret", "authorization"].contains(&key.as_str())
}

/// A line of a file that holds what looks like a secret: keys of known services, bearer tokens, credentials in URLs, and
/// every secret that this process knows. Says what it looks like.
pub fn suspicion(line: &str) -> Option<&'static str> {
    if secrets::found_in(line.as_bytes()) {
        return Some("a secret of the environment or the config");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let long_after = |mark: &str, least: usize| {
        line.match_indices(mark).any(|(at, _)| {
            let begins = line[..at].chars().next_back().is_none_or(|before| !word(before));
            let length = line[at + mark.len()..].chars().take_while(|c| word(*c)).count();
            begins && length >= least
        })
    };
    let keys = [("sk-", 20), ("hf_", 20), ("nvapi-", 20), ("gsk_", 20), ("ghp_", 30)];
    if keys.iter().any(|(mark, least)| long_after(mark, *least)) {
        return Some("a key of a service");
    }
    if long_after("Bearer ", 16) {
        return Some("a bearer token");
    }
    let credentials = urls(line) != line;
    credentials.then_some("credentials in a URL")
}

/// A `key=value` argument without a secret value.
pub fn argument(argument: &str) -> String {
    let Some((key, value)) = argument.split_once('=') else { return argument.to_owned() };
    let secret = key.split('.').any(is_secret_key);
    if secret { format!("{key}={HIDDEN}") } else { format!("{key}={}", text(value)) }
}

/// Text with the credentials of every URL in it hidden, and every secret that this process knows.
pub fn text(text: &str) -> String {
    urls(&secrets::hide(text))
}

fn urls(text: &str) -> String {
    // Longest pieces without white space or quotes: where a URL may begin and end.
    let end = |c: char| c.is_whitespace() || "'\"`,[]{}<>".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(end) {
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        shown.push_str(&url(&rest[..at]));
        shown.push_str(&rest[at..at + width]);
        rest = &rest[at + width..];
    }
    shown + &url(rest)
}

/// A line of an error message, in which an argument may be quoted.
pub fn quoted_line(line: &str) -> String {
    let quoted: Vec<String> = line
        .split('`')
        .enumerate()
        .map(|(place, part)| if place % 2 == 1 && part.contains('=') { argument(part) } else { text(part) })
        .collect();
    quoted.join("`")
}

/// A URL without its credentials; other text as it is.
pub fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}@{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        let shown = tree(&json!({
            "endpoint": "https://me:hunter2@host:8000/v1?q=a@b",
            "server": {"headers": {"X-Key": "hunter2"}, "api_key_env": "OPENAI_API_KEY", "password": "hunter2"},
            "name": "a@b.example",
            "path": "http://host/a@b",
        }));
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(shown["endpoint"], "https://***@host:8000/v1?q=a@b");
        assert_eq!(shown["server"]["api_key_env"], "OPENAI_API_KEY");
        assert_eq!(shown["name"], "a@b.example");
        assert_eq!(shown["path"], "http://host/a@b");
    }

    #[test]
    fn what_looks_like_a_secret_is_noticed_and_ordinary_text_is_not() {
        for line in [
            "key sk-abcdefghij0123456789ABCD",
            "\"hf_abcdefghijklmnopqrstuvwxyz\"",
            "Authorization: Bearer 0123456789abcdef0123",
            "at http://me:pw@host/v1",
        ] {
            assert!(suspicion(line).is_some(), "{line}");
        }
        for line in
            ["ask-me-anything-about-tokens-and-more", "http://***@host/v1", "task-specific", "Bearer of news"]
        {
            assert_eq!(suspicion(line), None, "{line}");
        }
    }

    #[test]
    fn arguments_and_sentences_lose_their_secrets() {
        assert_eq!(argument("backend.server.headers.X-Key=hunter2"), "backend.server.headers.X-Key=***");
        assert_eq!(argument("backend.endpoint=http://me:pw@h/v1"), "backend.endpoint=http://***@h/v1");
        assert_eq!(argument("~a.b"), "~a.b");
        assert_eq!(text("see `https://a:b@c/d`, or x"), "see `https://***@c/d`, or x");
    }
}
