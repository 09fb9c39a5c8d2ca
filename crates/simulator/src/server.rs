//! The server: its socket, its life and its death.
//!
//! Exists to own what all connections share. Refuses to know requests.

use ai_energy_core::{Fault, FaultKind};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::ServerClock;
use crate::connection::Connection;
use crate::handle::View;
use crate::options::Options;
use crate::routes;
use crate::stats::Counters;
use crate::timer::Timer;
use crate::truth::Store;

/// Connections that the kernel completes before they are accepted: a burst of thousands waits no retransmission.
const BACKLOG: i32 = 4096;

/// What all connections share.
pub(crate) struct Server {
    pub(crate) options: Arc<Options>,
    pub(crate) clock: ServerClock,
    pub(crate) timer: Timer,
    pub(crate) store: Store,
    pub(crate) counters: Counters,
    pub(crate) slots: Option<Arc<Semaphore>>,
    pub(crate) started: SystemTime,
    answered: AtomicU64,
    dead: watch::Sender<bool>,
}

impl Server {
    /// Counts an answered generation request; false once the server is dead of it.
    pub(crate) fn count_answer(&self) -> bool {
        let answered = self.answered.fetch_add(1, Relaxed) + 1;
        if self.options.die_after.is_some_and(|limit| answered >= limit) {
            self.dead.send_replace(true);
            return false;
        }
        true
    }
}

/// Why a simulator ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Shutdown,
    /// It had answered as many requests as `die_after` grants.
    Died,
}

/// A simulator that listens and does not serve yet.
pub struct Simulator {
    server: Arc<Server>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Simulator {
    /// Checks the options and takes the address. Clients may connect from here on; they are served by
    /// [`Simulator::run`].
    ///
    /// # Errors
    /// A usage fault where an option cannot be, or where the address cannot be had.
    pub fn bind(options: Options) -> Result<Self, Fault> {
        options.validate()?;
        let named = format!("simulator address {}:{}", options.host, options.port);
        let listener = listen(&options.host, options.port).map_err(|error| {
            Fault::new(FaultKind::Usage, named.clone(), error.to_string())
                .remedy("choose an address of this machine and a free port; port 0 takes any")
        })?;
        let internal = |error: io::Error| Fault::new(FaultKind::Internal, named.clone(), error.to_string());
        let address = listener.local_addr().map_err(internal)?;
        let timer = Timer::start(Duration::from_micros(u64::from(options.spin_us))).map_err(internal)?;
        let server = Server {
            clock: ServerClock::start(),
            timer,
            store: Store::new(options.truth_capacity),
            counters: Counters::default(),
            slots: options.max_concurrent.map(|slots| Arc::new(Semaphore::new(slots as usize))),
            started: SystemTime::now(),
            answered: AtomicU64::new(0),
            dead: watch::Sender::new(false),
            options: Arc::new(options),
        };
        Ok(Self { server: Arc::new(server), listener, address })
    }

    /// Where it listens, the port resolved.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A window on the truth and the counters that outlives the run.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.server))
    }

    /// Serves until `shutdown` completes or the server dies; then every connection is dropped, and what ran on them
    /// counts as aborted. Needs a tokio runtime with its I/O driver on.
    ///
    /// # Errors
    /// An internal fault where the runtime cannot take the socket.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, Fault> {
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(|error| {
            Fault::new(FaultKind::Internal, format!("simulator address {}", self.address), error.to_string())
        })?;
        tracing::info!(address = %self.address, model = self.server.options.model, "simulator listens");
        let mut death = self.server.dead.subscribe();
        let mut clients = JoinSet::new();
        tokio::pin!(shutdown);
        let ended = loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break Ended::Shutdown,
                () = died(&mut death) => break Ended::Died,
                Some(_) = clients.join_next(), if !clients.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        clients.spawn(attend(Arc::clone(&self.server), stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        // Out of file descriptors, most likely: some have to be given back first.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
            }
        };
        drop(listener);
        clients.shutdown().await;
        tracing::info!(?ended, "simulator ended");
        Ok(ended)
    }
}

async fn died(death: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server, which whoever waits here holds.
    let _ = death.wait_for(|dead| *dead).await;
}

async fn attend(server: Arc<Server>, stream: TcpStream) {
    server.counters.connections.fetch_add(1, Relaxed);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small writes may be held back");
    }
    let connection = Connection::new(stream, server.clock);
    routes::serve(&server, connection).await;
}

/// Listens on the first address of `host` that can be had.
fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs()? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A port that was in use a moment ago is free; elsewhere than on Unix the option would let two share one.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
