//! A user's file of formats: what it adds, what it overrides, and what is said about mistakes in it.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::io::Write;
use std::path::Path;

use ai_energy_core::{Fault, FaultKind, Prompt, PromptContent, Target};
use ai_energy_formatters::{BUILTIN_TABLE, Kind, Options, Registry};
use serde_json::{Value, json};

fn load(text: &str) -> Result<Registry, Fault> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Registry::with_user_file(file.path())
}

fn refused(text: &str) -> Fault {
    match load(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(fault) => {
            assert_eq!(fault.kind, FaultKind::Usage);
            assert!(fault.object.contains(".yaml"), "the file is not named: {fault}");
            fault
        }
    }
}

fn chat_text(registry: &Registry, model: &str, reasoning: &Value) -> String {
    let formatter = registry.for_model(model).formatter;
    let formatted = formatter.format(&Prompt::text(0, "Hi"), reasoning.as_object(), Target::ChatApi).unwrap();
    match formatted.content {
        PromptContent::Chat(messages) => {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("|")
        }
        PromptContent::Text(text) => text,
    }
}

#[test]
fn a_family_is_added_without_code_and_comes_before_the_built_in_ones() {
    let registry = load(
        "families:
  ponder:
    patterns: [ponder, 'qwen*ponder']
    type: prefix
    prefix: '[ponder] '
    suffix: ' [/ponder]'
    model_overrides:
      mini:
        prefix: '[p] '
",
    )
    .unwrap();
    assert_eq!(chat_text(&registry, "org/Ponder-7B", &json!({})), "[ponder] Hi [/ponder]");
    assert_eq!(chat_text(&registry, "org/Ponder-7B", &Value::Null), "Hi");
    assert_eq!(chat_text(&registry, "org/ponder-mini", &json!({})), "[p] Hi [/ponder]");
    assert_eq!(registry.for_model("Qwen3-Ponder").family, "ponder");
    assert_eq!(registry.for_model("Qwen3").family, "qwen");
    let first = &registry.families()[0];
    assert!(first.name == "ponder" && first.file.is_some(), "{first:?}");
}

#[test]
fn a_family_of_the_same_name_replaces_the_built_in_one() {
    let registry =
        load("families: {qwen: {patterns: [qwen], type: system_prompt, enable_flag: /go}}").unwrap();
    assert_eq!(chat_text(&registry, "qwen3", &json!({})), "/go|Hi");
    assert_eq!(registry.families().iter().filter(|family| family.name == "qwen").count(), 1);
}

#[test]
fn exact_names_come_before_families_whatever_their_case() {
    let registry = load(
        "models:
  Org/My-Qwen: gpt-oss
  org/own: {type: system_flag, enable_flag: /own}
  org/smollm3-x: smollm
default: exaone
",
    )
    .unwrap();
    assert_eq!(registry.for_model("org/my-qwen").family, "gpt-oss");
    assert_eq!(registry.for_model("org/my-qwen-2").family, "qwen");
    assert_eq!(chat_text(&registry, "ORG/Own", &json!({})), "/own|Hi");
    assert_eq!(registry.for_model("org/own").family, "org/own");
    // A name that stands for a family gets the family's override for that name.
    assert_eq!(chat_text(&registry, "org/smollm3-x", &Value::Null), "/no_think|Hi");
    assert_eq!(registry.for_model("whatever").kind, Kind::Parameter);
}

#[test]
fn a_chat_template_switch_may_have_another_name() {
    let registry = load(
        "families: {granite: {patterns: [granite], type: chat_template, template_switches: [thinking]}}",
    )
    .unwrap();
    let formatter = registry.for_model("granite-4").formatter;
    let reasoning = json!({"enable_thinking": true});
    let formatted = formatter.format(&Prompt::text(0, "Hi"), reasoning.as_object(), Target::ChatApi).unwrap();
    assert_eq!(Value::from(formatted.chat_template_kwargs), json!({"thinking": true}));
    assert_eq!(Value::from(formatted.params), json!({}));
}

