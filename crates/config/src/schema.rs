//! Finding one's way in the settings' JSON schema: references, alternatives, sections, known keys.
//!
//! Refuses to know any key by name, and to judge values: that is `check`'s part.

use serde_json::{Map, Value};

use crate::node::dotted;

/// References and sections deeper than this are not followed, so that a recursive schema ends.
const DEEPEST: usize = 12;

/// A JSON schema (draft 2020-12, as schemars writes it).
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: Value,
}

/// What the schema says about a path of keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place<'s> {
    /// A property of its own, with its schema.
    Known(&'s Value),
    /// A key of a map that takes any key (or any that fits a pattern).
    Free,
    /// No such key.
    Unknown,
}

impl Schema {
    pub(crate) fn new(root: Value) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// The schema behind a reference.
    pub(crate) fn resolve<'s>(&'s self, mut schema: &'s Value) -> &'s Value {
        for _ in 0..DEEPEST {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.root.pointer(pointer));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    /// The alternatives a schema allows, with references followed; itself where there is one only.
    pub(crate) fn branches<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        let mut found = Vec::new();
        self.collect_branches(schema, DEEPEST, &mut found);
        found
    }

    fn collect_branches<'s>(&'s self, schema: &'s Value, depth: usize, found: &mut Vec<&'s Value>) {
        let schema = self.resolve(schema);
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|k| schema.get(k)).and_then(Value::as_array);
        let only = schema.get("allOf").and_then(Value::as_array).filter(|parts| parts.len() == 1);
        match alternatives.or(only) {
            Some(parts) if depth > 0 => {
                parts.iter().for_each(|part| self.collect_branches(part, depth - 1, found));
            }
            _ => found.push(schema),
        }
    }

    /// The properties of every alternative that is a map.
    fn sections<'s>(&'s self, schema: &'s Value) -> Vec<&'s Map<String, Value>> {
        let maps = self.branches(schema).into_iter();
        maps.filter_map(|branch| branch.get("properties").and_then(Value::as_object)).collect()
    }

    /// The names of the keys that a map of this schema has.
    pub(crate) fn keys<'s>(&'s self, schema: &'s Value) -> Vec<&'s str> {
        let mut keys: Vec<&str> = Vec::new();
        for key in self.sections(schema).into_iter().flat_map(Map::keys) {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        keys
    }

    /// The schema of a property.
    pub(crate) fn property<'s>(&'s self, schema: &'s Value, key: &str) -> Option<&'s Value> {
        self.sections(schema).into_iter().find_map(|properties| properties.get(key))
    }

    /// Whether the schema is a section: a map with properties of its own, and nothing else but perhaps null.
    pub(crate) fn is_section(&self, schema: &Value) -> bool {
        let branches = self.branches(schema);
        let is_null = |branch: &&Value| types(branch) == ["null"];
        branches.iter().any(|branch| branch.get("properties").is_some())
            && branches.iter().all(|branch| branch.get("properties").is_some() || is_null(branch))
    }

    /// Whether null is a value of its own there.
    pub(crate) fn allows_null(&self, schema: &Value) -> bool {
        self.branches(schema).into_iter().any(|b| b == &Value::Bool(true) || types(b).contains(&"null"))
    }

    /// Whether a map of this schema takes keys that are not its properties.
    pub(crate) fn is_open(&self, schema: &Value) -> bool {
        self.branches(schema).into_iter().any(|branch| {
            if branch == &Value::Bool(true) {
                return true;
            }
            let is_map = types(branch).contains(&"object") || types(branch).is_empty();
            is_map && (branch.get("patternProperties").is_some() || !closed(branch))
        })
    }

    /// What the schema says about a path.
    pub(crate) fn at<S: AsRef<str>>(&self, path: &[S]) -> Place<'_> {
        let mut here = &self.root;
        for key in path {
            match self.property(here, key.as_ref()) {
                Some(next) => here = next,
                None if self.is_open(here) => return Place::Free,
                None => return Place::Unknown,
            }
        }
        Place::Known(here)
    }

    /// The full path of every key the schema knows, sections among them.
    pub(crate) fn known_paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        self.collect_paths(&self.root, &mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, schema: &Value, above: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
        if above.len() >= DEEPEST {
            return;
        }
        for key in self.keys(schema) {
            above.push(key.to_owned());
            paths.push(above.clone());
            if let Some(property) = self.property(schema, key) {
                self.collect_paths(property, above, paths);
            }
            above.pop();
        }
    }
}

/// The JSON types a single alternative allows; empty means any.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => Vec::new(),
    }
}

/// Whether a map schema refuses keys it does not list.
pub(crate) fn closed(schema: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|k| schema.get(k) == Some(&Value::Bool(false)))
}

/// The fixed values of a single alternative, where it has such.
pub(crate) fn literals(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(values)) => Some(values.iter().collect()),
        (None, None) => None,
    }
}

/// The known key that was probably meant by `key` in the map at `above`.
pub(crate) fn nearest_key(schema: &Schema, above: &[String], key: &str) -> Option<String> {
    let siblings: Vec<&str> = match schema.at(above) {
        Place::Known(here) => schema.keys(here),
        _ => Vec::new(),
    };
    let full = |sibling: &str| {
        let mut path = above.to_vec();
        path.push(sibling.to_owned());
        dotted(&path)
    };
    if let Some(sibling) = nearest_word(key, siblings.iter().copied()) {
        return Some(full(sibling));
    }
    let paths = schema.known_paths();
    let last = |path: &Vec<String>| path.last().cloned().unwrap_or_default();
    if let Some(path) = paths.iter().find(|path| last(path) == key) {
        return Some(dotted(path));
    }
    let prefixed = |s: &&&str| key.len() > 2 && (s.starts_with(key) || key.starts_with(**s));
    if let Some(sibling) = siblings.iter().find(prefixed) {
        return Some(full(sibling));
    }
    let mut wanted = above.to_vec();
    wanted.push(key.to_owned());
    // The sections that the key stands in are near by spelling, and never what was meant.
    let names: Vec<String> =
        paths.iter().filter(|path| !wanted.starts_with(path)).map(|path| dotted(path)).collect();
    if let Some(name) = nearest_word(&dotted(&wanted), names.iter().map(String::as_str)) {
        return Some(name.to_owned());
    }
    let ends: Vec<String> = paths.iter().map(last).collect();
    let meant = nearest_word(key, ends.iter().map(String::as_str))?.to_owned();
    paths.iter().find(|path| last(path) == meant).map(|path| dotted(path))
}

/// The nearest of some words, if one is near enough to be a slip of the hand: a third of the letters, at least one.
pub(crate) fn nearest_word<'w>(word: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    let distance = |other: &str| strsim::osa_distance(&lower, &other.to_lowercase());
    let limit = (lower.chars().count() / 3).max(1);
    let near = words.map(|other| (distance(other), other)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, other)| *distance <= limit && *distance < other.chars().count()).map(|(_, w)| w)
}
