//! The time limits of one request, and the stop of its run.
//!
//! One timer for all limits: it is set anew only when it fires, so a chunk costs no timer operation. Refuses to know
//! what is waited for.

use ai_energy_core::Stop;
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

/// Share of the limit for the first token from which on a total limit that strikes is about the first token: the total
/// starts before connecting, so of two equal limits it is the one that strikes.
const NEARLY: f64 = 0.99;

/// Watches one request.
pub(crate) struct Watch {
    limits: Limits,
    start: Instant,
    awaiting: Awaiting,
    timer: Pin<Box<Sleep>>,
    /// Ready once the run is stopped.
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    stopped: bool,
}

impl Watch {
    /// Starts with only the total running. Cancelling `stop` ends what is guarded.
    pub(crate) fn new(limits: Limits, stop: &Stop) -> Self {
        let start = Instant::now();
        let timer = Box::pin(sleep_until((start + limits.total).into()));
        // A child of its own: all requests of a run share one token, and with it the lock inside.
        let stop = Box::pin(stop.child_token().cancelled_owned());
        Self { limits, start, awaiting: Awaiting::Whole, timer, stop, stopped: false }
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

    /// Runs a future within the limits, until the run is stopped.
    ///
    /// # Errors
    /// A limit passed, and the failure names it and its option, or the run was stopped.
    pub(crate) async fn guard<F: Future>(&mut self, future: F) -> Result<F::Output, Failure> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // First, so that nothing is sent after a stop and no server that always has more to say holds it up.
            self.stopped = self.stopped || self.stop.as_mut().poll(cx).is_ready();
            if self.stopped {
                let message = "ended before it was complete because the run was stopped";
                return Poll::Ready(Err(Failure::new(ErrorClass::Cancelled, message)));
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                let (deadline, now) = (self.deadline(), Instant::now());
                if deadline <= now {
                    return Poll::Ready(Err(self.expired(now)));
                }
                self.timer.as_mut().reset(deadline.into());
            }
            Poll::Pending
        })
        .await
    }

    /// Which limit it was that passed.
    fn expired(&self, now: Instant) -> Failure {
        let total = now.duration_since(self.start) >= self.limits.total;
        let (class, limit, what, option) = match self.awaiting {
            Awaiting::FirstToken(since)
                if now.duration_since(since) >= self.limits.first_token.mul_f64(NEARLY) =>
            {
                // Whoever raised only one of two equal limits would meet the other next.
                let option = if total {
                    "first_token_timeout_seconds and total_timeout_seconds"
                } else {
                    "first_token_timeout_seconds"
                };
                (ErrorClass::FirstTokenTimeout, self.limits.first_token, "no first token", option)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream without a token is told that was sent `connecting` seconds after it began, where the sooner
    /// limit, in seconds too, strikes.
    async fn struck(first_token: f64, total: f64, connecting: f64) -> (ErrorClass, String) {
        let [first_token, total, connecting] = [first_token, total, connecting].map(Duration::from_secs_f64);
        let (connect, stall) = (Duration::from_secs(10), Duration::from_secs(120));
        let mut watch = Watch::new(Limits { connect, first_token, stall, total }, &Stop::new());
        watch.await_first_token(watch.start + connecting);
        let Failure { class, message } = watch.expired(watch.deadline());
        (class, message)
    }

    #[tokio::test]
    async fn a_stream_without_a_token_has_run_into_the_limit_for_it_whichever_of_two_equal_ones_strikes() {
        let (class, message) = struck(300.0, 300.0, 2.5).await;
        assert_eq!(class, ErrorClass::FirstTokenTimeout);
        assert!(message.contains("first_token_timeout_seconds and total_timeout_seconds"), "{message}");
        let (class, message) = struck(20.0, 300.0, 2.5).await;
        assert_eq!(class, ErrorClass::FirstTokenTimeout);
        assert!(message.ends_with("within 20 s (backend.server.first_token_timeout_seconds)"), "{message}");
    }

    #[tokio::test]
    async fn a_total_limit_that_strikes_well_before_that_for_the_first_token_is_the_total_limit() {
        for (first_token, connecting) in [(300.0, 3.5), (600.0, 0.0)] {
            let (class, message) = struck(first_token, 300.0, connecting).await;
            assert_eq!(class, ErrorClass::TotalTimeout, "{message}");
            assert!(
                message.contains("within 300 s") && message.contains("total_timeout_seconds"),
                "{message}"
            );
        }
    }
}
