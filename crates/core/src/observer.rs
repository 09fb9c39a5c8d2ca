//! The seam for whoever watches a run as it goes: the journal, the progress line, a library user.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stamp;
use crate::energy::{Channel, EnergyReading, GpuSample};
use crate::phase::PhaseKind;
use crate::record::{RequestRecord, RunRecord};
use crate::store::Store;

/// Hears what happens. Called from the load's and the sampler's threads: must return at once, hence hands work that
/// takes time (a disk, a terminal) to a thread of its own.
pub trait Observer: Send + Sync {
    /// A stretch of the run outside the load begins, such as idling; `expected` is its planned length.
    fn phase_started(&self, _kind: PhaseKind, _at: Stamp, _expected: Duration) {}

    /// The load is about to begin: what is known of the run by then, its ending [`Unfinished`], without requests and readings.
    ///
    /// [`Unfinished`]: crate::record::Ending::Unfinished
    fn run_started(&self, _head: &RunRecord) {}

    /// The load begins: `requests` will be run.
    fn load_started(&self, _at: Stamp, _requests: usize) {}

    /// A request was handed to the backend.
    fn request_started(&self, _at: Stamp) {}

    /// A request ended, well or not.
    fn request_ended(&self, _record: &RequestRecord) {}

    /// One round of readings. `channels` is the whole run's list.
    fn readings(&self, _channels: &[Channel], _readings: &[EnergyReading]) {}

    /// The GPUs as they were just seen, about once a second.
    fn gpu_states(&self, _samples: &[GpuSample]) {}

    /// A place for what the run should not hold in memory. Given by an observer that keeps every request itself.
    fn store(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// The load is over.
    fn load_ended(&self, _at: Stamp) {}
}
