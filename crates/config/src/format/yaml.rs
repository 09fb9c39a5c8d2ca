//! YAML with a line for each key: anchors, aliases, merge keys and duplicate keys, over saphyr's events.
//!
//! Exists because a loaded YAML tree has lost the lines and the duplicates. Refuses to know interpolation: `${…}` is
//! text to it.

use std::collections::HashMap;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{At, duplicate, syntax};
use crate::error::ConfigError;
use crate::node::{Data, Node};
use crate::scalar;

/// Nested deeper than this is refused, so that a hostile file cannot exhaust the stack.
const DEEPEST: usize = 64;
/// Values after aliases are expanded; more is an alias bomb and no configuration.
const MOST_VALUES: usize = 50_000;

/// Parses one document; an empty one is null.
pub(super) fn parse(text: &str, at: At<'_>) -> Result<Node, ConfigError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), at, anchors: HashMap::new(), values: 0, depth: 0 };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(root.unwrap_or_else(|| Node::new(Data::Null, at(1)))),
            Event::DocumentStart(_) if root.is_some() => {
                return Err(
                    reader.fail(span, "a second document starts here; one file holds one configuration")
                );
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => root = Some(reader.node(event, span, span.start.line())?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    at: At<'t>,
    /// Finished values by anchor id; an alias inside its own anchor finds none.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), ConfigError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(ConfigError::new("syntax error: the file ends too early").at(&(self.at)(1))),
        }
    }

    fn scan_error(&self, error: &ScanError) -> ConfigError {
        let fault = syntax(self.at, error.marker().line(), error.info());
        if error.info().contains("tab") {
            return fault.hint("YAML is indented with spaces");
        }
        fault
    }

    fn fail(&self, span: Span, message: &str) -> ConfigError {
        ConfigError::new(message).at(&(self.at)(span.start.line()))
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), ConfigError> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(self.fail(
                span,
                "has more values than a configuration can need (aliases count as often as used)",
            ));
        }
        Ok(())
    }

    /// The value that `event` starts; `line` is its key's.
    fn node(&mut self, event: Event<'t>, span: Span, line: usize) -> Result<Node, ConfigError> {
        self.count(1, span)?;
        let before = self.values;
        let (data, raw, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (data, raw) = self.scalar(&text, style, tag.as_deref(), span)?;
                (data, raw, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), span)?;
                (self.nested(span, Self::list)?, None, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), span)?;
                (self.nested(span, Self::map)?, None, anchor)
            }
            Event::Alias(id) => return self.alias(id, span, line),
            _ => return Err(self.fail(span, "syntax error: expected a value")),
        };
        let node = Node { data, origin: (self.at)(line), raw, loose: false };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), 1 + self.values - before));
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        span: Span,
        read: fn(&mut Self) -> Result<Data, ConfigError>,
    ) -> Result<Data, ConfigError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fail(span, "is nested deeper than a configuration can need"));
        }
        let data = read(self);
        self.depth -= 1;
        data
    }

    fn alias(&mut self, id: usize, span: Span, line: usize) -> Result<Node, ConfigError> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(self.fail(span, "an alias stands inside the value it stands for"));
        };
        self.count(size, span)?;
        Ok(Node { origin: (self.at)(line), ..node })
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(Data, Option<String>), ConfigError> {
        let word = || Ok((Data::Text(text.to_owned()), None));
        let typed = || Ok((scalar::plain(text), Some(text.to_owned())));
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain { typed() } else { word() };
        };
        match tag.suffix.as_str() {
            "int" | "float" | "bool" | "null" if tag.is_yaml_core_schema() => typed(),
            "str" if tag.is_yaml_core_schema() => word(),
            "" if tag.handle == "!" => word(),
            _ => Err(self.unknown_tag(tag, span)),
        }
    }

    fn unknown_tag(&self, tag: &Tag, span: Span) -> ConfigError {
        let name = format!("{}{}", if tag.is_yaml_core_schema() { "!!" } else { &tag.handle }, tag.suffix);
        self.fail(span, &format!("the tag `{name}` is not understood")).hint("write a plain value")
    }

    /// A list or a map of another kind than YAML's own is another program's object.
    fn collection_tag(&self, tag: Option<&Tag>, span: Span) -> Result<(), ConfigError> {
        match tag {
            Some(tag) if !(tag.is_yaml_core_schema() && ["map", "seq"].contains(&tag.suffix.as_str())) => {
                Err(self.unknown_tag(tag, span))
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self) -> Result<Data, ConfigError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Data::List(items)),
                (event, span) => items.push(self.node(event, span, span.start.line())?),
            }
        }
    }

    fn map(&mut self) -> Result<Data, ConfigError> {
        let mut map: IndexMap<String, Node> = IndexMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let (key, merge) = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, style, ..) => {
                    let merge = style == ScalarStyle::Plain && key == "<<";
                    (key.into_owned(), merge)
                }
                _ => return Err(self.fail(span, "syntax error: a key must be a word")),
            };
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, line)?;
            if merge {
                self.merge_sources(value, value_span, &mut merged)?;
            } else if let Some(first) = map.get(&key) {
                return Err(duplicate(self.at, &key, &first.origin, line));
            } else {
                map.insert(key, value);
            }
        }
        // A key of the map itself wins over a merged one, and an earlier merged map over a later one.
        for source in merged.iter().filter_map(Node::as_map) {
            for (key, value) in source {
                map.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(Data::Map(map))
    }

    fn merge_sources(&self, value: Node, span: Span, merged: &mut Vec<Node>) -> Result<(), ConfigError> {
        match value.data {
            Data::Map(_) => merged.push(value),
            Data::List(items) if items.iter().all(|item| item.as_map().is_some()) => merged.extend(items),
            _ => return Err(self.fail(span, "`<<` merges a map or a list of maps only")),
        }
        Ok(())
    }
}
