//! The thread that computes: takes the host's messages in their order, and batches of requests between them.
//!
//! A batch takes in all requests that wait, up to the batch size, and no more until it is done. Refuses to know pipes and
//! tensors.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use ai_energy_backends_pytorch::Options;
use ai_energy_backends_pytorch::protocol::{FromEngine, Generate, ToEngine};
use serde_json::{Map, Value};

use super::clock::EngineClock;
use super::guard::guard;
use super::outbox::Outbox;
use super::seam::{Compute, LoadRequest, LoadedModel, Loader};
use super::stats::Stats;
use crate::EngineError;

/// How long a batch that is not full waits for more requests. A host sends the requests of a batch one after the other,
/// within a millisecond or so of each other; this allows for a busy machine and is far below what one token of prompt and
/// answer takes on anything but a large GPU. A batch of one never waits.
const LINGER: Duration = Duration::from_millis(25);

/// What the thread knows.
pub(super) struct Worker<L> {
    loader: L,
    inbox: Receiver<ToEngine>,
    pub(super) outbox: Outbox,
    pub(super) clock: EngineClock,
    loaded: Option<Loaded>,
    queue: VecDeque<Generate>,
    /// Generations in the batch under way.
    pub(super) active: HashSet<String>,
    /// Of those, the ones that the host has given up.
    pub(super) cancelled: HashSet<String>,
    pub(super) stats: Stats,
    /// The host wants an end.
    pub(super) ended: bool,
    unload: bool,
}

/// A model and how it was asked for.
pub(super) struct Loaded {
    pub(super) model: LoadedModel,
    pub(super) batch_size: usize,
    pub(super) truncation: bool,
}

impl<L: Loader> Worker<L> {
    pub(super) fn new(loader: L, inbox: Receiver<ToEngine>, outbox: Outbox, clock: EngineClock) -> Self {
        Self {
            loader,
            inbox,
            outbox,
            clock,
            loaded: None,
            queue: VecDeque::new(),
            active: HashSet::new(),
            cancelled: HashSet::new(),
            stats: Stats::default(),
            ended: false,
            unload: false,
        }
    }

    /// Works until the host wants an end or is gone.
    pub(super) fn run(mut self) {
        while !self.ended && !self.outbox.is_broken() {
            if self.queue.is_empty() {
                match self.inbox.recv() {
                    Ok(message) => self.hear(message, None),
                    Err(_) => break,
                }
            } else if let Some(loaded) = self.loaded.take() {
                self.gather(&loaded);
                let requests = self.next_batch(loaded.batch_size);
                self.compute(&loaded, requests);
                self.loaded = Some(loaded);
            }
        }
        drop(self.loaded.take());
        if self.unload {
            self.outbox.say(FromEngine::Unloaded);
        }
    }

    /// Takes in what has come by now, between two steps.
    pub(super) fn catch_up(&mut self, model: &dyn Compute) {
        while !self.ended {
            match self.inbox.try_recv() {
                Ok(message) => self.hear(message, Some(model)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.ended = true,
            }
        }
    }

    /// Waits a little for a batch to fill up.
    fn gather(&mut self, loaded: &Loaded) {
        let until = Instant::now() + LINGER;
        while !self.ended && self.queue.len() < loaded.batch_size {
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => self.hear(message, Some(&*loaded.model.model)),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
            }
        }
    }

    fn next_batch(&mut self, most: usize) -> Vec<Generate> {
        let count = if self.ended { 0 } else { self.queue.len().min(most) };
        self.queue.drain(..count).collect()
    }

    /// Does what a message asks, or puts it off where it is a generation. `busy` is the model that is in use.
    fn hear(&mut self, message: ToEngine, busy: Option<&dyn Compute>) {
        match message {
            ToEngine::Clock { seq } => {
                self.outbox.say(FromEngine::Clock { seq, t_ns: self.clock.now_ns() });
            }
            ToEngine::Load { .. } if busy.is_some() => {
                let error = EngineError::bad_request("load", "generations are under way");
                self.outbox.complain(None, error.remedy("load before generating"));
            }
            ToEngine::Load { model, options, batch_size, truncation } => {
                self.load(model, *options, batch_size, truncation);
            }
            ToEngine::Generate(generate) => self.enqueue(*generate, busy.is_some()),
            ToEngine::Cancel { id } => self.cancel(id),
            ToEngine::Stats => {
                let own = match (busy, &self.loaded) {
                    (Some(model), _) => model.figures(),
                    (None, Some(loaded)) => loaded.model.model.figures(),
                    (None, None) => Map::new(),
                };
                self.outbox.say(FromEngine::Stats { figures: self.stats.figures(own) });
            }
            ToEngine::Unload => (self.ended, self.unload) = (true, true),
        }
    }

    fn enqueue(&mut self, generate: Generate, busy: bool) {
        let known = |id: &str| self.queue.iter().any(|waiting| waiting.id == id) || self.active.contains(id);
        if known(&generate.id) {
            let error = EngineError::bad_request("id", format!("`{}` is under way already", generate.id));
            self.fail(generate.id, error.remedy("give each generation an id of its own"));
        } else if !busy && self.loaded.is_none() {
            let error = EngineError::bad_request("generate", "no model is loaded").remedy("load one first");
            self.fail(generate.id, error);
        } else {
            self.queue.push_back(generate);
        }
    }

    fn cancel(&mut self, id: String) {
        if let Some(at) = self.queue.iter().position(|waiting| waiting.id == id) {
            self.queue.remove(at);
            self.stats.cancelled += 1;
        } else if self.active.contains(&id) {
            self.cancelled.insert(id);
        }
    }

    /// Tells of a generation's error.
    pub(super) fn fail(&mut self, id: String, error: EngineError) {
        self.stats.failed += 1;
        self.active.remove(&id);
        self.outbox.complain(Some(id), error);
    }

    fn load(&mut self, model: String, options: Options, batch_size: u32, truncation: bool) {
        // The old model goes first: there may not be memory for two.
        self.loaded = None;
        let batch_size = usize::try_from(batch_size).unwrap_or(usize::MAX).max(1);
        let request = LoadRequest { model, options, batch_size };
        let (loader, outbox) = (&mut self.loader, &self.outbox);
        let mut tell = |stage: &str, done: u64, total: Option<u64>| {
            outbox.say(FromEngine::Progress {
                stage: stage.to_owned(),
                done,
                total,
                unit: "bytes".to_owned(),
            });
        };
        match guard(|| loader.load(&request, &mut tell)) {
            Ok(mut model) => {
                self.stats = Stats::default();
                let mut details = std::mem::take(&mut model.details);
                details.insert("batch_size".to_owned(), Value::from(batch_size));
                details.insert("context_tokens".to_owned(), Value::from(model.model.context()));
                let (device, dtype) = (model.device.clone(), model.dtype.clone());
                self.loaded = Some(Loaded { model, batch_size, truncation });
                self.outbox.say(FromEngine::Loaded { device, dtype, details });
            }
            Err(error) => self.outbox.complain(None, error),
        }
    }
}
