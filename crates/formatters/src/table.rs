//! The table as it is written: YAML, read strictly, with errors that name the file, the line and the nearest word.
//!
//! Refuses to know what the settings do; `registry` makes formatters of them.

use std::fmt;

use ai_energy_core::{Fault, FaultKind};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::kinds::{Kind, Settings};

/// A table of reasoning formats.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Table {
    /// Families by name, in file order.
    pub(crate) families: IndexMap<String, Entry>,
    /// Exact model names.
    pub(crate) models: IndexMap<String, Reference>,
    /// What holds for every other model.
    pub(crate) default: Option<Reference>,
}

/// A family's name, or settings written out in its place.
#[derive(Debug)]
pub(crate) enum Reference {
    /// The name of a family.
    Family(String),
    /// Settings.
    Entry(Box<Entry>),
}

/// The settings of a family, a model or an override; what is missing comes from what it overrides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) patterns: Vec<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<Kind>,
    pub(crate) enable_flag: Option<String>,
    pub(crate) disable_flag: Option<String>,
    pub(crate) default_enabled: Option<bool>,
    pub(crate) prefix: Option<String>,
    pub(crate) suffix: Option<String>,
    pub(crate) template_switches: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) model_overrides: IndexMap<String, Entry>,
}

/// Reads a table; `file` names it in errors.
///
/// # Errors
/// The text is no YAML, has a key or a type that is not known, or a value of the wrong type.
pub(crate) fn parse(text: &str, file: &str) -> Result<Table, Fault> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(Fault::new(FaultKind::Usage, object(file), "holds nothing but blank lines and comments")
            .remedy("add a family under `families`"));
    }
    serde_saphyr::from_str(text).map_err(|error| explain(&error, file))
}

/// How errors name a file.
pub(crate) fn object(file: &str) -> String {
    format!("reasoning formats {file}")
}

/// Turns a reader's error into a fault with the nearest word as the remedy.
fn explain(error: &serde_saphyr::Error, file: &str) -> Fault {
    use serde_saphyr::Error;
    let inner = error.without_snippet();
    let place = inner.location().map_or_else(String::new, |at| format!("line {}: ", at.line()));
    let (cause, remedy) = match inner {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), nearest(field, expected, "keys"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown type `{variant}`"), nearest(variant, expected, "types"))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key `{key}` stands twice"), "keep one of them".to_owned())
        }
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("found {unexpected} where {expected} belongs"), String::new())
        }
        other => (
            first_line(other),
            "compare the line's indentation and kind of value with the built-in table".to_owned(),
        ),
    };
    Fault::new(FaultKind::Usage, object(file), format!("{place}{cause}")).remedy(remedy)
}

/// The reader's own words without its drawing of the place and without a second mention of the line.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("cannot be read");
    let line = line.trim_start_matches("error: ");
    let line = line.split(" at line ").next().unwrap_or(line).trim_end_matches('.');
    match line {
        "expected sequence start" => "a list belongs here".to_owned(),
        "expected mapping start" => "a map (`key: value`) belongs here".to_owned(),
        "invalid boolean" => "true or false belongs here".to_owned(),
        other => other.to_owned(),
    }
}

/// The remedy for a misspelt word: the most similar known one, or all of them.
pub(crate) fn nearest<S: AsRef<str>>(word: &str, known: &[S], what: &str) -> String {
    let similar = known
        .iter()
        .map(|candidate| {
            (strsim::jaro_winkler(&word.to_lowercase(), &candidate.as_ref().to_lowercase()), candidate)
        })
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match similar {
        Some((likeness, candidate)) if likeness > 0.75 => format!("did you mean `{}`?", candidate.as_ref()),
        _ => {
            let all: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
            format!("known {what}: {}", all.join(", "))
        }
    }
}

impl Entry {
    /// This entry with what it leaves open taken from `base`. Patterns and overrides are its own.
    pub(crate) fn over(&self, base: &Entry) -> Entry {
        // Another kind starts afresh: it has no use for the base's settings.
        let inherited = if self.kind.is_some() && self.kind != base.kind { &Entry::default() } else { base };
        Entry {
            patterns: Vec::new(),
            kind: self.kind.or(base.kind),
            enable_flag: self.enable_flag.clone().or_else(|| inherited.enable_flag.clone()),
            disable_flag: self.disable_flag.clone().or_else(|| inherited.disable_flag.clone()),
            default_enabled: self.default_enabled.or(inherited.default_enabled),
            prefix: self.prefix.clone().or_else(|| inherited.prefix.clone()),
            suffix: self.suffix.clone().or_else(|| inherited.suffix.clone()),
            template_switches: self.template_switches.clone().or_else(|| inherited.template_switches.clone()),
            description: self.description.clone().or_else(|| base.description.clone()),
            model_overrides: IndexMap::new(),
        }
    }

    /// The kind and its settings; the error is one line about what is missing or has no meaning for the kind.
    pub(crate) fn settle(&self) -> Result<(Kind, Settings), String> {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        let kind = self.kind.ok_or_else(|| format!("has no `type` (one of {})", known.join(", ")))?;
        let meaningless = [
            ("enable_flag", self.enable_flag.is_some(), kind == Kind::SystemFlag),
            ("disable_flag", self.disable_flag.is_some(), kind == Kind::SystemFlag),
            ("prefix", self.prefix.is_some(), kind == Kind::Prefix),
            ("suffix", self.suffix.is_some(), matches!(kind, Kind::Prefix | Kind::Harmony)),
        ];
        for (name, given, used) in meaningless {
            if given && !used {
                return Err(format!("sets `{name}`, which has no meaning for the type {}", kind.word()));
            }
        }
        match kind {
            Kind::SystemFlag if self.enable_flag.is_none() && self.disable_flag.is_none() => {
                return Err(
                    "is of type system_flag but has neither `enable_flag` nor `disable_flag`".to_owned()
                );
            }
            Kind::Prefix if self.prefix.is_none() => {
                return Err("is of type prefix but has no `prefix`".to_owned());
            }
            _ => {}
        }
        let settings = Settings {
            enable_flag: self.enable_flag.clone(),
            disable_flag: self.disable_flag.clone(),
            default_enabled: self.default_enabled.unwrap_or(false),
            prefix: self.prefix.clone().unwrap_or_default(),
            suffix: self.suffix.clone().unwrap_or_default(),
            template_switches: self.template_switches.clone().unwrap_or_default(),
        };
        Ok((kind, settings))
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a family's name or a map of settings")
            }

            fn visit_str<E>(self, name: &str) -> Result<Reference, E> {
                Ok(Reference::Family(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Reference, A::Error> {
                Entry::deserialize(MapAccessDeserializer::new(map))
                    .map(|entry| Reference::Entry(Box::new(entry)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
