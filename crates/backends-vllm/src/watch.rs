//! The time limits of one request.
//!
//! One timer for all of them: it is set anew only when it fires, so a chunk costs no timer operation. Refuses to know
//! what is waited for.

use ai_energy_core::record::ErrorClass;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

use crate::failure::Failure;
use crate::options::Limits;

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    /// The whole answer, or the connection: only the total counts.
    Whole,
    /// The first token, since the request was sent.
    FirstToken(Instant),
    /// The next sign of life, since the last.
    More(Instant),
    /// The end of the body, after the answer was complete.
    Tail(Instant),
}

/// How long a body may stay open after its `[DONE]`. The answer is complete then; only the connection's reuse is at
/// stake.
const TAIL: Duration = Duration::from_secs(1);

/// Watches one request.
pub(crate) struct Watch {
    limits: Limits,
    start: Instant,
    awaiting: Awaiting,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    /// Starts with only the total running.
    pub(crate) fn new(limits: Limits) -> Self {
        let start = Instant::now();
        let timer = Box::pin(sleep_until((start + limits.total).into()));
        Self { limits, start, awaiting: Awaiting::Whole, timer }
    }

    /// From `sent` on a first token is waited for.
    pub(crate) fn await_first_token(&mut self, sent: Instant) {
        self.awaiting = Awaiting::FirstToken(sent);
        let deadline = self.deadline();
        self.timer.as_mut().reset(deadline.into());
    }

    /// Something came at `at`: from now on silence is limited.
    pub(crate) fn saw_life(&mut self, at: Instant) {
        let sooner = !matches!(self.awaiting, Awaiting::More(_));
        self.awaiting = Awaiting::More(at);
        if sooner {
            let deadline = self.deadline();
            self.timer.as_mut().reset(deadline.into());
        }
    }

    /// The answer comes as a whole: no first token can be seen in it.
    pub(crate) fn await_whole(&mut self) {
        self.awaiting = Awaiting::Whole;
    }

    /// The answer is complete: the body's end is waited for, briefly.
    pub(crate) fn await_tail(&mut self) {
        if !matches!(self.awaiting, Awaiting::Tail(_)) {
            self.awaiting = Awaiting::Tail(Instant::now());
            let deadline = self.deadline();
            self.timer.as_mut().reset(deadline.into());
        }
    }

    fn deadline(&self) -> Instant {
        let total = self.start + self.limits.total;
        match self.awaiting {
            Awaiting::Whole => total,
            Awaiting::FirstToken(since) => total.min(since + self.limits.first_token),
            Awaiting::More(since) => total.min(since + self.limits.stall),
            Awaiting::Tail(since) => total.min(since + TAIL),
        }
    }

    /// Runs a future within the limits.
    ///
    /// # Errors
    /// A limit passed; the failure names it and its option.
    pub(crate) async fn guard<F: Future>(&mut self, future: F) -> Result<F::Output, Failure> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                let deadline = self.deadline();
                if deadline <= Instant::now() {
                    return Poll::Ready(Err(self.expired()));
                }
                self.timer.as_mut().reset(deadline.into());
            }
            Poll::Pending
        })
        .await
    }

    fn expired(&self) -> Failure {
        let total = self.start.elapsed() >= self.limits.total;
        let (class, limit, what, option) = match self.awaiting {
            Awaiting::FirstToken(since) if since.elapsed() >= self.limits.first_token => (
                ErrorClass::FirstTokenTimeout,
                self.limits.first_token,
                "no first token",
                "first_token_timeout_seconds",
            ),
            Awaiting::More(_) if !total => (
                ErrorClass::StallTimeout,
                self.limits.stall,
                "the stream fell silent",
                "stall_timeout_seconds",
            ),
            _ => (
                ErrorClass::TotalTimeout,
                self.limits.total,
                "the request did not end",
                "total_timeout_seconds",
            ),
        };
        let verb = if class == ErrorClass::StallTimeout { "for" } else { "within" };
        Failure::new(class, format!("{what} {verb} {} s (backend.server.{option})", limit.as_secs_f64()))
    }
}
