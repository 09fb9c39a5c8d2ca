//! Tests of tokenizers, chat templates and the detokenizer.

use std::path::Path;

use ai_energy_core::prompt::{Message, Role};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::template::Template;
use super::*;

const GENERIC: SpecialTokens = SpecialTokens { bos: None, eos: None, unk: None, pad: None };

fn special() -> SpecialTokens {
    SpecialTokens { bos: Some("<s>".to_owned()), eos: Some("</s>".to_owned()), ..GENERIC }
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

/// A byte-level tokenizer with a token for each byte and a few for pairs, some of which end within a character.
fn byte_pairs() -> Value {
    // Bytes that are no printable character stand as characters from U+0100 on, as GPT-2 wrote them.
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let mut next = 0x100;
    let letters: Vec<String> = (0..=255_u8)
        .map(|byte| {
            if printable(&byte) {
                return char::from(byte).to_string();
            }
            next += 1;
            char::from_u32(next - 1).unwrap().to_string()
        })
        .collect();
    let merges = [[0xC3, 0xA9], [0xE4, 0xB8], [0xF0, 0x9F], [0x20, 0x74], [0x68, 0x65]];
    let mut vocab: Map<String, Value> =
        letters.iter().enumerate().map(|(id, letter)| (letter.clone(), id.into())).collect();
    let merges: Vec<Value> = merges
        .iter()
        .map(|[left, right]: &[usize; 2]| {
            vocab.insert(format!("{}{}", letters[*left], letters[*right]), vocab.len().into());
            json!([letters[*left], letters[*right]])
        })
        .collect();
    let end = vocab.len();
    json!({
        "version": "1.0", "normalizer": null, "post_processor": null,
        "added_tokens": [{"id": end, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

fn text(description: Value) -> Text {
    let tokenizer: Tokenizer = serde_json::from_value(description).unwrap();
    Text::from_tokenizer(tokenizer, GENERIC, None).unwrap()
}

fn streamed(text: &Text, tokens: &[u32]) -> Vec<String> {
    let mut detokenizer = text.detokenizer();
    let mut pieces: Vec<String> = tokens.iter().map(|token| detokenizer.push(*token)).collect();
    pieces.push(detokenizer.finish());
    pieces
}

#[test]
fn a_character_waits_until_it_is_whole() {
    let text = text(byte_pairs());
    let tokens = text.encode("a中<|end|>🦀", true).unwrap();
    let pieces = streamed(&text, &tokens);
    assert_eq!(pieces.concat(), "a中🦀");
    let full: Vec<&String> = pieces.iter().filter(|piece| !piece.is_empty()).collect();
    assert_eq!(full, ["a", "中", "🦀"]);
    // Cut in the middle of the crab: what is left is said to be no character.
    assert_eq!(streamed(&text, &tokens[..tokens.len() - 1]).concat(), "a中\u{FFFD}");
}

#[test]
fn special_and_unknown_tokens_make_no_text_and_no_work() {
    let text = text(byte_pairs());
    let end = text.token_id("<|end|>").unwrap();
    let mut detokenizer = text.detokenizer();
    for token in [end, 70_000].repeat(5000) {
        assert_eq!(detokenizer.push(token), "");
    }
    assert_eq!(detokenizer.push(97), "a");
}

#[test]
fn broken_bytes_for_ever_do_not_wait_for_ever() {
    let text = text(byte_pairs());
    let mut detokenizer = text.detokenizer();
    let said: String = (0..200).map(|_| detokenizer.push(0xBF)).collect();
    assert!(said.chars().count() >= 128 && said.chars().all(|c| c == char::REPLACEMENT_CHARACTER));
}

#[test]
fn the_stand_in_streams_as_well() {
    let text = Text::byte_level(1000, Some(300));
    let tokens = text.encode("é中", true).unwrap();
    assert_eq!(tokens[0], 300);
    assert_eq!(streamed(&text, &tokens), ["", "", "é", "", "", "中", ""]);
    assert!(text.is_fallback() && !text.has_chat_template());
    assert!(text.render_chat(&said(&TURNS), &Map::new()).unwrap_err().cause.contains("none"));
}

fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let bytes = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn opened(path: &Path) -> Text {
    Text::from_folder(path).unwrap().unwrap()
}

#[test]
fn the_template_is_found_wherever_it_is_kept() {
    let tokenizer = ("tokenizer.json", byte_pairs());
    let named = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "list"}]);
    for (config, files, wanted) in [
        (json!({"chat_template": "text"}), vec![], "text"),
        (json!({"chat_template": named}), vec![], "list"),
        (json!({"chat_template": "text"}), vec![("chat_template.jinja", json!("file"))], "file"),
        (json!({}), vec![("chat_template.json", json!({"chat_template": "older"}))], "older"),
    ] {
        let mut all = vec![tokenizer.clone(), ("tokenizer_config.json", config)];
        all.extend(files);
        let folder = folder(&all);
        assert_eq!(opened(folder.path()).render_chat(&said(&TURNS), &Map::new()).unwrap(), wanted);
    }
    let without = folder(std::slice::from_ref(&tokenizer));
    assert!(!opened(without.path()).has_chat_template());
    assert!(Text::from_folder(folder(&[]).path()).unwrap().is_none());
}

#[test]
fn special_tokens_are_texts_or_objects_and_reach_the_template() {
    let folder = folder(&[
        ("tokenizer.json", byte_pairs()),
        (
            "tokenizer_config.json",
            json!({"eos_token": {"content": "<|end|>"}, "bos_token": null,
            "chat_template": "{{ bos_token }}{{ eos_token }}{{ unk_token }}"}),
        ),
        ("special_tokens_map.json", json!({"bos_token": "a", "eos_token": "wrong"})),
    ]);
    let text = opened(folder.path());
    assert_eq!(text.special_tokens().eos.as_deref(), Some("<|end|>"));
    assert_eq!(text.render_chat(&said(&TURNS), &Map::new()).unwrap(), "a<|end|>");
}

#[test]
fn a_token_that_begins_a_sequence_is_added_where_the_configuration_says_so() {
    let begin = |add: Value, class: &str| {
        let config = json!({"bos_token": "<|end|>", "add_bos_token": add, "tokenizer_class": class});
        let folder = folder(&[("tokenizer.json", byte_pairs()), ("tokenizer_config.json", config)]);
        let text = opened(folder.path());
        (text.encode("a", true).unwrap(), text.encode("a", false).unwrap())
    };
    let end = text(byte_pairs()).token_id("<|end|>").unwrap();
    assert_eq!(begin(json!(true), "LlamaTokenizerFast"), (vec![end, 97], vec![97]));
    assert_eq!(begin(json!(false), "LlamaTokenizer").0, [97]);
    assert_eq!(begin(json!(true), "Qwen2Tokenizer").0, [97]);
}

#[test]
fn damaged_files_are_named() {
    let broken = folder(&[("tokenizer.json", json!("{\"version\": "))]);
    let error = Text::from_folder(broken.path()).unwrap_err();
    assert!(error.object.ends_with("tokenizer.json") && !error.remedy.is_empty(), "{error}");
    let config = folder(&[("tokenizer.json", byte_pairs()), ("tokenizer_config.json", json!("[1]"))]);
    let error = Text::from_folder(config.path()).unwrap_err();
    assert!(error.object.ends_with("tokenizer_config.json") && error.cause.contains("line 1"), "{error}");
}

proptest! {
    /// Any tokens, broken characters among them: the pieces together are the whole decode, and none ends within a
    /// character that a later token completes.
    #[test]
    fn pieces_together_are_the_whole(tokens in prop::collection::vec(0u32..264, 0..60)) {
        let text = text(byte_pairs());
        let pieces = streamed(&text, &tokens);
        prop_assert_eq!(pieces.concat(), text.decode(&tokens));
    }

    /// Any text comes back whole, through the tokenizer and through the stand-in.
    #[test]
    fn texts_come_back(input in "\\PC{0,40}") {
        for text in [text(byte_pairs()), Text::byte_level(300, None)] {
            let tokens = text.encode(&input, true).unwrap();
            prop_assert_eq!(streamed(&text, &tokens).concat(), input.clone());
        }
    }
}
