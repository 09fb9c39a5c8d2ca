//! What events amount to, without sockets: every way to cut a recorded stream gives the same account.

use ai_energy_core::Stamp;
use ai_energy_core::backend::Tally;
use ai_energy_core::record::{
    ErrorClass, FinishReason, Generation, OutputChannel, RequestError, TokenCountSource,
};
use proptest::prelude::*;

use super::Account;
use crate::sse::SseParser;

fn read_in(pieces: &[&[u8]]) -> (Generation, u64) {
    let tally = Tally::default();
    let mut account = Account::new(200);
    let mut parser = SseParser::default();
    let mut outcome: Result<(), RequestError> = Ok(());
    for (position, piece) in pieces.iter().enumerate() {
        let at = Stamp(position as u64 + 1);
        parser
            .push(piece, |data| {
                outcome = account.event(data, at, &tally);
                outcome.is_ok() && !account.done
            })
            .unwrap();
        if outcome.is_err() || account.done {
            break;
        }
    }
    let outcome = outcome.and_then(|()| account.complete(true, parser.remainder().as_deref()));
    (account.close(Stamp(99), true, outcome.err()), tally.tokens())
}

fn read(stream: &str) -> Generation {
    read_in(&[stream.as_bytes()]).0
}

fn content(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}}}}]}}\n\n")
}

const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn class(generation: &Generation) -> Option<ErrorClass> {
    generation.error.as_ref().map(|error| error.class)
}

#[test]
fn a_role_or_empty_chunk_is_no_token() {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let null =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}}]}\n\n";
    let stream = [role, null, &content("a"), STOP].map(str::to_owned);
    let pieces: Vec<&[u8]> = stream.iter().map(|piece| piece.as_bytes()).collect();
    let (generation, tally) = read_in(&pieces);
    assert_eq!((generation.first_token, generation.first_content), (Some(Stamp(3)), Some(Stamp(3))));
    assert_eq!((generation.chunks.len(), tally), (1, 1));
    assert_eq!(
        generation.completion_tokens.map(|count| (count.tokens, count.source)),
        Some((1, TokenCountSource::Chunks))
    );
}

#[test]
fn thinking_of_either_name_and_tools_are_first_tokens_but_not_first_content() {
    for first in [
        r#"{"reasoning":"hm"}"#,
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm","reasoning_content":"hm"}"#,
    ] {
        let stream = format!("data: {{\"choices\":[{{\"delta\":{first}}}]}}\n\n{}{STOP}", content("a"));
        let (first, second) = stream.split_at(stream.find("\n\n").unwrap() + 2);
        let (generation, _) = read_in(&[first.as_bytes(), second.as_bytes()]);
        assert_eq!(
            (generation.first_token, generation.first_content),
            (Some(Stamp(1)), Some(Stamp(2))),
            "{first}"
        );
        assert_eq!(generation.chunks.first().unwrap().channel, OutputChannel::Reasoning);
        assert_eq!(generation.text.as_deref(), Some("hma"), "{first}");
    }
    for call in [
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"function_call":{"name":"f","arguments":"{}"}}"#,
    ] {
        let generation = read(&format!(
            "data: {{\"choices\":[{{\"delta\":{call},\"finish_reason\":\"tool_calls\"}}]}}\n\n"
        ));
        assert_eq!(generation.chunks.first().unwrap().channel, OutputChannel::Tool);
        assert_eq!((generation.first_content, generation.error.clone()), (None, None));
        assert_eq!(generation.finish_reason, Some(FinishReason::ToolCalls));
        assert_eq!(generation.text.as_deref(), Some("f{}"));
    }
}

#[test]
fn usage_in_every_chunk_counts_the_tokens_of_each() {
    let chunk = |text: &str, tokens: u32| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":{text:?}}}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{tokens}}}}}\n\n"
        )
    };
    // The second event is a token whose text is held back; the third shows both.
    let stream =
        [chunk("a", 1), chunk("", 2), chunk("bc", 4), STOP.to_owned(), "data: [DONE]\n\n".to_owned()]
            .concat();
    let (generation, tally) = read_in(&[stream.as_bytes()]);
    let tokens: Vec<Option<u32>> = generation.chunks.iter().map(|chunk| chunk.tokens).collect();
    assert_eq!((tokens, tally), (vec![Some(1), Some(3)], 4));
    // One usage at the end is the whole answer's, not the last chunk's.
    let generation = read(&[content("a"), chunk("b", 9), STOP.to_owned()].concat());
    assert!(generation.chunks.iter().all(|chunk| chunk.tokens.is_none()));
    assert_eq!(generation.completion_tokens.unwrap().tokens, 9);
}

