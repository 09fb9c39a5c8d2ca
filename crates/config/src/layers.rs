//! Layering, done by figment: each layer is a provider, and the tag that figment leaves on a value leads back to the
//! layer, and there to the line.
//!
//! Refuses to know what a layer stands for; `loader` states the order.

use figment::value::{Dict, Map, Value as Layered};
use figment::{Figment, Metadata, Profile, Provider, Source};
use indexmap::{IndexMap, IndexSet};

use crate::error::ConfigError;
use crate::node::{Data, Node};
use crate::origin::Origin;

/// One layer's place in the stack and its values.
struct Layer<'n> {
    index: usize,
    root: &'n Node,
}

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer").source(Source::Custom(self.index.to_string()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.root.as_map().map(dict).unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// Merges layers, the first the weakest: maps key by key, all else whole.
pub(crate) fn merge(layers: &[Node]) -> Result<Node, ConfigError> {
    let mut figment = Figment::new();
    for (index, root) in layers.iter().enumerate() {
        figment = figment.merge(Layer { index, root });
    }
    let merged =
        figment.find_value("").map_err(|e| ConfigError::new(format!("cannot be layered: {}", e.kind)))?;
    let mut root = restore(&figment, layers, &merged, &mut Vec::new());
    root.origin = Origin::Default;
    Ok(root)
}

fn dict(map: &IndexMap<String, Node>) -> Dict {
    map.iter().map(|(key, node)| (key.clone(), layered(node))).collect()
}

fn layered(node: &Node) -> Layered {
    match &node.data {
        Data::Null => Layered::serialize(()).unwrap_or_else(|_| Layered::from("")),
        Data::Bool(flag) => Layered::from(*flag),
        Data::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(whole), ..) => Layered::from(whole),
            (None, Some(whole), _) => Layered::from(whole),
            (None, None, real) => Layered::from(real.unwrap_or_default()),
        },
        Data::Text(text) => Layered::from(text.as_str()),
        Data::List(items) => Layered::from(items.iter().map(layered).collect::<Vec<_>>()),
        Data::Map(map) => Layered::from(dict(map)),
    }
}

/// The merged value with its places: figment says which layer won, the layer knows the line.
fn restore(figment: &Figment, layers: &[Node], merged: &Layered, path: &mut Vec<String>) -> Node {
    let layer = figment
        .get_metadata(merged.tag())
        .and_then(|metadata| metadata.source.as_ref())
        .and_then(|source| source.custom())
        .and_then(|index| index.parse::<usize>().ok())
        .and_then(|index| layers.get(index));
    let winner = layer.and_then(|root| root.get(path.as_slice()));
    let Layered::Dict(_, dict) = merged else {
        return winner.cloned().unwrap_or_else(|| Node::new(Data::Null, Origin::Default));
    };
    let mut map = IndexMap::new();
    // figment sorts keys; a reader expects the order in which they were written.
    let written =
        layers.iter().filter_map(|root| root.get(path.as_slice())?.as_map()).flat_map(IndexMap::keys);
    let order: IndexSet<&String> = written.collect();
    for key in order {
        if let Some(value) = dict.get(key) {
            path.push(key.clone());
            map.insert(key.clone(), restore(figment, layers, value, path));
            path.pop();
        }
    }
    Node::new(Data::Map(map), winner.map_or(Origin::Default, |node| node.origin.clone()))
}
