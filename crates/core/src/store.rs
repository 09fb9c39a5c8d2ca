//! The seam for a place outside the memory: where a run puts the token times and texts of requests that ended.
//!
//! Refuses to know where that is; the journal has one in the run's folder, from which its observer hands it to the run.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::record::{RequestRecord, TokenCountSource};

/// Bytes kept outside the memory. A clone of its handle reads what any other put there.
pub trait Store: Debug + Send + Sync {
    /// Takes the bytes and says where they will stand. Called from the load's threads: must return at once, hence hands
    /// the writing to a thread of its own.
    fn keep(&self, bytes: &[u8]) -> u64;

    /// Fills `into` with what stands at a place that [`Store::keep`] gave, waiting until it is written.
    ///
    /// # Errors
    /// It could not be written, or cannot be read.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// Bytes of token times and texts that a run holds in memory; further ones go to its store, where it has one.
pub const IN_MEMORY: usize = 64 << 20;

/// What requests that ended may hold in memory.
#[derive(Debug)]
pub struct Bound {
    limit: usize,
    held: usize,
    store: Option<Arc<dyn Store>>,
}

/// A text that was moved to a store, since its tokens are still to be counted.
#[derive(Debug, Clone)]
pub struct StoredText {
    store: Arc<dyn Store>,
    at: u64,
    bytes: usize,
}

impl StoredText {
    /// The text again.
    ///
    /// # Errors
    /// The store cannot read it.
    pub fn read(&self) -> io::Result<String> {
        let mut bytes = vec![0; self.bytes];
        self.store.read(self.at, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

impl Bound {
    /// At most `limit` bytes in memory where there is a store, else all of them.
    pub fn new(limit: usize, store: Option<Arc<dyn Store>>) -> Self {
        Self { limit, held: 0, store }
    }

    /// Makes the record of a request that ended small. Beyond the bound its token times go to the store, and its text too,
    /// where the tokens in it are still to be counted; otherwise whoever was told of the request has it.
    pub fn take(&mut self, record: &mut RequestRecord) -> Option<StoredText> {
        let generation = &mut record.generation;
        generation.chunks.pack();
        let text = generation.text.as_ref().map_or(0, String::len);
        let Some(store) =
            self.store.as_ref().filter(|_| self.held + generation.chunks.heap_bytes() + text > self.limit)
        else {
            self.held += generation.chunks.heap_bytes() + text;
            return None;
        };
        generation.chunks.put_into(store);
        let text = generation.text.take()?;
        needs_counting(record).then(|| StoredText {
            store: Arc::clone(store),
            at: store.keep(text.as_bytes()),
            bytes: text.len(),
        })
    }
}

/// `true` where a tokenizer would know better how many tokens a request generated.
pub(crate) fn needs_counting(record: &RequestRecord) -> bool {
    let counted = record.generation.completion_tokens;
    record.succeeded() && counted.is_none_or(|count| count.source == TokenCountSource::Chunks)
}
