//! Hydra's composition: the layers that a file and its `defaults:` list give, the weakest first.
//!
//! A file without `_self_` in its list comes after (above) the list. A group's content goes under the group's key
//! unless its `# @package` line says otherwise. A group whose section has a `type` gets the choice as its type, so
//! that `backend: pytorch` means something even where no such file exists; what is not found is a note. Refuses to
//! know any group by name, and what the values mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::check::accepts;
use crate::entry::{Entry, Wanted};
use crate::error::ConfigError;
use crate::format::Document;
use crate::locate::{Found, Store};
use crate::node::{Data, Node, dotted, split};
use crate::origin::Origin;
use crate::schema::{Place, Schema};

/// Lists that include each other deeper than this are refused, as circles are.
const DEEPEST: usize = 16;

/// A choice of a group made on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// None where the group is deselected.
    pub(crate) name: Option<String>,
    pub(crate) origin: Origin,
    /// Whether a list has asked for it.
    pub(crate) used: bool,
}

/// Builds layers from files; gathers notes and errors on the way.
pub(crate) struct Composer<'a> {
    pub(crate) store: &'a Store,
    pub(crate) schema: &'a Schema,
    /// Top-level keys that are other tools' and are left aside.
    pub(crate) ignored: &'a [String],
    pub(crate) choices: BTreeMap<String, Choice>,
    pub(crate) layers: Vec<Node>,
    pub(crate) notes: Vec<String>,
    pub(crate) errors: Vec<ConfigError>,
    /// The files that are being composed, to see a circle.
    open: Vec<PathBuf>,
    /// Ignored keys that have their note.
    said: BTreeSet<String>,
}

/// Where a document's content goes and what its own list counts from.
#[derive(Debug, Clone, Default)]
struct Context {
    /// The group of the file, in its parts; empty at the top.
    group: Vec<String>,
    /// The keys its content goes under.
    package: Vec<String>,
}

