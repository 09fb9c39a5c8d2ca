//! Every family of the shipped table, against a chat API and as text, with reasoning off, on and by parameters.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use ai_energy_core::{FormattedPrompt, Message, Prompt, PromptContent, Role, Target};
use ai_energy_formatters::Registry;
use serde_json::{Map, Value, json};

fn format(model: &str, reasoning: &Value, target: Target) -> FormattedPrompt {
    format_prompt(model, &Prompt::text(7, "Hi"), reasoning, target)
}

/// `reasoning` is null where the scenario leaves reasoning off.
fn format_prompt(model: &str, prompt: &Prompt, reasoning: &Value, target: Target) -> FormattedPrompt {
    let selected = Registry::builtin().for_model(model);
    selected.formatter.format(prompt, reasoning.as_object(), target).unwrap()
}

/// What a chat API gets: messages as `role: content`, top-level parameters, template switches.
fn chat(model: &str, reasoning: Value) -> (Vec<String>, Value, Value) {
    let formatted = format(model, &reasoning, Target::ChatApi);
    let PromptContent::Chat(messages) = formatted.content else { panic!("{model}: text for a chat API") };
    let messages = messages.iter().map(|message| format!("{}: {}", message.role.word(), message.content));
    (messages.collect(), Value::from(formatted.params), Value::from(formatted.chat_template_kwargs))
}

/// What a completion API gets: the text and top-level parameters.
fn text(model: &str, reasoning: Value) -> (String, Value) {
    let formatted = format(model, &reasoning, Target::Completion);
    assert_eq!(formatted.chat_template_kwargs, Map::new(), "{model}: no template is applied to text");
    let PromptContent::Text(text) = formatted.content else {
        panic!("{model}: messages for a completion API")
    };
    (text, Value::from(formatted.params))
}

fn said(messages: &[&str], params: Value, template: Value) -> (Vec<String>, Value, Value) {
    (messages.iter().map(|&message| message.to_owned()).collect(), params, template)
}

const HARMONY_HEAD: &str = "<|start|>system<|message|>You are a helpful AI assistant.\n\nReasoning: ";
const HARMONY_TAIL: &str = "\n\n# Valid channels: analysis, commentary, final<|end|>";

fn harmony(effort: &str) -> String {
    format!("{HARMONY_HEAD}{effort}{HARMONY_TAIL}<|start|>user<|message|>Hi<|end|>")
}

#[test]
fn gpt_oss_on_a_chat_api_sends_an_effort_and_wraps_nothing() {
    let model = "openai/gpt-oss-20b";
    for (reasoning, effort) in [
        (Value::Null, "high"),
        (json!({}), "high"),
        (json!({"reasoning_effort": "medium"}), "medium"),
        (json!({"enable_thinking": false}), "low"),
    ] {
        assert_eq!(
            chat(model, reasoning.clone()),
            said(&["user: Hi"], json!({"reasoning_effort": effort}), json!({})),
            "{reasoning}"
        );
    }
}

#[test]
fn gpt_oss_as_text_is_the_harmony_layout() {
    let model = "openai/gpt-oss-20b";
    assert_eq!(text(model, Value::Null), (harmony("high"), json!({})));
    assert_eq!(text(model, json!({"reasoning_effort": "low"})), (harmony("low"), json!({})));
    assert_eq!(text(model, json!({"reasoning": false})), (harmony("low"), json!({})));
}

#[test]
fn a_conversation_in_harmony_keeps_its_roles() {
    let message = |role, content: &str| Message { role, content: content.to_owned() };
    let prompt = Prompt {
        messages: vec![
            message(Role::System, "Be brief."),
            message(Role::User, "One?"),
            message(Role::Assistant, "1"),
            message(Role::User, "Two?"),
        ],
        ..Prompt::text(0, "")
    };
    let formatted = format_prompt("gpt-oss", &prompt, &Value::Null, Target::Completion);
    let wanted = format!(
        "{HARMONY_HEAD}high{HARMONY_TAIL}<|start|>developer<|message|># Instructions\n\nBe brief.<|end|>\
         <|start|>user<|message|>One?<|end|><|start|>assistant<|channel|>final<|message|>1<|end|>\
         <|start|>user<|message|>Two?<|end|>"
    );
    assert_eq!(formatted.content, PromptContent::Text(wanted));
}

#[test]
fn smollm3_gets_a_flag_in_its_system_message() {
    let model = "HuggingFaceTB/SmolLM3-3B";
    let on = said(&["system: /think", "user: Hi"], json!({}), json!({}));
    let off = said(&["system: /no_think", "user: Hi"], json!({}), json!({}));
    for reasoning in [json!({}), json!({"reasoning_effort": "high"}), json!({"reasoning_effort": "medium"})] {
        assert_eq!(chat(model, reasoning.clone()), on, "{reasoning}");
    }
    for reasoning in [Value::Null, json!({"enable_thinking": false}), json!({"reasoning_effort": "low"})] {
        assert_eq!(chat(model, reasoning.clone()), off, "{reasoning}");
    }
    assert_eq!(text(model, json!({})).0, "/think\n\nHi");
    assert_eq!(text(model, Value::Null).0, "/no_think\n\nHi");
}

