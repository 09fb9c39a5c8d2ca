//! Bodies right and wrong.

use super::*;
use proptest::prelude::*;

fn options() -> Options {
    Options { model: "m".to_owned(), max_model_len: 100, default_max_tokens: 16, ..Options::default() }
}

fn chat(extra: &str) -> Result<Ask, ApiError> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"two words"}}]{extra}}}"#);
    read(Route::Chat, &object(body.as_bytes())?, &options())
}

#[test]
fn a_full_request_is_read_in_all_its_parts() {
    let ask = chat(
        r#","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},
           "max_tokens":9,"min_tokens":3,"ignore_eos":true,"seed":-1,"simulate_fault":"500","unknown":1"#,
    )
    .unwrap();
    assert!(ask.stream && ask.include_usage && ask.continuous_usage && ask.ignore_eos);
    assert_eq!((ask.prompt_tokens, ask.max_tokens, ask.min_tokens), (3, 9, 3));
    assert_eq!((ask.seed, ask.fault.as_deref()), (Some(u64::MAX), Some("500")));
    let bare = chat("").unwrap();
    assert!(!bare.stream && !bare.include_usage && bare.max_tokens == 16);
    assert_eq!(chat(r#","max_tokens":5,"max_completion_tokens":7"#).unwrap().max_tokens, 7);
}

#[test]
fn wrong_fields_are_named() {
    for (extra, param) in [
        (r#","max_tokens":0"#, "max_tokens"),
        (r#","max_tokens":-1"#, "max_tokens"),
        (r#","max_tokens":98"#, "max_tokens"),
        (r#","max_tokens":99999999999"#, "max_tokens"),
        (r#","max_completion_tokens":"5""#, "max_completion_tokens"),
        (r#","max_tokens":4,"min_tokens":5"#, "min_tokens"),
        (r#","temperature":-0.1"#, "temperature"),
        (r#","stream":"yes""#, "stream"),
        (r#","stream_options":true"#, "stream_options"),
        (r#","n":2"#, "n"),
        (r#","seed":1.5"#, "seed"),
        (r#","ignore_eos":1"#, "ignore_eos"),
        (r#","simulate_fault":5"#, "simulate_fault"),
    ] {
        let error = chat(extra).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{extra}: {}", error.message);
    }
    assert_eq!(
        chat(r#","max_tokens":97"#).unwrap().max_tokens,
        97,
        "prompt and answer fill the model exactly"
    );
}

#[test]
fn models_prompts_and_bodies_are_checked() {
    let read_text =
        |route, text: &str| object(text.as_bytes()).and_then(|body| read(route, &body, &options()));
    let error = read_text(Route::Chat, r#"{"model":"x","messages":[]}"#).unwrap_err();
    assert_eq!((error.status, error.param.as_deref()), (404, Some("model")));
    assert!(error.message.contains("Valid aliases: m"));
    for text in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"messages":[]}"#,
        r#"{"messages":"hi"}"#,
        r#"{"messages":["hi"]}"#,
        r#"{"messages":[{"content":"hi"}]}"#,
        r#"{"messages":[{"role":"user","content":5}]}"#,
    ] {
        assert_eq!(read_text(Route::Chat, text).unwrap_err().status, 400, "{text}");
    }
    for text in
        [r#"{}"#, r#"{"prompt":5}"#, r#"{"prompt":["a","b"]}"#, r#"{"prompt":[]}"#, r#"{"prompt":[1,"a"]}"#]
    {
        assert_eq!(
            read_text(Route::Completions, text).unwrap_err().param.as_deref(),
            Some("prompt"),
            "{text}"
        );
    }
    for (text, tokens) in [
        (r#"{"prompt":"a b"}"#, 2),
        (r#"{"prompt":["a b c"]}"#, 3),
        (r#"{"prompt":[5,6,7,8]}"#, 4),
        (r#"{"prompt":[[5,6]]}"#, 2),
    ] {
        assert_eq!(read_text(Route::Completions, text).unwrap().prompt_tokens, tokens, "{text}");
    }
    let long = format!(r#"{{"prompt":"{}"}}"#, "a ".repeat(100));
    assert!(
        read_text(Route::Completions, &long).unwrap_err().message.contains("maximum context length is 100")
    );
    let parts = r#"{"messages":[{"role":"system","content":null},
        {"role":"user","content":[{"type":"text","text":"a b"},{"type":"image_url"},{"type":"text","text":"c"}]}]}"#;
    assert_eq!(read_text(Route::Chat, parts).unwrap().prompt_tokens, 1 + 1 + 3);
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body: Vec<u8>) {
        if let Ok(map) = object(&body) {
            let _ = read(Route::Chat, &map, &options());
        }
    }

    #[test]
    fn limits_hold_whatever_is_asked(max in 0_u64..300, min in 0_u64..300) {
        if let Ok(ask) = chat(&format!(r#","max_tokens":{max},"min_tokens":{min}"#)) {
            prop_assert!(ask.min_tokens <= ask.max_tokens);
            prop_assert!(ask.prompt_tokens + ask.max_tokens <= 100);
            prop_assert!(ask.max_tokens >= 1);
        }
    }
}
