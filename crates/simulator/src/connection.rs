//! One client's connection: requests in, bytes out, each write stamped as the kernel takes it.
//!
//! Exists to keep sockets in one place. Refuses to know what is asked or answered.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

use crate::clock::ServerClock;
use crate::http::{self, Head, Refusal};
use crate::timer::Timer;
use crate::truth::{Truth, lock};

/// Bytes read at once.
const READ_SIZE: usize = 16 * 1024;
/// Bytes of further requests that are taken while one is being answered.
const PIPELINE_LIMIT: usize = 1024 * 1024;

/// A request, whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// When its last byte had been read, ns on the server's clock.
    pub(crate) arrival_ns: u64,
}

/// Why no request came.
#[derive(Debug)]
pub(crate) enum NoRequest {
    /// The client is gone.
    Gone,
    /// What came is not HTTP as it is spoken here.
    Refused(Refusal),
}

/// The client closed its side, or the connection broke.
#[derive(Debug)]
pub(crate) struct Gone;

/// A client's connection.
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    /// What was read and not used yet.
    pending: Vec<u8>,
    clock: ServerClock,
    last_read_ns: u64,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, clock: ServerClock) -> Self {
        Self { stream: Arc::new(stream), pending: Vec::new(), clock, last_read_ns: 0 }
    }

    /// Waits for the next request.
    pub(crate) async fn request(&mut self) -> Result<Request, NoRequest> {
        let head = loop {
            match http::parse_head(&self.pending).map_err(NoRequest::Refused)? {
                Some(head) => break head,
                None => self.read().await.map_err(|Gone| NoRequest::Gone)?,
            }
        };
        let end = head.length + head.body_length;
        if head.expects_continue && self.pending.len() < end {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.send_plain(interim).await.map_err(|_| NoRequest::Gone)?;
        }
        while self.pending.len() < end {
            self.read().await.map_err(|Gone| NoRequest::Gone)?;
        }
        let rest = self.pending.split_off(end);
        let mut body = std::mem::replace(&mut self.pending, rest);
        body.drain(..head.length);
        Ok(Request { head, body, arrival_ns: self.last_read_ns })
    }

    /// Reads some bytes.
    async fn read(&mut self) -> Result<(), Gone> {
        loop {
            self.stream.readable().await.map_err(|_| Gone)?;
            let mut bytes = [0; READ_SIZE];
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Err(Gone),
                Ok(count) => {
                    self.last_read_ns = self.clock.now();
                    self.pending.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if retry(&error) => {}
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Returns once the client has closed its side. What it sends before that is kept for later.
    pub(crate) async fn gone(&mut self) -> Gone {
        loop {
            if self.pending.len() >= PIPELINE_LIMIT {
                // Nothing more is taken, so nothing more can be learnt until the answer is written.
                std::future::pending::<()>().await;
            }
            if let Err(gone) = self.read().await {
                return gone;
            }
        }
    }

    /// Waits until `due`, or until the client is gone.
    pub(crate) async fn wait(&mut self, timer: &Timer, due: Instant) -> Result<(), Gone> {
        tokio::select! {
            biased;
            () = timer.sleep_until(due) => Ok(()),
            gone = self.gone() => Err(gone),
        }
    }

    /// The socket, for whoever writes to it at set times.
    pub(crate) fn stream(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// Returns once the socket takes bytes again, or the client is gone.
    pub(crate) async fn writable(&mut self) -> Result<(), Gone> {
        let stream = self.stream();
        tokio::select! {
            biased;
            ready = stream.writable() => ready.map_err(|_| Gone),
            gone = self.gone() => Err(gone),
        }
    }

    /// Writes all of `bytes`, and calls `mark` with the moment just before the system call that took the last of them.
    /// The record is locked over each call: whoever reads it because a client has the bytes finds the mark in it.
    pub(crate) async fn send(
        &self,
        bytes: &[u8],
        record: &Mutex<Truth>,
        mut mark: impl FnMut(&mut Truth, u64),
    ) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = write_marked(&self.stream, rest, record, self.clock, &mut mark);
            rest = self.advance(rest, taken).await?;
        }
        Ok(())
    }

    /// Writes all of `bytes`, which no truth is kept about.
    pub(crate) async fn send_plain(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.stream.try_write(rest);
            rest = self.advance(rest, taken).await?;
        }
        Ok(())
    }

    /// What is left to write after a call; waits where the kernel had no room.
    async fn advance<'b>(&self, rest: &'b [u8], taken: io::Result<usize>) -> io::Result<&'b [u8]> {
        match taken {
            Ok(count) => Ok(rest.get(count..).unwrap_or_default()),
            Err(error) if retry(&error) => {
                self.stream.writable().await?;
                Ok(rest)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub(crate) fn reset(self) {
        if let Err(error) = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "the connection closes in order, it could not be reset");
        }
    }

    /// Ends our side and lets the client read what was written: a close with unread bytes would reset the connection
    /// and take the answer with it.
    pub(crate) async fn close(mut self) {
        if socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let drain = async {
            let mut left = http::BODY_LIMIT;
            while left > 0 && self.read().await.is_ok() {
                left = left.saturating_sub(self.pending.len());
                self.pending.clear();
            }
        };
        // The client has a second to take the answer; nothing is measured any more.
        let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    }
}

/// One write, and `mark` with the moment just before it where it took all bytes. The record is locked over the call.
pub(crate) fn write_marked(
    stream: &TcpStream,
    bytes: &[u8],
    record: &Mutex<Truth>,
    clock: ServerClock,
    mark: impl FnOnce(&mut Truth, u64),
) -> io::Result<usize> {
    let mut truth = lock(record);
    let at = clock.now();
    let taken = stream.try_write(bytes);
    if matches!(taken, Ok(count) if count == bytes.len()) {
        mark(&mut truth, at);
    }
    taken
}

pub(crate) fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
