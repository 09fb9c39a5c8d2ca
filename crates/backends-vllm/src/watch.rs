//! The time limits of one request, and the stop of its run.
//!
//! One timer for all limits: it is set anew only when it fires, so a chunk costs no timer operation. Timer and stop are
//! polled when they must learn who waits, and when one of them may have come; in between a chunk costs a look at the run's
//! token and at the clock. Refuses to know what is waited for.

use ai_energy_core::Stop;
use ai_energy_core::record::ErrorClass;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
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
    /// When the timer fires.
    alarm: Instant,
    /// Whom timer and stop wake.
    wakes: Option<Waker>,
    token: Stop,
    /// Ready once the run is stopped.
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    stopped: bool,
}

impl Watch {
    /// Starts with only the total running. Cancelling `stop` ends what is guarded.
    pub(crate) fn new(limits: Limits, stop: &Stop) -> Self {
        let start = Instant::now();
        let alarm = start + limits.total;
        let timer = Box::pin(sleep_until(alarm.into()));
        let token = stop.clone();
        // A child of its own: all requests of a run share one token, and with it the lock inside.
        let stop = Box::pin(stop.child_token().cancelled_owned());
        Self {
            limits,
            start,
            awaiting: Awaiting::Whole,
            timer,
            alarm,
            wakes: None,
            token,
            stop,
            stopped: false,
        }
    }

    /// From `sent` on a first token is waited for.
    pub(crate) fn await_first_token(&mut self, sent: Instant) {
        self.awaiting = Awaiting::FirstToken(sent);
        self.set_timer(self.deadline());
    }

    /// The timer forgets nobody whom it wakes.
    fn set_timer(&mut self, alarm: Instant) {
        self.alarm = alarm;
        self.timer.as_mut().reset(alarm.into());
    }

    /// Something came at `at`: from now on silence is limited.
    pub(crate) fn saw_life(&mut self, at: Instant) {
        let sooner = !matches!(self.awaiting, Awaiting::More(_));
        self.awaiting = Awaiting::More(at);
        if sooner {
            self.set_timer(self.deadline());
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
            self.set_timer(self.deadline());
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
            if let Some(failure) = self.poll_stop(cx) {
                return Poll::Ready(Err(failure));
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_limits(cx).map(Err)
        })
        .await
    }

    /// The failure of a run that was stopped.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let known = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !known {
            // What is not polled with a waker wakes whoever polled it last.
            self.stopped = self.stopped || self.stop.as_mut().poll(cx).is_ready();
        }
        self.stopped = self.stopped || self.token.is_cancelled();
        let message = "ended before it was complete because the run was stopped";
        self.stopped.then(|| Failure::new(ErrorClass::Cancelled, message))
    }

    /// Ready with the limit that passed.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let known = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && Instant::now() < self.alarm {
            return Poll::Pending;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let (deadline, now) = (self.deadline(), Instant::now());
            if deadline <= now {
                return Poll::Ready(self.expired(now));
            }
            self.set_timer(deadline);
        }
        if !known {
            self.wakes = Some(cx.waker().clone());
        }
        Poll::Pending
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn limits(seconds: f64) -> Limits {
        let limit = Duration::from_secs_f64(seconds);
        Limits { connect: limit, first_token: limit, stall: limit, total: limit }
    }

    /// However often it was polled before, and by whom: a stop and a limit wake whoever polled last, and are told then.
    #[tokio::test]
    async fn whoever_polled_last_is_woken_by_a_stop_and_by_a_limit() {
        for by_stop in [true, false] {
            let run = Stop::new();
            let mut watch = Watch::new(limits(if by_stop { 3600.0 } else { 0.05 }), &run);
            let mut guarded = Box::pin(watch.guard(std::future::pending::<()>()));
            let (first, last) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
            for counter in [&first, &first, &last, &last] {
                let waker = Waker::from(Arc::clone(counter));
                assert!(guarded.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
            if by_stop {
                run.cancel();
            }
            while last.0.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let failure = guarded.await.unwrap_err();
            let expected = if by_stop { ErrorClass::Cancelled } else { ErrorClass::TotalTimeout };
            assert_eq!(failure.class, expected);
        }
    }

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
