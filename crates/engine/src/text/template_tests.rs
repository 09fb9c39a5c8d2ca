//! Tests of chat templates of the kinds that models come with.

use ai_energy_core::prompt::Role;
use serde_json::{Value, json};

use super::*;

fn special() -> SpecialTokens {
    SpecialTokens { bos: Some("<s>".to_owned()), eos: Some("</s>".to_owned()), ..SpecialTokens::default() }
}

fn said(turns: &[(Role, &str)]) -> Vec<Message> {
    turns.iter().map(|(role, content)| Message { role: *role, content: (*content).to_owned() }).collect()
}

fn render(source: &str, turns: &[(Role, &str)], switches: Value) -> Result<String, EngineError> {
    let template = Template::new(source, "tokenizer_config.json").unwrap();
    template.render(&said(turns), &special(), switches.as_object().unwrap())
}

fn rendered(source: &str, turns: &[(Role, &str)], switches: Value) -> String {
    render(source, turns, switches).unwrap_or_else(|error| panic!("{error}"))
}

const TURNS: [(Role, &str); 4] = [
    (Role::System, " Be brief. "),
    (Role::User, "Hi"),
    (Role::Assistant, "<think>\nhm\n</think>\n\nHello"),
    (Role::User, "And <you> & me?"),
];

/// Headers, trimming, a date, a system message taken off the front: the constructs of Llama 3's template.
#[test]
fn a_template_with_headers_and_a_date() {
    let source = r#"{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "[system]\n" }}
{%- if tools is not none %}
    {{- "tools: " + tools | tojson(indent=4) }}
{%- endif %}
{{- "Today Date: " + date_string + "\n" }}
{{- system_message + "[end]" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '[' + message['role'] + ']\n'+ message['content'] | trim + '[end]' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[assistant]\n' }}
{%- endif %}
"#;
    let text = rendered(source, &TURNS, json!({"date_string": "1 Jan 2025"}));
    let wanted = "<s>[system]\nToday Date: 1 Jan 2025\nBe brief.[end][user]\nHi[end][assistant]\n<think>\nhm\n</think>\n\nHello[end][user]\nAnd <you> & me?[end][assistant]\n";
    assert_eq!(text, wanted);
    let today = rendered(source, &TURNS, json!({}));
    assert!(today.contains(&jiff::Zoned::now().strftime("%d %b %Y").to_string()), "{today}");
}

/// Walking back to the last question, Python's string methods, a switch for thinking: the constructs of Qwen 3's.
#[test]
fn a_template_with_a_thinking_switch() {
    let source = r"{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == 'user' and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|' + message.role + '|>' + content + '\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- 'late:' + reasoning_content.strip('\n') }}
        {%- endif %}
        {{- '<|assistant|>' + content + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}";
    let start = "<|user|>Hi\n<|assistant|>Hello\n<|user|>And <you> & me?\n<|assistant|>";
    assert_eq!(rendered(source, &TURNS, json!({})), start);
    assert_eq!(rendered(source, &TURNS, json!({"enable_thinking": true})), start);
    let off = rendered(source, &TURNS, json!({"enable_thinking": false}));
    assert_eq!(off, format!("{start}<think>\n\n</think>\n\n"));
}

/// Roles must take turns and there is no system role: the constructs of Gemma's and Mistral's.
#[test]
fn a_template_that_refuses() {
    let source = r"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}";
    let text = rendered(source, &TURNS[1..2], json!({}));
    assert_eq!(text, "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
    let refused = render(source, &TURNS, json!({})).unwrap_err();
    assert!(refused.cause.contains("System role not supported"), "{refused}");
    assert!(refused.object.starts_with("chat template in tokenizer_config.json, line 1"), "{refused}");
    let turns = render(source, &[(Role::User, "a"), (Role::User, "b")], json!({})).unwrap_err();
    assert!(turns.cause.contains("must alternate"));
}

/// Filtering lists, selecting by attribute, lists of content, loops with conditions: the constructs of Mistral's newer.
#[test]
fn a_template_that_selects() {
    let source = r#"{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- for message in loop_messages | rejectattr("role", "equalto", "tool") %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"].split("</think>")[-1]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
{{- user_messages|length }}"#;
    let text = rendered(source, &TURNS, json!({}));
    assert_eq!(text, "[INST] Hi[/INST] Hello</s>[INST]  Be brief. \n\nAnd <you> & me?[/INST]2");
}

/// Macros, dictionaries walked by items, a default for a missing switch: the constructs of Harmony's.
#[test]
fn a_template_with_macros() {
    let source = r#"{%- macro render_type(spec, depth=0) -%}
    {%- for name, kind in spec.items() -%}
        {{ "  " * depth }}{{ name }}: {{ kind|upper if kind is string else kind|tojson }};
    {%- endfor -%}
{%- endmacro -%}
{%- macro system_message() -%}
    {{- "Knowledge cutoff: 2024-06\n" }}
    {%- if reasoning_effort is not defined %}
        {%- set reasoning_effort = "medium" %}
    {%- endif %}
    {{- "Reasoning: " + reasoning_effort + "\n" }}
    {{- render_type({"b": "x", "a": [1, {"<k>": true}]}) }}
{%- endmacro -%}
<|start|>system<|message|>{{ system_message() }}<|end|>
{%- for message in messages -%}
    {%- if message.role == 'system' %}{% continue %}{% endif -%}
    {{- "<|start|>" ~ message.role ~ "<|message|>" ~ message.content ~ "<|end|>" }}
    {%- if loop.index == 2 %}{% break %}{% endif %}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}"#;
    let head = |effort: &str| {
        format!(
            "<|start|>system<|message|>Knowledge cutoff: 2024-06\nReasoning: {effort}\nb: X;a: [1, {{\"<k>\": true}}];<|end|>"
        )
    };
    let rest = "<|start|>user<|message|>Hi<|end|><|start|>assistant";
    assert_eq!(rendered(source, &TURNS[..2], json!({})), head("medium") + rest);
    assert_eq!(rendered(source, &TURNS[..2], json!({"reasoning_effort": "high"})), head("high") + rest);
}

#[test]
fn marks_of_what_the_model_says_change_nothing() {
    let source = "{% for message in messages %}\n  {% generation %}\n{{ message.content }}\n  {%- endgeneration -%}\n|{% endfor %}";
    assert_eq!(rendered(source, &TURNS[1..2], json!({})), "Hi|");
}

#[test]
fn a_broken_template_is_named_with_its_line() {
    let error = Template::new("line one\n{% if %}\n", "chat_template.jinja").unwrap_err();
    assert_eq!(error.object, "chat template in chat_template.jinja, line 2");
    let missing = render("{{ a.b.c }}", &TURNS[1..2], json!({})).unwrap_err();
    assert!(missing.object.contains("line 1") && !missing.remedy.is_empty());
}
