//! The real program over its pipes, on the fixtures: what it generates is what the model computes, whatever shares its
//! batch, and what cannot be loaded or done is an error that names it and leaves the engine working.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ai_energy_backends_pytorch::protocol::{EngineErrorKind, FromEngine, Generate, ToEngine, to_line};
use ai_energy_backends_pytorch::{Options, TorchDtype};
use ai_energy_engine::files::{self, FilesOptions};
use ai_energy_engine::model::Spec;
use ai_energy_engine::torch::{LoadOptions, Model};
use serde_json::{Value, json};

const PROMPT: &str = "The quick brown fox jumps over the lazy dog";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name)
}

/// A running engine; dropped, it loses its input and ends.
struct Engine {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.process.wait();
    }
}

/// Text, token count and end of a generation.
#[derive(Debug, Default, Clone, PartialEq)]
struct Heard {
    text: String,
    tokens: u32,
    end: Option<FromEngine>,
}

impl Heard {
    fn reason(&self) -> &str {
        match &self.end {
            Some(FromEngine::Done { finish_reason, .. }) => finish_reason,
            other => panic!("{other:?}"),
        }
    }
}

impl Engine {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ai-energy-torch"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut engine = Self { process, to, from };
        let FromEngine::Hello { program, synthetic: false, .. } = engine.hear() else { panic!("no hello") };
        assert!(program.contains("ai-energy-torch") && program.contains("libtorch 2.11"), "{program}");
        engine
    }

    fn loaded(model: &Path, batch_size: u32, truncation: bool) -> Self {
        let mut engine = Self::start();
        let answer = engine.load(&model.display().to_string(), Options::default(), batch_size, truncation);
        assert!(matches!(answer, FromEngine::Loaded { .. }), "{answer:?}");
        engine
    }

    fn load(&mut self, model: &str, options: Options, batch_size: u32, truncation: bool) -> FromEngine {
        let options = Box::new(Options { device: "cpu".to_owned(), ..options });
        self.say(&ToEngine::Load { model: model.to_owned(), options, batch_size, truncation });
        loop {
            match self.hear() {
                FromEngine::Progress { .. } => {}
                answer => return answer,
            }
        }
    }

    fn say(&mut self, message: &ToEngine) {
        self.to.as_mut().unwrap().write_all(to_line(message).unwrap().as_bytes()).unwrap();
    }

    fn hear(&mut self) -> FromEngine {
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "the engine has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn generate(&mut self, requests: Vec<Generate>) -> HashMap<String, Heard> {
        let mut open = requests.len();
        let lines: String = requests
            .into_iter()
            .map(|asked| to_line(&ToEngine::Generate(Box::new(asked))).unwrap())
            .collect();
        self.to.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
        let mut all: HashMap<String, Heard> = HashMap::new();
        while open > 0 {
            let message = self.hear();
            let heard = all.entry(message.generation().unwrap().to_owned()).or_default();
            match message {
                FromEngine::Token { text, n, .. } => {
                    heard.text += &text;
                    heard.tokens += 1;
                    assert_eq!(n, heard.tokens);
                }
                end => {
                    heard.end = Some(end);
                    open -= 1;
                }
            }
        }
        all
    }

    fn one(&mut self, asked: Generate) -> Heard {
        let id = asked.id.clone();
        self.generate(vec![asked]).remove(&id).unwrap()
    }

    fn stats(&mut self) -> Value {
        self.say(&ToEngine::Stats);
        match self.hear() {
            FromEngine::Stats { figures } => Value::Object(figures),
            other => panic!("{other:?}"),
        }
    }
}

/// A greedy generation of exactly so many tokens.
fn ask(id: &str, prompt: &str, tokens: u32) -> Generate {
    serde_json::from_value(json!({
        "id": id, "prompt": {"text": prompt}, "max_new_tokens": tokens, "do_sample": false, "ignore_eos": true,
    }))
    .unwrap()
}

/// What the model computes without the program: the most probable token, one by one.
fn computed(folder: &Path, prompt: &str, tokens: usize) -> String {
    let files = files::open(&folder.display().to_string(), &FilesOptions::default()).unwrap();
    let spec = Spec::from_config(&files.config).unwrap();
    let options = LoadOptions { dtype: TorchDtype::Auto, ..LoadOptions::default() };
    let model = Model::load(&spec, &*files.weights, &options, &mut |_, _| {}).unwrap();
    let prompt = files.text.encode(prompt, true).unwrap();
    let mut batch = model.begin(&[&prompt], prompt.len() + tokens).unwrap();
    let mut ids = Vec::new();
    while ids.len() < tokens {
        let next = batch.logits().argmax().unwrap()[0];
        ids.push(next);
        batch.step(&[next]).unwrap();
    }
    let mut detokenizer = files.text.detokenizer();
    let mut text: String = ids.into_iter().map(|id| detokenizer.push(id)).collect();
    text += &detokenizer.finish();
    text
}

