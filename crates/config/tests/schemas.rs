//! Schemas beyond the plain: tagged alternatives, required keys, patterns, limits, recursion.

mod common;

use ai_energy_config::Loader;
use common::Folder;
use serde_json::{Value, json};

fn load(schema: &Value, text: &str) -> Result<Value, String> {
    let folder = Folder::new(&[("c.yaml", text)]);
    let loaded = Loader::new(json!({}), schema.clone()).file(Some(folder.path("c.yaml"))).load::<Value>();
    loaded.map(|l| l.tree).map_err(|e| e.to_string().replace(&format!("{}/", folder.root().display()), ""))
}

fn of(property: &Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {"key": property}})
}

#[test]
fn the_alternative_that_the_tag_names_is_the_one_that_is_judged() {
    let closed = |kind: &str, field: &str| {
        json!({
            "type": "object", "additionalProperties": false, "required": ["kind", field],
            "properties": {"kind": {"const": kind, "type": "string"}, field: {"type": "number", "exclusiveMinimum": 0}}
        })
    };
    let schema = of(&json!({"oneOf": [closed("rate", "per_second"), closed("steps", "level")]}));
    let good = load(&schema, "key: {kind: steps, level: 2}\n");
    assert_eq!(good, Ok(json!({"key": {"kind": "steps", "level": 2}})));
    let wrong = load(&schema, "key:\n  kind: rate\n  per_second: 0\n").unwrap_err();
    assert_eq!(wrong, "c.yaml:3: key `key.per_second`: expected a number > 0, found the number `0`");
    let missing = load(&schema, "key: {kind: rate}\n").unwrap_err();
    assert_eq!(missing, "c.yaml:1: key `key.per_second`: must be given");
}

#[test]
fn limits_of_lists_and_texts() {
    let list = of(&json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}}));
    assert!(load(&list, "key: []\n").unwrap_err().ends_with("expected at least 1 elements, found 0"));
    assert!(load(&list, "key: [1, 2, 3]\n").unwrap_err().ends_with("expected at most 2 elements, found 3"));
    assert_eq!(load(&list, "key: [1, 2.0]\n"), Ok(json!({"key": [1, 2]})));
    let text = of(&json!({"type": "string", "minLength": 1, "pattern": "^[A-Z]+$"}));
    assert!(load(&text, "key: ''\n").unwrap_err().contains("expected a string that is not empty"));
    assert!(
        load(&text, "key: usa\n").unwrap_err().contains("expected text that matches ^[A-Z]+$, found `usa`")
    );
    assert_eq!(load(&text, "key: USA\n"), Ok(json!({"key": "USA"})));
}

#[test]
fn a_word_that_yaml_takes_for_a_boolean_is_still_the_word() {
    let schema = of(&json!({"enum": ["on", "off", "8"]}));
    assert_eq!(load(&schema, "key: off\n"), Ok(json!({"key": "off"})));
    assert_eq!(load(&schema, "key: 8\n"), Ok(json!({"key": "8"})));
    assert!(load(&schema, "key: no\n").unwrap_err().contains("expected `on`, `off` or `8`, found `no`"));
}

#[test]
fn question_marks_must_be_replaced() {
    let schema = of(&json!({"type": "string"}));
    let error = load(&schema, "key: ???\n").unwrap_err();
    assert!(error.starts_with("c.yaml:1: key `key`: must be given (the config says `???`)"), "{error}");
}

#[test]
fn a_schema_that_contains_itself_ends() {
    let schema = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object", "additionalProperties": false,
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}, "value": {"type": "integer"}}
        }}
    });
    assert_eq!(load(&schema, "next: {next: {value: 3}}\n"), Ok(json!({"next": {"next": {"value": 3}}})));
    let wrong = load(&schema, "next:\n  next:\n    vlaue: 3\n").unwrap_err();
    assert_eq!(
        wrong,
        "c.yaml:3: key `next.next.vlaue`: unknown key\n  hint: did you mean `next.next.value`?"
    );
}
