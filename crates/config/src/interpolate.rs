//! `${VAR}`, `${VAR:-default}`, `${oc.env:VAR,default}` and `${a.b}`: replacing them in a merged configuration.
//!
//! A value that is nothing but one interpolation is typed after it; one inside a longer text stays text. What comes
//! out of the environment is not looked into again. Refuses to know the schema.

use std::cell::Cell;

use indexmap::IndexMap;

use crate::error::ConfigError;
use crate::flow;
use crate::node::{Data, Node, dotted, split};
use crate::origin::Origin;
use crate::schema::nearest_word;

/// References followed in one configuration; more is a bomb and no configuration.
const MOST_STEPS: usize = 10_000;

/// Looks an environment variable up.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A text in its parts.
#[derive(Debug, PartialEq)]
enum Part<'t> {
    Text(&'t str),
    /// What stands between `${` and its `}`.
    Expression(&'t str),
}

/// Replaces every interpolation; the errors are those of all values together.
pub(crate) fn interpolate(root: &Node, lookup: &Lookup<'_>) -> Result<Node, Vec<ConfigError>> {
    let expander = Expander { root, lookup, steps: Cell::new(0) };
    let mut errors = Vec::new();
    let node = expander.walk(root, &mut Vec::new(), &mut Vec::new(), &mut errors);
    if errors.is_empty() { Ok(node) } else { Err(errors) }
}

/// Whether a text has an interpolation in it (or an escaped one).
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("${")
}

struct Expander<'a> {
    root: &'a Node,
    lookup: &'a Lookup<'a>,
    steps: Cell<usize>,
}

impl Expander<'_> {
    /// `stack` holds the keys that are being resolved, to see a circle.
    fn walk(
        &self,
        node: &Node,
        path: &mut Vec<String>,
        stack: &mut Vec<String>,
        errors: &mut Vec<ConfigError>,
    ) -> Node {
        let data = match &node.data {
            Data::Text(text) if is_template(text) && may_expand(&node.origin) => {
                return self.template(text, node, path, stack).unwrap_or_else(|error| {
                    errors.push(error);
                    node.clone()
                });
            }
            Data::List(items) => {
                let mut walked = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    walked.push(self.walk(item, path, stack, errors));
                    path.pop();
                }
                Data::List(walked)
            }
            Data::Map(map) => {
                let mut walked = IndexMap::with_capacity(map.len());
                for (key, item) in map {
                    path.push(key.clone());
                    walked.insert(key.clone(), self.walk(item, path, stack, errors));
                    path.pop();
                }
                Data::Map(walked)
            }
            _ => return node.clone(),
        };
        Node { data, ..node.clone() }
    }

    fn template(
        &self,
        text: &str,
        node: &Node,
        path: &[String],
        stack: &mut Vec<String>,
    ) -> Result<Node, ConfigError> {
        let place = |cause: String| ConfigError::new(cause).at(&node.origin).key(dotted(path));
        self.steps.set(self.steps.get() + 1);
        let key = dotted(path);
        if stack.contains(&key) {
            return Err(place(format!(
                "refers to itself ({})",
                [stack.as_slice(), &[key]].concat().join(" → ")
            )));
        }
        if self.steps.get() > MOST_STEPS {
            return Err(place("takes more references than a configuration can need".to_owned()));
        }
        stack.push(key);
        let result = self.parts(text, node, stack).map_err(|error| match error.key {
            // A fault inside a value that this one refers to is that value's.
            Some(_) => error,
            None => ConfigError { hint: error.hint, ..place(error.cause) },
        });
        stack.pop();
        result
    }

    fn parts(&self, text: &str, node: &Node, stack: &mut Vec<String>) -> Result<Node, ConfigError> {
        let parts = parse(text)?;
        if let [Part::Expression(inner)] = parts[..] {
            return self.expression(inner, &node.origin, stack);
        }
        Ok(Node::text(self.join(&parts, &node.origin, stack)?, node.origin.clone()))
    }

    fn join(
        &self,
        parts: &[Part<'_>],
        origin: &Origin,
        stack: &mut Vec<String>,
    ) -> Result<String, ConfigError> {
        let mut joined = String::new();
        for part in parts {
            match part {
                Part::Text(text) => joined.push_str(text),
                Part::Expression(inner) => {
                    let value = self.expression(inner, origin, stack)?;
                    joined.push_str(&as_text(inner, &value)?);
                }
            }
        }
        Ok(joined)
    }

    fn expression(&self, inner: &str, origin: &Origin, stack: &mut Vec<String>) -> Result<Node, ConfigError> {
        let inner = inner.trim();
        if let Some(arguments) = inner.strip_prefix("oc.env:") {
            let (name, default) = match arguments.split_once(',') {
                Some((name, default)) => (name, Some(default.trim())),
                None => (arguments, None),
            };
            return self.variable(name.trim(), default, false, origin, stack);
        }
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        match rest {
            "" if !name.is_empty() => match (self.lookup)(name) {
                None if self.root.get(&[name]).is_some() => self.reference(name, origin, stack),
                _ => self.variable(name, None, false, origin, stack),
            },
            _ if rest.starts_with(":-") => self.variable(name, Some(&rest[2..]), true, origin, stack),
            _ if rest.starts_with('-') => self.variable(name, Some(&rest[1..]), false, origin, stack),
            _ if inner.contains(':') => Err(unknown_resolver(inner)),
            _ => self.reference(inner, origin, stack),
        }
    }

    /// A variable's value, or its default; `:-` takes the default for an empty variable too, as shells do.
    fn variable(
        &self,
        name: &str,
        default: Option<&str>,
        empty_is_unset: bool,
        origin: &Origin,
        stack: &mut Vec<String>,
    ) -> Result<Node, ConfigError> {
        if let Some(value) = (self.lookup)(name).filter(|value| !(empty_is_unset && value.is_empty())) {
            return Ok(flow::from_outside(&value, origin));
        }
        let Some(default) = default else {
            return Err(ConfigError::new(format!("the environment variable {name} is not set"))
                .hint(format!("set it, or give a default: `${{{name}:-…}}`")));
        };
        if let Some(word) = unquote(default) {
            return Ok(Node::text(word, origin.clone()));
        }
        let parts = parse(default)?;
        if let [Part::Expression(inner)] = parts[..] {
            return self.expression(inner, origin, stack);
        }
        Ok(flow::from_outside(&self.join(&parts, origin, stack)?, origin))
    }

    /// The value of another key.
    fn reference(&self, key: &str, origin: &Origin, stack: &mut Vec<String>) -> Result<Node, ConfigError> {
        let path = split(key);
        let Some(target) = self.root.get(&path) else {
            let fault = ConfigError::new(format!("refers to `{key}`, which is no key of this configuration"));
            let mut known = Vec::new();
            leaf_paths(self.root, &mut Vec::new(), &mut known);
            return Err(match nearest_word(key, known.iter().map(String::as_str)) {
                Some(near) => fault.hint(format!("did you mean `${{{near}}}`?")),
                None => {
                    fault.hint("name a key by its full path, or an environment variable as `${VAR:-default}`")
                }
            });
        };
        if stack.iter().any(|above| above.starts_with(&format!("{key}."))) {
            return Err(ConfigError::new(format!("refers to `{key}`, which holds this key itself")));
        }
        let mut errors = Vec::new();
        let value = self.walk(target, &mut path.clone(), stack, &mut errors);
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Node { origin: origin.clone(), ..value }),
        }
    }
}

