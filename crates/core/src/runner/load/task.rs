//! One request in a task of its own, from its due instant to its account. Refuses to know why it was sent.

use std::time::Duration;

use crate::backend::{Backend, Request, Tally};
use crate::clock::{Clock, Stamp};
use crate::record::{ErrorClass, Generation, RequestError};

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
    tokio::select! {
        biased;
        generation = backend.generate(request, &clock, tally) => generation,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
            ended_with(clock.now(), ErrorClass::Cancelled, late)
        }
    }
}

/// A generation of which nothing is known but how it ended.
pub(super) fn ended_with(end: Stamp, class: ErrorClass, message: &str) -> Generation {
    let error = RequestError { class, message: message.to_owned(), status: None };
    Generation { end, error: Some(error), ..Generation::default() }
}
