//! A generation's stay in the server: its wait for a slot, its slot, and its end, however it comes.
//!
//! Exists so that gauges, counters and the truth agree even when a client leaves or the server dies: what is not
//! ended when it is dropped was given up. Refuses to know what is written.

use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

use crate::connection::{Connection, Gone};
use crate::server::Server;
use crate::stats::Finish;
use crate::truth::{Record, lock};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Ended,
}

/// A generation from its acceptance to its end.
pub(crate) struct Flight {
    server: Arc<Server>,
    record: Record,
    stage: Stage,
    slot: Option<OwnedSemaphorePermit>,
    prompt_tokens: u32,
    begun: bool,
}

impl Flight {
    /// Accepts a generation; it waits.
    pub(crate) fn accept(server: &Arc<Server>, record: Record, prompt_tokens: u32) -> Self {
        server.counters.waiting.fetch_add(1, Relaxed);
        let server = Arc::clone(server);
        Self { server, record, stage: Stage::Waiting, slot: None, prompt_tokens, begun: false }
    }

    /// Waits for a slot, in order of arrival, and returns when service begins.
    pub(crate) async fn board(&mut self, connection: &mut Connection) -> Result<Instant, Gone> {
        if let Some(slots) = &self.server.slots {
            let slot = tokio::select! {
                biased;
                slot = Arc::clone(slots).acquire_owned() => slot,
                gone = connection.gone() => return Err(gone),
            };
            // The slots are never closed; were they, nobody would be served any more.
            self.slot = Some(slot.map_err(|_| Gone)?);
        }
        self.leave_stage();
        self.stage = Stage::Running;
        self.server.counters.running.fetch_add(1, Relaxed);
        let start = Instant::now();
        lock(&self.record).started_ns = Some(self.server.clock.at(start));
        Ok(start)
    }

    /// Counts the prompt, once.
    fn begin(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            self.server.counters.prompt_tokens.fetch_add(u64::from(self.prompt_tokens), Relaxed);
        }
        first
    }

    /// Counts tokens that are about to be written, where there are any. With the first of them goes the time to first
    /// token.
    pub(crate) fn count(&mut self, tokens: u32) {
        if self.begin() {
            let arrival = lock(&self.record).arrival_ns;
            let since = self.server.clock.now().saturating_sub(arrival);
            self.server.counters.observe_first_token(Duration::from_nanos(since));
        }
        self.server.counters.generation_tokens.fetch_add(u64::from(tokens), Relaxed);
    }

    /// Ends the generation: its slot is free, and it counts as finished. Called before the last bytes go out, so that a
    /// client which has them finds them counted.
    pub(crate) fn end(&mut self, finish: Finish) {
        if self.stage == Stage::Ended {
            return;
        }
        if self.stage == Stage::Running && finish != Finish::Abort {
            self.begin();
        }
        self.leave_stage();
        self.stage = Stage::Ended;
        self.slot = None;
        self.server.counters.finish(finish);
    }

    fn leave_stage(&self) {
        let gauge = match self.stage {
            Stage::Waiting => &self.server.counters.waiting,
            Stage::Running => &self.server.counters.running,
            Stage::Ended => return,
        };
        gauge.fetch_sub(1, Relaxed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(Finish::Abort);
    }
}
