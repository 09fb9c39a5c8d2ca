//! The loader's stack of layers: what comes above the files, in which order.
//!
//! Refuses to know how layers are merged and judged.

use super::Loader;
use crate::check::accepts;
use crate::compose::Choice;
use crate::error::ConfigError;
use crate::flow;
use crate::locate::Store;
use crate::node::{Data, Node, split};
use crate::origin::Origin;
use crate::overrides::{Action, Below, Override, apply};
use crate::schema::Place;
use crate::shape::shape;

impl Loader<'_> {
    pub(super) fn changes(&self, errors: &mut Vec<ConfigError>) -> Vec<Override> {
        let parsed = self.overrides.iter().map(|text| Override::parse(text));
        parsed.filter_map(|change| change.map_err(|error| errors.push(error)).ok()).collect()
    }

    /// The choice that an argument such as `backend=pytorch` makes: its key is a section and its value a word.
    pub(super) fn choice(&self, change: &Override) -> Option<(String, Choice)> {
        let [key] = change.path.as_slice() else {
            return None;
        };
        let section = key.split('/').next().unwrap_or(key);
        let Place::Known(wanted) = self.schema.at(&[section]) else {
            return None;
        };
        let value = change.value.as_ref().filter(|_| change.action != Action::Delete)?;
        let name = match (&value.data, &value.raw) {
            (Data::Null, _) => None,
            (_, Some(word)) | (Data::Text(word), None) => Some(word.clone()),
            _ => return None,
        };
        let choice = Choice { name, origin: change.origin(), used: false };
        self.schema.is_section(wanted).then(|| (key.clone(), choice))
    }

    /// All layers, the weakest first: defaults, groups and files, environment, overrides, flags.
    pub(super) fn stack(
        &self,
        store: &Store,
        files: Vec<Node>,
        changes: &[Override],
        notes: &mut Vec<String>,
        errors: &mut Vec<ConfigError>,
    ) -> Vec<Node> {
        let mut defaults = Node::from_json(&self.defaults, &Origin::Default);
        let mut set = files;
        set.push(self.environment_layer());
        let mut typed = Node::map(Origin::Default);
        for change in changes {
            if change.path.first().is_some_and(|top| self.ignored.contains(top)) {
                notes.push(format!("`{}` is ignored: it configures another tool", change.text));
            } else if let Some((group, choice)) = self.choice(change) {
                self.choose_type(store, &group, &choice, &mut typed);
            } else {
                let mut below = Below { defaults: &mut defaults, set: &mut set };
                if let Err(error) = apply(change, &self.schema, &mut below, &mut typed, notes) {
                    errors.push(error);
                }
            }
        }
        set.push(typed);
        set.push(self.flag_layer());
        set.iter_mut().for_each(|layer| shape(&self.schema, layer, errors));
        set.insert(0, defaults);
        set
    }

    /// A group chosen by argument wins over a `type` in the file.
    fn choose_type(&self, store: &Store, group: &str, choice: &Choice, typed: &mut Node) {
        let path = [group, "type"];
        let (Some(name), Place::Known(wanted)) = (&choice.name, self.schema.at(&path)) else {
            return;
        };
        let value = Node::text(name, choice.origin.clone());
        if store.find(&format!("{group}/{name}")).is_none() || accepts(&self.schema, wanted, &value) {
            typed.put(&path, value);
        }
    }

    fn environment_layer(&self) -> Node {
        let mut layer = Node::map(Origin::Default);
        for (var, key) in &self.bindings {
            if let Some(text) = (self.lookup)(var).filter(|text| !text.is_empty()) {
                let origin = Origin::Environment { var: var.clone() };
                layer.put(&split(key), flow::from_outside(&text, &origin));
            }
        }
        layer
    }

    fn flag_layer(&self) -> Node {
        let mut layer = Node::map(Origin::Default);
        for (key, value, flag) in &self.flags {
            let origin = Origin::Flag { flag: flag.clone() };
            layer.merge_at(&split(key), Node::from_json(value, &origin));
        }
        layer
    }
}
