//! The way out: messages are handed over at once and written by a thread of their own, so that neither JSON nor a full
//! pipe ever holds a computation up.
//!
//! Refuses to know what the messages mean.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use ai_energy_backends_pytorch::protocol::{EngineErrorKind, FromEngine, to_line};

use crate::EngineError;

/// Where messages to the host go. Clones go to the same writer, which ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    messages: Sender<FromEngine>,
    broken: Arc<AtomicBool>,
}

impl Outbox {
    /// Starts the writer.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(output: impl Write + Send + 'static) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (messages, inbox) = channel();
        let broken = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&broken);
        let writer = Builder::new().name("protocol writer".to_owned()).spawn(move || {
            if write_all(output, &inbox).is_err() {
                told.store(true, Ordering::Relaxed);
            }
        })?;
        Ok((Self { messages, broken }, writer))
    }

    /// Hands a message over. A host that is gone hears nothing, which [`Outbox::is_broken`] tells.
    pub(super) fn say(&self, message: FromEngine) {
        if self.messages.send(message).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Tells of an error; `id` names the generation it is about.
    pub(super) fn complain(&self, id: Option<String>, error: EngineError) {
        self.say(error.into_message(id));
    }

    /// `true` once nothing can be written any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Writes until every sender is gone; flushes whenever nothing more is waiting, so that a batch's tokens share one write.
fn write_all(output: impl Write, inbox: &Receiver<FromEngine>) -> std::io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    while let Ok(first) = inbox.recv() {
        output.write_all(line(&first).as_bytes())?;
        while let Ok(next) = inbox.try_recv() {
            output.write_all(line(&next).as_bytes())?;
        }
        output.flush()?;
    }
    Ok(())
}

fn line(message: &FromEngine) -> String {
    to_line(message).unwrap_or_else(|error| {
        let complaint = FromEngine::Error {
            id: message.generation().map(str::to_owned),
            kind: EngineErrorKind::Internal,
            object: "protocol".to_owned(),
            message: format!("an answer cannot be written: {error}"),
            remedy: String::new(),
        };
        // Of strings alone, so it can always be written.
        to_line(&complaint).unwrap_or_default()
    })
}
