//! `${…}` in files and arguments: what it becomes, and what is said when it cannot become anything.

mod common;

use ai_energy_config::Origin;
use common::{Folder, Outcome, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

fn lookup(var: &str) -> Option<String> {
    match var {
        "N" => Some("25".into()),
        "RATE" => Some("1e-3".into()),
        "WORD" => Some("hello world".into()),
        "EMPTY" => Some(String::new()),
        "LIST" => Some("[1, 2]".into()),
        "TEMPLATE" => Some("${N}".into()),
        "QUOTED" => Some("\"q\"".into()),
        "SPACED" => Some(" 7 ".into()),
        "YES" => Some("yes".into()),
        _ => None,
    }
}

fn load(text: &str) -> (Folder, Outcome) {
    let folder = Folder::new(&[("c.yaml", text)]);
    let outcome = folder.loader("c.yaml").environment(Vec::new(), lookup).load();
    (folder, outcome)
}

/// What a value in a free map becomes.
fn becomes(text: &str) -> Value {
    let (_, outcome) = load(&format!(
        "name: base\nbackend: {{device_ids: [4, 5]}}\nmetrics: {{region: \"in-${{name}}\"}}\nscenario:\n  num_samples: 7\n  reasoning_params:\n    key: {text}\n"
    ));
    outcome.unwrap_or_else(|e| panic!("{text}: {e}")).tree["scenario"]["reasoning_params"]["key"].clone()
}

#[test]
fn a_whole_value_is_typed_and_an_embedded_one_is_text() {
    for (text, value) in [
        ("${N}", json!(25)),
        ("\"${N}\"", json!(25)),
        ("${N:-100}", json!(25)),
        ("\"${M:-100}\"", json!(100)),
        ("${M:-}", json!(null)),
        ("${EMPTY:-x}", json!("x")),
        ("${EMPTY-x}", json!(null)),
        ("${M-x}", json!("x")),
        ("${RATE}", json!(0.001)),
        ("${YES}", json!(true)),
        ("${WORD}", json!("hello world")),
        ("${LIST}", json!([1, 2])),
        ("\"${M:-[a, 1]}\"", json!(["a", 1])),
        ("${oc.env:N}", json!(25)),
        ("\"${oc.env:M,100}\"", json!(100)),
        ("\"${oc.env:M, some words }\"", json!("some words")),
        ("\"${oc.env:M,'12'}\"", json!("12")),
        ("\"${oc.env:M,null}\"", json!(null)),
        ("\"${M:-${N}}\"", json!(25)),
        ("\"${M:-${K:-${scenario.num_samples}}}\"", json!(7)),
        ("\"${M:-a${N}b}\"", json!("a25b")),
        ("x${N}", json!("x25")),
        ("x${LIST}", json!("x[1, 2]")),
        ("x${QUOTED}", json!("x\"q\"")),
        ("x${SPACED}", json!("x 7 ")),
        ("${SPACED}", json!(7)),
        ("${N}${N}", json!("2525")),
        ("http://${HOST:-localhost}:${PORT:-8000}/v1", json!("http://localhost:8000/v1")),
        ("${name}", json!("base")),
        ("${scenario.num_samples}", json!(7)),
        ("n=${scenario.num_samples}!", json!("n=7!")),
        ("${metrics.region}", json!("in-base")),
        ("${backend.device_ids}", json!([4, 5])),
        ("${backend.device_ids.1}", json!(5)),
        ("'\\${N}'", json!("${N}")),
        ("'a\\${N}b${N}'", json!("a${N}b25")),
        ("$N", json!("$N")),
        // What the environment holds is data, not a template.
        ("${TEMPLATE}", json!("${N}")),
        ("[\"${N}\", {a: \"${WORD}\"}]", json!([25, {"a": "hello world"}])),
    ] {
        assert_eq!(becomes(text), value, "{text}");
    }
}

#[test]
fn a_number_from_outside_is_a_word_where_a_word_is_asked_for() {
    let (_, outcome) = load(
        "name: ${N}\nscenario: {num_samples: \"${N}\", truncation: \"${B:-0}\"}\nbackend: {torch_dtype: \"${D:-off}\", model: \"${LIST}\"}\n",
    );
    let value = outcome.unwrap_or_else(|e| panic!("{e}")).value;
    assert_eq!((value.name.as_str(), value.scenario.num_samples), ("25", 25));
    assert_eq!((value.scenario.truncation, value.backend.torch_dtype.as_str()), (false, "off"));
}

#[test]
fn the_place_of_an_interpolated_value_is_its_line() {
    let (folder, outcome) = load("name: x\nscenario:\n  num_samples: ${N}\n");
    let place = Origin::File { path: folder.path("c.yaml"), line: 3 };
    assert_eq!(outcome.unwrap_or_else(|e| panic!("{e}")).origins["scenario.num_samples"], place);
}

#[test]
fn an_environment_variable_hides_a_key_of_the_same_name() {
    let folder = Folder::new(&[("c.yaml", "name: key\noutput_dir: ${name}\n")]);
    let with =
        folder.loader("c.yaml").environment(Vec::new(), |var| (var == "name").then(|| "variable".into()));
    assert_eq!(with.load::<Settings>().unwrap_or_else(|e| panic!("{e}")).value.output_dir, "variable");
    let without = folder.loader("c.yaml").load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(without.value.output_dir, "key");
}

#[test]
fn what_cannot_be_replaced_is_named() {
    let (folder, outcome) = load(
        "name: ${UNSET}\nbackend:\n  model: ${backend.modle}\n  endpoint: ${now:%Y}\n  device: ${open\n  task: a${backend.device_ids}\n\
         scenario:\n  num_samples: ${WORD}\n  reasoning_params: {a: \"${scenario.reasoning_params.b}\", b: \"x${scenario.reasoning_params.a}\"}\n\
         reporter: {type: \"${reporter}\"}\nload: {concurrenzy: 1}\n",
    );
    insta::assert_snapshot!(folder.errors(outcome));
}

#[test]
fn references_that_multiply_are_refused() {
    let mut text = "scenario:\n  reasoning_params:\n    a0: xxxxxxxxxx\n".to_owned();
    for level in 1..30 {
        let below = format!("${{scenario.reasoning_params.a{}}}", level - 1);
        text.push_str(&format!("    a{level}: \"{below}{below}{below}\"\n"));
    }
    let (folder, outcome) = load(&text);
    assert!(folder.errors(outcome).contains("takes more references than a configuration can need"));
}

#[test]
fn other_faults_are_told_beside_an_unset_variable() {
    let (folder, outcome) = load("name: ${UNSET}\nbackend: {modle: x}\nscenario: {num_samples: 0}\n");
    let errors = folder.errors(outcome);
    assert_eq!(errors.matches("c.yaml:").count(), 3, "{errors}");
    assert!(errors.contains("c.yaml:1: key `name`: the environment variable UNSET is not set"), "{errors}");
}

proptest! {
    #[test]
    fn any_environment_text_survives_inside_a_text(value in "[^\u{0}]{0,40}") {
        let folder = Folder::new(&[("c.yaml", "name: \"<${ANY}>\"\n")]);
        let text = value.clone();
        let loaded = folder.loader("c.yaml").environment(Vec::new(), move |_| Some(text.clone())).load::<Settings>();
        prop_assert_eq!(loaded.unwrap_or_else(|e| panic!("{e}")).value.name, format!("<{value}>"));
    }

    #[test]
    fn a_default_is_taken_only_when_the_variable_is_unset(set in proptest::option::of(1u64..1_000_000), default in 1u64..1_000_000) {
        let folder = Folder::new(&[("c.yaml", &format!("scenario: {{num_samples: \"${{V:-{default}}}\"}}\n"))]);
        let loader = folder.loader("c.yaml").environment(Vec::new(), move |_| set.map(|v| v.to_string()));
        let value = loader.load::<Settings>().unwrap_or_else(|e| panic!("{e}")).value;
        prop_assert_eq!(value.scenario.num_samples, set.unwrap_or(default));
    }

    #[test]
    fn no_template_makes_the_loader_panic(text in "[$\\\\{}a-z:.,\\-'\" ]{0,30}") {
        let quoted = serde_json::to_string(&json!({"name": text})).unwrap();
        let folder = Folder::new(&[("c.json", &quoted)]);
        let outcome = folder.loader("c.json").load::<Settings>();
        if !text.contains("${") {
            prop_assert_eq!(outcome.unwrap_or_else(|e| panic!("{e}")).value.name, text);
        }
    }
}
