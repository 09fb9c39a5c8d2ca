//! Looks at the server's own metrics while the load runs, in a task of its own so that the load never waits for a look.
//!
//! Refuses to judge what it sees.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Stop;
use crate::backend::Backend;
use crate::clock::Clock;
use crate::server::ServerSample;

/// How often the server is looked at. A look costs the server a page of text.
const PERIOD: Duration = Duration::from_secs(1);

/// A look that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(2);

/// The looks of a load.
pub(super) struct Looking {
    first: Option<ServerSample>,
    stop: Stop,
    task: Option<JoinHandle<Vec<ServerSample>>>,
}

impl Looking {
    /// Looks once and goes on looking, unless the server has nothing to show.
    pub(super) async fn start(backend: Arc<dyn Backend>, clock: Clock) -> Self {
        let (first, stop) = (once(&*backend, clock).await, Stop::new());
        let stopped = stop.clone();
        let task = first.map(|_| tokio::spawn(async move { look_on(&*backend, clock, &stopped).await }));
        Self { first, stop, task }
    }

    /// Looks a last time and returns all looks by time.
    pub(super) async fn finish(self, backend: &dyn Backend, clock: Clock) -> Vec<ServerSample> {
        self.stop.cancel();
        let Some(task) = self.task else { return Vec::new() };
        // A task that died has no looks; the first and the last one still tell the totals.
        let between = task.await.unwrap_or_default();
        let last = once(backend, clock).await;
        self.first.into_iter().chain(between).chain(last).collect()
    }
}

async fn look_on(backend: &dyn Backend, clock: Clock, stop: &Stop) -> Vec<ServerSample> {
    let mut samples = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return samples,
            () = tokio::time::sleep(PERIOD) => {}
        }
        samples.extend(once(backend, clock).await);
    }
}

async fn once(backend: &dyn Backend, clock: Clock) -> Option<ServerSample> {
    tokio::time::timeout(LIMIT, backend.server_sample(&clock)).await.ok().flatten()
}
