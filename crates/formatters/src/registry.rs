//! Which format a model gets: exact names, then families in order, then the default.
//!
//! Everything is checked when a registry is made, so that selecting cannot fail. Refuses to know what a format does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ai_energy_core::{Fault, FaultKind, PromptFormatter};

use crate::BUILTIN_TABLE;
use crate::kinds::{self, Kind, Settings};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::table::{self, Entry, Reference, Table};

/// The name under which a model that no family knows is reported.
pub const DEFAULT_FAMILY: &str = "default";

/// The format of a model.
#[derive(Clone)]
pub struct Selected {
    /// The family's name; `default` where none fits; the model's name where `models` writes its settings out.
    pub family: String,
    /// The kind of format. [`Kind::None`] means that there is nothing to switch reasoning with.
    pub kind: Kind,
    /// What the table says about it.
    pub settings: Settings,
    /// What formats the prompts.
    pub formatter: Arc<dyn PromptFormatter>,
}

/// A family, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyInfo {
    /// Its name.
    pub name: String,
    /// Its kind of format.
    pub kind: Kind,
    /// Its patterns, as written.
    pub patterns: Vec<String>,
    /// One line about it; empty where a user's file gives none.
    pub description: String,
    /// The file that it comes from; `None` for a built-in one.
    pub file: Option<String>,
}

/// The formats by model name.
pub struct Registry {
    families: Vec<Family>,
    infos: Vec<FamilyInfo>,
    /// Exact names, in lower case.
    models: HashMap<String, Selected>,
    default: Selected,
}

struct Family {
    patterns: Vec<Pattern>,
    overrides: Vec<(Pattern, Selected)>,
    selected: Selected,
}

/// A table and the file it comes from; `None` is the built-in one.
struct Source {
    table: Table,
    file: Option<String>,
}

impl Registry {
    /// The formats that are compiled in.
    #[expect(clippy::expect_used, reason = "the table is compiled in, and the tests read it")]
    pub fn builtin() -> Self {
        let built = builtin_source().and_then(|source| Self::build(&[source]));
        built.expect("the table that this crate ships is sound")
    }

    /// The formats of a user's YAML file in front of the ones that are compiled in.
    ///
    /// # Errors
    /// The file cannot be read, is no YAML, or something in it is not known, contradicts itself or is no pattern.
    pub fn with_user_file(path: &Path) -> Result<Self, Fault> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Fault::new(FaultKind::Usage, table::object(&file), format!("cannot be read: {error}"))
                .remedy("check the path and its permissions")
        })?;
        let user = Source { table: table::parse(&text, &file)?, file: Some(file) };
        Self::build(&[user, builtin_source()?])
    }

    /// The formats that the options ask for.
    ///
    /// # Errors
    /// As [`Registry::with_user_file`].
    pub fn from_options(options: &Options) -> Result<Self, Fault> {
        options.formats_file.as_deref().map_or_else(|| Ok(Self::builtin()), Self::with_user_file)
    }

    /// The format for a model's name: a hub id, a path or a served name, in any case.
    pub fn for_model(&self, model: &str) -> Selected {
        let name = model.trim().to_lowercase();
        if let Some(selected) = self.models.get(&name) {
            return selected.clone();
        }
        let family =
            self.families.iter().find(|family| family.patterns.iter().any(|pattern| pattern.fits(&name)));
        family.map_or(&self.default, |family| family.for_name(&name)).clone()
    }

    /// The families in the order in which they are tried, the default last.
    pub fn families(&self) -> &[FamilyInfo] {
        &self.infos
    }

    /// Builds a registry; a name in an earlier source hides the same name in a later one.
    fn build(sources: &[Source]) -> Result<Self, Fault> {
        let mut families: Vec<Family> = Vec::new();
        let mut infos: Vec<FamilyInfo> = Vec::new();
        for Source { table, file } in sources {
            for (name, entry) in &table.families {
                if infos.iter().any(|known| &known.name == name) {
                    continue;
                }
                let family = Family::new(name, entry).map_err(|cause| fault(file, name, &cause))?;
                infos.push(family.info(entry, file));
                families.push(family);
            }
        }
        let mut models = HashMap::new();
        let mut default = None;
        for source in sources {
            for (model, reference) in &source.table.models {
                let selected = resolve(reference, model, source, &families)?;
                models.entry(model.trim().to_lowercase()).or_insert(selected);
            }
            if let (None, Some(reference)) = (&default, &source.table.default) {
                default = Some((resolve(reference, DEFAULT_FAMILY, source, &families)?, source, reference));
            }
        }
        refuse_unreachable(&families, &infos, sources)?;
        let default = match default {
            Some((selected, source, reference)) => {
                infos.push(default_info(&selected, source, reference));
                selected
            }
            None => return Err(fault(&None, DEFAULT_FAMILY, "is missing")),
        };
        Ok(Self { families, infos, models, default })
    }
}

