//! Holding one layer to the schema's sections before it is merged.
//!
//! Exists because a merge would hide the fault: a word where a section belongs is replaced by the next layer's
//! section, and the user never hears of it. Refuses to judge anything below a section's keys.

use serde_json::Value;

use crate::check::mismatch;
use crate::error::ConfigError;
use crate::interpolate::is_template;
use crate::node::{Data, Node};
use crate::schema::Schema;

/// Takes empty sections out of a layer, and wrong ones with an error.
pub(crate) fn shape(schema: &Schema, root: &mut Node, errors: &mut Vec<ConfigError>) {
    section(schema, schema.root(), root, &mut Vec::new(), errors);
}

fn section(
    schema: &Schema,
    wanted: &Value,
    node: &mut Node,
    path: &mut Vec<String>,
    errors: &mut Vec<ConfigError>,
) {
    let Some(map) = node.as_map_mut() else { return };
    map.retain(|key, item| {
        let Some(property) = schema.property(wanted, key) else {
            return true;
        };
        if !schema.is_section(property) {
            return !is_empty_map(schema, property, item);
        }
        name_the_kind(schema, property, item);
        path.push(key.clone());
        let keep = match &item.data {
            Data::Map(_) => {
                section(schema, property, item, path, errors);
                true
            }
            // A heading with all its lines commented out sets nothing.
            Data::Null => schema.allows_null(property),
            Data::Text(text) if is_template(text) => true,
            _ => {
                errors.push(mismatch(schema, item, property, path));
                false
            }
        };
        path.pop();
        keep
    });
}

/// A list where a section belongs names its kinds, where its key `type` takes a list: `reporter: [csv, html]`.
fn name_the_kind(schema: &Schema, section: &Value, item: &mut Node) {
    let takes_list = |kind: &Value| {
        schema.branches(kind).into_iter().any(|branch| crate::schema::types(branch).contains(&"array"))
    };
    if matches!(item.data, Data::List(_)) && schema.property(section, "type").is_some_and(takes_list) {
        let list = std::mem::replace(item, Node::new(Data::Null, item.origin.clone()));
        item.data = Data::Map([("type".to_owned(), list)].into_iter().collect());
    }
}

/// A free map written as a heading with nothing below it.
fn is_empty_map(schema: &Schema, wanted: &Value, item: &Node) -> bool {
    let takes_map_only = schema.branches(wanted).into_iter().all(|b| crate::schema::types(b) == ["object"]);
    item.data == Data::Null && takes_map_only
}
