//! The way in: reads lines, answers the clock at once, and hands everything else to the thread that computes.
//!
//! Refuses to know models.

use std::io::BufRead;
use std::sync::mpsc::Sender;

use ai_energy_backends_pytorch::protocol::{FromEngine, ToEngine};
use serde_json::Value;

use super::clock::EngineClock;
use super::outbox::Outbox;
use crate::EngineError;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The host asked to unload; nothing that follows is read.
    Unload,
    /// The input has ended: the host is gone.
    Input,
    /// The thread that computes is gone.
    Worker,
}

/// Reads until there is nothing more to read.
///
/// # Errors
/// The input cannot be read.
pub(super) fn read(
    mut input: impl BufRead,
    clock: &EngineClock,
    outbox: &Outbox,
    commands: &Sender<ToEngine>,
) -> std::io::Result<End> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(End::Input);
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(ToEngine::Clock { seq }) => outbox.say(FromEngine::Clock { seq, t_ns: clock.now_ns() }),
            Ok(message) => {
                let last = matches!(message, ToEngine::Unload);
                if commands.send(message).is_err() {
                    return Ok(End::Worker);
                }
                if last {
                    return Ok(End::Unload);
                }
            }
            Err(error) => {
                let wrong =
                    EngineError::bad_request("line", format!("it is no line of the protocol: {error}"));
                outbox.complain(generation(&line), wrong);
            }
        }
    }
}

/// The generation that a broken line was meant to begin, where that can be told: only its host's caller is to hear of it.
fn generation(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    (value["type"] == "generate").then(|| value["id"].as_str().map(str::to_owned))?
}
