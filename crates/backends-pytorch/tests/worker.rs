//! The transformers engine as a process, over the lines of the protocol: on a small random model that comes with the engine's
//! fixtures, whose continuation transformers itself has written down.
//!
//! `AI_ENERGY_PYTHON` names a Python that has torch and transformers; without it these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ai_energy_backends_pytorch::protocol::{
    EngineErrorKind, EnginePrompt, FromEngine, Generate, ToEngine, VERSION, to_line,
};
use ai_energy_backends_pytorch::{EngineOptions, Options, TorchDtype};
use ai_energy_core::prompt::{Message, Role};
use serde_json::{Map, Value};

const WORKER: &str = include_str!("../src/worker/ai_energy_transformers.py");

/// Longer than importing torch takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/fixtures/models/llama")
}

/// What transformers continues a text with: prompt tokens, text until the end token, tokens until then.
fn expected(place: usize) -> (String, String, u32) {
    let expected: Value =
        serde_json::from_slice(&std::fs::read(model().join("expected.json")).unwrap()).unwrap();
    let row = &expected["texts"][place];
    let tokens = row["ids_until_end"].as_array().unwrap().len();
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("text"), text("text_until_end"), u32::try_from(tokens).unwrap())
}

/// A running worker.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<FromEngine>,
}

