//! JSON as Python's `json.dumps` writes it, which chat templates were written against: a space after `:` and `,`, and
//! nothing escaped for HTML.
//!
//! Refuses to know templates.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` as Python writes it: on one line, or over several with `indent` spaces a level.
pub(super) fn python_json(value: &Value, indent: Option<usize>, sort_keys: bool, ascii: bool) -> String {
    let mut text = String::new();
    Writer { indent, sort_keys, ascii }.value(&mut text, value, 0);
    text
}

struct Writer {
    indent: Option<usize>,
    sort_keys: bool,
    ascii: bool,
}

impl Writer {
    fn value(&self, text: &mut String, value: &Value, level: usize) {
        match value {
            Value::Array(list) => {
                self.list(text, ['[', ']'], level, list.len(), |text, at| {
                    self.value(text, &list[at], level + 1);
                });
            }
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.iter().collect();
                if self.sort_keys {
                    pairs.sort_by_key(|pair| pair.0);
                }
                self.list(text, ['{', '}'], level, pairs.len(), |text, at| {
                    self.string(text, pairs[at].0);
                    text.push_str(": ");
                    self.value(text, pairs[at].1, level + 1);
                });
            }
            Value::String(string) => self.string(text, string),
            other => text.push_str(&other.to_string()),
        }
    }

    fn list(
        &self,
        text: &mut String,
        [open, close]: [char; 2],
        level: usize,
        length: usize,
        mut item: impl FnMut(&mut String, usize),
    ) {
        text.push(open);
        for at in 0..length {
            if at > 0 {
                text.push_str(if self.indent.is_some() { "," } else { ", " });
            }
            self.line(text, level + 1);
            item(text, at);
        }
        if length > 0 {
            self.line(text, level);
        }
        text.push(close);
    }

    fn line(&self, text: &mut String, level: usize) {
        if let Some(indent) = self.indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * level));
        }
    }

    fn string(&self, text: &mut String, string: &str) {
        let quoted = Value::from(string).to_string();
        if !self.ascii {
            text.push_str(&quoted);
            return;
        }
        for unit in quoted.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(text, "\\u{unit:04x}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = json!({"b": [1, 2.5, null], "a": {"<é>": "\"\n"}, "none": []});
        let line = r#"{"b": [1, 2.5, null], "a": {"<é>": "\"\n"}, "none": []}"#;
        assert_eq!(python_json(&value, None, false, false), line);
        let sorted = r#"{"a": {"<\u00e9>": "\"\n"}, "b": [1, 2.5, null], "none": []}"#;
        assert_eq!(python_json(&value, None, true, true), sorted);
        let indented = "{\n  \"b\": [\n    1,\n    2.5,\n    null\n  ],\n  \"a\": {\n    \"<é>\": \"\\\"\\n\"\n  },\n  \"none\": []\n}";
        assert_eq!(python_json(&value, Some(2), false, false), indented);
    }
}
