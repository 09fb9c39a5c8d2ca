//! JSON with a line for each key: serde_json judges and decodes the text, a scan of it finds the lines.
//!
//! Exists because serde_json keeps neither lines nor duplicate keys, and YAML parsers refuse some JSON. The scan
//! relies on the text being valid, which serde_json has said before it starts.

use indexmap::IndexMap;
use serde_json::Value;

use super::{At, Lines, duplicate, syntax};
use crate::error::ConfigError;
use crate::node::{Data, Node};

/// Parses a document; an empty one is null.
pub(super) fn parse(text: &str, at: At<'_>) -> Result<Node, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Node::new(Data::Null, at(1)));
    }
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        return Err(syntax(at, error.line().max(1), &message));
    }
    let mut scan = Scan { text, offset: 0, lines: Lines::of(text), at };
    let line = scan.line();
    scan.value(line)
}

struct Scan<'t> {
    text: &'t str,
    offset: usize,
    lines: Lines,
    at: At<'t>,
}

impl<'t> Scan<'t> {
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while bytes.get(self.offset).is_some_and(|b| b.is_ascii_whitespace()) {
            self.offset += 1;
        }
        bytes.get(self.offset).copied().unwrap_or(0)
    }

    fn line(&mut self) -> usize {
        self.peek();
        self.lines.line(self.offset)
    }

    /// The text of the string, number or word that starts here.
    fn token(&mut self) -> &'t str {
        let quoted = self.peek() == b'"';
        let start = self.offset;
        let bytes = self.text.as_bytes();
        self.offset += 1;
        if quoted {
            while bytes.get(self.offset).is_some_and(|b| *b != b'"') {
                self.offset += if bytes[self.offset] == b'\\' { 2 } else { 1 };
            }
            self.offset += 1;
        } else {
            while bytes.get(self.offset).is_some_and(|b| !b.is_ascii_whitespace() && !b",]}".contains(b)) {
                self.offset += 1;
            }
        }
        self.text.get(start..self.offset).unwrap_or_default()
    }

    fn scalar(&mut self) -> Result<Value, ConfigError> {
        let line = self.line();
        let token = self.token();
        serde_json::from_str(token).map_err(|e| syntax(self.at, line, &e.to_string()))
    }

    fn value(&mut self, line: usize) -> Result<Node, ConfigError> {
        let data = match self.peek() {
            b'{' => self.map()?,
            b'[' => self.list()?,
            _ => {
                let value = self.scalar()?;
                return Ok(Node::from_json(&value, &(self.at)(line)));
            }
        };
        Ok(Node::new(data, (self.at)(line)))
    }

    fn list(&mut self) -> Result<Data, ConfigError> {
        let mut items = Vec::new();
        self.offset += 1;
        while self.peek() != b']' {
            let line = self.line();
            items.push(self.value(line)?);
            if self.peek() == b',' {
                self.offset += 1;
            }
        }
        self.offset += 1;
        Ok(Data::List(items))
    }

    fn map(&mut self) -> Result<Data, ConfigError> {
        let mut map: IndexMap<String, Node> = IndexMap::new();
        self.offset += 1;
        while self.peek() != b'}' {
            let line = self.line();
            let key = self.scalar()?.as_str().unwrap_or_default().to_owned();
            if self.peek() == b':' {
                self.offset += 1;
            }
            let value = self.value(line)?;
            if let Some(first) = map.get(&key) {
                return Err(duplicate(self.at, &key, &first.origin, line));
            }
            map.insert(key, value);
            if self.peek() == b',' {
                self.offset += 1;
            }
        }
        self.offset += 1;
        Ok(Data::Map(map))
    }
}
