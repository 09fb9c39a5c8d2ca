//! Waiting more finely than the runtime's timer, which rounds up to whole milliseconds.
//!
//! One thread of the server's own sleeps until the earliest deadline (a condition variable with a time-out: a
//! high-resolution timer in the kernel, with the thread's timer slack set to 1 ns on Linux), takes all that is due, and then
//! wakes the task that waits for it, or writes what a stream has ready, without waking anybody. On a quiet machine a wake-up is late by some tens of microseconds and costs no processor
//! time while nothing is due. `spin` trades processor time for the rest: the thread sleeps until that long before the
//! deadline and polls the clock from there.
//!
//! Refuses to promise anything: what the simulator claims is when it wrote, never when it meant to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio::sync::oneshot;

use crate::flow::Flow;

/// What happens at a deadline.
enum Job {
    /// A task wakes.
    Wake(oneshot::Sender<()>),
    /// A stream takes a step.
    Step(Arc<Flow>),
}

/// One deadline. Ordered by it, then by arrival.
struct Entry {
    due: Instant,
    order: u64,
    job: Job,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Entry {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.order)
    }
}

#[derive(Default)]
struct State {
    waiting: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
    stopped: bool,
}

impl State {
    /// Takes a deadline in; `true` where it is the earliest.
    fn push(&mut self, due: Instant, job: Job) -> bool {
        let earliest = self.waiting.peek().is_none_or(|Reverse(first)| due < first.due);
        self.arrivals += 1;
        self.waiting.push(Reverse(Entry { due, order: self.arrivals, job }));
        earliest
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    earlier: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The timing thread. Dropping it ends the thread and wakes whoever still waits.
pub(crate) struct Timer {
    shared: Arc<Shared>,
}

impl Timer {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when it gives no thread.
    pub(crate) fn start(spin: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("simulator-timer".to_owned()).spawn(move || keep_time(&theirs, spin))?;
        Ok(Self { shared })
    }

    /// Returns at `due` or as soon after it as the machine allows; at once where `due` has passed.
    pub(crate) async fn sleep_until(&self, due: Instant) {
        if due <= Instant::now() {
            // A stream without delays must not keep its executor from everybody else.
            tokio::task::consume_budget().await;
            return;
        }
        let (wake, woken) = oneshot::channel();
        self.enqueue(due, Job::Wake(wake));
        // An error means the timer has ended, and the server with it: nobody is to wait longer.
        let _ = woken.await;
    }

    /// Has the thread step a stream from `due` on, until it leaves.
    pub(crate) fn lend(&self, due: Instant, flow: Arc<Flow>) {
        self.enqueue(due, Job::Step(flow));
    }

    fn enqueue(&self, due: Instant, job: Job) {
        let earliest = self.shared.lock().push(due, job);
        if earliest {
            self.shared.earlier.notify_one();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.waiting.clear();
        drop(state);
        self.shared.earlier.notify_one();
    }
}

/// The thread's loop.
fn keep_time(shared: &Shared, spin: Duration) {
    sharpen();
    // Both keep their memory from one tick to the next.
    let (mut due, mut again) = (Vec::new(), Vec::new());
    let mut state = shared.lock();
    while !state.stopped {
        let now = Instant::now();
        take_due(&mut state, now, &mut due);
        if !due.is_empty() {
            drop(state);
            act(&mut due, &mut again);
            state = shared.lock();
            for (at, flow) in again.drain(..) {
                state.push(at, Job::Step(flow));
            }
            continue;
        }
        let Some(next) = state.waiting.peek().map(|Reverse(entry)| entry.due) else {
            state = shared.earlier.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let sleep = next.saturating_duration_since(now).saturating_sub(spin);
        if sleep.is_zero() {
            drop(state);
            std::hint::spin_loop();
            state = shared.lock();
        } else {
            state = shared.earlier.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn take_due(state: &mut State, now: Instant, due: &mut Vec<Job>) {
    while state.waiting.peek().is_some_and(|Reverse(entry)| entry.due <= now) {
        due.extend(state.waiting.pop().map(|Reverse(entry)| entry.job));
    }
}

/// Does what is due; streams that go on are put into `again` with their next deadlines.
fn act(due: &mut Vec<Job>, again: &mut Vec<(Instant, Arc<Flow>)>) {
    for job in due.drain(..) {
        match job {
            Job::Wake(wake) => {
                // The task may have gone since; then nobody is left to wake.
                let _ = wake.send(());
            }
            Job::Step(flow) => {
                if let Some(at) = flow.step() {
                    again.push((at, flow));
                }
            }
        }
    }
}

/// Asks the kernel not to bunch this thread's wake-ups with others, as it may by 50 µs unless told.
fn sharpen() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        tracing::debug!(%error, "timer slack left as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_task_wakes_and_none_before_its_deadline() {
        let timer = Arc::new(Timer::start(Duration::ZERO).unwrap());
        let start = Instant::now();
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for millis in [9_u64, 3, 6, 0] {
            let (timer, told) = (Arc::clone(&timer), told.clone());
            tokio::spawn(async move {
                let due = start + Duration::from_millis(millis);
                timer.sleep_until(due).await;
                assert!(Instant::now() >= due);
                told.send(millis).unwrap();
            });
        }
        drop(told);
        let mut woken = Vec::new();
        while let Some(millis) = order.recv().await {
            woken.push(millis);
        }
        woken.sort_unstable();
        assert_eq!(woken, [0, 3, 6, 9], "every task woke, none before its deadline");
    }

    #[tokio::test]
    async fn spinning_wakes_too_and_never_early() {
        let timer = Timer::start(Duration::from_millis(2)).unwrap();
        let due = Instant::now() + Duration::from_millis(4);
        timer.sleep_until(due).await;
        assert!(Instant::now() >= due);
    }

    #[tokio::test]
    async fn a_task_that_left_keeps_nobody_waiting() {
        let timer = Timer::start(Duration::ZERO).unwrap();
        let start = Instant::now();
        drop(tokio::time::timeout(Duration::ZERO, timer.sleep_until(start + Duration::from_millis(2))).await);
        timer.sleep_until(start + Duration::from_millis(4)).await;
        assert!(timer.shared.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn ending_the_timer_frees_whoever_waits() {
        let timer = Timer::start(Duration::ZERO).unwrap();
        let (wake, woken) = oneshot::channel();
        timer.enqueue(Instant::now() + Duration::from_secs(3600), Job::Wake(wake));
        drop(timer);
        assert!(woken.await.is_err());
    }
}
