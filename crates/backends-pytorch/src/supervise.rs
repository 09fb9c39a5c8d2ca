//! Watches over an engine process: reads its lines and hands them out, keeps the end of its log, and finds out how it
//! ended.
//!
//! Refuses to know what the lines are for: it tells generations from everything else and no more.

use std::collections::{HashMap, VecDeque};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ai_energy_core::ErrorClass;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::protocol::FromEngine;

/// Longest line that is read; a longer one is no line of the protocol.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines of the engine's log that are kept.
const LOG_LINES: usize = 8;
/// Characters kept of a line in a message.
const SHOWN: usize = 300;
/// How long a process whose output has ended may take to end itself.
const LAST_GASP: Duration = Duration::from_secs(5);

/// A message and when it was read.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) message: FromEngine,
    pub(crate) at: Instant,
    pub(crate) bytes: u64,
}

/// How an engine ended, for everybody who was waiting for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
}

/// Who hears what.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<Senders>);

#[derive(Debug, Default)]
struct Senders {
    generations: HashMap<String, mpsc::UnboundedSender<Heard>>,
    control: Option<mpsc::UnboundedSender<Heard>>,
    closed: bool,
}

impl Routes {
    /// Everything that is not about a generation comes out here. Called once.
    pub(crate) fn control(&self) -> mpsc::UnboundedReceiver<Heard> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.senders().control = Some(sender);
        receiver
    }

    /// What is said about a generation comes out here; nothing does once the engine has ended.
    pub(crate) fn generation(&self, id: &str) -> mpsc::UnboundedReceiver<Heard> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut senders = self.senders();
        if !senders.closed {
            senders.generations.insert(id.to_owned(), sender);
        }
        receiver
    }

    /// Nobody listens to this generation any more.
    pub(crate) fn forget(&self, id: &str) {
        self.senders().generations.remove(id);
    }

    fn deliver(&self, heard: Heard) {
        let senders = self.senders();
        let to = match heard.message.generation() {
            Some(id) => senders.generations.get(id),
            None => senders.control.as_ref(),
        };
        // A generation that was given up has no listener: what is still said about it is of no use.
        if let Some(sender) = to {
            let _ = sender.send(heard);
        }
    }

    fn close(&self) {
        *self.senders() = Senders { closed: true, ..Senders::default() };
    }

    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why reading ended.
enum Ending {
    /// The output ended.
    Output,
    /// The output is not the protocol.
    Garbage(String),
    /// We want the process to end.
    Killed,
}

/// Reads the engine's lines until it ends, is to be killed (`kill` fires or is dropped) or talks garbage; then makes sure
/// that the process is gone, tells `death` how, and lets all listeners go.
pub(crate) async fn supervise(
    mut child: Child,
    routes: Arc<Routes>,
    kill: oneshot::Receiver<()>,
    death: watch::Sender<Option<Death>>,
) {
    let log = child.stderr.take().map(|stderr| tokio::spawn(keep_log(stderr)));
    let ending = match child.stdout.take() {
        Some(stdout) => {
            tokio::select! {
                ending = read_lines(stdout, &routes) => ending,
                _ = kill => Ending::Killed,
            }
        }
        None => Ending::Output,
    };
    let status = end(&mut child, &ending).await;
    let message = describe(&ending, status, &last_words(log).await);
    let class = if matches!(ending, Ending::Garbage(_)) { ErrorClass::Protocol } else { ErrorClass::Engine };
    tracing::debug!(%message, "the engine has ended");
    death.send_replace(Some(Death { class, message }));
    routes.close();
}

async fn read_lines(stdout: impl AsyncRead + Unpin, routes: &Routes) -> Ending {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        let at = Instant::now();
        let bytes = match read {
            Ok(0) => return Ending::Output,
            Ok(bytes) => bytes as u64,
            Err(error) => return Ending::Garbage(format!("its output cannot be read: {error}")),
        };
        match serde_json::from_slice(&line) {
            Ok(message) => routes.deliver(Heard { message, at, bytes }),
            // Torn by the engine's end: that is the news, not the torn line.
            Err(_) if !line.ends_with(b"\n") && bytes < LONGEST_LINE => return Ending::Output,
            Err(error) => {
                let said = shown(&String::from_utf8_lossy(&line));
                return Ending::Garbage(format!(
                    "it said `{said}`, which is no line of the protocol ({error})"
                ));
            }
        }
    }
}

/// Makes sure that the process is gone.
async fn end(child: &mut Child, ending: &Ending) -> Option<ExitStatus> {
    if matches!(ending, Ending::Output)
        && let Ok(Ok(status)) = timeout(LAST_GASP, child.wait()).await
    {
        return Some(status);
    }
    // An error means that it is gone already.
    let _ = child.start_kill();
    timeout(LAST_GASP, child.wait()).await.ok().and_then(Result::ok)
}

async fn keep_log(stderr: impl AsyncRead + Unpin) -> VecDeque<String> {
    let mut reader = BufReader::new(stderr);
    let mut kept = VecDeque::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return kept,
            Ok(_) => {}
        }
        let text = shown(&String::from_utf8_lossy(&line));
        if !text.is_empty() {
            tracing::debug!(target: "ai_energy_torch", "{text}");
            if kept.len() == LOG_LINES {
                kept.pop_front();
            }
            kept.push_back(text);
        }
    }
}

/// The end of the log. A grandchild may hold the pipe open for ever, so the wait is bounded.
async fn last_words(log: Option<JoinHandle<VecDeque<String>>>) -> String {
    let Some(mut log) = log else { return String::new() };
    match timeout(Duration::from_secs(1), &mut log).await {
        Ok(Ok(lines)) => lines.into_iter().collect::<Vec<_>>().join(" | "),
        _ => {
            log.abort();
            String::new()
        }
    }
}

fn describe(ending: &Ending, status: Option<ExitStatus>, log: &str) -> String {
    let what = match ending {
        Ending::Output => "the engine ended by itself".to_owned(),
        Ending::Garbage(cause) => format!("the engine was ended because {cause}"),
        Ending::Killed => "the engine was ended by us".to_owned(),
    };
    let status = match (ending, status) {
        (Ending::Output, Some(status)) => format!(" ({status})"),
        (Ending::Output, None) => " (and had to be killed)".to_owned(),
        _ => String::new(),
    };
    if log.is_empty() { format!("{what}{status}") } else { format!("{what}{status}; its log ends: {log}") }
}

/// A line without its end, cut to a length that a message can bear.
fn shown(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}
