//! Idling on purpose: nothing is sent, so that the sampler sees what the machine draws without the load.
//!
//! Refuses to outlast a stop, and to know what was read meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::Stop;
use crate::clock::Clock;
use crate::observer::Observer;
use crate::phase::{Phase, PhaseKind};

/// How to idle.
pub(super) struct Idling {
    /// Planned length; 0 measures none.
    pub(super) seconds: f64,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) observers: Arc<[Arc<dyn Observer>]>,
}

impl Idling {
    /// Waits for the planned time or the stop, whichever comes first, and says how long it was. `None` where nothing is
    /// to be measured or the run is stopped already.
    pub(super) async fn measure(&self, kind: PhaseKind) -> Option<Phase> {
        let planned = Duration::try_from_secs_f64(self.seconds).ok().filter(|planned| !planned.is_zero())?;
        if self.stop.is_cancelled() {
            return None;
        }
        let start = self.clock.now();
        for observer in self.observers.iter() {
            observer.phase_started(kind, start, planned);
        }
        tokio::select! {
            () = tokio::time::sleep(planned) => {}
            () = self.stop.cancelled() => {}
        }
        Some(Phase { kind, start, end: self.clock.now() })
    }
}
