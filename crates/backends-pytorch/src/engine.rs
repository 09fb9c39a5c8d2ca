//! A running engine: starts the program, asks it things, and sends it generations.
//!
//! Refuses to know plans, prompts and figures; the process itself is `supervise`'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_energy_core::{ErrorClass, LoadProgress};
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::launch::Launch;
use crate::mapping::ClockMap;
use crate::options::Options;
use crate::protocol::{EngineErrorKind, FromEngine, Generate, ToEngine, VERSION, to_line};
use crate::supervise::{Death, Heard, Routes, supervise};

/// Exchanges that estimate the clock; the quickest counts.
const CLOCK_EXCHANGES: u32 = 16;

/// How long an engine may take for an answer that needs no work.
const QUICK_ANSWER: Duration = Duration::from_secs(10);

/// What an engine says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) kind: EngineErrorKind,
    /// What it is about; may be empty.
    pub(crate) object: String,
    pub(crate) message: String,
    /// May be empty.
    pub(crate) remedy: String,
}

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It has ended.
    Dead(Death),
    /// No answer in this time.
    Silent(Duration),
    /// It said so itself.
    Said(Complaint),
    /// It answered something else.
    Unexpected(String),
}

impl Trouble {
    /// One readable line.
    pub(crate) fn message(&self) -> String {
        match self {
            Trouble::Dead(death) => death.message.clone(),
            Trouble::Silent(time) => format!("the engine gave no answer within {} s", time.as_secs_f64()),
            Trouble::Said(complaint) => complaint.message.clone(),
            Trouble::Unexpected(said) => format!("the engine gave an answer to another question: {said}"),
        }
    }
}

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) program: String,
    pub(crate) synthetic: bool,
    pub(crate) process_id: Option<u32>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) device: String,
    pub(crate) dtype: String,
    pub(crate) details: Map<String, Value>,
}

/// A line on its way out; `sent` hears when it was handed to the system.
struct Outgoing {
    line: String,
    sent: oneshot::Sender<Instant>,
}

/// A running engine process. Dropping it kills the process.
pub(crate) struct Engine {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    routes: Arc<Routes>,
    /// One exchange at a time: its answer is the next thing that comes out here.
    control: Mutex<mpsc::UnboundedReceiver<Heard>>,
    death: watch::Receiver<Option<Death>>,
    /// Dropped, it ends the process.
    kill: oneshot::Sender<()>,
    pub(crate) greeting: Greeting,
}

impl Engine {
    /// Starts the program and waits for its hello.
    pub(crate) async fn start(launch: &Launch, wait: Duration) -> Result<Self, Trouble> {
        let spawned = launch.command().spawn();
        let mut child = spawned.map_err(|error| dead(format!("it cannot be started: {error}")))?;
        let process_id = child.id();
        let stdin = child.stdin.take().ok_or_else(|| dead("it has no standard input".to_owned()))?;
        let routes = Arc::new(Routes::default());
        let control = routes.control();
        let (kill, killed) = oneshot::channel();
        let (tell, death) = watch::channel(None);
        let (outgoing, lines) = mpsc::unbounded_channel();
        tokio::spawn(write_lines(stdin, lines));
        tokio::spawn(supervise(child, Arc::clone(&routes), killed, tell));
        let greeting = Greeting { program: String::new(), synthetic: false, process_id };
        let mut engine = Self { outgoing, routes, control: Mutex::new(control), death, kill, greeting };
        engine.greet(wait).await?;
        Ok(engine)
    }

    async fn greet(&mut self, wait: Duration) -> Result<(), Trouble> {
        let first = self.next_answer(&mut *self.control.lock().await, wait, &()).await?;
        match first.message {
            FromEngine::Hello { version: VERSION, program, synthetic } => {
                self.greeting.program = program;
                self.greeting.synthetic = synthetic;
                Ok(())
            }
            FromEngine::Hello { version, program, .. } => Err(dead(format!(
                "{program} speaks version {version} of the protocol, and this program version {VERSION}"
            ))),
            other => Err(unexpected(other)),
        }
    }

    /// Finds out how the engine's clock relates to ours.
    pub(crate) async fn read_clock(&self) -> Result<ClockMap, Trouble> {
        let mut best: Option<ClockMap> = None;
        for seq in 0..CLOCK_EXCHANGES {
            let asked = Instant::now();
            let answer = self.ask(&ToEngine::Clock { seq }, QUICK_ANSWER, &()).await?;
            match answer.message {
                FromEngine::Clock { seq: back, t_ns } if back == seq => {
                    let map = ClockMap::from_exchange(asked, t_ns, answer.at);
                    best = Some(best.map_or(map, |best| best.better(map)));
                }
                other => return Err(unexpected(other)),
            }
        }
        best.ok_or_else(|| dead("the clock was never asked".to_owned()))
    }

    /// Loads a model.
    pub(crate) async fn load(
        &self,
        model: &str,
        options: &Options,
        wait: Duration,
        progress: &Arc<dyn LoadProgress>,
    ) -> Result<Loaded, Trouble> {
        let message = ToEngine::Load {
            model: model.to_owned(),
            options: Box::new(options.clone()),
            batch_size: options.batch_size,
            truncation: options.truncation,
        };
        match self.ask(&message, wait, &**progress).await?.message {
            FromEngine::Loaded { device, dtype, details } => Ok(Loaded { device, dtype, details }),
            other => Err(unexpected(other)),
        }
    }