#[test]
fn harmony_may_end_where_the_user_wants_it_to() {
    let registry =
        load("families: {gpt-oss: {patterns: [gpt-oss], type: harmony, suffix: '<|start|>assistant'}}")
            .unwrap();
    let formatter = registry.for_model("gpt-oss").formatter;
    let formatted = formatter.format(&Prompt::text(0, "Hi"), None, Target::Completion).unwrap();
    let PromptContent::Text(text) = formatted.content else { panic!("no text") };
    assert!(text.ends_with("Hi<|end|><|start|>assistant"), "{text}");
}

#[test]
fn the_shipped_table_can_be_copied_as_a_users_file() {
    let registry = load(BUILTIN_TABLE).unwrap();
    assert_eq!(registry.families().len(), Registry::builtin().families().len());
    assert_eq!(registry.for_model("openai/gpt-oss-20b").kind, Kind::Harmony);
}

#[test]
fn mistakes_are_named_with_their_place_and_the_nearest_word() {
    for (text, cause, remedy) in [
        (
            "families:\n  x:\n    patterns: [x]\n    type: prefix\n    prefx: a\n",
            "line 5: unknown key `prefx`",
            "`prefix`",
        ),
        (
            "families:\n  x:\n    patterns: [x]\n    type: sistem_flag\n",
            "line 4: unknown type `sistem_flag`",
            "`system_flag`",
        ),
        ("famlies: {}\n", "line 1: unknown key `famlies`", "`families`"),
        ("models:\n  a: {type: none, prefxi: b}\n", "unknown key `prefxi`", "`prefix`"),
        ("models: {a: qwin}", "`a`: names the family `qwin`", "`qwen`"),
        ("default: nobody", "names the family `nobody`", "known families: gpt-oss, smollm"),
        ("families: {x: {patterns: ['a(b'], type: none}}", "the pattern `a(b` is no regular expression", ""),
        ("families: {x: {patterns: [''], type: none}}", "would match every model", ""),
        ("families: {x: {patterns: [x]}}", "has no `type` (one of harmony, system_flag", ""),
        ("families: {x: {type: none}}", "`x`: has no `patterns`", "add patterns"),
        ("families: {x: {patterns: [x], type: prefix}}", "has no `prefix`", ""),
        ("families: {x: {patterns: [x], type: system_flag}}", "neither `enable_flag` nor", ""),
        (
            "families: {x: {patterns: [x], type: none, prefix: a}}",
            "`prefix`, which has no meaning for the type none",
            "",
        ),
        (
            "families: {x: {patterns: [x], type: none, model_overrides: {y: {patterns: [z]}}}}",
            "model_overrides.y",
            "",
        ),
        (
            "families: {x: {patterns: [x], type: none, default_enabled: perhaps}}",
            "line 1: true or false belongs here",
            "",
        ),
        ("families: {x: {patterns: x, type: none}}", "line 1: a list belongs here", ""),
        ("families: {x: {type: none}, x: {type: none}}", "the key `x` stands twice", "keep one"),
        ("families: [", "line 1: ", "indentation"),
        ("# nothing\n\n", "nothing but blank lines", "families"),
    ] {
        let fault = refused(text);
        assert!(fault.cause.contains(cause), "wanted {cause:?} from\n{text}\n{fault}");
        assert!(fault.remedy.contains(remedy), "wanted {remedy:?} from\n{text}\n{fault}");
        assert!(
            !fault.to_string().contains("\n\n") && fault.cause.lines().count() == 1,
            "more than a line: {fault}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let options = Options { formats_file: Some(Path::new("/nowhere/formats.yaml").to_owned()) };
    let Err(fault) = Registry::from_options(&options) else { panic!("read a file that is not there") };
    assert!(
        fault.object.ends_with("/nowhere/formats.yaml") && fault.cause.starts_with("cannot be read"),
        "{fault}"
    );
    assert!(Registry::from_options(&Options::default()).is_ok());
}