#[test]
fn the_pipe_brings_what_the_model_computes_alone_and_in_a_batch() {
    let folder = fixture("llama");
    let prompts = [PROMPT, "Zoë", "one two three four five six seven", "a"];
    let mut single = Engine::loaded(&folder, 1, true);
    let mut batched = Engine::loaded(&folder, 4, true);
    let requests: Vec<Generate> =
        prompts.iter().zip([40, 9, 25, 40]).map(|(prompt, tokens)| ask(prompt, prompt, tokens)).collect();
    let together = batched.generate(requests.clone());
    assert_eq!(batched.stats()["engine_batches_by_size"], json!({"4": 1}));
    for request in requests {
        let (prompt, tokens) = (request.id.clone(), request.max_new_tokens.unwrap());
        let alone = single.one(request);
        assert_eq!((alone.tokens, alone.reason()), (tokens, "length"));
        assert_eq!(alone.text, computed(&folder, &prompt, tokens as usize), "{prompt}");
        assert_eq!(alone.text, together[&prompt].text, "{prompt}");
    }
    let figures = single.stats();
    assert_eq!(figures["engine_generated_tokens"], json!(40 + 9 + 25 + 40));
    assert!(figures["peak_rss_bytes"].as_u64() > Some(10 << 20));
}

#[test]
fn seeds_decide_what_is_drawn() {
    let mut engine = Engine::loaded(&fixture("llama"), 3, true);
    let draw = |id: &str, seed| Generate {
        do_sample: Some(true),
        temperature: Some(3.0),
        seed: Some(seed),
        ..ask(id, PROMPT, 30)
    };
    let alone = engine.one(draw("x", 5));
    let all = engine.generate(vec![draw("a", 5), draw("b", 6), ask("greedy", PROMPT, 30)]);
    assert_eq!(alone.text, all["a"].text);
    assert_ne!(alone.text, all["b"].text);
    assert_ne!(alone.text, all["greedy"].text);
}

#[test]
fn stop_strings_end_where_they_begin() {
    let mut engine = Engine::loaded(&fixture("llama"), 1, true);
    let whole = engine.one(ask("whole", PROMPT, 40));
    let chars: Vec<char> = whole.text.chars().collect();
    // Two characters from the middle, wherever tokens' borders are.
    let stop: String = chars[chars.len() / 2..][..2].iter().collect();
    let heard = engine.one(Generate { stop: vec![stop.clone()], ..ask("stop", PROMPT, 40) });
    assert_eq!(heard.text, whole.text[..whole.text.find(&stop).unwrap()]);
    assert_eq!(heard.reason(), "stop");
    assert!(heard.tokens < whole.tokens);
}

#[test]
fn prompts_that_do_not_fit_are_cut_or_refused() {
    let long = "word ".repeat(400);
    let mut cutting = Engine::loaded(&fixture("llama"), 1, true);
    let heard = cutting.one(ask("a", &long, 20));
    let Some(FromEngine::Done { prompt_tokens, truncated_prompt_tokens, .. }) = heard.end else {
        panic!("{heard:?}")
    };
    assert_eq!((prompt_tokens, heard.tokens), (256 - 20, 20));
    assert!(truncated_prompt_tokens > 0);

    let mut strict = Engine::loaded(&fixture("llama"), 1, false);
    let heard = strict.one(ask("a", &long, 20));
    let Some(FromEngine::Error { kind: EngineErrorKind::BadRequest, message, .. }) = &heard.end else {
        panic!("{heard:?}")
    };
    assert!(message.contains("256") && message.contains("20 new"), "{message}");
    let heard = strict.one(ask("b", "short", 300));
    assert!(
        matches!(&heard.end, Some(FromEngine::Error { object, message, .. })
            if object == "max_new_tokens" && message.contains("300") && message.contains("256")),
        "{heard:?}"
    );
    assert_eq!(strict.one(ask("c", "short", 4)).tokens, 4, "the engine works on");
}