#[test]
fn details_of_usage_and_energy_are_kept() {
    let generation = read(&[
        content("a"),
        "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\
         \"prompt_tokens_details\":{\"cached_tokens\":8},\"completion_tokens_details\":{\"reasoning_tokens\":2}},\
         \"energy\":{\"energy_joules\":1.5,\"avg_power_watts\":3}}\n\n"
            .to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat());
    assert_eq!((generation.cached_prompt_tokens, generation.reasoning_tokens), (Some(8), Some(2)));
    assert_eq!(generation.server_energy.unwrap().energy_joules, Some(1.5));
    assert_eq!(generation.response_id.as_deref(), Some("x"));
}

#[test]
fn an_error_inside_a_stream_is_no_success_whatever_follows() {
    for (error, expected) in [
        (r#"{"error":{"message":"boom","code":500}}"#, ErrorClass::Server),
        (r#"{"error":{"message":"boom","code":"429"}}"#, ErrorClass::RateLimited),
        (r#"{"error":{"message":"boom","code":"content_filter"}}"#, ErrorClass::Server),
        (r#"{"error":"boom"}"#, ErrorClass::Server),
        (r#"{"object":"error","message":"boom","code":400}"#, ErrorClass::BadRequest),
    ] {
        let generation = read(&format!("{}data: {error}\n\ndata: [DONE]\n\n", content("a")));
        assert_eq!(class(&generation), Some(expected), "{error}");
        assert!(generation.error.as_ref().unwrap().message.ends_with("boom"), "{generation:?}");
        assert_eq!(generation.chunks.len(), 1, "what came before is kept");
    }
    let aborted = format!("{}{}data: [DONE]\n\n", content("a"), STOP.replace("stop", "abort"));
    assert_eq!(class(&read(&aborted)), Some(ErrorClass::Server));
}

#[test]
fn how_a_stream_ends_decides_whether_it_is_whole() {
    let answer = content("a");
    for (end, expected) in [
        ("data: [DONE]\n\n", None),
        ("data: [DONE]", None),
        (STOP, None),
        ("", Some(ErrorClass::Truncated)),
        ("data: {\"choices\":[{\"del", Some(ErrorClass::Truncated)),
        (": keep-alive\n", Some(ErrorClass::Truncated)),
        ("data: {\"choices\":[{\"del\n\n", Some(ErrorClass::Protocol)),
        ("data: [1]\n\n", Some(ErrorClass::Protocol)),
    ] {
        assert_eq!(class(&read(&format!("{answer}{end}"))), expected, "{end:?}");
    }
    assert_eq!(class(&read("data: [DONE]\n\n")), Some(ErrorClass::Empty));
    assert_eq!(class(&read(STOP)), Some(ErrorClass::Empty));
    assert_eq!(class(&read("")), Some(ErrorClass::Truncated));
}

#[test]
fn invalid_utf8_is_a_protocol_error_with_an_excerpt() {
    let (generation, _) = read_in(&[
        content("a").as_bytes(),
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n",
    ]);
    let error = generation.error.unwrap();
    assert_eq!(error.class, ErrorClass::Protocol);
    assert!(error.message.contains("UTF-8") && error.message.contains("choices"), "{}", error.message);
}

#[test]
fn a_whole_answer_has_counts_and_text_but_no_moments() {
    let tally = Tally::default();
    let mut account = Account::new(200);
    let body = r#"{"id":"i","choices":[{"index":0,"message":{"role":"assistant","content":"hé","reasoning":null},
        "finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    account.whole(body.as_bytes(), &tally).unwrap();
    account.complete(false, None).unwrap();
    let generation = account.close(Stamp(5), false, None);
    assert_eq!((generation.first_token, generation.chunks.len(), generation.text), (None, 0, None));
    assert_eq!((generation.completion_tokens.unwrap().tokens, tally.tokens()), (2, 2));
}

#[test]
fn a_text_nobody_counted_is_kept_for_the_tokenizer_and_an_unwanted_one_is_not() {
    let tally = Tally::default();
    let mut account = Account::new(200);
    account.whole(br#"{"choices":[{"text":"abc","finish_reason":"stop"}]}"#, &tally).unwrap();
    let generation = account.close(Stamp(5), false, None);
    assert_eq!((generation.text.as_deref(), generation.completion_tokens), (Some("abc"), None));
}

proptest! {
    #[test]
    fn cuts_never_change_an_account(
        texts in proptest::collection::vec("[a-zé☕🙂\"\\\\\n ]{0,6}", 1..8),
        crlf in any::<bool>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut stream: String = texts.iter().map(|text| content(text)).collect();
        stream += STOP;
        if crlf {
            stream = stream.replace('\n', "\r\n");
        }
        let bytes = stream.as_bytes();
        let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        borders.extend([0, bytes.len()]);
        borders.sort_unstable();
        let pieces: Vec<&[u8]> = borders.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let (whole, whole_tally) = read_in(&[bytes]);
        let (cut, cut_tally) = read_in(&pieces);
        prop_assert_eq!(cut.text.clone().unwrap_or_default(), texts.concat());
        prop_assert_eq!((whole.text, whole.completion_tokens, whole.error, whole_tally),
            (cut.text, cut.completion_tokens, cut.error, cut_tally));
        prop_assert_eq!(whole.chunks.len(), texts.iter().filter(|text| !text.is_empty()).count());
    }
}

#[test]
fn events_that_repeat_a_shape_count_like_any_others() {
    let thought = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"reasoning\":{text:?}}}}}]}}\n\n")
    };
    let named = |text: &str| content(text).replacen('{', "{\"id\":\"x\",", 1);
    let stream = [
        thought("a"),
        thought("b"),
        content("c"),
        content("d\n"),
        content("e"),
        content("f"),
        named("g"),
        content("h").replace("\"index\":0", "\"index\":1"),
        content("i").replace("\"index\":0", "\"index\":1"),
        content("j"),
        STOP.to_owned(),
    ];
    let pieces: Vec<&[u8]> = stream.iter().map(|piece| piece.as_bytes()).collect();
    let (generation, tally) = read_in(&pieces);
    assert_eq!(generation.text.as_deref(), Some("abcd\nefgj\nhi"));
    let channels: Vec<bool> =
        generation.chunks.iter().map(|chunk| chunk.channel == OutputChannel::Content).collect();
    assert_eq!(channels, [false, false, true, true, true, true, true, true, true, true]);
    let stamps: Vec<u64> = generation.chunks.iter().map(|chunk| chunk.at.0).collect();
    assert_eq!((stamps, tally), ((1..=10).collect(), 10));
    assert_eq!((generation.first_content, generation.response_id.as_deref()), (Some(Stamp(3)), Some("x")));
}
