//! A configuration value that remembers where it was written and how.
//!
//! Exists because neither JSON values nor figment's keep a line for each key. Refuses to know any file format.

use indexmap::IndexMap;
use serde_json::{Number, Value};

use crate::origin::Origin;

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(IndexMap<String, Node>),
}

/// A value, the place it was written at, and the text it was typed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) data: Data,
    /// The place of the key (of the element, in a list).
    pub(crate) origin: Origin,
    /// The unquoted text it was typed from, so that `off` can still be the word where a word is asked for.
    pub(crate) raw: Option<String>,
    /// The text comes from where quoting is lost (environment, interpolation, argument): a number may be a word.
    pub(crate) loose: bool,
}

impl Node {
    pub(crate) fn new(data: Data, origin: Origin) -> Self {
        Self { data, origin, raw: None, loose: false }
    }

    pub(crate) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self::new(Data::Text(text.into()), origin)
    }

    pub(crate) fn map(origin: Origin) -> Self {
        Self::new(Data::Map(IndexMap::new()), origin)
    }

    /// Unquoted text from a place where quoting is lost.
    pub(crate) fn loose(text: &str, origin: Origin) -> Self {
        Self { data: crate::scalar::plain(text), origin, raw: Some(text.to_owned()), loose: true }
    }

    /// A JSON value that all came from one place.
    pub(crate) fn from_json(value: &Value, origin: &Origin) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(flag) => Data::Bool(*flag),
            Value::Number(number) => Data::Number(number.clone()),
            Value::String(text) => Data::Text(text.clone()),
            Value::Array(items) => Data::List(items.iter().map(|v| Self::from_json(v, origin)).collect()),
            Value::Object(map) => {
                Data::Map(map.iter().map(|(k, v)| (k.clone(), Self::from_json(v, origin))).collect())
            }
        };
        Self::new(data, origin.clone())
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(flag) => Value::Bool(*flag),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()),
        }
    }

    pub(crate) fn as_map(&self) -> Option<&IndexMap<String, Self>> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut IndexMap<String, Self>> {
        match &mut self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value at a path of keys; a list's elements have the keys `0`, `1` and so on.
    pub(crate) fn get<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        match &self.data {
            Data::Map(map) => map.get(first.as_ref())?.get(rest),
            Data::List(items) => items.get(first.as_ref().parse::<usize>().ok()?)?.get(rest),
            _ => None,
        }
    }

    /// The node at a path, or the nearest one above it.
    pub(crate) fn nearest<S: AsRef<str>>(&self, path: &[S]) -> &Self {
        let mut length = path.len();
        loop {
            if let Some(node) = self.get(&path[..length]) {
                return node;
            }
            if length == 0 {
                return self;
            }
            length -= 1;
        }
    }

    /// Puts `value` at a path, making maps on the way; what is there and is no map gives way.
    pub(crate) fn put<S: AsRef<str>>(&mut self, path: &[S], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if self.as_map().is_none() {
            self.data = Data::Map(IndexMap::new());
        }
        if let Some(map) = self.as_map_mut() {
            let origin = value.origin.clone();
            map.entry(first.as_ref().to_owned()).or_insert_with(|| Self::map(origin)).put(rest, value);
        }
    }

    /// Puts `value` at a path, key by key where both are maps.
    pub(crate) fn merge_at<S: AsRef<str>>(&mut self, path: &[S], value: Self) {
        match value.data {
            Data::Map(map) if self.get(path).is_some_and(|old| old.as_map().is_some()) => {
                for (key, item) in map {
                    let mut deeper: Vec<String> = path.iter().map(|p| p.as_ref().to_owned()).collect();
                    deeper.push(key);
                    self.merge_at(&deeper, item);
                }
            }
            _ => self.put(path, value),
        }
    }

    /// Takes the value at a path away; the maps above it stay.
    pub(crate) fn remove<S: AsRef<str>>(&mut self, path: &[S]) -> Option<Self> {
        let (first, rest) = path.split_first()?;
        let map = self.as_map_mut()?;
        if rest.is_empty() {
            return map.shift_remove(first.as_ref());
        }
        map.get_mut(first.as_ref())?.remove(rest)
    }

    /// The same value below a path of keys.
    pub(crate) fn below(self, path: &[String]) -> Self {
        if path.is_empty() {
            return self;
        }
        let mut outer = Self::map(self.origin.clone());
        outer.put(path, self);
        outer
    }

    /// What an error calls it: ``the string `ten` ``, `a list`.
    pub(crate) fn found(&self) -> String {
        match &self.data {
            Data::Null => "nothing (null)".to_owned(),
            Data::Bool(flag) => match &self.raw {
                Some(raw) if *raw != flag.to_string() => format!("the boolean `{flag}` (written `{raw}`)"),
                _ => format!("the boolean `{flag}`"),
            },
            Data::Number(number) => format!("the number `{number}`"),
            Data::Text(text) => format!("the string `{}`", shorten(text)),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }
}

/// A text cut to what fits in a message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// A path as users write it.
pub(crate) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".")
}

/// A key as users write it, in its parts.
pub(crate) fn split(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}
