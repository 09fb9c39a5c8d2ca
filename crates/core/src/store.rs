//! The seam for a place outside the memory: where a run puts the token times and texts of requests that ended.
//!
//! Refuses to know where that is; the journal has one in the run's folder.

use std::fmt::Debug;
use std::io;

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
