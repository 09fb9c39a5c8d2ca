//! A simulator in the background: where it is, what it saw, and its end.
//!
//! Exists for tests and for tools that run the simulator beside other work. Refuses to serve.

use ai_energy_core::{Fault, FaultKind};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

use crate::clock::ServerClock;
use crate::options::Options;
use crate::server::{Ended, Server, Simulator};
use crate::stats::Stats;
use crate::truth::{Truth, TruthReport};

/// A window on a simulator's truth and counters. It stays valid after the simulator ended.
#[derive(Clone)]
pub struct View {
    server: Arc<Server>,
}

impl View {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// The truth of the requests that are kept, in order of arrival, those still running included.
    pub fn truth(&self) -> Vec<Truth> {
        self.report().requests
    }

    /// The same with what `/truth` says about it.
    pub fn report(&self) -> TruthReport {
        self.server.store.report(&self.server.clock)
    }

    /// Hands out the truth and forgets the requests in it that have ended.
    pub fn take_truth(&self) -> Vec<Truth> {
        let report = self.report();
        self.server.store.forget(&report);
        report.requests
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.server.counters.read(self.server.store.dropped())
    }

    /// The clock of the truth, to stamp instants of this process with.
    pub fn clock(&self) -> ServerClock {
        self.server.clock
    }
}

/// A running simulator. It ends when this is dropped.
pub struct Handle {
    view: View,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<Result<Ended, Fault>>,
}

impl Handle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of its API, for example `http://127.0.0.1:40123/v1`.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The window on its truth and counters, which outlives it.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// [`View::truth`].
    pub fn truth(&self) -> Vec<Truth> {
        self.view.truth()
    }

    /// [`View::stats`].
    pub fn stats(&self) -> Stats {
        self.view.stats()
    }

    /// [`View::clock`].
    pub fn clock(&self) -> ServerClock {
        self.view.clock()
    }

    /// Waits for its end without causing it, as after `die_after`.
    ///
    /// # Errors
    /// What [`Simulator::run`] says, or an internal fault where its runtime is gone.
    pub async fn ended(mut self) -> Result<Ended, Fault> {
        let outcome = (&mut self.ended).await;
        outcome.unwrap_or_else(|_| {
            let object = format!("simulator at {}", self.address);
            Err(Fault::new(FaultKind::Internal, object, "its runtime ended before it did"))
        })
    }

    /// Ends it: nobody is accepted any more, and every connection is dropped.
    ///
    /// # Errors
    /// As [`Handle::ended`].
    pub async fn shutdown(self) -> Result<Ended, Fault> {
        self.stop.send_replace(true);
        self.ended().await
    }
}

impl Simulator {
    /// Starts a simulator as a task of the caller's runtime, which must have its I/O driver on.
    ///
    /// # Errors
    /// As [`Simulator::bind`].
    pub fn spawn(options: Options) -> Result<Handle, Fault> {
        let simulator = Self::bind(options)?;
        let (handle, run) = simulator.in_background();
        tokio::spawn(run);
        Ok(handle)
    }

    /// Starts a simulator on a thread with a runtime of its own, so that client and server share no executor and
    /// neither waits for the other's tasks.
    ///
    /// # Errors
    /// As [`Simulator::bind`], and an internal fault where the system gives no thread or no runtime.
    pub fn spawn_thread(options: Options) -> Result<Handle, Fault> {
        let simulator = Self::bind(options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(internal)?;
        let (handle, run) = simulator.in_background();
        let thread = std::thread::Builder::new().name("simulator".to_owned());
        thread.spawn(move || runtime.block_on(run)).map_err(internal)?;
        Ok(handle)
    }

    fn in_background(self) -> (Handle, impl Future<Output = ()> + Send + 'static) {
        let (stop, mut stopped) = watch::channel(false);
        let (tell, ended) = oneshot::channel();
        let handle = Handle { view: self.view(), address: self.local_addr(), stop, ended };
        let run = async move {
            let shutdown = async {
                // An error means the handle is gone, which ends the simulator as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let outcome = self.run(shutdown).await;
            // Nobody may wait for the end any more.
            let _ = tell.send(outcome);
        };
        (handle, run)
    }
}

fn internal(error: std::io::Error) -> Fault {
    Fault::new(FaultKind::Internal, "simulator", error.to_string())
}
