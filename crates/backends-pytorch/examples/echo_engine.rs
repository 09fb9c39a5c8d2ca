//! An engine that computes nothing: it speaks the protocol and says words. The tests run it, and somebody who writes an
//! engine can read it. What goes wrong is chosen by the model's name.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an engine talks on its standard output")]

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use ai_energy_backends_pytorch::protocol::{
    EngineErrorKind, EnginePrompt, FromEngine, Generate, ToEngine, VERSION, to_line,
};
use ai_energy_core::record::OutputChannel;
use serde_json::{Map, Value};

/// Where this engine's clock starts: far from zero, so that a host that forgets to map it shows.
const ORIGIN_NS: u64 = 77_000_000_000_000;

struct Echo {
    start: Instant,
    model: String,
    /// Held back until there are two, for the model `pair`.
    waiting: Vec<Generate>,
    cancelled: u64,
}

fn main() {
    let old = std::env::args().next().is_some_and(|name| name.ends_with("old_engine"));
    let mut echo = Echo { start: Instant::now(), model: String::new(), waiting: Vec::new(), cancelled: 0 };
    say(&FromEngine::Hello {
        version: VERSION + u32::from(old),
        program: "echo 1.0".to_owned(),
        synthetic: true,
    });
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(message) => {
                if !echo.hear(message) {
                    return;
                }
            }
            Err(error) => eprintln!("not understood: {error}"),
        }
    }
}

fn say(message: &FromEngine) {
    let Ok(line) = to_line(message) else { return };
    let mut out = std::io::stdout().lock();
    // A host that is gone ends the input too.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn complain(id: Option<String>, kind: EngineErrorKind, message: String) {
    say(&FromEngine::Error { id, kind, object: String::new(), message, remedy: String::new() });
}

impl Echo {
    /// `false` where that was the end.
    fn hear(&mut self, message: ToEngine) -> bool {
        match message {
            ToEngine::Clock { seq } => say(&FromEngine::Clock { seq, t_ns: self.now() }),
            ToEngine::Load { model, options, batch_size, .. } => {
                self.load(model, &options.device, batch_size)
            }
            ToEngine::Generate(generate) if generate.id == "validate" => self.answer(&generate),
            ToEngine::Generate(generate) => self.generate(*generate),
            ToEngine::Cancel { .. } => self.cancelled += 1,
            ToEngine::Stats => {
                let mut figures = Map::new();
                figures.insert("cancelled".to_owned(), Value::from(self.cancelled));
                say(&FromEngine::Stats { figures });
            }
            ToEngine::Unload if self.model == "deaf" => std::thread::sleep(Duration::from_secs(30)),
            ToEngine::Unload => {
                say(&FromEngine::Unloaded);
                return false;
            }
        }
        true
    }

    fn now(&self) -> u64 {
        ORIGIN_NS + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(0)
    }

    fn load(&mut self, model: String, device: &str, batch_size: u32) {
        if model == "missing" {
            let message = "there is no folder `missing`".to_owned();
            return complain(None, EngineErrorKind::Model, message);
        }
        if model == "strange" {
            let message = "the architecture `Strange` is not known".to_owned();
            return complain(None, EngineErrorKind::Unsupported, message);
        }
        self.model = model;
        if self.model == "blocked" {
            let loaded =
                FromEngine::Loaded { device: String::new(), dtype: String::new(), details: Map::new() };
            say(&loaded);
            std::thread::sleep(Duration::from_secs(30));
            return;
        }
        let mut details = Map::new();
        details.insert("batch_size".to_owned(), Value::from(batch_size));
        details.insert("model".to_owned(), Value::from(self.model.as_str()));
        details.insert("random_weights".to_owned(), Value::from(self.model == "random"));
        details.insert(
            "layers_by_device".to_owned(),
            Value::from(Map::from_iter([(device.to_owned(), 2.into())])),
        );
        for name in ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH"] {
            details.insert(name.to_owned(), std::env::var(name).ok().into());
        }
        say(&FromEngine::Progress {
            stage: "loading weights".into(),
            done: 3,
            total: Some(3),
            unit: "bytes".into(),
        });
        say(&FromEngine::Loaded { device: device.to_owned(), dtype: "float32".to_owned(), details });
    }

    fn generate(&mut self, generate: Generate) {
        match self.model.as_str() {
            "silent" => {}
            "stall" => self.token(&generate.id, 1, "one "),
            "refuse" => {
                let message = "the prompt is too long".to_owned();
                complain(Some(generate.id), EngineErrorKind::BadRequest, message);
            }
            "garbage" => {
                self.token(&generate.id, 1, "one ");
                println!("Loading weights: 100%");
            }
            "crash" => {
                self.token(&generate.id, 1, "one ");
                self.token(&generate.id, 2, "two ");
                eprintln!("out of luck");
                std::process::exit(3);
            }
            "pair" => {
                self.waiting.push(generate);
                if let [one, other] = self.waiting.as_slice() {
                    // Interleaved, the later one first.
                    self.token(&other.id, 1, &other.id);
                    self.token(&one.id, 1, &one.id);
                    self.done(other, 1);
                    self.done(one, 1);
                }
            }
            _ => self.answer(&generate),
        }
    }

    /// The words of the prompt, over and over.
    fn answer(&self, generate: &Generate) {
        let text = match &generate.prompt {
            EnginePrompt::Text(text) => text.clone(),
            EnginePrompt::Chat { messages, .. } => {
                messages.iter().map(|message| message.content.as_str()).collect()
            }
        };
        let wanted = generate.max_new_tokens.unwrap_or(4);
        for (n, word) in (1..=wanted).zip(text.split_whitespace().cycle()) {
            self.token(&generate.id, n, &format!("{word} "));
        }
        self.done(generate, wanted);
    }

    fn token(&self, id: &str, n: u32, text: &str) {
        let (id, text) = (id.to_owned(), text.to_owned());
        say(&FromEngine::Token { id, n, t_ns: self.now(), channel: OutputChannel::Content, text });
    }

    fn done(&self, generate: &Generate, completion_tokens: u32) {
        say(&FromEngine::Done {
            id: generate.id.clone(),
            t_ns: self.now(),
            prompt_tokens: 2,
            completion_tokens,
            finish_reason: "length".to_owned(),
            truncated_prompt_tokens: 0,
        });
    }
}
