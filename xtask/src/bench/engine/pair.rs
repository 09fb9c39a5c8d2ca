//! A program that is asked for generations by lines of JSON on its pipes, and what one generation took.
//!
//! Refuses to know which program it is.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program, ended when it is dropped.
pub(super) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("it has no output")?;
        Ok(Self { name: name.to_owned(), child, input, output: BufReader::new(output) })
    }

    pub(super) fn say(&mut self, message: &Value) -> Result<()> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{message}").with_context(|| format!("{} hears nothing", self.name))?;
        Ok(input.flush()?)
    }

    /// The next line; an engine's error is one here, too.
    pub(super) fn hear(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} ended; its own words are above", self.name);
        }
        let message: Value =
            serde_json::from_str(&line).with_context(|| format!("{} said {line}", self.name))?;
        if message["type"] == "error" {
            bail!("{}: {} {}", self.name, message["object"], message["message"]);
        }
        Ok(message)
    }

    /// The next line of a type, others passed over.
    pub(super) fn hear_of(&mut self, kind: &str) -> Result<Value> {
        loop {
            let message = self.hear()?;
            if message["type"] == kind {
                return Ok(message);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of its input ends it; what does not listen is killed.
        self.input = None;
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one generation took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Took {
    /// Tokens of the prompt.
    pub(super) prompt_tokens: u64,
    /// From asking to the first token, in seconds.
    pub(super) first_seconds: f64,
    /// Tokens after the first, divided by the seconds from the first to the last.
    pub(super) tokens_per_second: f64,
    /// What was generated.
    pub(super) text: String,
}
