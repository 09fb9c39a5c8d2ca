//! What holds for every format of the shipped table: names, samples, and that none loses a prompt.

use ai_energy_core::{Prompt, PromptContent, Target};
use ai_energy_formatters::{Kind, Registry};
use serde_json::{Value, json};

/// A model of each family, and the kind of format it gets.
const SAMPLES: &[(&str, &str, Kind)] = &[
    ("openai/gpt-oss-120b", "gpt-oss", Kind::Harmony),
    ("HuggingFaceTB/SmolLM3-3B", "smollm", Kind::SystemFlag),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm", Kind::SystemFlag),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek", Kind::Prefix),
    ("org/DeepSeek-R1-Parameter-8B", "deepseek", Kind::Parameter),
    ("Qwen/Qwen3-0.6B", "qwen", Kind::ChatTemplate),
    ("tencent/Hunyuan-7B-Instruct", "hunyuan", Kind::SystemFlag),
    ("nvidia/Llama-3.1-Nemotron-Nano-8B-v1", "nemotron", Kind::SystemFlag),
    ("LGAI-EXAONE/EXAONE-4.0-1.2B", "exaone", Kind::Parameter),
    ("microsoft/Phi-4-mini-reasoning", "phi", Kind::Parameter),
    ("google/gemma-3-1b-it", "gemma", Kind::Parameter),
    ("meta-llama/Llama-3.2-1B-Instruct", "default", Kind::None),
    ("cognitivecomputations/dolphin-2.9", "default", Kind::None),
];

#[test]
fn each_sample_selects_its_family_and_kind() {
    let registry = Registry::builtin();
    for (model, family, kind) in SAMPLES {
        let selected = registry.for_model(model);
        assert_eq!((selected.family.as_str(), selected.kind), (*family, *kind), "{model}");
        assert_eq!(selected.formatter.name(), kind.word(), "{model}");
    }
}

#[test]
fn the_shipped_table_keeps_its_laws() {
    let registry = Registry::builtin();
    let mut names: Vec<&str> = registry.families().iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names.last(), Some(&"default"));
    for family in registry.families() {
        assert!(!family.description.is_empty(), "{} has no description", family.name);
        assert!(SAMPLES.iter().any(|(_, name, _)| *name == family.name), "{} has no sample", family.name);
        assert_eq!(family.file, None);
    }
    for kind in Kind::ALL {
        assert!(SAMPLES.iter().any(|(_, _, used)| *used == kind), "{} has no sample", kind.word());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), registry.families().len(), "two families of one name");
}

#[test]
fn the_index_and_the_target_length_survive_every_format() {
    let registry = Registry::builtin();
    for (model, _, _) in SAMPLES {
        for target in [Target::ChatApi, Target::Completion] {
            let prompt = Prompt { target_output_tokens: Some(33), ..Prompt::text(7, "Hi") };
            let formatter = registry.for_model(model).formatter;
            let formatted = formatter.format(&prompt, json!({}).as_object(), target).unwrap();
            assert_eq!((formatted.index, formatted.target_output_tokens), (7, Some(33)), "{model}");
        }
    }
}

#[test]
fn a_wrong_value_is_refused_by_every_format() {
    let registry = Registry::builtin();
    for (model, _, _) in SAMPLES {
        let reasoning = json!({"reasoning_effort": 7});
        let formatter = registry.for_model(model).formatter;
        let fault =
            formatter.format(&Prompt::text(0, "Hi"), reasoning.as_object(), Target::ChatApi).unwrap_err();
        assert!(fault.object.contains("reasoning_effort") && fault.cause.contains('7'), "{model}: {fault}");
    }
    let reasoning = json!({"reasoning_effort": "none"});
    let harmony = registry.for_model("gpt-oss").formatter;
    let fault = harmony.format(&Prompt::text(0, "Hi"), reasoning.as_object(), Target::ChatApi).unwrap_err();
    assert!(fault.cause.contains("low, medium, high"), "{fault}");
}

proptest::proptest! {
    /// A formatter adds; it never loses or changes a word of the user's prompt, whatever the prompt holds.
    #[test]
    fn no_format_loses_the_prompt(words in "\\PC{1,60}", on: bool, sample in 0..SAMPLES.len()) {
        let reasoning = if on { json!({}) } else { Value::Null };
        for target in [Target::ChatApi, Target::Completion] {
            let prompt = Prompt::text(0, words.clone());
            let formatter = Registry::builtin().for_model(SAMPLES[sample].0).formatter;
            let formatted = formatter.format(&prompt, reasoning.as_object(), target).unwrap();
            let kept = match &formatted.content {
                PromptContent::Chat(messages) => messages.last().is_some_and(|last| last.content.ends_with(&words)),
                PromptContent::Text(text) => text.contains(&words),
            };
            proptest::prop_assert!(kept, "{:?}", formatted.content);
        }
    }
}
