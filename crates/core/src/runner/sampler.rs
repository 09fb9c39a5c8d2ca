//! The sampling thread: reads every source at a steady pace and never makes the load wait.
//!
//! Sources live on this thread alone. Refuses to integrate and to judge: it keeps raw readings and counts faults.

mod kept;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use crate::clock::{Clock, Stamp};
use crate::energy::{Channel, EnergyReading, EnergySource, GpuSample, GpuState, ReadFault, last_states};
use crate::observer::Observer;
use crate::record::{SamplerFault, SamplerStats};
use kept::{Kept, Rounds, SleepWatch, given_up};

/// The last round is repeated this often at most for sources that failed in it.
const LAST_ROUND_REPEATS: u32 = 5;

/// The pause before each repeat of the last round.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// The states of GPUs are asked for this often at most: each look costs a few calls into the driver.
const STATE_INTERVAL: Duration = Duration::from_secs(1);

/// A first round that takes longer hangs: the load does not wait for it.
const FIRST_ROUND: Duration = Duration::from_secs(10);

/// A last round that takes longer hangs: the run ends without it.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// A running sampler.
pub struct Sampler {
    stop: Sender<Load>,
    /// Ends when the thread does, with its CPU time; an error means that it died.
    done: oneshot::Receiver<Option<f64>>,
    /// What was read so far, kept here too: a thread that hangs or dies takes nothing along.
    kept: Arc<Kept>,
    channels: Vec<Channel>,
    /// How long the last round may take: values of some sources arrive late.
    patience: Duration,
}

/// When the load began and ended, and the last moment that the readings have to reach.
#[derive(Debug, Clone, Copy)]
struct Load {
    start: Stamp,
    end: Stamp,
    last: Stamp,
}

/// What a sampler brings back.
#[derive(Debug, Default)]
pub struct Sampled {
    /// What was read.
    pub channels: Vec<Channel>,
    /// The values, by time.
    pub readings: Vec<EnergyReading>,
    /// GPUs as last seen within the load; after it, where the load was too short for a look.
    pub gpu_states: Vec<GpuState>,
    /// GPUs as seen about once a second, by time.
    pub gpu_samples: Vec<GpuSample>,
    /// What it cost.
    pub stats: SamplerStats,
}

/// A source and where its channels begin in the run's list.
struct Slot {
    source: Box<dyn EnergySource>,
    first_channel: usize,
    gone: bool,
    /// When each channel was last read.
    last: Vec<Option<Stamp>>,
}

struct Loop {
    slots: Vec<Slot>,
    channels: Vec<Channel>,
    clock: Clock,
    observers: Arc<[Arc<dyn Observer>]>,
    kept: Arc<Kept>,
    /// The readings of the round that is going on; one buffer for all rounds.
    round: Vec<EnergyReading>,
    sleep: SleepWatch,
}

impl Sampler {
    /// Starts sampling and returns once the first round of readings is done, so that a load that begins now has
    /// readings at or before its begin. A first round that hangs is not waited for.
    pub async fn start(
        sources: Vec<Box<dyn EnergySource>>,
        clock: Clock,
        interval_ms: u32,
        observers: Arc<[Arc<dyn Observer>]>,
    ) -> Self {
        let (stop, stopped) = channel();
        let (ready, first_round) = oneshot::channel();
        let (end, done) = oneshot::channel();
        let interval = Duration::from_millis(u64::from(interval_ms.max(1)));
        let channels: Vec<Channel> = sources.iter().flat_map(|source| source.channels().to_vec()).collect();
        let latency = sources.iter().map(|source| source.latency()).max().unwrap_or_default();
        let first = sources.iter().map(|source| source.channels().first().map(|first| first.name.clone()));
        let names: Vec<String> = first.map(Option::unwrap_or_default).collect();
        let kept = Arc::new(Kept::new(&names));
        let theirs = Arc::clone(&kept);
        // Never joined: a thread that hangs in a driver would hold up whoever joins it.
        std::thread::spawn(move || {
            let mut sampling = Loop::new(sources, clock, observers, theirs);
            sampling.round(None);
            // The receiver is gone only where the run was dropped; then nobody waits.
            let _ = ready.send(());
            sampling.run(interval, &stopped);
            let _ = end.send(thread_cpu_seconds());
        });
        // An error means that the thread died or hangs; `finish` reports that.
        let _ = tokio::time::timeout(FIRST_ROUND, first_round).await;
        Self { stop, done, kept, channels, patience: LAST_ROUND + latency }
    }

