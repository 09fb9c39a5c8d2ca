//! The seam for datasets: where prompts come from.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::fault::Fault;
use crate::prompt::{FollowUp, Prompt};

/// What a run keeps of its dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DatasetInfo {
    /// Name as configured: a hub id, a path, or a built-in name.
    pub name: String,
    /// Kind as the registry lists it, for example `csv` or `hub`.
    pub kind: String,
    /// Revision, where the source has one.
    pub revision: Option<String>,
    /// SHA-256 over the prompts in order (role, a zero byte, content, a zero byte), in hex.
    pub sha256: String,
    /// Rows in the source; `None` where not all were read.
    pub rows: Option<usize>,
}

/// The prompts of a run and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedPrompts {
    /// The prompts in the order they will be sent.
    pub prompts: Vec<Prompt>,
    /// What the run keeps of the dataset.
    pub info: DatasetInfo,
    /// When each prompt was asked, since the first one; empty where the source does not say. As long as `prompts`
    /// otherwise.
    pub timeline: Vec<Duration>,
    /// What follows in the conversations that prompts begin, by [`Prompt::index`].
    pub follow_ups: BTreeMap<usize, Vec<FollowUp>>,
    /// Things the user should know, for example fewer rows than asked for.
    pub warnings: Vec<String>,
}

/// Hears how a load goes on; the command line draws a bar from it.
pub trait LoadProgress: Send + Sync {
    /// `done` of `total` bytes of `what` are here; `total` is `None` where the sender did not say.
    fn bytes(&self, what: &str, done: u64, total: Option<u64>);
}

impl LoadProgress for () {
    fn bytes(&self, _what: &str, _done: u64, _total: Option<u64>) {}
}

/// A source of prompts.
#[async_trait]
pub trait Dataset: Send + Sync {
    /// Loads the first `limit` prompts; fewer where the source has fewer, with a warning. Never repeats a row silently.
    ///
    /// # Errors
    /// The source is not there, not readable, has no such column, or holds no prompt at all.
    async fn load(&self, limit: usize, progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault>;
}
