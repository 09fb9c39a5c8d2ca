//! The sampling thread: reads every source at a steady pace and never makes the load wait.
//!
//! Sources live on this thread alone. Refuses to integrate and to judge: it keeps raw readings and counts faults.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Stamp};
use crate::energy::{Channel, EnergyReading, EnergySource, GpuState, ReadFault};
use crate::observer::Observer;
use crate::record::{SamplerFault, SamplerStats};

/// The last round is repeated this often at most for sources that failed in it.
const LAST_ROUND_REPEATS: u32 = 5;

/// The pause before each repeat of the last round.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// The states of GPUs are asked for this often at most: each look costs a few calls into the driver.
const STATE_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the GPUs that are kept: those since the load's end are few, and one within the load is enough.
const STATES_KEPT: usize = 4;

/// A running sampler.
pub struct Sampler {
    stop: Sender<Load>,
    thread: JoinHandle<Sampled>,
    /// What is read, kept here too: a thread that dies takes its own list along.
    channels: Vec<Channel>,
}

/// When the load began and ended.
#[derive(Debug, Clone, Copy)]
struct Load {
    start: Stamp,
    end: Stamp,
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
    /// What it cost.
    pub stats: SamplerStats,
}

/// A source and where its channels begin in the run's list.
struct Slot {
    source: Box<dyn EnergySource>,
    first_channel: usize,
    fault: Option<SamplerFault>,
}

struct Loop {
    slots: Vec<Slot>,
    channels: Vec<Channel>,
    clock: Clock,
    observers: Arc<[Arc<dyn Observer>]>,
    readings: Vec<EnergyReading>,
    rounds: u64,
    states: VecDeque<(Stamp, Vec<GpuState>)>,
}

impl Sampler {
    /// Starts sampling and returns once the first round of readings is done, so that a load that begins now has
    /// readings at or before its begin.
    pub async fn start(
        sources: Vec<Box<dyn EnergySource>>,
        clock: Clock,
        interval_ms: u32,
        observers: Arc<[Arc<dyn Observer>]>,
    ) -> Self {
        let (stop, stopped) = channel();
        let (ready, first_round) = tokio::sync::oneshot::channel();
        let interval = Duration::from_millis(u64::from(interval_ms.max(1)));
        let channels = sources.iter().flat_map(|source| source.channels().to_vec()).collect();
        let thread = std::thread::spawn(move || {
            let mut sampling = Loop::new(sources, clock, observers);
            sampling.round(None);
            // The receiver is gone only where the run was dropped; then nobody waits.
            let _ = ready.send(());
            let load = sampling.run(interval, &stopped);
            sampling.into_sampled(load)
        });
        // An error means that the thread died; `finish` reports that.
        let _ = first_round.await;
        Self { stop, thread, channels }
    }

    /// Takes a last round of readings after the load and returns everything; gaps are judged within `start..end`.
    /// A source without a reading at or after `end` is read again a few times: its energy over the whole load rests
    /// on that one reading.
    pub async fn finish(self, start: Stamp, end: Stamp) -> Sampled {
        // An error means that the thread died before; `join` tells.
        let _ = self.stop.send(Load { start, end });
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(mut sampled)) => {
                sampled.stats.longest_gap_seconds = longest_gap(&mut sampled.readings, start, end);
                sampled
            }
            _ => {
                tracing::error!("the sampling thread died: no energy was measured");
                unread(self.channels)
            }
        }
    }
}

impl Loop {
    fn new(sources: Vec<Box<dyn EnergySource>>, clock: Clock, observers: Arc<[Arc<dyn Observer>]>) -> Self {
        let mut channels = Vec::new();
        let mut slots = Vec::new();
        for source in sources {
            let first_channel = channels.len();
            channels.extend_from_slice(source.channels());
            slots.push(Slot { source, first_channel, fault: None });
        }
        Self { slots, channels, clock, observers, readings: Vec::new(), rounds: 0, states: VecDeque::new() }
    }