impl Family {
    fn new(name: &str, entry: &Entry) -> Result<Self, String> {
        let patterns = entry.patterns.iter().map(|text| compile(text)).collect::<Result<_, _>>()?;
        let mut overrides = Vec::new();
        for (pattern, change) in &entry.model_overrides {
            let inside = |cause: String| format!("model_overrides.{pattern}: {cause}");
            only_settings(change).map_err(inside)?;
            overrides.push((compile(pattern)?, select(name, &change.over(entry)).map_err(inside)?));
        }
        Ok(Self { patterns, overrides, selected: select(name, entry)? })
    }

    fn for_name(&self, name: &str) -> &Selected {
        let special = self.overrides.iter().find(|(pattern, _)| pattern.fits(name));
        special.map_or(&self.selected, |(_, selected)| selected)
    }

    fn info(&self, entry: &Entry, file: &Option<String>) -> FamilyInfo {
        FamilyInfo {
            name: self.selected.family.clone(),
            kind: self.selected.kind,
            patterns: entry.patterns.clone(),
            description: entry.description.clone().unwrap_or_default(),
            file: file.clone(),
        }
    }
}

fn builtin_source() -> Result<Source, Fault> {
    Ok(Source { table: table::parse(BUILTIN_TABLE, "built in")?, file: None })
}

fn default_info(selected: &Selected, source: &Source, reference: &Reference) -> FamilyInfo {
    let description = match reference {
        Reference::Entry(entry) => entry.description.clone().unwrap_or_default(),
        Reference::Family(name) => format!("every other model, as {name}"),
    };
    FamilyInfo {
        name: DEFAULT_FAMILY.to_owned(),
        kind: selected.kind,
        patterns: Vec::new(),
        description,
        file: source.file.clone(),
    }
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    Pattern::new(pattern).map_err(|cause| format!("the pattern `{pattern}` {cause}"))
}

fn select(family: &str, entry: &Entry) -> Result<Selected, String> {
    let (kind, settings) = entry.settle()?;
    let formatter = kinds::formatter(kind, settings.clone());
    Ok(Selected { family: family.to_owned(), kind, settings, formatter })
}

/// Patterns and overrides belong to families alone.
fn only_settings(entry: &Entry) -> Result<(), String> {
    if entry.patterns.is_empty() && entry.model_overrides.is_empty() {
        Ok(())
    } else {
        Err("`patterns` and `model_overrides` belong to families".to_owned())
    }
}

/// What an entry of `models` or `default` stands for.
fn resolve(
    reference: &Reference,
    owner: &str,
    source: &Source,
    families: &[Family],
) -> Result<Selected, Fault> {
    match reference {
        Reference::Entry(entry) => only_settings(entry)
            .and_then(|()| select(owner, entry))
            .map_err(|cause| fault(&source.file, owner, &cause)),
        Reference::Family(name) => {
            let family = families.iter().find(|family| &family.selected.family == name);
            family.map(|family| family.for_name(&owner.to_lowercase()).clone()).ok_or_else(|| {
                let known: Vec<&str> =
                    families.iter().map(|family| family.selected.family.as_str()).collect();
                fault(&source.file, owner, &format!("names the family `{name}`, which does not exist"))
                    .remedy(table::nearest(name, &known, "families"))
            })
        }
    }
}

/// A family without a pattern that nothing names either can never be used: a mistake worth an error.
fn refuse_unreachable(families: &[Family], infos: &[FamilyInfo], sources: &[Source]) -> Result<(), Fault> {
    let named = |name: &str| {
        let references =
            sources.iter().flat_map(|source| source.table.models.values().chain(&source.table.default));
        references
            .into_iter()
            .any(|reference| matches!(reference, Reference::Family(family) if family == name))
    };
    for (family, info) in families.iter().zip(infos) {
        if family.patterns.is_empty() && !named(&info.name) {
            return Err(fault(&info.file, &info.name, "has no `patterns`, and no model names it")
                .remedy("add patterns: [part of the model's name]"));
        }
    }
    Ok(())
}

fn fault(file: &Option<String>, name: &str, cause: &str) -> Fault {
    let file = file.as_deref().unwrap_or("built in");
    Fault::new(FaultKind::Usage, table::object(file), format!("`{name}`: {cause}"))
}