impl Worker {
    /// Starts one; `None`, with a word, where no Python is named.
    fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("AI_ENERGY_PYTHON") else {
            println!("skipped: AI_ENERGY_PYTHON names no Python with transformers");
            return None;
        };
        let mut command = Command::new(python);
        command.args(["-u", "-c", WORKER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.unwrap();
                let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let mut worker = Self { child, input: Some(input), said };
        let hello = worker.next();
        assert!(matches!(&hello, FromEngine::Hello { version: VERSION, synthetic: false, .. }), "{hello:?}");
        Some(worker)
    }

    /// One with a model loaded.
    fn loaded(batch_size: u32, truncation: bool, change: impl FnOnce(&mut Options)) -> Option<Self> {
        let mut worker = Self::start()?;
        let answer = worker.load(&model(), batch_size, truncation, change);
        let FromEngine::Loaded { device, dtype, details } = &answer else { panic!("{answer:?}") };
        assert_eq!(
            (device.as_str(), dtype.as_str(), &details["parameters"]),
            ("cpu", "float32", &Value::from(40_096))
        );
        Some(worker)
    }

    fn load(
        &mut self,
        model: &Path,
        batch_size: u32,
        truncation: bool,
        change: impl FnOnce(&mut Options),
    ) -> FromEngine {
        let threads = EngineOptions { threads: Some(1), ..EngineOptions::default() };
        let mut options = Options {
            device: "cpu".to_owned(),
            torch_dtype: TorchDtype::Float32,
            engine_options: threads,
            ..Options::default()
        };
        change(&mut options);
        let model = model.to_str().unwrap().to_owned();
        self.ask(&ToEngine::Load { model, options: Box::new(options), batch_size, truncation });
        loop {
            let next = self.next();
            if !matches!(next, FromEngine::Progress { .. }) {
                return next;
            }
        }
    }

    fn ask(&mut self, message: &ToEngine) {
        let line = to_line(message).unwrap();
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn next(&mut self) -> FromEngine {
        self.said.recv_timeout(PATIENCE).unwrap()
    }

    /// Asks for these generations at once and hears them out.
    fn generate(&mut self, asked: &[Generate]) -> BTreeMap<String, Heard> {
        for generate in asked {
            self.ask(&ToEngine::Generate(Box::new(generate.clone())));
        }
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        let mut open = asked.len();
        while open > 0 {
            let message = self.next();
            let one = heard.entry(message.generation().unwrap().to_owned()).or_default();
            match message {
                FromEngine::Token { n, t_ns, text, .. } => {
                    one.text += &text;
                    one.stamps.push(t_ns);
                    assert_eq!(n as usize, one.stamps.len());
                }
                other => {
                    one.end = Some(other);
                    open -= 1;
                }
            }
        }
        heard
    }

    fn one(&mut self, asked: &Generate) -> Heard {
        self.generate(std::slice::from_ref(asked)).remove(&asked.id).unwrap()
    }

    fn figures(&mut self) -> Map<String, Value> {
        self.ask(&ToEngine::Stats);
        match self.next() {
            FromEngine::Stats { figures } => figures,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// What was said about a generation.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    stamps: Vec<u64>,
    end: Option<FromEngine>,
}

impl Heard {
    /// Prompt tokens, generated tokens, why it ended, tokens cut off.
    fn done(&self) -> (u32, u32, &str, u32) {
        match &self.end {
            Some(FromEngine::Done {
                prompt_tokens,
                completion_tokens,
                finish_reason,
                truncated_prompt_tokens,
                ..
            }) => (*prompt_tokens, *completion_tokens, finish_reason, *truncated_prompt_tokens),
            other => panic!("{other:?}"),
        }
    }

    /// Kind, object and message of the error that it ended with.
    fn error(&self) -> (EngineErrorKind, &str, &str) {
        match &self.end {
            Some(FromEngine::Error { kind, object, message, .. }) => (*kind, object, message),
            other => panic!("{other:?}"),
        }
    }
}

fn asked(id: &str, text: &str, most: u32) -> Generate {
    Generate {
        id: id.to_owned(),
        prompt: EnginePrompt::Text(text.to_owned()),
        max_new_tokens: Some(most),
        min_new_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        do_sample: None,
        seed: None,
        stop: Vec::new(),
        ignore_eos: None,
        extra: Map::new(),
    }
}

fn drawn(id: &str, seed: i64) -> Generate {
    Generate {
        do_sample: Some(true),
        temperature: Some(0.9),
        seed: Some(seed),
        min_new_tokens: Some(20),
        ..asked(id, "The meter", 20)
    }
}

#[test]
fn texts_and_chats_give_what_transformers_gives_alone_and_in_a_batch() {
    let Some(mut worker) = Worker::loaded(3, true, |_| ()) else { return };
    let (text, continuation, tokens) = expected(0);
    let (said, answer, answer_tokens) = expected(1);
    let chat = EnginePrompt::Chat {
        messages: vec![Message { role: Role::User, content: said }],
        template: Map::new(),
    };
    let chat = Generate { prompt: chat, ..asked("chat", "", 64) };
    let alone = worker.one(&asked("alone", &text, 64));
    assert_eq!((alone.text.as_str(), alone.done()), (continuation.as_str(), (4, tokens, "stop", 0)));
    assert!(alone.stamps.is_sorted() && alone.stamps.len() == tokens as usize);
    let heard = worker.generate(&[asked("text", &text, 64), chat, asked("short", &text, 3)]);
    assert_eq!((&heard["text"].text, heard["text"].done().1), (&continuation, tokens));
    assert_eq!((&heard["chat"].text, heard["chat"].done().1), (&answer, answer_tokens));
    assert_eq!((heard["short"].done().1, heard["short"].done().2), (3, "length"));
    let figures = worker.figures();
    assert_eq!(figures["engine_completed_requests"], 4);
    assert_eq!(figures["engine_generated_tokens"], 2 * tokens + answer_tokens + 3);
    assert!(figures["peak_rss_bytes"].as_u64().is_none_or(|bytes| bytes > 100_000_000));
}

#[test]
fn a_seed_gives_the_same_tokens_whatever_is_computed_beside_it() {
    let Some(mut worker) = Worker::loaded(4, true, |_| ()) else { return };
    let alone = worker.one(&drawn("alone", 3));
    let greedy = Generate { min_new_tokens: Some(20), ..asked("greedy", "The meter", 20) };
    let heard = worker.generate(&[
        drawn("other", 4),
        greedy,
        drawn("same", 3),
        asked("longer", "The kettle of water", 30),
    ]);
    assert_eq!((alone.done().1, &heard["same"].text), (20, &alone.text));
    assert_ne!(heard["other"].text, alone.text);
    assert_ne!(heard["greedy"].text, alone.text);
}

#[test]
fn limits_and_stop_strings_are_each_rows_own() {
    let Some(mut worker) = Worker::loaded(4, true, |_| ()) else { return };
    let (text, continuation, tokens) = expected(0);
    let middle: String = continuation.chars().skip(2).take(4).collect();
    let stop = Generate { stop: vec!["never there".to_owned(), middle.clone()], ..asked("stop", &text, 64) };
    let least = Generate { min_new_tokens: Some(tokens + 5), ..asked("least", &text, 64) };
    let on = Generate { ignore_eos: Some(true), ..asked("on", &text, 40) };
    let penalty = Generate {
        extra: Map::from_iter([("repetition_penalty".to_owned(), Value::from(5.0))]),
        ..asked("penalty", &text, 64)
    };
    let heard = worker.generate(&[stop, least, on, penalty]);
    let before = continuation.split(&middle).next().unwrap();
    assert_eq!((heard["stop"].text.as_str(), heard["stop"].done().2), (before, "stop"));
    assert!(heard["least"].done().1 >= tokens + 5, "{:?}", heard["least"]);
    assert_eq!((heard["on"].done().1, heard["on"].done().2), (40, "length"));
    assert!(heard["on"].text.starts_with(&continuation));
    assert_ne!(heard["penalty"].text, continuation);
}

#[test]
fn a_prompt_that_does_not_fit_is_cut_or_refused_as_asked() {
    let long = "word ".repeat(400);
    let Some(mut cutting) = Worker::loaded(1, true, |_| ()) else { return };
    let (prompt, generated, _, cut) = cutting.one(&asked("cut", &long, 20)).done();
    assert!(prompt + 20 == 256 && generated <= 20 && cut > 100, "{prompt} {generated} {cut}");
    let none = cutting.one(&asked("none", "a", 256));
    assert_eq!((none.error().0, none.error().1), (EngineErrorKind::BadRequest, "max_new_tokens"));
    drop(cutting);
    let Some(mut refusing) = Worker::loaded(1, false, |_| ()) else { return };
    let refused = refusing.one(&asked("long", &long, 20));
    assert_eq!((refused.error().0, refused.error().1), (EngineErrorKind::BadRequest, "prompt"));
    assert!(refused.error().2.contains("256"), "{refused:?}");
    assert_eq!(refusing.one(&asked("short", "The meter", 5)).done().1, 5);
}

#[test]
fn the_clock_answers_and_a_cancel_ends_while_it_generates() {
    let Some(mut worker) = Worker::loaded(1, true, |_| ()) else { return };
    let endless = Generate { ignore_eos: Some(true), ..asked("endless", "a", 250) };
    worker.ask(&ToEngine::Generate(Box::new(endless)));
    let first = worker.next();
    assert!(matches!(first, FromEngine::Token { .. }), "{first:?}");
    worker.ask(&ToEngine::Clock { seq: 7 });
    worker.ask(&ToEngine::Cancel { id: "endless".to_owned() });
    worker.ask(&ToEngine::Generate(Box::new(asked("next", "The meter", 2))));
    let (mut clock, mut tokens, mut done) = (None, 1, false);
    while !done {
        match worker.next() {
            FromEngine::Clock { seq: 7, .. } => clock = Some(tokens),
            FromEngine::Token { id, .. } => tokens += u32::from(id == "endless"),
            FromEngine::Done { id, .. } => {
                assert_eq!(id, "next", "the cancelled generation went on to its end");
                done = true;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(clock.is_some_and(|heard| heard < 250) && tokens < 250, "{clock:?} {tokens}");
    assert_eq!(worker.figures()["engine_cancelled_requests"], 1);
}

#[test]
fn what_cannot_be_loaded_is_said_with_its_cause_and_the_worker_lives_on() {
    let Some(mut worker) = Worker::start() else { return };
    let error = |answer: FromEngine| match answer {
        FromEngine::Error { id: None, kind, object, message, remedy } => {
            assert!(!remedy.is_empty() && !message.contains('\n'), "{message} {remedy}");
            (kind, object, message)
        }
        other => panic!("{other:?}"),
    };
    let nowhere = error(worker.load(Path::new("/nowhere/at/all"), 1, true, |_| ()));
    assert_eq!(nowhere.0, EngineErrorKind::Model);
    let gpu = error(worker.load(&model(), 1, true, |options| options.device = "cuda:77".to_owned()));
    assert_eq!(gpu.0, EngineErrorKind::BadRequest);
    assert!(gpu.1.starts_with("backend.device"), "{gpu:?}");
    worker.ask(&ToEngine::Generate(Box::new(asked("early", "a", 1))));
    let early = worker.next();
    assert!(matches!(&early, FromEngine::Error { id: Some(id), .. } if id == "early"), "{early:?}");
    let answer = worker.load(&model(), 1, true, |options| options.no_weights = Some(true));
    let FromEngine::Loaded { details, .. } = &answer else { panic!("{answer:?}") };
    assert_eq!(details["random_weights"], true);
    assert_ne!(worker.one(&asked("random", &expected(0).0, 12)).text, expected(0).1);
}

#[test]
fn eight_bits_name_the_package_that_they_need() {
    let Some(mut worker) = Worker::start() else { return };
    match worker.load(&model(), 1, true, |options| options.load_in_8bit = true) {
        FromEngine::Error { object, remedy, .. } => {
            assert!(object.contains("load_in_8bit") || object.contains("package"), "{object}");
            assert!(remedy.contains("pip install"), "{remedy}");
        }
        // Where it is installed.
        FromEngine::Loaded { details, .. } => assert_eq!(details["quantization"], "int8"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unload_ends_it_even_while_it_generates() {
    let Some(mut worker) = Worker::loaded(1, true, |_| ()) else { return };
    let endless = Generate { ignore_eos: Some(true), ..asked("endless", "a", 250) };
    worker.ask(&ToEngine::Generate(Box::new(endless)));
    let first = worker.next();
    assert!(matches!(first, FromEngine::Token { .. }), "{first:?}");
    worker.ask(&ToEngine::Unload);
    let mut tokens = 1;
    while !matches!(worker.next(), FromEngine::Unloaded) {
        tokens += 1;
    }
    assert!(tokens < 250);
    assert!(worker.child.wait().unwrap().success());
}
