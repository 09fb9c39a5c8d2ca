//! Probes how late the load's event loop runs what is due.
//!
//! A descriptor becomes readable at planned instants, as a socket does when a token comes, and a task on the load's own
//! runtime notes when it got to run. What kept this task waiting kept the streams waiting. Refuses to judge the delays.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::Stop;
use crate::client::Delays;
use crate::clock::{Clock, Stamp};

/// Time between two wakes. Fifty a second cost less than a thousandth of a core.
const PERIOD: Duration = Duration::from_millis(20);

/// A probe under way.
pub(super) struct Probe {
    stop: Stop,
    task: JoinHandle<Option<Delays>>,
}

impl Probe {
    /// Begins probing on the current runtime.
    pub(super) fn start(clock: Clock) -> Self {
        let stop = Stop::new();
        let stopped = stop.clone();
        Self { stop, task: tokio::spawn(async move { timer::watch(clock, &stopped).await }) }
    }

    /// Ends it; `None` where the system gave no timer.
    pub(super) async fn finish(self) -> Option<Delays> {
        self.stop.cancel();
        self.task.await.ok().flatten()
    }
}

/// Counts the delay of each planned instant up to `now`, from the `next` one on, and says which is next. Those that a late
/// wake passed over count too: leaving them out would hide the longest delays.
fn count(delays: &mut Delays, begin: Stamp, now: Stamp, mut next: u64) -> u64 {
    let period = delays.period_ns.max(1);
    while begin.0 + next * period <= now.0 {
        delays.add(now.0 - begin.0 - next * period);
        next += 1;
    }
    next
}

#[cfg(target_os = "linux")]
mod timer {
    //! The kernel's timer as a descriptor: as exact as the clock, and it wakes the loop by the way that sockets do.

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    use super::{Clock, Delays, PERIOD, Stop, count};

    pub(super) async fn watch(clock: Clock, stop: &Stop) -> Option<Delays> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
        let period = Timespec { tv_sec: 0, tv_nsec: i64::from(PERIOD.subsec_nanos()) };
        let setting = Itimerspec { it_interval: period, it_value: period };
        let begin = clock.now();
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting).ok()?;
        // To the runtime it is a descriptor that becomes readable, like a pipe's end.
        let timer = Receiver::from_owned_fd_unchecked(timer).ok()?;
        let mut delays = Delays::new(u64::from(PERIOD.subsec_nanos()), "timer descriptor");
        let mut next = 1;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Some(delays),
                ready = timer.readable() => ready.ok()?,
            }
            next = count(&mut delays, begin, clock.now(), next);
            // How often it rang follows from the clock. Nothing to read means that it is read out.
            let _ = timer.try_read(&mut [0; 8]);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    //! The runtime's own timer, which rounds up to whole milliseconds: delays read up to 1 ms too long.

    use super::{Clock, Delays, PERIOD, Stop, count};

    pub(super) async fn watch(clock: Clock, stop: &Stop) -> Option<Delays> {
        let begin = clock.now();
        let mut delays =
            Delays::new(u64::from(PERIOD.subsec_nanos()), "the runtime's timer, rounded up to 1 ms");
        let mut next = 1_u64;
        loop {
            let due = begin.0 + next * delays.period_ns;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Some(delays),
                () = tokio::time::sleep_until(clock.instant(crate::clock::Stamp(due)).into()) => {}
            }
            next = count(&mut delays, begin, clock.now(), next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_that_comes_late_counts_every_instant_that_it_missed() {
        let mut delays = Delays::new(10, "test");
        assert_eq!(count(&mut delays, Stamp(100), Stamp(109), 1), 1, "none is due yet");
        assert_eq!(count(&mut delays, Stamp(100), Stamp(135), 1), 4);
        assert_eq!((delays.count, delays.max_ns, delays.sum_ns), (3, 25, 25 + 15 + 5));
    }

    #[tokio::test]
    async fn a_loop_that_is_held_up_shows_how_long() {
        let probe = Probe::start(Clock::start());
        tokio::time::sleep(PERIOD * 2).await;
        // The only thread of this runtime: nothing else can run meanwhile.
        std::thread::sleep(Duration::from_millis(200));
        tokio::time::sleep(PERIOD).await;
        let delays = probe.finish().await.unwrap();
        assert!(delays.max_ns >= 150_000_000, "held up for 200 ms, seen {} ns", delays.max_ns);
        assert!(delays.count >= 8, "the wakes within the hold-up are counted: {}", delays.count);
        assert!(delays.quantile_ns(0.99).unwrap().1 >= 100_000_000);
    }
}
