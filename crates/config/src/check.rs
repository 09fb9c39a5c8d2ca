//! Holding a merged configuration to the schema: one error for each wrong key, type or value, all together.
//!
//! Exists because serde stops at the first fault and knows no lines. Refuses to know any key by name.

use serde_json::{Map, Number, Value};

use crate::describe::{either, expected, literal};
use crate::error::ConfigError;
use crate::kinds::{fits_kind, readings, tag_matches};
use crate::node::{Data, Node, dotted};
use crate::schema::{Schema, closed, literals, nearest_key, nearest_word, types};

/// Either the value as the settings type takes it, or everything that is wrong with it.
type Checked = Result<Value, Vec<ConfigError>>;

/// Checks a whole configuration.
pub(crate) fn check(schema: &Schema, root: &Node) -> Checked {
    Check { schema }.value(root, schema.root(), &mut Vec::new())
}

/// Whether the schema takes this value as it is.
pub(crate) fn accepts(schema: &Schema, wanted: &Value, node: &Node) -> bool {
    Check { schema }.value(node, wanted, &mut Vec::new()).is_ok()
}

/// The error of a value that is of another type than the schema asks for.
pub(crate) fn mismatch(schema: &Schema, node: &Node, wanted: &Value, path: &[String]) -> ConfigError {
    Check { schema }.mismatch(node, wanted, path)
}

struct Check<'s> {
    schema: &'s Schema,
}

