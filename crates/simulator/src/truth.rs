//! What really happened to each request, stamped as it happened.
//!
//! Exists so that a client's measurements have something to be held against. Refuses to hold any intention: a delay
//! that was asked for is not in it. Memory is bounded by the number of requests kept.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::ServerClock;

/// What the tokens of a write belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The answer.
    Content,
    /// Thinking.
    Reasoning,
    /// The end-of-sequence token alone: the write holds no text.
    Eos,
}

/// Tokens that were handed to the kernel together. Serialized as `[at_ns, tokens, channel]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u32, Channel)", from = "(u64, u32, Channel)")]
pub struct TokenWrite {
    /// When, ns on the server's clock.
    pub at_ns: u64,
    /// How many tokens, an end-of-sequence token among them counted.
    pub tokens: u32,
    /// What they belong to.
    pub channel: Channel,
}

impl From<TokenWrite> for (u64, u32, Channel) {
    fn from(write: TokenWrite) -> Self {
        (write.at_ns, write.tokens, write.channel)
    }
}

impl From<(u64, u32, Channel)> for TokenWrite {
    fn from((at_ns, tokens, channel): (u64, u32, Channel)) -> Self {
        Self { at_ns, tokens, channel }
    }
}

/// The truth about one generation request. Every stamp is in ns on the server's clock ([`ServerClock`]) and taken
/// immediately before the system call that took the last of the bytes it is about, so no client can have them earlier.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Truth {
    /// The id in the response, for example `chatcmpl-bench-0001`.
    pub id: String,
    /// The request's `X-Request-Id`, or the id that the server made for it.
    pub request_id: String,
    /// The request's number since the server's start; the first is 1.
    pub sequence: u64,
    /// The path that was asked.
    pub path: String,
    /// Whether the response was to be streamed.
    pub stream: bool,
    /// When the last byte of the request had been read.
    pub arrival_ns: u64,
    /// When it left the queue and its service began; null where it never did.
    pub started_ns: Option<u64>,
    /// When the response's head was written.
    pub headers_ns: Option<u64>,
    /// When the first token was written. For a response that is not streamed: when all of it was.
    pub first_token_ns: Option<u64>,
    /// Every write that held tokens.
    pub writes: Vec<TokenWrite>,
    /// When the last byte of the response was written, or the request was given up; null while it runs.
    pub end_ns: Option<u64>,
    /// The response's status; null where there was no response.
    pub status: Option<u16>,
    /// Tokens of the prompt; null where the request was refused before they were counted.
    pub prompt_tokens: Option<u32>,
    /// Tokens written, the end-of-sequence token included.
    pub completion_tokens: u32,
    /// `stop`, `length`, `abort` (the client went away, or the server died) or `error`; null while it runs and where
    /// nothing was generated.
    pub finish_reason: Option<String>,
    /// The fault that was induced.
    pub fault: Option<String>,
}

impl Truth {
    pub(crate) fn mark_head(&mut self, at: u64, status: u16) {
        self.headers_ns = Some(at);
        self.status = Some(status);
    }

    pub(crate) fn mark_tokens(&mut self, at: u64, tokens: u32, channel: Channel) {
        self.first_token_ns.get_or_insert(at);
        self.completion_tokens = self.completion_tokens.saturating_add(tokens);
        self.writes.push(TokenWrite { at_ns: at, tokens, channel });
    }

    pub(crate) fn mark_end(&mut self, at: u64, finish: Option<&str>) {
        self.end_ns = Some(at);
        self.finish_reason = finish.map(str::to_owned);
    }
}

/// One request's truth while it is being made. It stays locked over each write, so a reader that asks because a client
/// has seen the bytes finds them in it.
pub(crate) type Record = Arc<Mutex<Truth>>;

/// What `/truth` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthReport {
    /// Which clock the stamps are of ([`ServerClock::NAME`]).
    pub clock: String,
    /// That clock now.
    pub now_ns: u64,
    /// Requests whose truth was dropped to bound memory, since the start or the last reset.
    pub dropped: u64,
    /// The requests, in order of arrival.
    pub requests: Vec<Truth>,
}

/// The records of the last requests.
pub(crate) struct Store {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<Record>,
    dropped: u64,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), kept: Mutex::default() }
    }

    /// Keeps a new record, dropping the oldest where there are too many.
    pub(crate) fn open(&self, truth: Truth) -> Record {
        let record = Arc::new(Mutex::new(truth));
        let mut kept = lock(&self.kept);
        if kept.records.len() >= self.capacity {
            kept.records.pop_front();
            kept.dropped += 1;
        }
        kept.records.push_back(Arc::clone(&record));
        record
    }

    /// A copy of everything kept.
    pub(crate) fn report(&self, clock: &ServerClock) -> TruthReport {
        let (records, dropped) = {
            let kept = lock(&self.kept);
            (kept.records.clone(), kept.dropped)
        };
        let requests = records.iter().map(|record| lock(record).clone()).collect();
        TruthReport { clock: ServerClock::NAME.to_owned(), now_ns: clock.now(), dropped, requests }
    }

    /// Forgets the requests of `report` that have ended, and its count of dropped ones; those still running, and
    /// any that came since, stay.
    pub(crate) fn forget(&self, report: &TruthReport) {
        let ended: std::collections::HashSet<u64> = report
            .requests
            .iter()
            .filter(|truth| truth.end_ns.is_some())
            .map(|truth| truth.sequence)
            .collect();
        let mut kept = lock(&self.kept);
        kept.records.retain(|record| !ended.contains(&lock(record).sequence));
        kept.dropped = kept.dropped.saturating_sub(report.dropped);
    }

    /// How many were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        lock(&self.kept).dropped
    }
}

/// Locks, whatever a task that panicked left behind: a stamp too few is no reason to lose the others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(store: &Store, sequence: u64) -> Record {
        store.open(Truth { sequence, ..Truth::default() })
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let (store, clock) = (Store::new(2), ServerClock::start());
        for sequence in 1..=5 {
            open(&store, sequence);
        }
        let report = store.report(&clock);
        assert_eq!(report.requests.iter().map(|truth| truth.sequence).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(report.dropped, 3);
    }

    #[test]
    fn forgetting_keeps_what_runs_and_what_came_since() {
        let (store, clock) = (Store::new(10), ServerClock::start());
        let ended = open(&store, 1);
        open(&store, 2);
        lock(&ended).mark_end(5, Some("stop"));
        let report = store.report(&clock);
        let late = open(&store, 3);
        lock(&late).mark_end(6, None);
        store.forget(&report);
        let left: Vec<u64> = store.report(&clock).requests.iter().map(|truth| truth.sequence).collect();
        assert_eq!(left, [2, 3]);
    }

    #[test]
    fn marks_add_up_and_survive_json() {
        let mut truth = Truth::default();
        truth.mark_head(1, 200);
        truth.mark_tokens(2, 3, Channel::Reasoning);
        truth.mark_tokens(4, 1, Channel::Eos);
        truth.mark_end(5, Some("stop"));
        assert_eq!((truth.first_token_ns, truth.completion_tokens), (Some(2), 4));
        let json = serde_json::to_string(&truth).unwrap();
        assert!(json.contains(r#""writes":[[2,3,"reasoning"],[4,1,"eos"]]"#), "{json}");
        assert_eq!(serde_json::from_str::<Truth>(&json).unwrap(), truth);
    }
}
