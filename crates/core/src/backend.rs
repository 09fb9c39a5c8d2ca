//! The seam for backends: what runs the model.
//!
//! A backend stamps what it sees and counts what it gets; it prints nothing, schedules nothing and computes no figure.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Traffic;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::prompt::{FormattedPrompt, GenerationParams};
use crate::record::{Generation, ServerCounters};
use crate::runner::Stop;
use crate::server::ServerSample;

/// What a backend is, for reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BackendInfo {
    /// The registry's name, for example `vllm`.
    pub backend: String,
    /// The model that is served or loaded.
    pub model: String,
    /// Where it is served, without credentials; `None` in process.
    pub endpoint: Option<String>,
    /// What it runs on, where the backend knows.
    pub device: Option<String>,
    /// The serving program and its version as it presents itself, for example `vLLM 0.32.0`.
    pub server: Option<String>,
    /// `true` for a fake or a simulator: every report says so.
    pub synthetic: bool,
    /// Anything else worth keeping.
    pub details: Map<String, Value>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// As it should be.
    Ok,
    /// Works, with something to know.
    Warning,
}

/// One thing that `validate` looked at and found usable. What is not usable is a [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Check {
    /// What was looked at, for example `server reachable`.
    pub name: String,
    /// How it went.
    pub outcome: CheckOutcome,
    /// What was seen, for example `52 ms`.
    pub detail: String,
}

/// One generation to run.
#[derive(Debug, Clone)]
pub struct Request {
    /// Unique name within a run; sent as `X-Request-Id` where the protocol has such a thing.
    pub id: String,
    /// What to send.
    pub prompt: Arc<FormattedPrompt>,
    /// How to generate.
    pub params: Arc<GenerationParams>,
    /// Cancelled when the run ends early. The backend then returns at once with what it saw so far and an error of
    /// class `Cancelled`, so that what was generated is known.
    pub stop: Stop,
}

/// Live counts for a progress line. Relaxed: a line on a terminal needs no ordering.
#[derive(Debug, Default)]
pub struct Tally {
    tokens: AtomicU64,
}

impl Tally {
    /// Counts tokens as they arrive; called once a chunk, so it must stay this cheap.
    pub fn add_tokens(&self, count: u64) {
        self.tokens.fetch_add(count, Ordering::Relaxed);
    }

    /// Tokens so far. An estimate from chunks: the record holds the true count.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }
}

/// Something that generates text.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What this backend is. Fuller after [`Backend::validate`].
    fn info(&self) -> BackendInfo;

    /// Looks whether a run can succeed: reachable, model present, one token generated.
    ///
    /// # Errors
    /// The first thing that would make a run fail, with what to do about it.
    async fn validate(&self) -> Result<Vec<Check>, Fault>;

    /// Runs one generation. Never panics and never loses what was seen: an error stands in the result beside the
    /// stamps and counts up to it. Ends early when `request.stop` is cancelled; dropping the future ends the generation
    /// too, as a last resort that loses what was seen.
    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation;

    /// Counts the tokens of a generated text with the model's own tokenizer, where the backend can; asked after the
    /// load, for generations whose server gave no count.
    async fn count_tokens(&self, _text: &str) -> Option<u32> {
        None
    }

    /// The server's own token counters, where it has them; asked right before and right after the load, so that the
    /// record's counts can be held against them.
    async fn token_counters(&self) -> Option<ServerCounters> {
        None
    }

    /// A look at the server's own metrics, where it has such; asked about once a second during the load.
    async fn server_sample(&self, _clock: &Clock) -> Option<ServerSample> {
        None
    }

    /// What its connections carried since it was made, where it has such; asked right before and right after the load.
    /// Each call begins the count of [`Traffic::peak_open`] anew.
    fn traffic(&self) -> Option<Traffic> {
        None
    }

    /// Ends what `validate` or `generate` started. Called once, after the load.
    async fn close(&self) {}
}