    /// Reads at a steady pace until the load is over; `None` where the run was dropped and nobody waits.
    fn run(&mut self, interval: Duration, stopped: &Receiver<Load>) -> Option<Load> {
        let mut next = Instant::now() + interval;
        let mut next_states = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(load) => {
                    self.last_round(load.end);
                    return Some(load);
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

    /// One round after the load, and a few more for the sources that failed in it.
    fn last_round(&mut self, end: Stamp) {
        self.round(None);
        for _ in 0..LAST_ROUND_REPEATS {
            if !self.slots.iter().any(|slot| slot.lacks_reading_at(end, &self.readings)) {
                return;
            }
            std::thread::sleep(REPEAT_PAUSE);
            self.round(Some(end));
        }
    }

    /// Reads every source, or only those that have no reading at or after `lacking`.
    fn round(&mut self, lacking: Option<Stamp>) {
        let from = self.readings.len();
        self.rounds += 1;
        for slot in &mut self.slots {
            if lacking.is_none_or(|end| slot.lacks_reading_at(end, &self.readings)) {
                slot.read(self.clock, &mut self.readings);
            }
        }
        for observer in self.observers.iter() {
            observer.readings(&self.channels, &self.readings[from..]);
        }
    }

    fn gpu_states(&mut self) -> Vec<GpuState> {
        self.slots.iter_mut().flat_map(|slot| slot.source.gpu_states()).collect()
    }

    fn look_at_gpus(&mut self) {
        let at = self.clock.now();
        let states = self.gpu_states();
        if self.states.len() == STATES_KEPT {
            self.states.pop_front();
        }
        self.states.push_back((at, states));
    }

    /// The states last seen within the load. A load shorter than a round saw none: then those of now, idle as they may
    /// be.
    fn states_of(&mut self, load: Option<Load>) -> Vec<GpuState> {
        let within = |at: Stamp| load.is_some_and(|load| at >= load.start && at <= load.end);
        match self.states.iter().rposition(|(at, _)| within(*at)) {
            Some(position) => {
                self.states.swap_remove_back(position).map(|(_, states)| states).unwrap_or_default()
            }
            None => self.gpu_states(),
        }
    }

    fn into_sampled(mut self, load: Option<Load>) -> Sampled {
        let gpu_states = self.states_of(load);
        let faults = self
            .slots
            .iter_mut()
            .filter_map(|slot| {
                let name = self.channels.get(slot.first_channel).map(|channel| channel.name.clone());
                slot.fault.take().map(|fault| SamplerFault { channel: name.unwrap_or_default(), ..fault })
            })
            .collect();
        let stats = SamplerStats {
            rounds: self.rounds,
            cpu_seconds: thread_cpu_seconds(),
            longest_gap_seconds: None,
            faults,
        };
        Sampled { channels: self.channels, readings: self.readings, gpu_states, stats }
    }
}

impl Slot {
    fn read(&mut self, clock: Clock, readings: &mut Vec<EnergyReading>) {
        if self.fault.as_ref().is_some_and(|fault| fault.gone) {
            return;
        }
        let first_channel = self.first_channel;
        let mut take = |position, value| {
            let channel = u16::try_from(first_channel + position).unwrap_or(u16::MAX);
            readings.push(EnergyReading { channel, at: clock.now(), value });
        };
        // A source that panics is not read again, so nobody sees what it left half done; the others are read on.
        match catch_unwind(AssertUnwindSafe(|| self.source.read(&mut take))) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => self.note(fault),
            Err(_) => self.note(ReadFault::Gone("the source panicked".to_owned())),
        }
    }

    /// `true` where a channel of a source that still lives was not read at or after `at`.
    fn lacks_reading_at(&self, at: Stamp, readings: &[EnergyReading]) -> bool {
        let gone = self.fault.as_ref().is_some_and(|fault| fault.gone);
        let channels = self.first_channel..self.first_channel + self.source.channels().len();
        let since = || readings.iter().rev().take_while(|reading| reading.at >= at);
        !gone
            && channels
                .into_iter()
                .any(|channel| !since().any(|reading| usize::from(reading.channel) == channel))
    }

    fn note(&mut self, fault: ReadFault) {
        let gone = matches!(fault, ReadFault::Gone(_));
        let entry = self.fault.get_or_insert_with(|| SamplerFault {
            channel: String::new(),
            message: fault.to_string(),
            count: 0,
            gone: false,
        });
        entry.count += 1;
        // What ended a source says more than what merely disturbed it before.
        if gone && !entry.gone {
            (entry.gone, entry.message) = (true, fault.to_string());
        }
    }
}

/// What is left of a thread that died: every channel, none of it read, and why.
fn unread(channels: Vec<Channel>) -> Sampled {
    let fault = |channel: &Channel| SamplerFault {
        channel: channel.name.clone(),
        message: "the sampling thread died".to_owned(),
        count: 1,
        gone: true,
    };
    let stats = SamplerStats { faults: channels.iter().map(fault).collect(), ..SamplerStats::default() };
    Sampled { channels, stats, ..Sampled::default() }
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