impl Check<'_> {
    fn value(&self, node: &Node, wanted: &Value, path: &mut Vec<String>) -> Checked {
        if matches!(&node.data, Data::Text(text) if text == "???") {
            return Err(vec![
                error(node, path, "must be given (the config says `???`)")
                    .hint(format!("set it, for example with `{}=…`", dotted(path))),
            ]);
        }
        let branches = self.schema.branches(wanted);
        if let [only] = branches[..] {
            return self.branch(node, only, path);
        }
        for candidate in readings(node) {
            for branch in &branches {
                if let Ok(value) = self.strict(&candidate, branch, path) {
                    return Ok(value);
                }
            }
        }
        Err(self.no_branch(node, wanted, &branches, path))
    }

    /// The errors of the one alternative that was meant, or else what all of them ask for.
    fn no_branch(
        &self,
        node: &Node,
        wanted: &Value,
        branches: &[&Value],
        path: &mut Vec<String>,
    ) -> Vec<ConfigError> {
        let of_kind: Vec<&&Value> =
            branches.iter().filter(|b| fits_kind(node, b) && literals(b).is_none()).collect();
        let tagged = of_kind.iter().find(|branch| tag_matches(node, branch));
        let meant = tagged.copied().or_else(|| of_kind.first().copied().filter(|_| of_kind.len() == 1));
        if let Some(branch) = meant
            && let Err(errors) = self.branch(node, branch, path)
        {
            return errors;
        }
        let words: Vec<&Value> = branches.iter().filter_map(|b| literals(b)).flatten().collect();
        match (&node.data, words.is_empty()) {
            (Data::Text(_), false) => vec![self.not_one_of(node, &words, wanted, path)],
            _ => vec![self.mismatch(node, wanted, path)],
        }
    }

    /// One alternative, read in whichever way fits.
    fn branch(&self, node: &Node, wanted: &Value, path: &mut Vec<String>) -> Checked {
        for candidate in readings(node).skip(1) {
            if !fits_kind(node, wanted)
                && let Ok(value) = self.strict(&candidate, wanted, path)
            {
                return Ok(value);
            }
        }
        self.strict(node, wanted, path)
    }

    fn strict(&self, node: &Node, wanted: &Value, path: &mut Vec<String>) -> Checked {
        if let Some(values) = literals(wanted) {
            return self.literal(node, &values, wanted, path);
        }
        if !fits_kind(node, wanted) {
            return Err(vec![self.mismatch(node, wanted, path)]);
        }
        match &node.data {
            Data::Map(map) if wanted.is_object() && !types(wanted).is_empty() => {
                self.map(node, map, wanted, path)
            }
            Data::List(items) => self.list(node, items, wanted, path),
            Data::Number(number) => self.number(node, number, wanted, path),
            Data::Text(text) => self.text(node, text, wanted, path),
            _ => Ok(node.to_json()),
        }
    }

    fn literal(&self, node: &Node, values: &[&Value], wanted: &Value, path: &[String]) -> Checked {
        let found = node.to_json();
        // `off` is a boolean to YAML; where a word is asked for, it is the word.
        let word = node.raw.clone().map(Value::String);
        let same = |value: &&&Value| ***value == found || Some(**value) == word.as_ref();
        match values.iter().find(same) {
            Some(value) => Ok((*value).clone()),
            None => Err(vec![self.not_one_of(node, values, wanted, path)]),
        }
    }

    fn not_one_of(&self, node: &Node, values: &[&Value], wanted: &Value, path: &[String]) -> ConfigError {
        let words: Vec<String> = values.iter().map(|v| literal(v)).collect();
        let found = match (&node.data, &node.raw) {
            (Data::Text(text), _) | (_, Some(text)) => text.clone(),
            _ => return self.mismatch(node, wanted, path),
        };
        let fault = error(node, path, format!("expected {}, found `{found}`", either(&words)));
        match nearest_word(&found, values.iter().filter_map(|v| v.as_str())) {
            Some(word) => fault.hint(format!("did you mean `{word}`?")),
            None => fault.hint(format!("use {}", either(&words))),
        }
    }

    fn mismatch(&self, node: &Node, wanted: &Value, path: &[String]) -> ConfigError {
        let wants = |kind: &str| self.schema.branches(wanted).iter().any(|b| types(b).contains(&kind));
        let fault =
            error(node, path, format!("expected {}, found {}", expected(self.schema, wanted), node.found()));
        match &node.data {
            Data::Null => fault.hint("leave the key out to keep its default"),
            Data::Bool(_) | Data::Number(_) if wants("string") => match &node.raw {
                Some(raw) => fault.hint(format!("quote it: \"{raw}\"")),
                None => fault.hint("quote it"),
            },
            Data::Text(text) if wants("object") && self.schema.property(wanted, "type").is_some() => {
                fault.hint(format!("did you mean `{}.type: {text}`?", dotted(path)))
            }
            Data::Text(text)
                if !matches!(crate::scalar::plain(text), Data::Text(_) | Data::Null)
                    && node.raw.is_none() =>
            {
                fault.hint("remove the quotes")
            }
            _ => fault,
        }
    }

    fn map(
        &self,
        node: &Node,
        map: &indexmap::IndexMap<String, Node>,
        wanted: &Value,
        path: &mut Vec<String>,
    ) -> Checked {
        let mut values = Map::new();
        let mut errors = Vec::new();
        let properties = wanted.get("properties").and_then(Value::as_object);
        let known = properties.into_iter().flat_map(Map::keys);
        let is_known = |key: &str| properties.is_some_and(|p| p.contains_key(key));
        let order = known.filter(|k| map.contains_key(*k)).chain(map.keys().filter(|k| !is_known(k)));
        for key in order {
            let Some(item) = map.get(key) else { continue };
            path.push(key.clone());
            let property = properties.and_then(|p| p.get(key)).or_else(|| extra(wanted, key));
            match property.map(|property| self.value(item, property, path)) {
                Some(Ok(value)) => {
                    values.insert(key.clone(), value);
                }
                Some(Err(more)) => errors.extend(more),
                None => errors.push(self.unknown(item, wanted, path)),
            }
            path.pop();
        }
        for key in
            wanted.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !map.contains_key(key) {
                path.push(key.to_owned());
                errors.push(error(node, path, "must be given"));
                path.pop();
            }
        }
        if errors.is_empty() { Ok(Value::Object(values)) } else { Err(errors) }
    }

    fn unknown(&self, item: &Node, wanted: &Value, path: &[String]) -> ConfigError {
        let fault = error(item, path, "unknown key");
        let Some((key, above)) = path.split_last() else {
            return fault;
        };
        if let Some(near) = nearest_key(self.schema, above, key) {
            return fault.hint(format!("did you mean `{near}`?"));
        }
        let known: Vec<String> = self.schema.keys(wanted).iter().map(|k| format!("`{k}`")).collect();
        match (known.is_empty(), wanted.get("patternProperties")) {
            (false, _) => fault.hint(format!("the keys there are {}", known.join(", "))),
            (true, Some(patterns)) => {
                let in_words = |pattern: &String| match pattern.as_str() {
                    r"^\d+$" => "a whole number".to_owned(),
                    other => format!("text that matches {other}"),
                };
                let patterns: Vec<_> =
                    patterns.as_object().into_iter().flat_map(Map::keys).map(in_words).collect();
                fault.hint(format!("a key there is {}", either(&patterns)))
            }
            (true, None) => fault,
        }
    }

    fn list(&self, node: &Node, items: &[Node], wanted: &Value, path: &mut Vec<String>) -> Checked {
        let count = items.len() as u64;
        let limit = |name: &str| wanted.get(name).and_then(Value::as_u64);
        if let Some(least) = limit("minItems").filter(|least| count < *least) {
            return Err(vec![error(
                node,
                path,
                format!("expected at least {least} elements, found {count}"),
            )]);
        }
        if let Some(most) = limit("maxItems").filter(|most| count > *most) {
            return Err(vec![error(node, path, format!("expected at most {most} elements, found {count}"))]);
        }
        let any = Value::Bool(true);
        let item_schema = wanted.get("items").unwrap_or(&any);
        let first = wanted.get("prefixItems").and_then(Value::as_array);
        let mut values = Vec::new();
        let mut errors = Vec::new();
        for (index, item) in items.iter().enumerate() {
            path.push(index.to_string());
            let schema = first.and_then(|f| f.get(index)).unwrap_or(item_schema);
            match self.value(item, schema, path) {
                Ok(value) => values.push(value),
                Err(more) => errors.extend(more),
            }
            path.pop();
        }
        if errors.is_empty() { Ok(Value::Array(values)) } else { Err(errors) }
    }

    fn number(&self, node: &Node, number: &Number, wanted: &Value, path: &[String]) -> Checked {
        let Some(value) = number.as_f64() else {
            return Ok(Value::Number(number.clone()));
        };
        let bound = |name: &str| wanted.get(name).and_then(Value::as_f64);
        let fits = bound("minimum").is_none_or(|low| value >= low)
            && bound("maximum").is_none_or(|high| value <= high)
            && bound("exclusiveMinimum").is_none_or(|low| value > low)
            && bound("exclusiveMaximum").is_none_or(|high| value < high);
        if !fits {
            return Err(vec![self.mismatch(node, wanted, path)]);
        }
        let kinds = types(wanted);
        if number.is_f64() && kinds.contains(&"integer") && !kinds.contains(&"number") {
            return Ok(Value::Number(Number::from(value as i64)));
        }
        Ok(Value::Number(number.clone()))
    }

    fn text(&self, node: &Node, text: &str, wanted: &Value, path: &[String]) -> Checked {
        let letters = text.chars().count() as u64;
        let limit = |name: &str| wanted.get(name).and_then(Value::as_u64);
        if limit("minLength").is_some_and(|least| letters < least) {
            return Err(vec![self.mismatch(node, wanted, path)]);
        }
        if let Some(most) = limit("maxLength").filter(|most| letters > *most) {
            return Err(vec![error(
                node,
                path,
                format!("expected at most {most} characters, found {letters}"),
            )]);
        }
        match wanted.get("pattern").and_then(Value::as_str) {
            Some(pattern) if !matches(pattern, text) => {
                // A pattern is for machines; where the schema says it in words, the words are shown.
                let words = wanted.get("description").and_then(Value::as_str);
                let expected = words.map_or_else(|| format!("text that matches {pattern}"), str::to_owned);
                Err(vec![error(node, path, format!("expected {expected}, found `{text}`"))])
            }
            _ => Ok(node.to_json()),
        }
    }
}

/// The schema of a key that is no property, where the map takes such.
fn extra<'s>(wanted: &'s Value, key: &str) -> Option<&'s Value> {
    let patterns = wanted.get("patternProperties").and_then(Value::as_object);
    if let Some((_, schema)) = patterns.into_iter().flatten().find(|(pattern, _)| matches(pattern, key)) {
        return Some(schema);
    }
    const ANY: &Value = &Value::Bool(true);
    if closed(wanted) { None } else { Some(wanted.get("additionalProperties").unwrap_or(ANY)) }
}

/// Whether a text matches a schema's pattern; one that is no regular expression here refuses nothing.
fn matches(pattern: &str, text: &str) -> bool {
    regex_lite::Regex::new(pattern).map_or(true, |regex| regex.is_match(text))
}

fn error(node: &Node, path: &[String], cause: impl Into<String>) -> ConfigError {
    ConfigError::new(cause).at(&node.origin).key(dotted(path))
}
