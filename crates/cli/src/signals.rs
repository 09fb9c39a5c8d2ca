//! SIGINT and SIGTERM end the load, not the program: what was measured is still written. A second one ends at once.

use std::future::Future;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ai_energy_core::Stop;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::diagnostics;
use crate::exit::Exit;

/// Which signal came, if any.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicU8>);

impl Received {
    /// The exit code that belongs to the signal.
    pub fn exit(&self) -> Option<Exit> {
        match self.0.load(Ordering::SeqCst) {
            130 => Some(Exit::Interrupted),
            143 => Some(Exit::Terminated),
            _ => None,
        }
    }
}

/// Listens from now on: the first signal cancels `stop`, the second ends the program.
pub fn listen(stop: Stop) -> Received {
    survive_file_size_limit();
    let received = Received::default();
    let told = received.clone();
    let listening = async move {
        let Some(first) = next_signal().await else { return };
        told.0.store(first.number(), Ordering::SeqCst);
        // On a terminal the live line may stand there.
        let fresh_line = if std::io::stderr().is_terminal() { "\n" } else { "" };
        let text =
            "stopping: requests in flight are ended and what was measured is written; again to end at once";
        diagnostics::note(&format!("{fresh_line}{text}"));
        stop.cancel();
        if let Some(second) = next_signal().await {
            std::process::exit(i32::from(second.number()));
        }
    };
    apart(listening);
    received
}

/// Where signals are listened for, where that is not the runtime that the load runs on.
static EARS: Mutex<Option<Handle>> = Mutex::new(None);

/// A thread that hears signals while the only other one writes reports. What listens on it ends with it.
pub struct Ears(Option<Runtime>);

impl Ears {
    /// Opens them. Where the system gives no thread, signals are heard between the load's own tasks.
    pub fn open() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build().ok();
        *EARS.lock().unwrap_or_else(PoisonError::into_inner) =
            runtime.as_ref().map(|runtime| runtime.handle().clone());
        Self(runtime)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        *EARS.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn apart(listening: impl Future<Output = ()> + Send + 'static) {
    match &*EARS.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(ears) => ears.spawn(listening),
        None => tokio::spawn(listening),
    };
}

/// A file size limit (`ulimit -f`) is to be an error of the write, which names the file, not the end of the program.
#[cfg(unix)]
fn survive_file_size_limit() {
    const SIGXFSZ: i32 = 25;
    // Listening is enough to keep the signal from killing; where it fails, the limit ends the program as before.
    let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ));
}

#[cfg(not(unix))]
fn survive_file_size_limit() {}

#[cfg(unix)]
async fn next_signal() -> Option<Exit> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    tokio::select! {
        _ = interrupt.recv() => Some(Exit::Interrupted),
        _ = terminate.recv() => Some(Exit::Terminated),
    }
}

#[cfg(not(unix))]
async fn next_signal() -> Option<Exit> {
    tokio::signal::ctrl_c().await.ok().map(|()| Exit::Interrupted)
}
