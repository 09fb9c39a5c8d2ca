//! Arguments: set, add, force, delete, and how their values are typed.

mod common;

use ai_energy_config::Origin;
use common::{DeviceIds, Folder, Settings, arguments};
use proptest::prelude::*;
use serde_json::{Value, json};

fn key(argument: &str) -> Value {
    let text = format!("scenario.reasoning_params.key={argument}");
    let loaded = arguments(&[&text]).unwrap_or_else(|e| panic!("{text}: {e}"));
    loaded.tree["scenario"]["reasoning_params"]["key"].clone()
}

#[test]
fn values_are_typed() {
    for (text, value) in [
        ("5", json!(5)),
        ("1e-3", json!(0.001)),
        ("True", json!(true)),
        ("null", json!(null)),
        ("", json!("")),
        ("two words", json!("two words")),
        ("'5'", json!("5")),
        ("\"a\\\"b\"", json!("a\"b")),
        ("[1, a,'b',[2]]", json!([1, "a", "b", [2]])),
        ("[]", json!([])),
        ("{}", json!({})),
        ("{a:1,b: x}", json!({"a": 1, "b": "x"})),
        ("{\"a\": [1.5, true], 'b': {c: null}}", json!({"a": [1.5, true], "b": {"c": null}})),
        ("{url: http://host:8000/v1, n: 1}", json!({"url": "http://host:8000/v1", "n": 1})),
        ("[${NOT_SET:-4}, \"x\"]", json!([4, "x"])),
        ("{a: ${NOT_SET:-{b}}}", json!({"a": "{b}"})),
        ("a=b=c", json!("a=b=c")),
        ("0, 1, 2", json!("0, 1, 2")),
        ("http://host:8000/v1?x=y", json!("http://host:8000/v1?x=y")),
    ] {
        assert_eq!(key(text), value, "{text}");
    }
}

#[test]
fn the_schema_says_whether_a_number_is_a_word() {
    let value =
        arguments(&["name=5", "backend.device_ids=0, 1", "scenario.num_samples=1e3", "backend.model=off"]);
    let value = value.unwrap_or_else(|e| panic!("{e}")).value;
    assert_eq!((value.name.as_str(), value.backend.model.as_str()), ("5", "off"));
    assert_eq!(value.scenario.num_samples, 1000);
    assert_eq!(value.backend.device_ids, DeviceIds::Text("0, 1".into()));
    let ids = |text: &str| arguments(&[text]).unwrap_or_else(|e| panic!("{e}")).value.backend.device_ids;
    assert_eq!(ids("backend.device_ids=3"), DeviceIds::One(3));
    assert_eq!(ids("backend.device_ids=[3,1]"), DeviceIds::Many(vec![3, 1]));
}

#[test]
fn later_arguments_win_and_maps_merge() {
    let loaded = arguments(&[
        "name=a",
        "name=b",
        "+scenario.generate_kwargs={top_k: 1, top_p: 0.5}",
        "++scenario.generate_kwargs.top_k=2",
        "scenario.generate_kwargs.seed=3",
    ]);
    let loaded = loaded.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.name, "b");
    let kwargs = json!({"max_new_tokens": 100, "min_new_tokens": 50, "top_k": 2, "top_p": 0.5, "seed": 3});
    assert_eq!(loaded.tree["scenario"]["generate_kwargs"], kwargs);
    let text = "++scenario.generate_kwargs.top_k=2".to_owned();
    assert_eq!(loaded.origins["scenario.generate_kwargs.top_k"], Origin::Override { text });
}

const FILE: (&str, &str) = (
    "c.yaml",
    "name: file\nscenario:\n  num_samples: 4\n  generate_kwargs: {max_new_tokens: 8, top_p: 0.3}\n",
);

