//! The loader: where values come from, in which order, and what comes out.
//!
//! Refuses to know any key: the schema, the defaults and the list of bound variables are given to it.

mod stack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::check::check;
use crate::compose::Composer;
use crate::error::{ConfigError, ConfigErrors};
use crate::interpolate::{Lookup, interpolate};
use crate::layers::merge;
use crate::locate::{Available, Embedded, Found, Store};
use crate::node::{Data, Node, dotted, split};
use crate::origin::Origin;
use crate::schema::Schema;

/// Top-level keys of Hydra files that configure other tools.
const IGNORED: [&str; 4] = ["launcher", "hydra", "log_report", "print_report"];

/// Where configurations and groups are looked for unless `config_dir` says otherwise.
const DEFAULT_DIR: &str = "configs";

/// Gathers the places a configuration comes from, and loads it.
pub struct Loader<'a> {
    defaults: Value,
    schema: Schema,
    file: Option<PathBuf>,
    config_name: Option<String>,
    config_dir: Option<PathBuf>,
    overrides: Vec<String>,
    bindings: Vec<(String, String)>,
    lookup: Box<Lookup<'a>>,
    flags: Vec<(String, Value, String)>,
    embedded: Embedded,
    ignored: Vec<String>,
}

/// A configuration that holds to its schema.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub value: T,
    /// The same, as a tree, keys in the schema's order.
    pub tree: Value,
    /// Who set each leaf, by its full key; a list is one leaf.
    pub origins: BTreeMap<String, Origin>,
    /// What the user should know and is no error: sections left aside, groups not found.
    pub notes: Vec<String>,
    /// The main file that was read, if there was one.
    pub file: Option<PathBuf>,
}

impl<'a> Loader<'a> {
    /// A loader for settings with these defaults (the type's default, serialised) and this JSON schema
    /// (draft 2020-12; `$ref`, `anyOf` and `oneOf` are followed).
    #[must_use]
    pub fn new(defaults: Value, schema: Value) -> Self {
        Self {
            defaults,
            schema: Schema::new(schema),
            file: None,
            config_name: None,
            config_dir: None,
            overrides: Vec::new(),
            bindings: Vec::new(),
            lookup: Box::new(|_| None),
            flags: Vec::new(),
            embedded: &[],
            ignored: IGNORED.map(str::to_owned).to_vec(),
        }
    }

    /// The main file, by its path.
    #[must_use]
    pub fn file(mut self, path: Option<PathBuf>) -> Self {
        self.file = path;
        self
    }

    /// The main file, by its name in the folder of configurations, with or without extension.
    #[must_use]
    pub fn config_name(mut self, name: Option<String>) -> Self {
        self.config_name = name;
        self
    }

