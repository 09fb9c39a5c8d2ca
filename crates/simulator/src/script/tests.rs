//! Answers as they are drawn.

use super::*;
use crate::distribution::Count;
use crate::tokens;
use proptest::prelude::*;

fn ask(max_tokens: u32, min_tokens: u32, ignore_eos: bool) -> Ask {
    Ask {
        stream: true,
        include_usage: false,
        continuous_usage: false,
        prompt_tokens: 10,
        max_tokens,
        min_tokens,
        ignore_eos,
        seed: None,
        fault: None,
    }
}

fn stopping(tokens: u32) -> Options {
    Options { output_tokens: Some(Count::constant(tokens)), ..Options::default() }
}

fn drawn(options: &Options, route: Route, ask: &Ask, sequence: u64) -> Script {
    Draft::draw(&Arc::new(options.clone()), route, ask, sequence).whole()
}

fn draw(options: &Options, ask: &Ask) -> Script {
    drawn(options, Route::Chat, ask, 1)
}

fn millis(script: &Script) -> Vec<u128> {
    script.pieces.iter().map(|piece| piece.due.as_millis()).collect()
}

#[test]
fn constant_delays_give_a_known_schedule() {
    let options = Options {
        ttft: "50ms".parse().unwrap(),
        inter_token: "10ms".parse().unwrap(),
        prefill_per_token: "2ms".parse().unwrap(),
        ..Options::default()
    };
    let script = draw(&options, &ask(4, 0, false));
    assert_eq!(script.first.as_millis(), 70);
    assert_eq!(millis(&script), [70, 80, 90, 100]);
    let threes = draw(&Options { tokens_per_chunk: Count::constant(3), ..options }, &ask(8, 0, false));
    assert_eq!(millis(&threes), [70, 100, 120], "a chunk of n comes n delays after the one before it");
    assert_eq!(threes.pieces.iter().map(|piece| piece.tokens).collect::<Vec<_>>(), [3, 3, 2]);
}

#[test]
fn the_end_of_sequence_is_counted_and_has_no_text() {
    let script = draw(&stopping(5), &ask(20, 0, false));
    assert_eq!((script.finish, script.completion_tokens), (Finish::Stop, 5));
    let last = script.pieces.last().unwrap();
    assert_eq!((last.text.as_str(), last.tokens, last.channel), ("", 1, Channel::Eos));
    assert_eq!(tokens::count(&script.text(Channel::Content)), 4);
}

#[test]
fn limits_decide_between_stop_and_length() {
    let outcome = |ask: &Ask| {
        let script = draw(&stopping(5), ask);
        (script.completion_tokens, script.finish)
    };
    assert_eq!(outcome(&ask(5, 0, false)), (5, Finish::Stop));
    assert_eq!(outcome(&ask(4, 0, false)), (4, Finish::Length));
    assert_eq!(outcome(&ask(20, 5, false)), (6, Finish::Stop), "five must come before the end may");
    assert_eq!(outcome(&ask(20, 20, false)), (20, Finish::Length));
    assert_eq!(outcome(&ask(20, 0, true)), (20, Finish::Length));
    assert_eq!(draw(&Options::default(), &ask(7, 0, false)).finish, Finish::Length);
}

#[test]
fn thinking_comes_first_and_shares_no_chunk_with_the_answer() {
    let options = Options {
        reasoning_tokens: Count::constant(5),
        tokens_per_chunk: Count::constant(2),
        ..stopping(12)
    };
    let script = draw(&options, &ask(50, 0, false));
    let channels: Vec<_> = script.pieces.iter().map(|piece| (piece.channel, piece.tokens)).collect();
    let (thinking, answer) = (Channel::Reasoning, Channel::Content);
    assert_eq!(
        channels,
        [
            (thinking, 2),
            (thinking, 2),
            (thinking, 1),
            (answer, 2),
            (answer, 2),
            (answer, 2),
            (Channel::Eos, 1)
        ]
    );
    assert_eq!(script.reasoning_tokens, 5);
    assert!(!script.text(answer).starts_with(' '));
    let plain = drawn(&options, Route::Completions, &ask(50, 0, false), 1);
    assert_eq!(plain.reasoning_tokens, 0);
}

