//! One request in a task of its own, from its due instant to its account. Refuses to know why it was sent.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::backend::{Backend, Request, Tally};
use crate::clock::{Clock, Stamp};
use crate::record::{ErrorClass, Generation, RequestError};
use crate::runner::Stop;

/// How long a backend may take to return what it saw after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// Waits for the instant, where there is one, and runs one generation. A backend that does not return soon after a stop is
/// dropped, with what it saw.
pub(super) async fn generate(
    backend: &dyn Backend,
    request: &Request,
    clock: Clock,
    tally: &Tally,
    not_before: Option<Stamp>,
) -> Generation {
    let stop = request.stop.clone();
    let late = "ended before it was complete because the run was stopped";
    if let Some(instant) = not_before {
        tokio::select! {
            () = tokio::time::sleep_until(clock.instant(instant).into()) => {}
            () = stop.cancelled() => {
                return ended_with(clock.now(), ErrorClass::Cancelled, "the run was stopped before it was sent");
            }
        }
    }
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await
    };
    let generation = backend.generate(request, &clock, tally);
    unless_stopped(generation, patience, &stop)
        .await
        .unwrap_or_else(|| ended_with(clock.now(), ErrorClass::Cancelled, late))
}

/// The output of `work`; `None` where `patience`, which begins with the stop, ends before it. Before the stop, `patience` is
/// polled only where it must learn who waits: the work of a stream wakes for each token.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    patience: impl Future<Output = ()>,
    stop: &Stop,
) -> Option<T> {
    let (mut work, mut patience) = (pin!(work), pin!(patience));
    let mut wakes: Option<Waker> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let known = wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && !stop.is_cancelled() {
            return Poll::Pending;
        }
        wakes = Some(cx.waker().clone());
        patience.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// A generation of which nothing is known but how it ended.
pub(super) fn ended_with(end: Stamp, class: ErrorClass, message: &str) -> Generation {
    let error = RequestError { class, message: message.to_owned(), status: None };
    Generation { end, error: Some(error), ..Generation::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_until_patience_ends_however_often_it_was_polled() {
        let stop = Stop::new();
        let polled = std::cell::Cell::new(0);
        // Never done, and polled again and again.
        let busy = poll_fn(|cx| {
            polled.set(polled.get() + 1);
            if polled.get() == 10 {
                stop.cancel();
            }
            if polled.get() < 20 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(unless_stopped(busy, patience, &stop).await, None);
        assert!(polled.get() >= 20);
        let stopped = async {
            stop.cancelled().await;
            std::future::pending().await
        };
        assert_eq!(unless_stopped(async { 7 }, stopped, &stop).await, Some(7));
    }
}
