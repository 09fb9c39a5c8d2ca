//! The quick reader and `serde_json` agree on every line that the quick one recognises.

use ai_energy_core::record::{Chunk, ErrorClass, RequestError};
use proptest::prelude::*;

use super::*;

fn any_request() -> impl Strategy<Value = RequestRecord> {
    let stamp = || prop::option::weighted(0.9, prop_oneof![0..5_000_000_000_000_u64, any::<u64>()]);
    let gaps = prop::collection::vec(
        (prop_oneof![0..20_000_000_u64, any::<u64>()], 0..3_usize, prop::option::of(0..4_u32)),
        0..30,
    );
    let texts = (
        "[a-z0-9-]{0,40}",
        prop::option::weighted(0.3, "[a-zé\"\\\\\n ]{0,9}"),
        prop::option::of("[a-z_]{0,9}"),
    );
    (texts, stamp(), stamp(), any::<u64>(), gaps, prop::option::of(any::<u32>()), 0..4_u8).prop_map(
        |((id, text, word), first, second, end, gaps, count, kind)| {
            let channels = [OutputChannel::Content, OutputChannel::Reasoning, OutputChannel::Tool];
            let mut at = 0_u64;
            let chunks = gaps.into_iter().map(|(gap, channel, tokens)| {
                at = at.wrapping_add(gap);
                Chunk { at: Stamp(at), channel: channels[channel], tokens }
            });
            let generation = Generation {
                sent: first.map(Stamp),
                first_byte: second.map(Stamp),
                first_token: first.map(Stamp),
                first_content: second.map(Stamp),
                end: Stamp(end),
                chunks: chunks.collect(),
                prompt_tokens: count.map(|tokens| TokenCount { tokens, source: TokenCountSource::Tokenizer }),
                cached_prompt_tokens: count,
                completion_tokens: count
                    .map(|tokens| TokenCount { tokens, source: TokenCountSource::Server }),
                finish_reason: match kind {
                    0 => None,
                    1 => Some(FinishReason::Length),
                    2 => Some(FinishReason::ToolCalls),
                    _ => word.clone().map(FinishReason::Other),
                },
                response_id: word,
                bytes_received: end / 3,
                text,
                server: (kind == 2).then_some(7),
                error: (kind == 3).then(|| RequestError {
                    class: ErrorClass::Server,
                    message: "no".to_owned(),
                    status: None,
                }),
                ..Generation::default()
            };
            let offer = Offer {
                planned: kind > 1,
                admitted: second.map(Stamp),
                step: kind.into(),
                ..Offer::default()
            };
            RequestRecord { id, prompt_index: 3, scheduled: Stamp(end / 2), offer, generation }
        },
    )
}

fn agrees(line: &[u8]) -> Result<bool, TestCaseError> {
    let Some(quick) = parse(line, &mut Room::default()) else { return Ok(false) };
    let slow = serde_json::from_slice::<RequestRecord>(line).ok();
    prop_assert_eq!(Some(quick), slow, "{}", String::from_utf8_lossy(line));
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_readers_agree_on_whole_lines_and_on_damaged_ones(
        request in any_request(),
        place in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"0123456789-.,:eE[]{}\"n "[..])],
    ) {
        let line = serde_json::to_vec(&request).unwrap();
        agrees(&line)?;
        let place = place.index(line.len());
        agrees(&line[..place])?;
        let mut changed = line.clone();
        changed[place] = byte;
        agrees(&changed)?;
        let mut added = line.clone();
        added.insert(place, byte);
        agrees(&added)?;
        let mut lost = line;
        lost.remove(place);
        agrees(&lost)?;
    }

    #[test]
    fn numbers_are_those_of_json(text in "-?[0-9]{0,22}[.eE]?[0-9]?") {
        for (before, after) in [("", ""), ("", ",1,\"a long rest of a line\"")] {
            let line = format!("{before}{text}{after}");
            let quick = Line(line.as_bytes()).number();
            let slow = serde_json::from_str::<u64>(&text).ok();
            prop_assert!(quick.is_none() || quick == slow, "{text}: {quick:?} {slow:?}");
            let whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(!whole || quick == slow, "{text}: {quick:?} {slow:?}");
        }
    }
}

#[test]
fn the_usual_lines_of_a_run_are_recognised() {
    let chunk = |number: u64| Chunk {
        at: Stamp(1_000_000 + number * 10_123_456),
        channel: if number < 4 { OutputChannel::Reasoning } else { OutputChannel::Content },
        tokens: Some(1),
    };
    let served = |tokens| Some(TokenCount { tokens, source: TokenCountSource::Server });
    let mut request = RequestRecord {
        id: "benchmark-20260101-000000-abcd-000001".to_owned(),
        prompt_index: 1,
        scheduled: Stamp(900_000),
        offer: Offer::default(),
        generation: Generation {
            sent: Some(Stamp(950_000)),
            first_byte: Some(Stamp(960_000)),
            first_token: Some(Stamp(1_000_000)),
            first_content: Some(Stamp(41_493_824)),
            end: Stamp(2_000_000_000),
            chunks: (0..100).map(chunk).collect(),
            prompt_tokens: served(200),
            completion_tokens: served(100),
            finish_reason: Some(FinishReason::Length),
            response_id: Some("chatcmpl-1".to_owned()),
            bytes_received: 23_456,
            ..Generation::default()
        },
    };
    for open in [false, true] {
        if open {
            request.offer =
                Offer { planned: true, admitted: Some(Stamp(910_000)), step: 2, ..Offer::default() };
        }
        let line = serde_json::to_vec(&request).unwrap();
        assert_eq!(
            parse(&line, &mut Room::default()),
            Some(request.clone()),
            "{}",
            String::from_utf8_lossy(&line)
        );
    }
}
