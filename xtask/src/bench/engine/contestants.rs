//! The two that are compared: the engine over its protocol, and transformers in a Python script.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::Setting;
use super::pair::{Program, Took};

const SCRIPT: &str = include_str!("transformers_rival.py");

/// The engine with a model loaded.
pub(super) struct Engine {
    program: Program,
    /// What it is.
    pub(super) greeting: String,
    /// How it multiplies.
    pub(super) kernels: String,
    /// Bytes of weights that a decoded token reads.
    pub(super) bytes_per_token: f64,
    asked: u32,
}

impl Engine {
    pub(super) fn load(program: &Path, setting: &Setting) -> Result<Self> {
        let mut program = Program::start("ai-energy-torch", &mut Command::new(program))?;
        let greeting = program.hear_of("hello")?["program"].as_str().unwrap_or("an engine").to_owned();
        let options = json!({
            "device": "cpu", "torch_dtype": setting.dtype, "engine_options": {"threads": setting.threads}
        });
        program.say(&json!({
            "type": "load", "model": setting.model, "options": options, "batch_size": 1, "truncation": false
        }))?;
        let details = program.hear_of("loaded")?["details"].take();
        let bytes = details["weight_bytes_per_token"].as_f64();
        Ok(Self {
            program,
            greeting,
            kernels: details["kernels"].as_str().unwrap_or("not said").to_owned(),
            bytes_per_token: bytes.context("the engine does not say how many bytes a token reads")?,
            asked: 0,
        })
    }

    /// Times the first token from outside, pipes included; the others by the engine's own stamps.
    pub(super) fn generate(&mut self, prompt: &str, tokens: u32) -> Result<Took> {
        self.asked += 1;
        let start = Instant::now();
        self.program.say(&json!({
            "type": "generate", "id": self.asked.to_string(), "prompt": {"text": prompt}, "do_sample": false,
            "max_new_tokens": tokens, "min_new_tokens": tokens, "ignore_eos": true
        }))?;
        let (mut text, mut first_seconds, mut stamps) = (String::new(), 0.0, Vec::new());
        loop {
            let message = self.program.hear()?;
            if message["type"] == "token" {
                if stamps.is_empty() {
                    first_seconds = start.elapsed().as_secs_f64();
                }
                stamps.push((number(&message, "n")?, number(&message, "t_ns")?));
                text.push_str(message["text"].as_str().unwrap_or_default());
            } else if message["type"] == "done" {
                let (first, last) = (stamps.first().copied(), stamps.last().copied());
                let ((n1, t1), (n2, t2)) = first.zip(last).context("there were no tokens")?;
                ensure!(n2 == f64::from(tokens), "{n2} tokens came where {tokens} were asked for");
                return Ok(Took {
                    prompt_tokens: number(&message, "prompt_tokens")? as u64,
                    first_seconds,
                    tokens_per_second: (n2 - n1) / (t2 - t1) * 1e9,
                    text,
                });
            }
        }
    }
}

/// Transformers with a model loaded.
pub(super) struct Rival {
    program: Program,
    /// What it is.
    pub(super) versions: String,
}

impl Rival {
    pub(super) fn load(python: &Path, setting: &Setting) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).arg(&setting.model).arg(setting.dtype).arg(setting.threads.to_string());
        command.env("HF_HUB_OFFLINE", "1").env("TRANSFORMERS_VERBOSITY", "error");
        let mut program = Program::start("transformers", &mut command)?;
        let versions = program.hear()?["versions"].as_str().unwrap_or("not said").to_owned();
        Ok(Self { program, versions })
    }

    /// By transformers' own clock, which favours it by the length of a pipe.
    pub(super) fn generate(&mut self, prompt: &str, tokens: u32) -> Result<Took> {
        self.program.say(&json!({"prompt": prompt, "new_tokens": tokens}))?;
        let message = self.program.hear()?;
        ensure!(message["tokens"] == tokens, "transformers generated {} tokens", message["tokens"]);
        Ok(Took {
            prompt_tokens: number(&message, "prompt_tokens")? as u64,
            first_seconds: number(&message, "first_seconds")?,
            tokens_per_second: f64::from(tokens - 1) / number(&message, "decode_seconds")?,
            text: message["text"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

fn number(message: &Value, name: &str) -> Result<f64> {
    message[name].as_f64().with_context(|| format!("there is no {name} in {message}"))
}
