//! A model of a few lines for the loop's tests, and a host that talks to the loop.
//!
//! Its tokens are bytes. A prompt `say:TEXT` is answered by that text and an end token; any other by letters that depend
//! on every token before them, so that a row that gets another row's tokens shows. Words in the prompt make it misbehave.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use ai_energy_backends_pytorch::Options;
use ai_energy_backends_pytorch::protocol::{
    EngineErrorKind, EnginePrompt, FromEngine, Generate, ToEngine, to_line,
};
use serde_json::{Map, json};

use super::seam::{Compute, LoadRequest, LoadedModel, Loader, Progress, Rows};
use crate::EngineError;
use crate::files::GenerationConfig;
use crate::text::Text;

pub(super) const EOS: u32 = 256;
pub(super) const BOS: u32 = 257;
pub(super) const CONTEXT: usize = 64;
const VOCAB: usize = 300;

/// Holds the model back until a test lets it go.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<Passage>, Condvar)>);

#[derive(Default)]
struct Passage {
    closed: bool,
    permits: u64,
    /// Steps that have come to the gate.
    arrived: u64,
}

impl Gate {
    pub(super) fn close(&self) {
        self.0.0.lock().unwrap().closed = true;
    }

    pub(super) fn open(&self) {
        self.0.0.lock().unwrap().closed = false;
        self.0.1.notify_all();
    }

    pub(super) fn permit(&self, steps: u64) {
        self.0.0.lock().unwrap().permits += steps;
        self.0.1.notify_all();
    }

    /// Waits until the model has come to the gate this often.
    pub(super) fn wait_for_arrivals(&self, count: u64) {
        let passage = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(passage, |passage| passage.arrived < count).unwrap());
    }

    fn pass(&self) {
        let mut passage = self.0.0.lock().unwrap();
        passage.arrived += 1;
        self.0.1.notify_all();
        let shut = |passage: &mut Passage| passage.closed && passage.permits == 0;
        let mut passage = self.0.1.wait_while(passage, shut).unwrap();
        passage.permits = passage.permits.saturating_sub(1);
    }
}

pub(super) struct FakeLoader(pub(super) Gate);

struct FakeModel(Gate);

struct FakeRows {
    rows: Vec<Vec<u32>>,
    prompts: Vec<usize>,
    gate: Gate,
    room: usize,
}

impl Loader for FakeLoader {
    fn program(&self) -> String {
        "fake 1.0".to_owned()
    }

    fn load(&mut self, request: &LoadRequest, progress: Progress<'_>) -> Result<LoadedModel, EngineError> {
        match request.model.as_str() {
            "strange" => return Err(EngineError::unsupported("architecture `Strange`", "is not known")),
            "panic" => panic!("bad files"),
            _ => progress("loading weights", 7, Some(7)),
        }
        Ok(LoadedModel {
            model: Box::new(FakeModel(self.0.clone())),
            text: Text::byte_level(VOCAB as u32, Some(BOS)),
            generation: GenerationConfig { eos: vec![EOS], bos: Some(BOS), ..GenerationConfig::default() },
            device: "cpu".to_owned(),
            dtype: "float32".to_owned(),
            details: json!({"kernels": "fake"}).as_object().cloned().unwrap(),
        })
    }
}

fn says(tokens: &[u32], word: &str) -> bool {
    let word: Vec<u32> = word.bytes().map(u32::from).collect();
    tokens.windows(word.len()).any(|window| window == word)
}

impl Compute for FakeModel {
    fn context(&self) -> usize {
        CONTEXT
    }

    fn begin<'a>(&'a self, prompts: &[&[u32]], capacity: usize) -> Result<Box<dyn Rows + 'a>, EngineError> {
        assert!(capacity <= CONTEXT, "asked for {capacity} positions");
        let memory = || Err(EngineError::new(EngineErrorKind::OutOfMemory, "memory", "out of memory"));
        for prompt in prompts {
            assert!(!says(prompt, "panic"), "as asked");
            if says(prompt, "huge") || (says(prompt, "big") && prompts.len() > 1) {
                return memory();
            }
        }
        self.0.pass();
        let rows: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        let prompts = rows.iter().map(Vec::len).collect();
        Ok(Box::new(FakeRows { rows, prompts, gate: self.0.clone(), room: capacity }))
    }

    fn figures(&self) -> Map<String, serde_json::Value> {
        json!({"fake_bytes": 5}).as_object().cloned().unwrap()
    }
}

impl FakeRows {
    fn next(&self, row: usize) -> u32 {
        let tokens = &self.rows[row];
        let (prompt, answer) = tokens.split_at(self.prompts[row]);
        if says(prompt, "say:") {
            let at = prompt.windows(4).position(|window| says(window, "say:")).unwrap();
            return prompt[at + 4..].get(answer.len()).copied().unwrap_or(EOS);
        }
        let mixed = tokens.iter().fold(7u32, |mixed, token| mixed.wrapping_mul(31).wrapping_add(*token));
        u32::from(b'a') + (mixed >> 8) % 26
    }
}

impl Rows for FakeRows {
    fn argmax(&mut self) -> Result<Vec<u32>, EngineError> {
        Ok((0..self.rows.len()).map(|row| self.next(row)).collect())
    }

    fn logits(&mut self) -> Result<Vec<Vec<f32>>, EngineError> {
        let row = |row: usize| {
            let next = self.next(row) as usize;
            (0..VOCAB)
                .map(|token| if token == next { 3.0 } else { ((token * 7) % 13) as f32 / 13.0 })
                .collect()
        };
        Ok((0..self.rows.len()).map(row).collect())
    }