    /// The folder of configurations and groups; `configs` where none is given. Beside it, the main file's own
    /// folder is searched, then what ships with the program.
    #[must_use]
    pub fn config_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.config_dir = folder;
        self
    }

    /// Arguments `a.b=c`, `+a.b=c`, `++a.b=c`, `~a.b`, in their order.
    #[must_use]
    pub fn overrides(mut self, arguments: Vec<String>) -> Self {
        self.overrides = arguments;
        self
    }

    /// Environment variables bound to keys (variable, key), and how a variable is looked up, for them and for
    /// `${VAR}`. A bound variable that is empty counts as unset.
    #[must_use]
    pub fn environment(
        mut self,
        bindings: Vec<(String, String)>,
        lookup: impl Fn(&str) -> Option<String> + 'a,
    ) -> Self {
        self.bindings = bindings;
        self.lookup = Box::new(lookup);
        self
    }

    /// Values of command-line flags: key, value, the flag as typed.
    #[must_use]
    pub fn flags(mut self, flags: Vec<(String, Value, String)>) -> Self {
        self.flags = flags;
        self
    }

    /// Configurations that ship inside the program, used where none of that name is on disk.
    #[must_use]
    pub fn embedded(mut self, configs: Embedded) -> Self {
        self.embedded = configs;
        self
    }

    /// Top-level keys that configure other tools: each gets a note, never an error. Unless set, `launcher`,
    /// `hydra`, `log_report` and `print_report`.
    #[must_use]
    pub fn ignored(mut self, keys: Vec<String>) -> Self {
        self.ignored = keys;
        self
    }

    /// Every configuration that can be named with `config_name`, and the choices of each group as `group/choice`.
    #[must_use]
    pub fn available(&self) -> Vec<Available> {
        self.store().all()
    }

    /// Loads, merges, interpolates and checks.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, together: a file that cannot be read or parsed, an unknown key, a value of a wrong
    /// type or range, an unset variable, a malformed argument.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Loaded<T>, ConfigErrors> {
        let mut errors = Vec::new();
        let store = self.store();
        let main = self.main(&store).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let changes = self.changes(&mut errors);
        let mut composer = Composer::new(&store, &self.schema, &self.ignored);
        composer.choices = changes.iter().filter_map(|change| self.choice(change)).collect();
        if let Some(found) = &main {
            composer.main(found);
        }
        composer.chosen_besides();
        let Composer { layers, mut notes, errors: composed, .. } = composer;
        errors.extend(composed);
        let stack = self.stack(&store, layers, &changes, &mut notes, &mut errors);
        if !errors.is_empty() {
            // Still say what else is wrong: whoever mends one fault should not meet the next only then.
            errors.extend(self.resolve(&stack).err().unwrap_or_default());
            return Err(together(errors));
        }
        let (merged, tree) = self.resolve(&stack).map_err(together)?;
        let value = self.deserialise(&merged, &tree)?;
        let origins = origins(&merged, &tree);
        Ok(Loaded { value, tree, origins, notes, file: main.map(|found| found.path) })
    }

    fn store(&self) -> Store {
        let beside = self.file.as_deref().and_then(Path::parent);
        let beside = beside.map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
        let mut folders = Vec::new();
        let wanted = self.config_dir.as_deref().into_iter().chain(beside);
        let default = self.config_dir.is_none().then_some(Path::new(DEFAULT_DIR));
        for folder in wanted.chain(default) {
            if !folders.iter().any(|old| old == folder) {
                folders.push(folder.to_owned());
            }
        }
        Store { folders, embedded: self.embedded }
    }

    fn main(&self, store: &Store) -> Result<Option<Found>, ConfigError> {
        if let Some(folder) = self.config_dir.as_deref().filter(|folder| !folder.is_dir()) {
            return Err(ConfigError::new(format!("config folder {}: is no folder", folder.display()))
                .hint("check the path given with `--config-dir`"));
        }
        match (&self.file, &self.config_name) {
            (Some(path), Some(name)) => Err(ConfigError::new(format!(
                "both the config file {} and the config name `{name}` were given",
                path.display()
            ))
            .hint("give one of the two")),
            (Some(path), None) => store.open(path).map(Some),
            (None, Some(name)) => store.open_name(name).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The merged tree with its places, and the checked one.
    fn resolve(&self, stack: &[Node]) -> Result<(Node, Value), Vec<ConfigError>> {
        let merged = merge(stack).map_err(|error| vec![error])?;
        match interpolate(&merged, self.lookup.as_ref()) {
            Ok(merged) => check(&self.schema, &merged).map(|tree| (merged, tree)),
            // What is wrong besides the interpolations: their keys would only be reported twice.
            Err(mut errors) => {
                let besides = check(&self.schema, &merged).err().unwrap_or_default();
                let reported: Vec<_> = errors.iter().filter_map(|e| e.key.clone()).collect();
                errors.extend(besides.into_iter().filter(|e| {
                    let template = e.key.as_deref().and_then(|key| merged.get(&split(key)));
                    let is_template =
                        matches!(template.map(|n| &n.data), Some(Data::Text(t)) if t.contains("${"));
                    !is_template && e.key.as_ref().is_none_or(|key| !reported.contains(key))
                }));
                Err(errors)
            }
        }
    }

    /// The settings; what the schema could not say (a type's own parsing) fails here, with its key and line.
    fn deserialise<T: DeserializeOwned>(&self, merged: &Node, tree: &Value) -> Result<T, ConfigErrors> {
        serde_path_to_error::deserialize(tree).map_err(|error| {
            use serde_path_to_error::Segment;
            let segment = |segment: &Segment| match segment {
                Segment::Map { key } => Some(key.clone()),
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Enum { .. } | Segment::Unknown => None,
            };
            let path: Vec<String> = error.path().iter().filter_map(segment).collect();
            let cause = error.inner().to_string();
            let fault = ConfigError::new(cause.trim_end_matches('.')).at(&merged.nearest(&path).origin);
            if path.is_empty() { fault.into() } else { fault.key(dotted(&path)).into() }
        })
    }
}

/// Each error once: what is about no place first, then by file and line, then the rest as found.
fn together(errors: Vec<ConfigError>) -> ConfigErrors {
    let mut once: Vec<ConfigError> = Vec::new();
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    once.sort_by_key(|error| match error.origin.as_deref() {
        None => (0, PathBuf::new(), 0),
        Some(Origin::File { path, line } | Origin::Group { path, line, .. }) => (1, path.clone(), *line),
        Some(_) => (2, PathBuf::new(), 0),
    });
    ConfigErrors(once)
}

fn origins(merged: &Node, tree: &Value) -> BTreeMap<String, Origin> {
    let mut origins = BTreeMap::new();
    collect_origins(merged, tree, &mut Vec::new(), &mut origins);
    origins
}

fn collect_origins(
    merged: &Node,
    value: &Value,
    path: &mut Vec<String>,
    origins: &mut BTreeMap<String, Origin>,
) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, item) in map {
                path.push(key.clone());
                collect_origins(merged, item, path, origins);
                path.pop();
            }
        }
        _ => {
            origins.insert(dotted(path), merged.nearest(path).origin.clone());
        }
    }
}
