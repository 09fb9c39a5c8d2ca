//! The loop over a fake model: every promise of the protocol that needs no tensor.

use std::io::Read;

use ai_energy_backends_pytorch::protocol::{EngineErrorKind, EnginePrompt, FromEngine, Generate, ToEngine};
use ai_energy_core::prompt::{Message, Role};
use ai_energy_core::record::OutputChannel::{Content, Reasoning};
use serde_json::{Map, Value, json};

use super::fake::{CONTEXT, Heard, Host, ask};

fn stats(host: &mut Host) -> Map<String, Value> {
    host.say(&ToEngine::Stats);
    match host.hear() {
        FromEngine::Stats { figures } => figures,
        other => panic!("{other:?}"),
    }
}

/// What a prompt is answered by on its own.
fn alone(generate: Generate) -> Heard {
    let mut host = Host::loaded(1, true);
    let id = generate.id.clone();
    host.generate(generate);
    let [heard] = host.hear_all([id.as_str()]);
    heard
}

#[test]
fn a_generation_is_told_token_by_token_and_ends_with_its_counts() {
    let heard = alone(ask("a", "say:hé!", 20));
    assert_eq!((heard.text.as_str(), heard.tokens), ("hé!", 5), "bytes, and the end token");
    assert_eq!(heard.done(), (9, 5, "stop", 0), "the token that begins the sequence counts");
    assert!(heard.stamps.is_sorted());
    assert_eq!(alone(ask("a", "say:hello", 3)).done(), (10, 3, "length", 0));
}