fn with_file(arguments: &[&str]) -> (Folder, common::Outcome) {
    let folder = Folder::new(&[FILE]);
    let outcome =
        folder.loader("c.yaml").overrides(arguments.iter().map(|a| (*a).to_owned()).collect()).load();
    (folder, outcome)
}

#[test]
fn plus_refuses_what_a_file_sets() {
    let (folder, outcome) = with_file(&["+scenario.num_samples=5"]);
    let wanted = "override `+scenario.num_samples=5`: key `scenario.num_samples`: is already set (c.yaml:3), and `+` only adds\n  \
                  hint: write `scenario.num_samples=…` to change it, or `++scenario.num_samples=…` for either";
    assert_eq!(folder.errors(outcome), wanted);
    let samples =
        |argument| with_file(&[argument]).1.unwrap_or_else(|e| panic!("{e}")).value.scenario.num_samples;
    assert_eq!((samples("++scenario.num_samples=5"), samples("scenario.num_samples=6")), (5, 6));
    // A default is no setting: adding over it is fine.
    let (_, outcome) = with_file(&["+load.concurrency=2", "+backend.device=cpu"]);
    assert_eq!(outcome.unwrap_or_else(|e| panic!("{e}")).value.load.concurrency, 2);
}

#[test]
fn tilde_goes_back_to_the_default_and_empties_free_maps() {
    let (_, outcome) =
        with_file(&["~name", "~scenario.num_samples=4", "~scenario.generate_kwargs.max_new_tokens"]);
    let loaded = outcome.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((loaded.value.name.as_str(), loaded.value.scenario.num_samples), ("benchmark", 10));
    assert_eq!(loaded.tree["scenario"]["generate_kwargs"], json!({"min_new_tokens": 50, "top_p": 0.3}));
    assert_eq!(loaded.origins["name"], Origin::Default);
    let (_, outcome) = with_file(&["~scenario"]);
    assert_eq!(outcome.unwrap_or_else(|e| panic!("{e}")).value.scenario, Settings::default().scenario);
    let (_, outcome) = with_file(&["scenario.num_samples=9", "~scenario.num_samples", "~load.concurrency"]);
    let loaded = outcome.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.scenario.num_samples, 10);
    assert_eq!(loaded.notes, ["`~load.concurrency` changes nothing: nothing sets that key"]);
    let (folder, outcome) = with_file(&["~scenario.num_samples=3"]);
    let errors = folder.errors(outcome);
    assert!(errors.ends_with("is not deleted: its value is the number `4` (c.yaml:3)"), "{errors}");
}

#[test]
fn tilde_takes_a_misspelt_key_of_a_file_out() {
    let folder = Folder::new(&[("c.yaml", "backend: {modle: x}\n")]);
    assert!(folder.loader("c.yaml").load::<Settings>().is_err());
    let mended = folder.loader("c.yaml").overrides(vec!["~backend.modle".into()]).load::<Settings>();
    assert_eq!(mended.unwrap_or_else(|e| panic!("{e}")).value, Settings::default());
}

/// A value as Hydra would have it typed.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", written(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "[^$\u{0}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_comes_back_as_it_was_written(value in any_value()) {
        prop_assert_eq!(key(&written(&value)), value);
    }

    #[test]
    fn no_argument_makes_the_loader_panic(text in "[-+~=.a-c\\[\\]{}'\",:$ ]{0,24}") {
        if let Err(errors) = arguments(&[&text]) {
            prop_assert!(!errors.0.is_empty());
        }
    }

    #[test]
    fn an_argument_of_a_known_key_always_wins(file in 1u64..1000, argument in 1u64..1000) {
        let folder = Folder::new(&[("c.yaml", &format!("scenario: {{num_samples: {file}}}\n"))]);
        let loader = folder.loader("c.yaml").overrides(vec![format!("scenario.num_samples={argument}")]);
        prop_assert_eq!(loader.load::<Settings>().unwrap_or_else(|e| panic!("{e}")).value.scenario.num_samples, argument);
    }
}
