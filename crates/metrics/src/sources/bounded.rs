//! Looks at drivers, which may never return: each on a thread of its own, for a limited time.
//!
//! A driver that hangs holds its locks, so what did not return once is not asked again in this process. The thread is
//! left to itself: nothing can end a call into a driver from outside. Refuses to know what is looked for.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::options::Roots;

/// The usual limit: NVML takes a second or two for each GPU whose driver does not stay loaded.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What to do about a driver that hangs.
pub(super) const REMEDY: &str = "see the kernel's log (`dmesg`), then reset the device or restart the machine; where the driver is only slow, \
                                 set metrics.discovery_seconds higher";

/// Everything that did not return so far.
static HANGING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It did not return within this time.
    #[error("the look for it did not end within {} s: its driver hangs", .0.as_secs_f64())]
    Hangs(Duration),
    /// It did not return when it was asked before.
    #[error("its driver hangs since an earlier look")]
    HangsStill,
    /// It panicked, or the system gives no thread.
    #[error("the look for it failed")]
    Died,
}

/// What `work` returns if it does so within `limit`. `name` and `roots` say what is looked at and where.
///
/// # Errors
/// It does not return in time, did not at an earlier look, or panics.
pub(crate) fn within<T: Send + 'static>(
    name: &str,
    roots: &Roots,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unanswered> {
    let what = format!("{name} {roots:?}");
    let hanging = || HANGING.lock().unwrap_or_else(PoisonError::into_inner);
    if hanging().contains(&what) {
        return Err(Unanswered::HangsStill);
    }
    let (hand, handed) = channel();
    let thread = std::thread::Builder::new().name(format!("look for {name}"));
    // The receiver is gone where nobody waits any more; what came late is dropped here then.
    let spawned = thread.spawn(move || drop(hand.send(work())));
    spawned.map_err(|_| Unanswered::Died)?;
    handed.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Disconnected => Unanswered::Died,
        RecvTimeoutError::Timeout => {
            tracing::warn!(source = name, ?limit, "the look for an energy source hangs");
            hanging().insert(what);
            Unanswered::Hangs(limit)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_hangs_is_left_behind_and_not_asked_again() {
        let roots = Roots { sys: "/bounded-test".into(), ..Roots::default() };
        let (release, held) = channel::<()>();
        let short = Duration::from_millis(20);
        let hangs = within("driver", &roots, short, move || held.recv());
        assert_eq!(hangs, Err(Unanswered::Hangs(short)));
        let again = within("driver", &roots, LONG, || panic!("it is not asked again"));
        assert_eq!(again, Err::<(), _>(Unanswered::HangsStill));
        assert_eq!(within("other", &roots, LONG, || 7), Ok(7), "only what hangs is not asked again");
        drop(release);
    }

    #[test]
    fn a_look_that_panics_ends_as_no_answer() {
        let died =
            within("panics", &Roots::default(), LONG, || -> u32 { panic!("as it should in this test") });
        assert_eq!(died, Err(Unanswered::Died));
    }
}
