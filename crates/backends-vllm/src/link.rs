//! One HTTP/1.1 connection and one exchange on it.
//!
//! The connection is driven by the task that waits for its response: no token passes from one task to another between
//! the socket and its stamp. Refuses to know what is sent and what comes back.

use ai_energy_core::record::ErrorClass;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Response};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::failure::Failure;
use crate::socket::{Moments, Socket};

/// A request ready to send; cheap to clone, since the body is shared.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// A connection and its driver.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: Connection<Socket, Full<Bytes>>,
    /// The driver has finished and must not be polled again.
    over: bool,
    pub(crate) moments: Arc<Moments>,
}

impl Link {
    /// Prepares HTTP on a connected socket.
    ///
    /// # Errors
    /// None in practice: HTTP/1.1 has no handshake of its own.
    pub(crate) async fn new(socket: Socket) -> Result<Self, Failure> {
        let moments = socket.moments();
        let (sender, driver) =
            handshake(socket).await.map_err(|cause| Failure::new(ErrorClass::Connect, cause.to_string()))?;
        Ok(Self { sender, driver, over: false, moments })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.over && Pin::new(&mut self.driver).poll(cx).is_ready() {
            self.over = true;
        }
    }

    /// Whether another request can go out: looks at the socket, so that a connection which the server has closed in
    /// the meantime is noticed.
    pub(crate) async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            let ready = !self.over && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())));
            Poll::Ready(ready)
        })
        .await
    }

    /// Sends a request and waits for the head of its response. The stamps must have been armed for it.
    pub(crate) async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, hyper::Error> {
        let mut response = pin!(self.sender.send_request(request));
        let (driver, over) = (&mut self.driver, &mut self.over);
        poll_fn(|cx| {
            if let Poll::Ready(result) = response.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if !*over && Pin::new(&mut *driver).poll(cx).is_ready() {
                *over = true;
            }
            response.as_mut().poll(cx)
        })
        .await
    }
}

/// A response under way.
pub(crate) struct Exchange {
    pub(crate) link: Link,
    pub(crate) response: Response<Incoming>,
}

impl Exchange {
    /// The next piece of the body and the instant at which its last byte was read; `None` at the body's end.
    ///
    /// # Errors
    /// The connection broke or the framing is wrong.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Instant)>, Failure> {
        let Self { link, response } = self;
        let body = response.body_mut();
        poll_fn(|cx| {
            loop {
                // The client reads the socket only when what it read before has been taken, so the last read is the
                // one that completed this piece. The driver runs once more than the body, to look for new bytes.
                let mut frame = Pin::new(&mut *body).poll_frame(cx);
                if frame.is_pending() {
                    link.drive(cx);
                    frame = Pin::new(&mut *body).poll_frame(cx);
                }
                let Poll::Ready(frame) = frame else {
                    return Poll::Pending;
                };
                return Poll::Ready(match frame {
                    None => Ok(None),
                    Some(Err(cause)) => Err(Failure::in_body(&cause)),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) if bytes.is_empty() => continue,
                        Ok(bytes) => Ok(Some((bytes, link.moments.last_read().unwrap_or_else(Instant::now)))),
                        Err(_trailers) => continue,
                    },
                });
            }
        })
        .await
    }
}
