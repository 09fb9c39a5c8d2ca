//! What sampling has brought so far, held where a run can take it even from a thread that hangs in a driver.
//!
//! The sampling thread adds to it round by round; locks are held for no longer than an append.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Stamp};
use crate::energy::{Channel, EnergyReading, GpuSample, ReadFault};
use crate::record::{SamplerFault, SourceCost, Suspension};

/// A machine that slept for less is taken for one that was busy between two looks at its clocks.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);

/// The two looks at the clock that enclose another are this far apart at most, or they tell nothing.
const STEADY: Duration = Duration::from_millis(10);

/// No source is being read.
const NOBODY: usize = usize::MAX;

/// Shared between the sampling thread and the run.
#[derive(Debug)]
pub(super) struct Kept {
    rounds: Mutex<Rounds>,
    /// The source that is being read, to name it if it never answers.
    reading: AtomicUsize,
}

/// The readings of all rounds so far and how they went.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) readings: Vec<EnergyReading>,
    pub(super) count: u64,
    pub(super) gpu_samples: Vec<GpuSample>,
    pub(super) suspensions: Vec<Suspension>,
    /// One entry a source.
    pub(super) faults: Vec<Option<SamplerFault>>,
    /// One entry a source.
    pub(super) costs: Vec<SourceCost>,
}

impl Kept {
    /// Empty, for sources whose first channels have these names.
    pub(super) fn new(sources: &[String]) -> Self {
        let cost =
            |channel: &String| SourceCost { channel: channel.clone(), reads: 0, seconds: 0.0, calls: None };
        let rounds = Rounds {
            faults: vec![None; sources.len()],
            costs: sources.iter().map(cost).collect(),
            ..Rounds::default()
        };
        Self { rounds: Mutex::new(rounds), reading: AtomicUsize::new(NOBODY) }
    }

    /// Works on what is kept. A thread that panicked while it held the lock leaves whole entries behind.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Rounds) -> T) -> T {
        work(&mut self.rounds.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn begin_source(&self, source: usize) {
        self.reading.store(source, Ordering::Release);
    }

    pub(super) fn end_source(&self) {
        self.reading.store(NOBODY, Ordering::Release);
    }

    /// The source that is being read right now.
    pub(super) fn stuck(&self) -> Option<usize> {
        Some(self.reading.load(Ordering::Acquire)).filter(|source| *source != NOBODY)
    }

    pub(super) fn note(&self, source: usize, fault: &ReadFault) {
        self.with(|rounds| {
            let channel = rounds.costs.get(source).map(|cost| cost.channel.clone()).unwrap_or_default();
            let Some(slot) = rounds.faults.get_mut(source) else { return };
            let gone = matches!(fault, ReadFault::Gone(_));
            let new = || SamplerFault { channel, message: fault.to_string(), count: 0, gone: false };
            let entry = slot.get_or_insert_with(new);
            entry.count += 1;
            // What ended a source says more than what merely disturbed it before.
            if gone && !entry.gone {
                (entry.gone, entry.message) = (true, fault.to_string());
            }
        });
    }

    pub(super) fn add_states(&self, samples: &[GpuSample]) {
        self.with(|rounds| rounds.gpu_samples.extend_from_slice(samples));
    }
}

/// Notices that the machine slept: the run's clock stands still in a sleep, the system's time since boot does not.
#[derive(Debug, Default)]
pub(super) struct SleepWatch {
    last: Option<(Stamp, Duration)>,
}

impl SleepWatch {
    /// Compares with the last look; the sleep between the two, if there was one.
    pub(super) fn look(&mut self, clock: Clock) -> Option<Suspension> {
        let before = clock.now();
        let boot = since_boot()?;
        let at = clock.now();
        // A thread that was held up between the looks knows nothing of either.
        if at.since(before) > STEADY {
            return None;
        }
        self.compare(at, boot)
    }

    fn compare(&mut self, at: Stamp, boot: Duration) -> Option<Suspension> {
        let (after, boot_then) = self.last.replace((at, boot))?;
        let slept = boot.saturating_sub(boot_then).saturating_sub(at.since(after));
        (slept >= SHORTEST_SLEEP).then_some(Suspension { after, before: at, seconds: slept.as_secs_f64() })
    }
}

/// Time since the system's start, sleep included; `None` where the system has no such clock.
fn since_boot() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// What is said of sources when the sampling thread did not answer: the one it hangs in, and those that wait for it.
pub(super) fn given_up(rounds: &mut Rounds, channels: &[Channel], stuck: Option<usize>, waited: Duration) {
    let hanging = stuck.and_then(|source| rounds.costs.get(source)).map(|cost| cost.channel.clone());
    let whose =
        hanging.unwrap_or_else(|| channels.first().map(|channel| channel.name.clone()).unwrap_or_default());
    for (source, (fault, cost)) in rounds.faults.iter_mut().zip(&rounds.costs).enumerate() {
        let message = match stuck {
            Some(stuck) if stuck == source => {
                format!(
                    "a reading did not return within {} s and was given up: its driver hangs",
                    waited.as_secs()
                )
            }
            _ => format!("it was not read any more, since the reading of {whose} hangs"),
        };
        let count = fault.as_ref().map_or(0, |fault| fault.count) + 1;
        if fault.as_ref().is_none_or(|fault| !fault.gone) {
            *fault = Some(SamplerFault { channel: cost.channel.clone(), message, count, gone: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_sleeps_is_noticed_and_a_busy_one_is_not() {
        let mut watch = SleepWatch::default();
        let second = |seconds: u64| Stamp(seconds * 1_000_000_000);
        assert_eq!(watch.compare(second(1), Duration::from_secs(101)), None);
        assert_eq!(watch.compare(second(5), Duration::from_millis(105_003)), None, "a pause is no sleep");
        let slept = watch.compare(second(6), Duration::from_millis(166_003)).unwrap();
        assert_eq!((slept.after, slept.before, slept.seconds), (second(5), second(6), 60.0));
        assert_eq!(watch.compare(second(7), Duration::from_millis(167_003)), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_clock_since_boot_is_never_behind_the_monotonic_one() {
        let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        assert!(since_boot().unwrap().as_secs() >= mono.tv_sec as u64);
    }
}