#[test]
fn a_waiting_generation_that_is_cancelled_never_begins() {
    let mut engine = Engine::loaded(&fixture("llama"), 1, true);
    engine.say(&ToEngine::Generate(Box::new(ask("first", PROMPT, 200))));
    engine.say(&ToEngine::Generate(Box::new(ask("cancelled", PROMPT, 200))));
    engine.say(&ToEngine::Cancel { id: "cancelled".to_owned() });
    let all = engine.generate(vec![ask("last", PROMPT, 3)]);
    assert_eq!(all["first"].tokens, 200);
    assert!(!all.contains_key("cancelled"));
    // `generate` has seen one end; the other is still to come.
    let last = loop {
        match engine.hear() {
            FromEngine::Done { id, completion_tokens, .. } => break (id, completion_tokens),
            FromEngine::Token { id, .. } => assert_eq!(id, "last"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(last, ("last".to_owned(), 3));
    assert_eq!(engine.stats()["engine_cancelled_requests"], json!(1));
}

/// A copy of a fixture to damage.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

#[test]
fn what_cannot_be_loaded_names_the_file_the_tensor_or_the_architecture() {
    let shard = "model-00002-of-00003.safetensors";
    let torn = copy("llama");
    let bytes = std::fs::read(torn.path().join(shard)).unwrap();
    std::fs::write(torn.path().join(shard), &bytes[..bytes.len() / 2]).unwrap();
    let gone = copy("llama");
    std::fs::remove_file(gone.path().join(shard)).unwrap();
    let nameless = copy("llama");
    let at = nameless.path().join("model.safetensors.index.json");
    let index = std::fs::read_to_string(&at).unwrap();
    let norm = "model.norm.weight";
    assert!(index.contains(norm));
    let unknown = copy("llama");
    let config = std::fs::read_to_string(unknown.path().join("config.json")).unwrap();
    let strange =
        config.replace("\"llama\"", "\"strange\"").replace("LlamaForCausalLM", "StrangeForCausalLM");
    std::fs::write(unknown.path().join("config.json"), strange).unwrap();
    let shape = copy("llama");
    let wide = config.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert_ne!(wide, config);
    std::fs::write(shape.path().join("config.json"), wide).unwrap();

    let mut engine = Engine::start();
    for (folder, kind, named) in [
        (torn.path(), EngineErrorKind::Model, shard),
        (gone.path(), EngineErrorKind::Model, shard),
        (shape.path(), EngineErrorKind::Model, "model.layers.2."),
        (unknown.path(), EngineErrorKind::Unsupported, "trange"),
        (Path::new("/nowhere/model"), EngineErrorKind::Model, "/nowhere/model"),
    ] {
        let answer = engine.load(&folder.display().to_string(), Options::default(), 1, true);
        let FromEngine::Error { id: None, kind: said, object, message, .. } = &answer else {
            panic!("{named}: {answer:?}")
        };
        assert_eq!(*said, kind, "{answer:?}");
        assert!(format!("{object} {message}").contains(named), "{answer:?}");
    }
    let answer = engine.load(&fixture("llama").display().to_string(), Options::default(), 1, true);
    assert!(matches!(answer, FromEngine::Loaded { .. }), "the engine works on: {answer:?}");
}

#[test]
fn random_weights_say_so_and_are_the_same_every_time() {
    let options = || Options { no_weights: Some(true), ..Options::default() };
    let folder = fixture("gpt2").display().to_string();
    let texts = [(); 2].map(|()| {
        let mut engine = Engine::start();
        let FromEngine::Loaded { details, .. } = engine.load(&folder, options(), 1, true) else {
            panic!("not loaded")
        };
        assert_eq!(details["random_weights"], json!(true));
        engine.one(ask("a", PROMPT, 20))
    });
    assert_eq!(texts[0].text, texts[1].text);
    assert_eq!(texts[0].tokens, 20);
}

#[test]
fn people_are_told_what_the_program_is() {
    let said = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_ai-energy-torch")).args(arguments).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    assert!(said(&["--version"]).1.starts_with("ai-energy-torch "));
    assert!(said(&["--help"]).1.contains("backend.type: pytorch"));
    let (code, check) = said(&["check"]);
    assert_eq!(code, Some(0));
    for word in ["libtorch", "2.11", "gpus", "onednn"] {
        assert!(check.contains(word), "{check}");
    }
    assert_eq!(said(&["dance"]).0, Some(2));
}
