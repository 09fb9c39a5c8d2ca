//! Sockets that note when bytes came and went.
//!
//! The stamp of a chunk is the instant at which the read of its bytes returned, below TLS and before any parsing.
//! Refuses to know what the bytes mean.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::traffic::Carried;

/// When a connection last read and wrote. Relaxed atomics: one task writes and reads them, they are shared only
/// because a request's account outlives its connection.
#[derive(Debug)]
pub(crate) struct Moments {
    origin: Instant,
    /// Nanoseconds since the origin plus one; 0 for never.
    last_read: AtomicU64,
    first_plain: AtomicU64,
    last_write: AtomicU64,
    /// Nanoseconds that making the connection took, plus one; 0 for a request on a kept one.
    connecting: AtomicU64,
}

impl Moments {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            last_read: AtomicU64::new(0),
            first_plain: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
            connecting: AtomicU64::new(0),
        }
    }

    /// Notes a write that began at `began`. The instant before the system call counts: the server may have the bytes,
    /// and be at work, before the call returns.
    fn note_write(&self, began: u64) {
        if self.first_plain.load(Ordering::Relaxed) == 0 {
            self.last_write.store(began, Ordering::Relaxed);
        }
    }

    /// This moment as a cell holds it.
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1
    }

    fn instant(&self, cell: &AtomicU64) -> Option<Instant> {
        let nanos = cell.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.origin + Duration::from_nanos(nanos))
    }

    /// Forgets the first byte and the last write, before a request goes out.
    pub(crate) fn arm(&self) {
        self.connecting.store(0, Ordering::Relaxed);
        self.first_plain.store(0, Ordering::Relaxed);
        self.last_write.store(0, Ordering::Relaxed);
    }

    /// The connection was made for the request that is about to go out, and took that long.
    pub(crate) fn note_connecting(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX - 1);
        self.connecting.store(nanos + 1, Ordering::Relaxed);
    }

    /// What making the connection took for this request, ns; `None` on a kept one.
    pub(crate) fn connecting(&self) -> Option<u64> {
        self.connecting.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The last read of the socket that returned bytes.
    pub(crate) fn last_read(&self) -> Option<Instant> {
        self.instant(&self.last_read)
    }

    /// The read that brought the first byte of a response since [`Moments::arm`].
    pub(crate) fn first_byte(&self) -> Option<Instant> {
        self.instant(&self.first_plain)
    }

    /// The begin of the last write of the socket that took bytes since [`Moments::arm`] and before an answer began: what is written
    /// later is no request any more, for example the alert that ends TLS.
    pub(crate) fn sent(&self) -> Option<Instant> {
        self.instant(&self.last_write)
    }

    fn note_plain(&self) {
        if self.first_plain.load(Ordering::Relaxed) == 0 {
            self.first_plain.store(self.last_read.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// A TCP stream that keeps [`Moments`].
#[derive(Debug)]
pub(crate) struct StampedTcp {
    tcp: TcpStream,
    moments: Arc<Moments>,
    carried: Carried,
}

impl StampedTcp {
    pub(crate) fn new(tcp: TcpStream, carried: Carried) -> Self {
        Self { tcp, moments: Arc::new(Moments::new()), carried }
    }
}

impl AsyncRead for StampedTcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read > 0 {
            this.carried.received += read as u64;
            this.moments.last_read.store(this.moments.now(), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StampedTcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let began = this.moments.now();
        let written = ready!(Pin::new(&mut this.tcp).poll_write(cx, buf))?;
        this.carried.sent += written as u64;
        this.moments.note_write(began);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let began = this.moments.now();
        let written = ready!(Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs))?;
        this.carried.sent += written as u64;
        this.moments.note_write(began);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// What carries the bytes.
#[derive(Debug)]
enum Carrier {
    Plain(StampedTcp),
    Tls(Box<TlsStream<StampedTcp>>),
}

/// A connection, plain or under TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    carrier: Carrier,
    moments: Arc<Moments>,
}

impl Socket {
    pub(crate) fn plain(tcp: StampedTcp) -> Self {
        let moments = Arc::clone(&tcp.moments);
        Self { carrier: Carrier::Plain(tcp), moments }
    }

    pub(crate) fn tls(tls: TlsStream<StampedTcp>) -> Self {
        let moments = Arc::clone(&tls.get_ref().0.moments);
        Self { carrier: Carrier::Tls(Box::new(tls)), moments }
    }

    pub(crate) fn moments(&self) -> Arc<Moments> {
        Arc::clone(&self.moments)
    }

    /// Hands in the bytes it has carried: an answer has ended.
    pub(crate) fn rest(&mut self) {
        match &mut self.carrier {
            Carrier::Plain(tcp) => tcp.carried.rest(),
            Carrier::Tls(tls) => tls.get_mut().0.carried.rest(),
        }
    }

    /// Reads plain bytes; 0 at the connection's end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_read(cx, &mut buffer),
            Carrier::Tls(tls) => Pin::new(tls).poll_read(cx, &mut buffer),
        })?;
        if !buffer.filled().is_empty() {
            self.moments.note_plain();
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes plain bytes; says how many were taken.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Carrier::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    /// Sends what TLS still holds.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Carrier::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }
}
