//! Values as they are typed on a command line: a word, a quoted text, or a list or map in brackets.
//!
//! Exists because arguments follow Hydra's grammar, not YAML's: `{a:1}` is a map there without a space after the
//! colon. Refuses to know keys and sections.

use indexmap::IndexMap;

use crate::node::{Data, Node};
use crate::origin::Origin;

/// Brackets nested deeper than this are refused.
const DEEPEST: usize = 32;

/// The value of a text; the error says what is wrong with its brackets or quotes.
pub(crate) fn value(text: &str, origin: &Origin) -> Result<Node, String> {
    let text = text.trim();
    if !text.starts_with(['[', '{', '"', '\'']) {
        return Ok(Node::loose(text, origin.clone()));
    }
    let mut reader = Reader { text, offset: 0, origin, depth: 0 };
    let node = reader.value(&[])?;
    match reader.rest().trim() {
        "" => Ok(node),
        rest => Err(format!("`{rest}` is left over behind the value")),
    }
}

/// The value of a text from the environment: what has no well-formed brackets is a word. The text itself is kept, for
/// where a word is asked for and for use inside a longer text.
pub(crate) fn from_outside(text: &str, origin: &Origin) -> Node {
    let node = value(text, origin).unwrap_or_else(|_| Node::loose(text, origin.clone()));
    Node { raw: Some(text.to_owned()), loose: true, ..node }
}

struct Reader<'t> {
    text: &'t str,
    offset: usize,
    origin: &'t Origin,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start().len();
    }

    /// Takes a character if it is next.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(wanted);
        if found {
            self.offset += wanted.len_utf8();
        }
        found
    }

    /// A value that ends before any of `ends`.
    fn value(&mut self, ends: &[char]) -> Result<Node, String> {
        self.skip_spaces();
        match self.rest().chars().next() {
            Some('[') => self.nested(Self::list),
            Some('{') => self.nested(Self::map),
            Some(quote @ ('"' | '\'')) => Ok(Node::text(self.quoted(quote)?, self.origin.clone())),
            _ => {
                let word = self.word(ends)?;
                Ok(Node::loose(word, self.origin.clone()))
            }
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Data, String>) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("its brackets are nested too deeply".to_owned());
        }
        let data = read(self)?;
        self.depth -= 1;
        Ok(Node::new(data, self.origin.clone()))
    }

    fn list(&mut self) -> Result<Data, String> {
        self.take('[');
        let mut items = Vec::new();
        loop {
            if self.take(']') {
                return Ok(Data::List(items));
            }
            items.push(self.value(&[',', ']'])?);
            if !self.take(',') && !self.rest().starts_with(']') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn map(&mut self) -> Result<Data, String> {
        self.take('{');
        let mut map = IndexMap::new();
        loop {
            if self.take('}') {
                return Ok(Data::Map(map));
            }
            let key = match self.rest().chars().next() {
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                _ => self.word(&[':', ',', '}'])?.to_owned(),
            };
            if !self.take(':') {
                return Err(self.expected("`:` after a key"));
            }
            let value = self.value(&[',', '}'])?;
            if map.insert(key.clone(), value).is_some() {
                return Err(format!("the key `{key}` stands twice"));
            }
            if !self.take(',') && !self.rest().starts_with('}') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn expected(&self, wanted: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("expected {wanted}, found `{found}`"),
            None => format!("expected {wanted}, found the end"),
        }
    }

    /// An unquoted word; the braces of an interpolation belong to it.
    fn word(&mut self, ends: &[char]) -> Result<&'t str, String> {
        let rest = self.rest();
        let mut open = 0usize;
        let mut before = ' ';
        let mut end = rest.len();
        for (index, letter) in rest.char_indices() {
            match letter {
                '{' if before == '$' || open > 0 => open += 1,
                '}' if open > 0 => open -= 1,
                _ if open == 0 && ends.contains(&letter) => {
                    end = index;
                    break;
                }
                _ => {}
            }
            before = letter;
        }
        self.offset += end;
        match rest[..end].trim() {
            "" => Err(self.expected("a value")),
            word => Ok(word),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.take(quote);
        let mut text = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((index, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some((_, 'n')) if quote == '"' => text.push('\n'),
                    Some((_, 't')) if quote == '"' => text.push('\t'),
                    Some((_, next)) if next == quote || next == '\\' => text.push(next),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => break,
                },
                _ if letter == quote => {
                    self.offset += index + letter.len_utf8();
                    return Ok(text);
                }
                _ => text.push(letter),
            }
        }
        Err(format!("a {quote} is not closed"))
    }
}