    /// Takes a last round of readings and returns everything; gaps are judged within the load, `start..end`. A source
    /// without a reading at or after `last`, the end of what is measured, is read again a few times: its energy over the
    /// last phase rests on that one reading. A thread that does not answer within a few seconds is left to itself, and what it read
    /// until then is returned.
    pub async fn finish(self, start: Stamp, end: Stamp, last: Stamp) -> Sampled {
        let load = Load { start, end, last };
        // An error means that the thread died before; `done` tells.
        let _ = self.stop.send(load);
        let ended = tokio::time::timeout(self.patience, self.done).await;
        let mut rounds = self.kept.with(std::mem::take);
        let cpu_seconds = match ended {
            Ok(Ok(cpu_seconds)) => cpu_seconds,
            Ok(Err(_)) => {
                tracing::error!("the sampling thread died: no energy was measured from then on");
                died(&mut rounds);
                None
            }
            Err(_) => {
                tracing::error!("a sensor's driver does not answer: sampling was given up");
                given_up(&mut rounds, &self.channels, self.kept.stuck(), self.patience);
                None
            }
        };
        sampled(self.channels, rounds, load, cpu_seconds)
    }
}

/// Puts together what a run keeps.
fn sampled(channels: Vec<Channel>, mut rounds: Rounds, load: Load, cpu_seconds: Option<f64>) -> Sampled {
    let gpu_states = last_states(&rounds.gpu_samples, load.start, load.end);
    let stats = SamplerStats {
        rounds: rounds.count,
        cpu_seconds,
        longest_gap_seconds: longest_gap(&mut rounds.readings, load.start, load.end),
        faults: rounds.faults.into_iter().flatten().collect(),
        sources: rounds.costs,
        suspensions: rounds.suspensions,
    };
    Sampled { channels, readings: rounds.readings, gpu_states, gpu_samples: rounds.gpu_samples, stats }
}

/// Notes with every source that its thread died.
fn died(rounds: &mut Rounds) {
    for (fault, cost) in rounds.faults.iter_mut().zip(&rounds.costs) {
        let count = fault.as_ref().map_or(0, |fault| fault.count) + 1;
        let message = "the sampling thread died".to_owned();
        *fault = Some(SamplerFault { channel: cost.channel.clone(), message, count, gone: true });
    }
}

impl Loop {
    fn new(
        sources: Vec<Box<dyn EnergySource>>,
        clock: Clock,
        observers: Arc<[Arc<dyn Observer>]>,
        kept: Arc<Kept>,
    ) -> Self {
        let mut channels = Vec::new();
        let mut slots = Vec::new();
        for source in sources {
            let first_channel = channels.len();
            channels.extend_from_slice(source.channels());
            let last = vec![None; channels.len() - first_channel];
            slots.push(Slot { source, first_channel, gone: false, last });
        }
        Self { slots, channels, clock, observers, kept, round: Vec::new(), sleep: SleepWatch::default() }
    }