impl<'a> Composer<'a> {
    pub(crate) fn new(store: &'a Store, schema: &'a Schema, ignored: &'a [String]) -> Self {
        let (layers, notes, errors) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            store,
            schema,
            ignored,
            choices: BTreeMap::new(),
            layers,
            notes,
            errors,
            open: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    /// The configuration that the run was started with.
    pub(crate) fn main(&mut self, found: &Found) {
        self.file(found, &Context::default());
    }

    /// Choices of groups that no list has asked for: they come above the file, as Hydra puts them.
    pub(crate) fn chosen_besides(&mut self) {
        let rest: Vec<_> =
            self.choices.iter().filter(|(_, c)| !c.used).map(|(g, c)| (g.clone(), c.clone())).collect();
        for (group, choice) in rest {
            let Some(name) = choice.name else { continue };
            let text = format!("{group}: {name}");
            let wanted = Wanted::Group { group, choices: vec![name] };
            let (package, origin) = (None, choice.origin);
            let entry =
                Entry { wanted, absolute: true, package, optional: false, replaces: false, origin, text };
            self.entry(&entry, &Context::default());
        }
    }

    fn file(&mut self, found: &Found, context: &Context) {
        if self.open.contains(&found.path) || self.open.len() >= DEEPEST {
            let chain: Vec<String> = self.open.iter().map(|path| path.display().to_string()).collect();
            self.errors.push(
                ConfigError::new(format!("config file {}: includes itself", found.path.display()))
                    .hint(format!("the chain of `defaults:` is {}", chain.join(" → "))),
            );
            return;
        }
        let group = context.group.clone();
        let document = found.load(&|path, line| match group.is_empty() {
            true => Origin::File { path, line },
            false => Origin::Group { group: group.join("/"), path, line },
        });
        match document {
            Ok(document) => {
                if document.empty {
                    self.notes.push(format!("{} is empty", found.path.display()));
                }
                self.open.push(found.path.clone());
                self.document(document, context);
                self.open.pop();
            }
            Err(error) => self.errors.push(error),
        }
    }

    fn document(&mut self, mut document: Document, context: &Context) {
        let mut context = context.clone();
        match document.package.as_deref() {
            Some("_global_") => context.package.clear(),
            Some("_group_") => context.package.clone_from(&context.group),
            Some(package) if !package.is_empty() => {
                context.package = split(&package.replace("_global_.", ""))
            }
            _ => {}
        }
        let entries = self.take_defaults(&mut document);
        // JSON files name their schema for editors in the data itself.
        if matches!(self.schema.at(&["$schema"]), Place::Unknown) {
            document.root.remove(&["$schema"]);
        }
        if context.package.is_empty() {
            self.leave_aside(&mut document.root);
        }
        self.replaced(&entries, &context);
        for entry in &entries {
            match entry.wanted {
                Wanted::Itself => self.layers.push(document.root.clone().below(&context.package)),
                _ => self.entry(entry, &context),
            }
        }
    }

    /// The document's list, `_self_` at its end where it is not named.
    fn take_defaults(&mut self, document: &mut Document) -> Vec<Entry> {
        let itself = |origin: &Origin| Entry::parse(&Node::text("_self_", origin.clone()));
        let origin = document.root.origin.clone();
        let mut entries = Vec::new();
        if matches!(self.schema.at(&["defaults"]), Place::Unknown)
            && let Some(list) = document.root.remove(&["defaults"])
        {
            match &list.data {
                Data::List(items) => entries.extend(items.iter().map(Entry::parse)),
                Data::Null => {}
                _ => self.errors.push(
                    ConfigError::new(format!("expected a list, found {}", list.found()))
                        .at(&list.origin)
                        .key("defaults"),
                ),
            }
        }
        if !entries.iter().any(|e| matches!(e, Ok(Entry { wanted: Wanted::Itself, .. }))) {
            entries.push(itself(&origin));
        }
        let mut good = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => good.push(entry),
                Err(error) => self.errors.push(error),
            }
        }
        good
    }

    /// Takes other tools' sections out, each with a note.
    fn leave_aside(&mut self, root: &mut Node) {
        for key in self.ignored {
            if let Some(section) = root.remove(&[key]) {
                self.say_ignored(key, &section.origin);
            }
        }
    }

    /// One note for a key, however many files and lists have it.
    fn say_ignored(&mut self, key: &str, origin: &Origin) {
        if self.said.insert(key.to_owned()) {
            self.notes.push(format!("{origin}: `{key}` is ignored: it configures another tool"));
        }
    }

    /// `override group: name` changes what other lines of the list, or lists below, choose.
    fn replaced(&mut self, entries: &[Entry], context: &Context) {
        for entry in entries.iter().filter(|entry| entry.replaces) {
            if let Wanted::Group { group, choices } = &entry.wanted {
                let group = self.full_group(entry, group, context).join("/");
                let choice =
                    Choice { name: choices.first().cloned(), origin: entry.origin.clone(), used: false };
                self.choices.entry(group).or_insert(choice);
            }
        }
    }

    fn full_group(&self, entry: &Entry, group: &str, context: &Context) -> Vec<String> {
        let mut path = if entry.absolute { Vec::new() } else { context.group.clone() };
        path.extend(group.split('/').filter(|part| !part.is_empty()).map(str::to_owned));
        path
    }

    fn entry(&mut self, entry: &Entry, context: &Context) {
        if entry.replaces {
            return;
        }
        match &entry.wanted {
            Wanted::Itself => {}
            Wanted::Config(name) => {
                let mut path = self.full_group(entry, name, context);
                let Some(name) = path.pop() else { return };
                self.load(entry, context, &path, &name, false);
            }
            Wanted::Group { group, choices } => {
                let path = self.full_group(entry, group, context);
                self.group(entry, context, &path, choices);
            }
        }
    }

    fn group(&mut self, entry: &Entry, context: &Context, group: &[String], choices: &[String]) {
        let mut entry = entry.clone();
        let mut choices = choices.to_vec();
        if let Some(choice) = self.choices.get_mut(&group.join("/")) {
            choice.used = true;
            entry.origin = choice.origin.clone();
            choices = choice.name.clone().into_iter().collect();
        }
        if let Some(top) = group.first().filter(|top| self.ignored.contains(top)) {
            self.say_ignored(top, &entry.origin);
            return;
        }
        for name in choices {
            if name == "???" {
                let fault = ConfigError::new("must be chosen (the config says `???`)");
                let key = dotted(group);
                self.errors
                    .push(fault.at(&entry.origin).key(&key).hint(format!("choose one with `{key}=NAME`")));
            } else {
                self.load(&entry, context, group, &name, true);
            }
        }
    }

    fn load(&mut self, entry: &Entry, context: &Context, group: &[String], name: &str, chosen: bool) {
        let mut package = if entry.absolute { Vec::new() } else { context.package.clone() };
        let own = if entry.absolute { group } else { group.get(context.group.len()..).unwrap_or_default() };
        match entry.package.as_deref() {
            Some("_global_") => package.clear(),
            Some("_here_") => {}
            Some(named) if named.starts_with("_global_.") => package = split(&named["_global_.".len()..]),
            Some(named) => package.extend(split(named)),
            None => package.extend(own.iter().cloned()),
        }
        let full = [group, &[name.to_owned()]].concat().join("/");
        let found = self.store.find(&full);
        if chosen {
            self.set_type(entry, &package, name, found.is_some());
        }
        match found {
            Some(found) => self.file(&found, &Context { group: group.to_vec(), package }),
            None if entry.optional => {}
            None => self.not_found(entry, group, name, &package, chosen),
        }
    }

    /// A choice is also the section's `type`, unless a file was found and the schema refuses the name as a type.
    fn set_type(&mut self, entry: &Entry, package: &[String], name: &str, found: bool) {
        let path = [package, &["type".to_owned()]].concat();
        let Place::Known(wanted) = self.schema.at(&path) else {
            return;
        };
        let value = Node::text(name, choice_origin(entry, package));
        if !found || accepts(self.schema, wanted, &value) {
            self.layers.push(value.below(&path));
        }
    }

    fn not_found(&mut self, entry: &Entry, group: &[String], name: &str, package: &[String], chosen: bool) {
        let typed =
            chosen && matches!(self.schema.at(&[package, &["type".to_owned()]].concat()), Place::Known(_));
        if typed {
            self.notes.push(format!(
                "{}: `{}` has no file of its own; it sets `{}.type`",
                entry.origin,
                entry.text,
                dotted(package)
            ));
        } else if entry.origin.is_file() {
            self.notes.push(format!(
                "{}: no config `{}` was found for `defaults`; it is left out",
                entry.origin, entry.text
            ));
        } else {
            let fault = ConfigError::new(format!("the group has no config `{name}`"))
                .at(&entry.origin)
                .key(dotted(group));
            let choices = self.store.choices(&group.join("/"));
            self.errors.push(match choices.is_empty() {
                true => fault,
                false => fault.hint(format!("there are {}", choices.join(", "))),
            });
        }
    }
}

/// The line of the list that made the choice, as a group's.
fn choice_origin(entry: &Entry, package: &[String]) -> Origin {
    match &entry.origin {
        Origin::File { path, line } => {
            Origin::Group { group: package.join("/"), path: path.clone(), line: *line }
        }
        other => other.clone(),
    }
}