#[test]
fn loading_says_how_far_it_is_and_what_was_loaded() {
    let mut host = Host::start();
    host.load("m", 3, true);
    let progress = host.hear();
    assert_eq!(
        progress,
        FromEngine::Progress {
            stage: "loading weights".into(),
            done: 7,
            total: Some(7),
            unit: "bytes".into()
        }
    );
    let FromEngine::Loaded { device, dtype, details } = host.hear() else { panic!("not loaded") };
    assert_eq!((device.as_str(), dtype.as_str()), ("cpu", "float32"));
    assert_eq!(
        Value::Object(details),
        json!({"kernels": "fake", "batch_size": 3, "context_tokens": CONTEXT})
    );
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_the_engine_listening() {
    let mut host = Host::start();
    for (model, kind) in [("strange", EngineErrorKind::Unsupported), ("panic", EngineErrorKind::Internal)] {
        host.load(model, 1, true);
        let FromEngine::Error { id: None, kind: said, .. } = host.hear() else {
            panic!("{model} was loaded")
        };
        assert_eq!(said, kind);
    }
    host.generate(ask("a", "x", 1));
    let [heard] = host.hear_all(["a"]);
    assert_eq!(heard.error().0, EngineErrorKind::BadRequest, "there is no model");
    host.load("m", 1, true);
    assert!(matches!(host.hear(), FromEngine::Progress { .. }));
    assert!(matches!(host.hear(), FromEngine::Loaded { .. }));
}

#[test]
fn the_clock_is_answered_while_the_model_computes() {
    let mut host = Host::loaded(1, true);
    host.gate.close();
    host.generate(ask("a", "x", 2));
    host.gate.wait_for_arrivals(1);
    for seq in 0..3 {
        host.say(&ToEngine::Clock { seq });
        assert!(matches!(host.hear(), FromEngine::Clock { seq: back, .. } if back == seq));
    }
    host.gate.open();
    let [heard] = host.hear_all(["a"]);
    assert_eq!(heard.tokens, 2);
}

#[test]
fn requests_that_wait_are_computed_together_and_each_gets_its_own_answer() {
    let prompts = ["one", "say:ab", "quite a long prompt", "say:a longer answer"];
    let mut host = Host::loaded(4, true);
    host.gate.close();
    host.generate(ask("first", "x", 1));
    host.gate.wait_for_arrivals(1);
    for (id, prompt) in ["a", "b", "c", "d"].into_iter().zip(prompts) {
        host.generate(ask(id, prompt, 12));
    }
    host.settle();
    host.gate.open();
    let heard = host.hear_all(["first", "a", "b", "c", "d"]);
    let figures = stats(&mut host);
    assert_eq!(figures["engine_batches_by_size"], json!({"1": 1, "4": 1}));
    assert_eq!(figures["engine_completed_requests"], json!(5));
    assert_eq!(figures["fake_bytes"], json!(5));
    let tokens: u32 = heard.iter().map(|heard| heard.tokens).sum();
    assert_eq!(figures["engine_generated_tokens"], json!(tokens));
    for (heard, prompt) in heard[1..].iter().zip(prompts) {
        let single = alone(ask("s", prompt, 12));
        assert_eq!((&heard.text, heard.done()), (&single.text, single.done()), "{prompt}");
    }
}

#[test]
fn no_batch_is_larger_than_agreed() {
    let mut host = Host::loaded(2, true);
    host.gate.close();
    host.generate(ask("a", "1", 1));
    host.gate.wait_for_arrivals(1);
    for id in ["b", "c", "d"] {
        host.generate(ask(id, id, 2));
    }
    host.settle();
    host.gate.open();
    host.hear_all(["a", "b", "c", "d"]);
    assert_eq!(stats(&mut host)["engine_batches_by_size"], json!({"1": 2, "2": 1}));
}

#[test]
fn rows_that_do_not_fit_together_are_computed_apart() {
    let mut host = Host::loaded(2, true);
    host.gate.close();
    host.generate(ask("x", "x", 1));
    host.gate.wait_for_arrivals(1);
    let long = "p".repeat(CONTEXT - 10);
    host.generate(ask("a", &long, 5));
    host.generate(ask("b", "short", 40));
    host.settle();
    host.gate.open();
    let [_, a, b] = host.hear_all(["x", "a", "b"]);
    assert_eq!((a.tokens, b.tokens), (5, 40));
}

#[test]
fn a_cancelled_row_ends_within_a_step_and_the_others_go_on() {
    let mut host = Host::loaded(2, true);
    host.gate.close();
    host.generate(ask("x", "x", 1));
    host.gate.wait_for_arrivals(1);
    host.generate(ask("a", "a", 30));
    host.generate(ask("b", "b", 30));
    host.generate(ask("waiting", "c", 30));
    host.settle();
    host.gate.permit(2);
    host.hear_all(["x"]);
    // Both have one token each, and the model stands before its first step.
    host.gate.wait_for_arrivals(3);
    host.say(&ToEngine::Cancel { id: "a".into() });
    host.say(&ToEngine::Cancel { id: "waiting".into() });
    host.say(&ToEngine::Cancel { id: "nobody".into() });
    // Read in order with the cancellations, so they have been handed over when it is answered.
    host.say(&ToEngine::Clock { seq: 1 });
    let mut before = Vec::new();
    loop {
        match host.hear() {
            FromEngine::Clock { .. } => break,
            other => before.push(other),
        }
    }
    host.gate.open();
    let mut tokens_of_a = before.iter().filter(|said| said.generation() == Some("a")).count();
    let mut end = None;
    while end.is_none() {
        let said = host.hear();
        assert_ne!(said.generation(), Some("waiting"));
        match (said.generation(), &said) {
            (Some("a"), FromEngine::Token { .. }) => tokens_of_a += 1,
            (Some("b"), FromEngine::Done { completion_tokens, .. }) => end = Some(*completion_tokens),
            (Some("b"), FromEngine::Token { .. }) => {}
            _ => panic!("{said:?}"),
        }
    }
    assert_eq!((end, tokens_of_a), (Some(30), 2), "one before the cancellation, one for the step under way");
    let figures = stats(&mut host);
    assert_eq!(
        (&figures["engine_cancelled_requests"], &figures["engine_completed_requests"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn stop_strings_end_a_generation_and_are_not_told() {
    let stopped = Generate { stop: vec!["END".into()], ..ask("a", "say:one ENDless", 20) };
    let heard = alone(stopped);
    assert_eq!((heard.text.as_str(), heard.done().2, heard.tokens), ("one ", "stop", 7));
    let near = Generate { stop: vec!["ENDS".into()], ..ask("a", "say:one END", 20) };
    assert_eq!(alone(near).text, "one END", "what was held back is told at the end");
}

#[test]
fn end_tokens_wait_for_the_fewest_tokens_and_may_be_ignored() {
    let heard = alone(Generate { min_new_tokens: Some(6), ..ask("a", "say:ab", 6) });
    assert_eq!(heard.done(), (7, 6, "length", 0));
    let heard = alone(Generate { ignore_eos: Some(true), ..ask("a", "say:ab", 6) });
    assert_eq!((heard.tokens, heard.text.as_str(), heard.done().2), (6, "ab", "length"));
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_or_cut_as_agreed() {
    let long = ["x".repeat(CONTEXT), "say:tail".to_owned()].concat();
    let mut strict = Host::loaded(1, false);
    strict.generate(ask("a", &long, 10));
    let [heard] = strict.hear_all(["a"]);
    let (kind, object, message) = heard.error();
    assert_eq!((kind, object), (EngineErrorKind::BadRequest, "prompt"));
    assert!(
        message.contains("73 tokens") && message.contains("10 new") && message.contains("64"),
        "{message}"
    );

    let heard = alone(ask("a", &long, 10));
    assert_eq!(heard.text, "tail", "the end of the prompt is what stays");
    assert_eq!(heard.done(), (54, 5, "stop", 19));

    let heard = alone(ask("a", "x", CONTEXT as u32));
    let (kind, object, message) = heard.error();
    assert_eq!((kind, object), (EngineErrorKind::BadRequest, "max_new_tokens"));
    assert_eq!(message.matches("64").count(), 2, "{message}");
}

#[test]
fn out_of_memory_fails_what_does_not_fit_alone_and_nothing_else() {
    let mut host = Host::loaded(4, true);
    host.gate.close();
    host.generate(ask("x", "x", 1));
    host.gate.wait_for_arrivals(1);
    for (id, prompt) in [("a", "fine"), ("b", "big"), ("c", "huge"), ("d", "fine too")] {
        host.generate(ask(id, prompt, 3));
    }
    host.settle();
    host.gate.open();
    let [_, a, b, c, d] = host.hear_all(["x", "a", "b", "c", "d"]);
    assert_eq!(c.error().0, EngineErrorKind::OutOfMemory);
    assert_eq!([a, b, d].map(|heard| heard.tokens), [3; 3]);
}

#[test]
fn a_panic_fails_the_generation_and_not_the_engine() {
    let mut host = Host::loaded(1, true);
    for (id, prompt) in [("begin", "panic"), ("step", "say:fail")] {
        host.generate(ask(id, prompt, 8));
        let [heard] = host.hear_all([id]);
        let (kind, _, message) = heard.error();
        assert_eq!(kind, EngineErrorKind::Internal);
        assert!(message.contains("as asked"), "{message}");
    }
    host.generate(ask("next", "say:ok", 8));
    let [heard] = host.hear_all(["next"]);
    assert_eq!(heard.text, "ok");
    assert_eq!(stats(&mut host)["engine_failed_requests"], json!(2));
}

#[test]
fn what_is_no_line_of_the_protocol_is_answered_by_an_error() {
    let mut host = Host::loaded(1, true);
    host.say_line("{\"type\":\"dance\"}\n\nnot json\n");
    for _ in 0..2 {
        assert!(matches!(host.hear(), FromEngine::Error { id: None, kind: EngineErrorKind::BadRequest, .. }));
    }
    host.say_line("{\"type\":\"generate\",\"id\":\"g\",\"prompt\":7}\n");
    assert!(matches!(host.hear(), FromEngine::Error { id: Some(id), .. } if id == "g"));
    host.generate(ask("a", "say:ok", 8));
    let [heard] = host.hear_all(["a"]);
    assert_eq!(heard.text, "ok");
}

#[test]
fn seeds_decide_and_the_batch_around_does_not() {
    let draw = |id: &str, seed| Generate {
        seed: Some(seed),
        do_sample: Some(true),
        temperature: Some(5.0),
        top_k: Some(-1),
        ..ask(id, "x", 20)
    };
    let single = alone(draw("a", 1));
    let mut host = Host::loaded(3, true);
    host.gate.close();
    host.generate(ask("first", "x", 1));
    host.gate.wait_for_arrivals(1);
    host.generate(ask("greedy", "y", 9));
    host.generate(draw("a", 1));
    host.generate(draw("b", 2));
    host.settle();
    host.gate.open();
    let [_, greedy, a, b] = host.hear_all(["first", "greedy", "a", "b"]);
    assert_eq!((&a.text, a.tokens), (&single.text, single.tokens));
    assert_ne!(a.text, b.text);
    assert_eq!(greedy.text, alone(ask("g", "y", 9)).text);
}

#[test]
fn thinking_is_told_apart_from_the_answer() {
    let heard = alone(ask("a", "say:<think>m</think>k", 40));
    let first = heard.channels.iter().rposition(|channel| *channel == Reasoning);
    assert_eq!((first, heard.channels.len()), (Some(15), 18));
    assert_eq!(heard.channels[16..], [Content; 2]);
}

#[test]
fn a_conversation_without_a_template_is_what_was_said() {
    let message = |content: &str| Message { role: Role::User, content: content.into() };
    let prompt =
        EnginePrompt::Chat { messages: vec![message("before"), message("say:ok")], template: Map::new() };
    let heard = alone(Generate { prompt, ..ask("a", "", 8) });
    assert_eq!((heard.text.as_str(), heard.done().0), ("ok", 15));
    assert_eq!(alone(ask("a", "", 1)).done().0, 1, "an empty prompt is the token that begins a sequence");
}

#[test]
fn names_are_unique_among_those_under_way() {
    let mut host = Host::loaded(1, true);
    host.gate.close();
    host.generate(ask("a", "x", 2));
    host.gate.wait_for_arrivals(1);
    host.generate(ask("b", "x", 2));
    host.generate(ask("b", "x", 2));
    host.gate.open();
    let mut errors = 0;
    let mut done = 0;
    while done < 2 {
        match host.hear() {
            FromEngine::Error { id, .. } => {
                assert_eq!(id.as_deref(), Some("b"));
                errors += 1;
            }
            FromEngine::Done { .. } => done += 1,
            _ => {}
        }
    }
    assert_eq!(errors, 1);
}

#[test]
fn unloading_is_the_last_thing_said() {
    let mut host = Host::loaded(1, true);
    host.say(&ToEngine::Unload);
    assert_eq!(host.hear(), FromEngine::Unloaded);
    let mut rest = String::new();
    host.from.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    host.serving.join().unwrap().unwrap();
}

#[test]
fn the_end_of_the_input_ends_the_loop_in_the_middle_of_a_generation() {
    let mut host = Host::loaded(1, true);
    host.gate.close();
    host.generate(ask("a", "x", 60));
    host.gate.wait_for_arrivals(1);
    host.gate.permit(3);
    host.gate.wait_for_arrivals(3);
    host.to = None;
    host.gate.open();
    host.serving.join().unwrap().unwrap();
}