    /// Reads at a steady pace until the load is over or the run was dropped and nobody waits.
    fn run(&mut self, interval: Duration, stopped: &Receiver<Load>) {
        let mut next = Instant::now() + interval;
        let mut next_states = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(load) => {
                    self.last_round(load.last);
                    // A load shorter than a round was not seen: then the GPUs as they are now, idle as they may be.
                    let unseen =
                        |rounds: &mut Rounds| rounds.gpu_samples.iter().all(|sample| sample.at < load.start);
                    if self.kept.with(unseen) {
                        self.look_at_gpus();
                    }
                    return;
                }
            }
            self.round(None);
            if Instant::now() >= next_states {
                self.look_at_gpus();
                next_states = Instant::now() + STATE_INTERVAL;
            }
            // After a stall, go on from now: catching up would read the same counter tick many times over.
            next = (next + interval).max(Instant::now());
        }
    }

    /// One round at the end, and more for the sources that failed in it or whose values arrive late.
    fn last_round(&mut self, end: Stamp) {
        self.round(None);
        for repeat in 0_u32.. {
            let late = self.clock.now().since(end);
            let again = |slot: &Slot| {
                slot.lacks_reading_at(end) && (repeat < LAST_ROUND_REPEATS || late < slot.source.latency())
            };
            if !self.slots.iter().any(again) {
                return;
            }
            std::thread::sleep(REPEAT_PAUSE);
            self.round(Some(end));
        }
    }

    /// Reads every source, or only those that have no reading at or after `lacking`.
    fn round(&mut self, lacking: Option<Stamp>) {
        self.round.clear();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if !slot.gone && lacking.is_none_or(|end| slot.lacks_reading_at(end)) {
                slot.read(number, self.clock, &mut self.round, &self.kept);
            }
        }
        let slept = self.sleep.look(self.clock);
        self.kept.with(|rounds| {
            rounds.count += 1;
            rounds.suspensions.extend(slept);
        });
        for observer in self.observers.iter() {
            observer.readings(&self.channels, &self.round);
        }
    }

    fn look_at_gpus(&mut self) {
        let at = self.clock.now();
        for (number, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| !slot.gone) {
            self.kept.begin_source(number);
            let states = catch_unwind(AssertUnwindSafe(|| slot.source.gpu_states()));
            self.kept.end_source();
            let sample = |state| GpuSample { at, state };
            let samples: Vec<GpuSample> = states.unwrap_or_default().into_iter().map(sample).collect();
            if samples.is_empty() {
                continue;
            }
            self.kept.add_states(&samples);
            self.observers.iter().for_each(|observer| observer.gpu_states(&samples));
        }
    }
}

impl Slot {
    fn read(&mut self, number: usize, clock: Clock, readings: &mut Vec<EnergyReading>, kept: &Kept) {
        let (first_channel, last) = (self.first_channel, &mut self.last);
        let (begin, from) = (clock.now(), readings.len());
        let mut take = |position: usize, at, value| {
            let channel = u16::try_from(first_channel + position).unwrap_or(u16::MAX);
            readings.push(EnergyReading { channel, at, value });
            if let Some(last) = last.get_mut(position) {
                *last = Some(at);
            }
        };
        kept.begin_source(number);
        // A source that panics is not read again, so nobody sees what it left half done; the others are read on.
        let read = catch_unwind(AssertUnwindSafe(|| self.source.read_stamped(&clock, &mut take)));
        kept.end_source();
        let (spent, calls) = (clock.now().seconds_since(begin).0, self.source.calls());
        // At once, not at the round's end: the next source may hang.
        kept.with(|rounds| {
            rounds.readings.extend_from_slice(&readings[from..]);
            if let Some(cost) = rounds.costs.get_mut(number) {
                (cost.reads, cost.seconds, cost.calls) = (cost.reads + 1, cost.seconds + spent, calls);
            }
        });
        let fault = match read {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(_) => ReadFault::Gone("the source panicked".to_owned()),
        };
        self.gone = matches!(fault, ReadFault::Gone(_));
        kept.note(number, &fault);
    }

    /// `true` where a channel of a source that still lives was not read at or after `at`.
    fn lacks_reading_at(&self, at: Stamp) -> bool {
        !self.gone && self.last.iter().any(|last| last.is_none_or(|last| last < at))
    }
}

/// Sorts the readings by time and returns the longest time between two of them that touches `start..end`;
/// `None` where no two do.
fn longest_gap(readings: &mut [EnergyReading], start: Stamp, end: Stamp) -> Option<f64> {
    readings.sort_by_key(|reading| reading.at);
    readings
        .windows(2)
        .filter(|pair| pair[1].at >= start && pair[0].at <= end)
        .map(|pair| pair[1].at.seconds_since(pair[0].at).0)
        .reduce(f64::max)
}

fn thread_cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}

#[cfg(test)]
mod tests;