#[test]
fn the_flag_joins_a_system_message_that_is_there() {
    let mut prompt = Prompt::text(0, "Hi");
    prompt.messages.insert(0, Message { role: Role::System, content: "Be brief.".to_owned() });
    let formatted = format_prompt("smollm3", &prompt, &json!({}), Target::ChatApi);
    prompt.messages[0].content = "Be brief.\n/think".to_owned();
    assert_eq!(formatted.content, PromptContent::Chat(prompt.messages));
}

#[test]
fn smollm2_cannot_think_and_is_left_alone_unless_asked() {
    let model = "HuggingFaceTB/SmolLM2-135M-Instruct";
    assert_eq!(chat(model, Value::Null), said(&["user: Hi"], json!({}), json!({})));
    assert_eq!(text(model, Value::Null), ("Hi".to_owned(), json!({})));
    assert_eq!(chat(model, json!({})).0[0], "system: /think");
}

#[test]
fn deepseek_gets_its_tag_only_with_reasoning_on() {
    let model = "deepseek-ai/DeepSeek-R1";
    let plain = said(&["user: Hi"], json!({}), json!({}));
    let tagged = said(&["user: <think>Hi"], json!({}), json!({}));
    assert_eq!(chat(model, Value::Null), plain);
    assert_eq!(chat(model, json!({"enable_thinking": false})), plain);
    assert_eq!(chat(model, json!({})), tagged);
    assert_eq!(chat(model, json!({"enable_thinking": true})), tagged);
    assert_eq!(text(model, json!({})).0, "<think>Hi");
    assert_eq!(text(model, Value::Null).0, "Hi");
    // An effort is for the server, and `thinking` for the template of the later models.
    assert_eq!(
        chat(model, json!({"reasoning_effort": "low", "thinking": true})),
        said(&["user: <think>Hi"], json!({"reasoning_effort": "low"}), json!({"thinking": true}))
    );
}

#[test]
fn qwen_is_switched_through_the_chat_template() {
    let model = "Qwen/Qwen3-8B";
    let switched = |on: bool| said(&["user: Hi"], json!({}), json!({"enable_thinking": on}));
    assert_eq!(chat(model, Value::Null), switched(false));
    assert_eq!(chat(model, json!({})), switched(true));
    assert_eq!(chat(model, json!({"enable_thinking": false})), switched(false));
    assert_eq!(chat(model, json!({"reasoning_effort": "low"})), switched(false));
    assert_eq!(text(model, json!({})), ("Hi".to_owned(), json!({})));
    assert_eq!(
        chat(model, json!({"thinking_budget": 64})),
        said(&["user: Hi"], json!({"thinking_budget": 64}), json!({"enable_thinking": true}))
    );
}

#[test]
fn hunyuan_has_a_flag_for_on_and_a_template_switch_for_both() {
    let model = "tencent/Hunyuan-7B-Instruct";
    assert_eq!(chat(model, Value::Null), said(&["user: Hi"], json!({}), json!({})));
    assert_eq!(
        chat(model, json!({"enable_thinking": true})),
        said(&["system: /think", "user: Hi"], json!({}), json!({"enable_thinking": true}))
    );
    assert_eq!(
        chat(model, json!({"enable_thinking": false})),
        said(&["user: Hi"], json!({}), json!({"enable_thinking": false}))
    );
    assert_eq!(text(model, json!({})).0, "/think\n\nHi");
}

#[test]
fn nemotron_thinks_unless_told_not_to() {
    let model = "nvidia/Llama-3.1-Nemotron-Nano-8B-v1";
    let off = said(&["system: /no_think", "user: Hi"], json!({}), json!({}));
    assert_eq!(chat(model, Value::Null), off);
    assert_eq!(chat(model, json!({"reasoning": false})), off);
    assert_eq!(chat(model, json!({"reasoning": true})), said(&["user: Hi"], json!({}), json!({})));
    assert_eq!(text(model, Value::Null).0, "/no_think\n\nHi");
}

#[test]
fn parameter_families_pass_their_parameters_on() {
    for model in
        ["LGAI-EXAONE/EXAONE-4.0-32B", "microsoft/phi-4", "google/gemma-3-1b-it", "deepseek-x-parameter"]
    {
        let given = json!({"enable_thinking": true, "thinking_budget": 64, "cot_depth": 2, "reasoning": true, "new": 1});
        let top = json!({"thinking_budget": 64, "cot_depth": 2, "reasoning": true, "new": 1});
        assert_eq!(
            chat(model, given.clone()),
            said(&["user: Hi"], top.clone(), json!({"enable_thinking": true})),
            "{model}"
        );
        assert_eq!(text(model, given), ("Hi".to_owned(), top), "{model}");
        assert_eq!(chat(model, Value::Null), said(&["user: Hi"], json!({}), json!({})), "{model}");
        // Reasoning switched on without a word on how.
        assert_eq!(chat(model, json!({})).2, json!({"enable_thinking": true}), "{model}");
    }
}

#[test]
fn an_unknown_model_gets_what_the_user_gives_and_nothing_else() {
    let model = "meta-llama/Llama-3.2-1B-Instruct";
    for reasoning in [Value::Null, json!({})] {
        assert_eq!(chat(model, reasoning.clone()), said(&["user: Hi"], json!({}), json!({})));
        assert_eq!(text(model, reasoning), ("Hi".to_owned(), json!({})));
    }
    assert_eq!(
        chat(model, json!({"reasoning_effort": "low", "enable_thinking": false})),
        said(&["user: Hi"], json!({"reasoning_effort": "low"}), json!({"enable_thinking": false}))
    );
}
