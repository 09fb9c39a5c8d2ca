//! One HTTP/1.1 connection and one exchange on it.
//!
//! The task that waits for a response reads its socket: no token passes from one task to another between the socket and
//! its stamp, and a read's bytes are used where they lie. Refuses to know what is sent and what comes back.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::head::{self, Head};
use crate::socket::{Moments, Socket};

/// Bytes taken from a socket at a time; more than a burst of events.
const READ_SIZE: usize = 64 << 10;

thread_local! {
    /// One buffer a thread, not one a connection: nothing stays in it between two reads.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// Why an exchange cannot go on.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What came is no HTTP/1 response; in words.
    NoHttp(String),
    /// The body's framing is wrong; in words.
    Framing(&'static str),
    /// The server closed the connection.
    Closed,
    /// The connection broke.
    Io(io::Error),
}

/// A connection.
pub(crate) struct Link {
    socket: Socket,
    pub(crate) moments: Arc<Moments>,
}

impl Link {
    /// A connection on a socket.
    pub(crate) fn new(socket: Socket) -> Self {
        let moments = socket.moments();
        Self { socket, moments }
    }

    /// Whether another request can go out: looks at the socket, so that a connection which the server has closed in
    /// the meantime is noticed. One on which bytes came that nobody asked for is not usable either.
    pub(crate) async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_read(cx, |_| ()).is_pending())).await
    }

    /// Hands in the bytes it has carried.
    pub(crate) fn rest(&mut self) {
        self.socket.rest();
    }

    /// Sends a request and waits for the head of its response. The stamps must have been armed for it.
    ///
    /// # Errors
    /// The connection broke, or what came is no response.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        let (mut unsent, mut failed, mut said) = (request, None, Vec::new());
        poll_fn(|cx| {
            if failed.is_none()
                && let Poll::Ready(Err(cause)) = self.poll_send(cx, &mut unsent)
            {
                // A server that refuses a long request may have answered before it stopped reading.
                (failed, unsent) = (Some(cause), &[]);
            }
            loop {
                let read = ready!(self.poll_read(cx, |bytes| said.extend_from_slice(bytes)));
                match read {
                    Ok(0) => return Poll::Ready(Err(failed.take().map_or(Broken::Closed, Broken::Io))),
                    Ok(_) => {}
                    Err(cause) => return Poll::Ready(Err(Broken::Io(failed.take().unwrap_or(cause)))),
                }
                if let Some(mut head) = head::response(&said).map_err(Broken::NoHttp)? {
                    head.stays &= unsent.is_empty() && failed.is_none();
                    said.drain(..head.size);
                    return Poll::Ready(Ok(Answer { head, early: std::mem::take(&mut said) }));
                }
            }
        })
        .await
    }

    /// Writes what is left of a request.
    fn poll_send(&mut self, cx: &mut Context<'_>, unsent: &mut &[u8]) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            let count = ready!(self.socket.poll_write(cx, unsent))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *unsent = &unsent[count..];
        }
        self.socket.poll_flush(cx)
    }

    /// Reads once, hands what came to `take`, and says how many bytes it was.
    fn poll_read(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let count = ready!(self.socket.poll_read(cx, buffer))?;
            take(&buffer[..count]);
            Poll::Ready(Ok(count))
        })
    }
}

/// The head of a response, and what came with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    early: Vec<u8>,
}

/// A response under way.
pub(crate) struct Exchange {
    pub(crate) link: Link,
    pub(crate) head: Head,
    /// The body's begin, where it came with the head.
    early: Vec<u8>,
}

impl Exchange {
    /// The exchange whose head has come.
    pub(crate) fn new(link: Link, answer: Answer) -> Self {
        Self { link, head: answer.head, early: answer.early }
    }

    /// Waits for one read of the socket, and hands the pieces of the body in it to `sink`, with the instant at which it
    /// returned; `false` once the body is whole.
    ///
    /// # Errors
    /// The connection broke or the framing is wrong. What came before that has been handed on.
    pub(crate) async fn read(&mut self, mut sink: impl FnMut(&[u8], Instant)) -> Result<bool, Broken> {
        let Self { link, head, early } = self;
        if !early.is_empty() {
            let at = link.moments.last_read().unwrap_or_else(Instant::now);
            return take(head, &std::mem::take(early), at, &mut sink);
        }
        if head.decoder.over() {
            return Ok(false);
        }
        let moments = Arc::clone(&link.moments);
        let mut taken = Ok(true);
        let count = poll_fn(|cx| {
            link.poll_read(cx, |bytes| {
                let at = moments.last_read().unwrap_or_else(Instant::now);
                taken = take(head, bytes, at, &mut sink);
            })
        });
        match count.await.map_err(Broken::Io)? {
            0 if head.decoder.may_end() => {
                head.stays = false;
                Ok(false)
            }
            0 => Err(Broken::Closed),
            _ => taken,
        }
    }

    /// The connection, where it may be used again.
    pub(crate) fn into_kept(self) -> Option<Link> {
        (self.head.stays && self.head.decoder.over()).then_some(self.link)
    }
}

/// Hands a read's part of the body on; `false` once the body is whole.
fn take(
    head: &mut Head,
    bytes: &[u8],
    at: Instant,
    sink: &mut impl FnMut(&[u8], Instant),
) -> Result<bool, Broken> {
    let rest = head.decoder.take(bytes, &mut |piece| sink(piece, at));
    let rest = rest.map_err(|wrong| Broken::Framing(wrong.0))?;
    // Bytes that nobody asked for: whose they are cannot be told.
    head.stays &= rest.is_empty();
    Ok(!head.decoder.over())
}
