//! Says when planned instants have come, more finely than the runtime's timer, which rounds up to whole milliseconds.
//!
//! One thread sleeps from instant to instant. Refuses to know what is due and whether there is room for it.

use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock::{Clock, Stamp};

/// A row of instants, told one by one as they come.
pub(super) struct Pacer {
    due: UnboundedReceiver<Stamp>,
    thread: Thread,
}

impl Pacer {
    /// Tells each of `instants`, in order, at that long after `begin`.
    pub(super) fn start(clock: Clock, begin: Stamp, instants: Vec<Duration>) -> Self {
        let (tell, due) = unbounded_channel();
        let handle = std::thread::spawn(move || pace(clock, begin, &instants, &tell));
        Self { due, thread: handle.thread().clone() }
    }

    /// The next planned instant, once it has come; `None` after the last one.
    pub(super) async fn next(&mut self) -> Option<Stamp> {
        self.due.recv().await
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.due.close();
        self.thread.unpark();
    }
}

fn pace(clock: Clock, begin: Stamp, instants: &[Duration], tell: &UnboundedSender<Stamp>) {
    for instant in instants {
        let planned = after(begin, *instant);
        let due = clock.instant(planned);
        // Parking may end early for no reason, and does when nobody listens any more.
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if tell.is_closed() {
                return;
            }
            std::thread::park_timeout(left);
        }
        if tell.send(planned).is_err() {
            return;
        }
    }
}

/// A stamp that long after another.
pub(super) fn after(begin: Stamp, time: Duration) -> Stamp {
    Stamp(begin.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
}
