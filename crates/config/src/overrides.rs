//! `a.b=c`, `+a.b=c`, `++a.b=c`, `~a.b`: arguments that set or delete keys, in Hydra's notation.
//!
//! Refuses to know files and flags: it changes one layer, and deletes in those below it.

use crate::error::ConfigError;
use crate::flow;
use crate::node::{Data, Node, dotted, split};
use crate::origin::Origin;
use crate::schema::{Place, Schema, nearest_key};

const NOTATION: &str =
    "write `key=value`, `+key=value`, `++key=value` or `~key`, with dots between the parts of a key";
const VALUES: &str =
    "write a list as `[a,b]` and a map as `{a: 1}`, and quote the argument so that the shell leaves it alone";

/// What an argument asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `a=b`
    Set,
    /// `+a=b`: only where no file sets it.
    Add,
    /// `++a=b`
    Force,
    /// `~a` or `~a=b`
    Delete,
}

/// One argument, in its parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    pub(crate) action: Action,
    pub(crate) path: Vec<String>,
    /// Always there but for `~a`.
    pub(crate) value: Option<Node>,
    pub(crate) text: String,
}

impl Override {
    pub(crate) fn origin(&self) -> Origin {
        Origin::Override { text: self.text.clone() }
    }

    /// Reads one argument.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let malformed =
            |cause: String| ConfigError::new(format!("argument `{text}`: {cause}")).hint(NOTATION);
        let bad_value = |cause: String| ConfigError::new(format!("argument `{text}`: {cause}")).hint(VALUES);
        let (action, rest) = match text.trim_start() {
            rest if rest.starts_with("++") => (Action::Force, &rest[2..]),
            rest if rest.starts_with('+') => (Action::Add, &rest[1..]),
            rest if rest.starts_with('~') => (Action::Delete, &rest[1..]),
            rest => (Action::Set, rest),
        };
        let (key, value) = match rest.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value)),
            None => (rest.trim(), None),
        };
        if value.is_none() && action != Action::Delete {
            return Err(malformed("it has no `=`".to_owned()));
        }
        let path = split(key);
        if path.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(malformed(format!("`{key}` is not a key")));
        }
        let origin = Origin::Override { text: text.to_owned() };
        let value = match value {
            // Hydra reads `key=` as an empty text.
            Some("") => Some(Node::text("", origin)),
            Some(value) => Some(flow::value(value, &origin).map_err(bad_value)?),
            None => None,
        };
        Ok(Self { action, path, value, text: text.to_owned() })
    }
}

/// The layers an override works on, the weakest first.
pub(crate) struct Below<'a> {
    /// The program's defaults.
    pub(crate) defaults: &'a mut Node,
    /// Groups, files, environment.
    pub(crate) set: &'a mut Vec<Node>,
}

/// Applies one override to its own layer.
pub(crate) fn apply(
    change: &Override,
    schema: &Schema,
    below: &mut Below<'_>,
    layer: &mut Node,
    notes: &mut Vec<String>,
) -> Result<(), ConfigError> {
    match (&change.value, change.action) {
        (value, Action::Delete) => delete(change, value.as_ref(), schema, below, layer, notes),
        (Some(value), action) => {
            if action == Action::Add {
                refuse_what_is_set(change, below, layer)?;
            }
            layer.merge_at(&change.path, value.clone());
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

/// `+` adds: what a file or an earlier argument sets is not to be changed by it.
fn refuse_what_is_set(change: &Override, below: &Below<'_>, layer: &Node) -> Result<(), ConfigError> {
    let files =
        below.set.iter().rev().filter_map(|root| root.get(&change.path)).filter(|n| n.origin.is_file());
    let Some(first) = layer.get(&change.path).or(files.into_iter().next()) else {
        return Ok(());
    };
    // A map is added to, key by key.
    if matches!((&first.data, change.value.as_ref().map(|v| &v.data)), (Data::Map(_), Some(Data::Map(_)))) {
        return Ok(());
    }
    let key = dotted(&change.path);
    Err(ConfigError::new(format!("is already set ({}), and `+` only adds", first.origin))
        .at(&change.origin())
        .key(&key)
        .hint(format!("write `{key}=…` to change it, or `++{key}=…` for either")))
}

fn delete(
    change: &Override,
    wanted: Option<&Node>,
    schema: &Schema,
    below: &mut Below<'_>,
    layer: &mut Node,
    notes: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let fault = |cause: String| ConfigError::new(cause).at(&change.origin()).key(dotted(&change.path));
    let place = schema.at(&change.path);
    let stack = || std::iter::once(&*layer).chain(below.set.iter().rev());
    let current = stack().find_map(|root| root.get(&change.path)).cloned();
    if let (Some(wanted), Some(current)) = (wanted, current.as_ref().or(below.defaults.get(&change.path)))
        && wanted.to_json() != current.to_json()
    {
        let found = current.found();
        return Err(fault(format!("is not deleted: its value is {found} ({})", current.origin)));
    }
    if place == Place::Unknown && current.is_none() {
        let fault = fault("unknown key".to_owned());
        let near = change.path.split_last().and_then(|(key, above)| nearest_key(schema, above, key));
        return Err(match near {
            Some(near) => fault.hint(format!("did you mean `~{near}`?")),
            None => fault,
        });
    }
    layer.remove(&change.path);
    below.set.iter_mut().for_each(|root| drop(root.remove(&change.path)));
    // A key of a free map has no default to go back to: it goes altogether.
    let freed = place == Place::Free && below.defaults.remove(&change.path).is_some();
    if current.is_none() && !freed {
        notes.push(format!("`{}` changes nothing: nothing sets that key", change.text));
    }
    Ok(())
}