/// Interpolation is a habit of files and arguments; what a default or a variable holds is taken as it is.
fn may_expand(origin: &Origin) -> bool {
    origin.is_file() || matches!(origin, Origin::Override { .. })
}

/// A text in its parts; `\${` stands for `${`.
fn parse(text: &str) -> Result<Vec<Part<'_>>, ConfigError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('\\') {
            push_text(&mut parts, &rest[..start - 1]);
            push_text(&mut parts, "${");
            rest = &rest[start + 2..];
            continue;
        }
        push_text(&mut parts, &rest[..start]);
        let Some(end) = closing(&rest[start + 2..]) else {
            return Err(ConfigError::new(format!("`{}` has no closing brace", &rest[start..]))
                .hint("close it with `}`, or write `\\${` for the characters themselves"));
        };
        parts.push(Part::Expression(&rest[start + 2..start + 2 + end]));
        rest = &rest[start + 3 + end..];
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

fn push_text<'t>(parts: &mut Vec<Part<'t>>, text: &'t str) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

/// Where the brace that is open before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (index, letter) in text.char_indices() {
        match letter {
            '{' => open += 1,
            '}' if open == 0 => return Some(index),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn unquote(text: &str) -> Option<&str> {
    ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))
}

fn as_text(inner: &str, value: &Node) -> Result<String, ConfigError> {
    match (&value.data, &value.raw) {
        (_, Some(raw)) => Ok(raw.clone()),
        (Data::Text(text), None) => Ok(text.clone()),
        (Data::Bool(flag), None) => Ok(flag.to_string()),
        (Data::Number(number), None) => Ok(number.to_string()),
        (Data::Null, None) => Ok(String::new()),
        (Data::List(_) | Data::Map(_), None) => Err(ConfigError::new(format!(
            "`${{{inner}}}` is {} and cannot stand inside a text",
            value.found()
        ))
        .hint("let it be the whole value")),
    }
}

fn unknown_resolver(inner: &str) -> ConfigError {
    let name = inner.split(':').next().unwrap_or(inner);
    ConfigError::new(format!("`${{{inner}}}` asks for `{name}`, which is not understood here"))
        .hint("use `${VAR:-default}`, `${oc.env:VAR,default}` or `${section.key}`")
}

fn leaf_paths(node: &Node, path: &mut Vec<String>, known: &mut Vec<String>) {
    match node.as_map() {
        Some(map) => {
            for (key, item) in map {
                path.push(key.clone());
                leaf_paths(item, path, known);
                path.pop();
            }
        }
        None => known.push(dotted(path)),
    }
}