    fn step(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        assert_eq!(tokens.len(), self.rows.len(), "one token a row");
        self.gate.pass();
        let longest = self.prompts.iter().max().copied().unwrap_or(0);
        for (row, token) in tokens.iter().enumerate() {
            self.rows[row].push(*token);
            let position = longest + self.rows[row].len() - self.prompts[row];
            assert!(position <= self.room, "{position} positions, room for {}", self.room);
            assert!(!says(&self.rows[row], "fail"), "as asked");
        }
        Ok(())
    }

    fn keep(&mut self, rows: &[usize]) -> Result<(), EngineError> {
        self.rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
        self.prompts = rows.iter().map(|&row| self.prompts[row]).collect();
        Ok(())
    }
}

/// A host with the loop on a thread of its own.
pub(super) struct Host {
    pub(super) to: Option<PipeWriter>,
    pub(super) from: BufReader<PipeReader>,
    pub(super) gate: Gate,
    pub(super) serving: JoinHandle<std::io::Result<()>>,
}

impl Host {
    /// A host that has heard hello.
    pub(super) fn start() -> Self {
        let (input, to) = std::io::pipe().unwrap();
        let (from, output) = std::io::pipe().unwrap();
        let gate = Gate::default();
        let loader = FakeLoader(gate.clone());
        let serving = std::thread::spawn(move || super::serve(BufReader::new(input), output, loader));
        let mut host = Self { to: Some(to), from: BufReader::new(from), gate, serving };
        assert!(matches!(host.hear(), FromEngine::Hello { .. }));
        host
    }

    /// A host with a model.
    pub(super) fn loaded(batch_size: u32, truncation: bool) -> Self {
        let mut host = Self::start();
        host.load("m", batch_size, truncation);
        assert!(matches!(host.hear(), FromEngine::Progress { done: 7, .. }));
        assert!(matches!(host.hear(), FromEngine::Loaded { .. }));
        host
    }

    pub(super) fn load(&mut self, model: &str, batch_size: u32, truncation: bool) {
        let options = Box::new(Options::default());
        self.say(&ToEngine::Load { model: model.to_owned(), options, batch_size, truncation });
    }

    pub(super) fn say(&mut self, message: &ToEngine) {
        self.say_line(&to_line(message).unwrap());
    }

    pub(super) fn say_line(&mut self, line: &str) {
        self.to.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    pub(super) fn hear(&mut self) -> FromEngine {
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "the output has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub(super) fn generate(&mut self, generate: Generate) {
        self.say(&ToEngine::Generate(Box::new(generate)));
    }

    /// Waits until everything said so far has been handed to the thread that computes, which stands at the gate.
    pub(super) fn settle(&mut self) {
        self.say(&ToEngine::Clock { seq: 77 });
        let answer = self.hear();
        assert!(matches!(answer, FromEngine::Clock { seq: 77, .. }), "{answer:?}");
    }

    /// Everything up to the end of these generations, by id in their order.
    pub(super) fn hear_all<const N: usize>(&mut self, ids: [&str; N]) -> [Heard; N] {
        let mut heard = ids.map(|_| Heard::default());
        while heard.iter().any(|heard| heard.end.is_none()) {
            let message = self.hear();
            let of = message.generation().and_then(|id| ids.iter().position(|known| *known == id));
            let heard = &mut heard[of.unwrap_or_else(|| panic!("unexpected: {message:?}"))];
            assert!(heard.end.is_none(), "said after the end: {message:?}");
            match message {
                FromEngine::Token { n, text, channel, t_ns, .. } => {
                    heard.tokens += 1;
                    assert_eq!(n, heard.tokens);
                    heard.text += &text;
                    heard.channels.push(channel);
                    heard.stamps.push(t_ns);
                }
                end => heard.end = Some(end),
            }
        }
        heard
    }
}

/// What was said about a generation.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Heard {
    pub(super) tokens: u32,
    pub(super) text: String,
    pub(super) channels: Vec<ai_energy_core::record::OutputChannel>,
    pub(super) stamps: Vec<u64>,
    pub(super) end: Option<FromEngine>,
}

impl Heard {
    /// Prompt tokens, generated tokens, why it ended, and tokens cut off.
    pub(super) fn done(&self) -> (u32, u32, &str, u32) {
        match self.end.as_ref().unwrap() {
            FromEngine::Done {
                prompt_tokens,
                completion_tokens,
                finish_reason,
                truncated_prompt_tokens,
                ..
            } => (*prompt_tokens, *completion_tokens, finish_reason, *truncated_prompt_tokens),
            other => panic!("{other:?}"),
        }
    }

    /// Kind, object and message of the error.
    pub(super) fn error(&self) -> (EngineErrorKind, &str, &str) {
        match self.end.as_ref().unwrap() {
            FromEngine::Error { kind, object, message, .. } => (*kind, object, message),
            other => panic!("{other:?}"),
        }
    }
}

/// A greedy generation of a text prompt.
pub(super) fn ask(id: &str, prompt: &str, max_new_tokens: u32) -> Generate {
    Generate {
        id: id.to_owned(),
        prompt: EnginePrompt::Text(prompt.to_owned()),
        max_new_tokens: Some(max_new_tokens),
        min_new_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        do_sample: Some(false),
        seed: None,
        stop: Vec::new(),
        ignore_eos: None,
        extra: Map::new(),
    }
}