#[test]
fn jitter_moves_a_token_without_moving_the_schedule() {
    let steady =
        Options { inter_token: "10ms".parse().unwrap(), ttft: "0".parse().unwrap(), ..Options::default() };
    let shaky = Options { jitter: "uniform:0ms..4ms".parse().unwrap(), ..steady.clone() };
    let dues = millis(&draw(&shaky, &ask(200, 0, false)));
    assert_ne!(dues, millis(&draw(&steady, &ask(200, 0, false))));
    for (position, due) in (0_u128..).zip(dues) {
        assert!((position * 10..=position * 10 + 4).contains(&due), "token {position} at {due} ms");
    }
}

#[test]
fn seeds_decide_delays_and_text() {
    let options = Options { ttft: "exponential:50ms".parse().unwrap(), ..Options::default() };
    let other = Options { seed: 1, ..options.clone() };
    let wish = ask(20, 0, false);
    assert_eq!(draw(&options, &wish), draw(&options, &wish));
    assert_ne!(draw(&options, &wish).first, draw(&other, &wish).first);
    assert_ne!(draw(&options, &wish).first, drawn(&options, Route::Chat, &wish, 2).first);
    let seeded = Ask { seed: Some(42), ..wish.clone() };
    let text = |script: Script| script.text(Channel::Content);
    let again = text(drawn(&options, Route::Chat, &seeded, 9));
    assert_eq!(text(draw(&options, &seeded)), again, "the request's seed picks the text");
    assert_ne!(text(draw(&options, &wish)), again);
}

#[test]
fn faults_are_induced_at_their_rate() {
    let options = Options {
        faults: ["429@20%", "500@50%", "cut:1@every:10"].map(|rule| rule.parse().unwrap()).to_vec(),
        ..Options::default()
    };
    let struck: Vec<_> = (1..=10_000).map(|sequence| induced(&options, sequence)).collect();
    let share = |fault| struck.iter().filter(|struck| **struck == fault).count();
    assert!((1_900..2_100).contains(&share(Some(InducedFault::RateLimited))));
    assert!((3_850..4_150).contains(&share(Some(InducedFault::InternalError))), "half of those left over");
    assert!(
        (350..450).contains(&share(Some(InducedFault::Cut(1)))),
        "every tenth, where no other struck first"
    );
    assert_eq!(induced(&Options::default(), 1), None);
}

proptest! {
    #[test]
    fn every_answer_adds_up(
        seed: u64, natural in 0_u32..60, max in 1_u32..60, min in 0_u32..60,
        chunk in 1_u32..6, thinking in 0_u32..30, ignore_eos: bool,
    ) {
        let options = Options {
            seed,
            tokens_per_chunk: format!("uniform:1..{chunk}").parse().unwrap(),
            reasoning_tokens: Count::constant(thinking),
            inter_token: "lognormal:5ms,1".parse().unwrap(),
            jitter: "exponential:9ms".parse().unwrap(),
            ..stopping(natural)
        };
        let script = draw(&options, &ask(max, min.min(max), ignore_eos));
        let sum: u32 = script.pieces.iter().map(|piece| piece.tokens).sum();
        prop_assert_eq!(sum, script.completion_tokens);
        prop_assert!(script.completion_tokens >= 1 && script.completion_tokens <= max);
        prop_assert!(script.completion_tokens >= min.min(max));
        let eos = u32::from(script.finish == Finish::Stop);
        let words = tokens::count(&script.text(Channel::Content)) + tokens::count(&script.text(Channel::Reasoning));
        prop_assert_eq!(words + eos, script.completion_tokens);
        prop_assert!(script.pieces.windows(2).all(|pair| pair[0].due <= pair[1].due));
        prop_assert!(script.pieces.iter().all(|piece| piece.tokens > 0));
    }
}