    /// What it has cost so far.
    pub(crate) async fn stats(&self, wait: Duration) -> Result<Map<String, Value>, Trouble> {
        match self.ask(&ToEngine::Stats, wait, &()).await?.message {
            FromEngine::Stats { figures } => Ok(figures),
            other => Err(unexpected(other)),
        }
    }

    /// Sends a generation; the instant is the one at which its line was handed to the system.
    pub(crate) async fn generate(&self, generate: Generate) -> Result<(Instant, Listening), Trouble> {
        let id = generate.id.clone();
        let heard = self.routes.generation(&id);
        let mut listening = Listening {
            heard,
            id,
            routes: Arc::clone(&self.routes),
            outgoing: self.outgoing.clone(),
            done: true,
        };
        let sent = self.send(&ToEngine::Generate(Box::new(generate)))?;
        // From here on the engine knows of it, so giving up means telling it.
        listening.done = false;
        match sent.await {
            Ok(sent) => Ok((sent, listening)),
            Err(_) => Err(self.end().await),
        }
    }

    /// Asks the engine to end, waits for that, and kills it where it does not.
    pub(crate) async fn close(self, wait: Duration) {
        let unloaded = self.send(&ToEngine::Unload).is_ok();
        let Self { outgoing, kill, mut death, .. } = self;
        // The end of its input says the same to an engine that does not listen.
        drop(outgoing);
        let ended = timeout(wait, death.wait_for(Option::is_some)).await.is_ok();
        if !(unloaded && ended) {
            tracing::warn!("the engine did not end within {} s and is killed", wait.as_secs_f64());
            drop(kill);
            let _ = death.wait_for(Option::is_some).await;
        }
    }

    /// How it ended; waits for the last of it, since its output ends a moment before it does.
    pub(crate) async fn end(&self) -> Trouble {
        let mut death = self.death.clone();
        let ended = timeout(QUICK_ANSWER, death.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(death)) => {
                death.clone().map_or_else(|| dead("the engine has ended".to_owned()), Trouble::Dead)
            }
            _ => dead("the engine no longer listens".to_owned()),
        }
    }

    async fn ask(
        &self,
        message: &ToEngine,
        wait: Duration,
        progress: &dyn LoadProgress,
    ) -> Result<Heard, Trouble> {
        let mut control = self.control.lock().await;
        // What is left there answers a question that was given up.
        while control.try_recv().is_ok() {}
        // Whether the line went out shows in whether an answer comes.
        drop(self.send(message)?);
        self.next_answer(&mut control, wait, progress).await
    }

    async fn next_answer(
        &self,
        control: &mut mpsc::UnboundedReceiver<Heard>,
        wait: Duration,
        progress: &dyn LoadProgress,
    ) -> Result<Heard, Trouble> {
        // The wait begins anew with every sign of progress: loading may take hours, silence may not.
        loop {
            return match timeout(wait, control.recv()).await {
                Err(_) => Err(Trouble::Silent(wait)),
                Ok(None) => Err(self.end().await),
                Ok(Some(Heard {
                    message: FromEngine::Error { kind, object, message, remedy, .. }, ..
                })) => Err(Trouble::Said(Complaint { kind, object, message, remedy })),
                Ok(Some(Heard { message: FromEngine::Progress { stage, done, total, unit }, .. })) => {
                    if unit == "bytes" {
                        progress.bytes(&stage, done, total);
                    }
                    tracing::trace!(stage, done, total, unit, "engine");
                    continue;
                }
                Ok(Some(heard)) => Ok(heard),
            };
        }
    }

    fn send(&self, message: &ToEngine) -> Result<oneshot::Receiver<Instant>, Trouble> {
        let line = to_line(message).map_err(|error| {
            Trouble::Said(Complaint {
                kind: EngineErrorKind::BadRequest,
                object: String::new(),
                message: format!("the request cannot be written: {error}"),
                remedy: String::new(),
            })
        })?;
        let (sent, heard) = oneshot::channel();
        // Where the writer is gone, `heard` says so.
        let _ = self.outgoing.send(Outgoing { line, sent });
        Ok(heard)
    }
}

/// What is said about one generation. Dropping it before the end tells the engine to stop generating.
pub(crate) struct Listening {
    heard: mpsc::UnboundedReceiver<Heard>,
    id: String,
    routes: Arc<Routes>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    done: bool,
}

impl Listening {
    /// The next message; `None` once the engine has ended.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        let heard = self.heard.recv().await;
        self.done = match &heard {
            Some(heard) => matches!(heard.message, FromEngine::Done { .. } | FromEngine::Error { .. }),
            None => true,
        };
        heard
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.routes.forget(&self.id);
        if !self.done
            && let Ok(line) = to_line(&ToEngine::Cancel { id: std::mem::take(&mut self.id) })
        {
            let _ = self.outgoing.send(Outgoing { line, sent: oneshot::channel().0 });
        }
    }
}

/// Writes whole lines, so that a caller who gives up never tears one.
async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { line, sent }) = lines.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        let _ = sent.send(Instant::now());
    }
}

fn dead(message: String) -> Trouble {
    Trouble::Dead(Death { class: ErrorClass::Engine, message })
}

fn unexpected(message: FromEngine) -> Trouble {
    Trouble::Unexpected(to_line(&message).map(|line| line.trim().to_owned()).unwrap_or_default())
}
