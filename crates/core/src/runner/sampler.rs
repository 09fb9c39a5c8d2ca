//! The sampling thread: reads every source at a steady pace and never makes the load wait.
//!
//! Sources live on this thread alone. Refuses to integrate and to judge: it keeps raw readings and counts faults.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Stamp};
use crate::energy::{Channel, EnergyReading, EnergySource, GpuState, ReadFault};
use crate::observer::Observer;
use crate::record::{SamplerFault, SamplerStats};

/// A running sampler.
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Sampled>,
}

/// What a sampler brings back.
#[derive(Debug, Default)]
pub struct Sampled {
    /// What was read.
    pub channels: Vec<Channel>,
    /// The values, by time.
    pub readings: Vec<EnergyReading>,
    /// GPUs at the end of the load.
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
    rounds: Vec<Stamp>,
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
        let thread = std::thread::spawn(move || {
            let mut sampling = Loop::new(sources, clock, observers);
            sampling.round();
            // The receiver is gone only where the run was dropped; then nobody waits.
            let _ = ready.send(());
            sampling.run(interval, &stopped);
            sampling.into_sampled()
        });
        // An error means that the thread died; `finish` reports that.
        let _ = first_round.await;
        Self { stop, thread }
    }

    /// Takes a last round of readings after the load and returns everything; gaps are judged within `start..end`.
    pub async fn finish(self, start: Stamp, end: Stamp) -> Sampled {
        // An error means that the thread died before; `join` tells.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(mut sampled)) => {
                sampled.stats.longest_gap_seconds = longest_gap(&mut sampled.readings, start, end);
                sampled
            }
            _ => {
                tracing::error!("the sampling thread died: no energy was measured");
                Sampled::default()
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
        Self { slots, channels, clock, observers, readings: Vec::new(), rounds: Vec::new() }
    }

    fn run(&mut self, interval: Duration, stopped: &Receiver<()>) {
        let mut next = Instant::now() + interval;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    self.round();
                    return;
                }
            }
            self.round();
            // After a stall, go on from now: catching up would read the same counter tick many times over.
            next = (next + interval).max(Instant::now());
        }
    }

    fn round(&mut self) {
        let from = self.readings.len();
        self.rounds.push(self.clock.now());
        for slot in &mut self.slots {
            slot.read(self.clock, &mut self.readings);
        }
        for observer in self.observers.iter() {
            observer.readings(&self.channels, &self.readings[from..]);
        }
    }

    fn into_sampled(mut self) -> Sampled {
        let gpu_states = self.slots.iter_mut().flat_map(|slot| slot.source.gpu_states()).collect();
        let faults = self
            .slots
            .iter_mut()
            .filter_map(|slot| {
                let name = self.channels.get(slot.first_channel).map(|channel| channel.name.clone());
                slot.fault.take().map(|fault| SamplerFault { channel: name.unwrap_or_default(), ..fault })
            })
            .collect();
        let stats = SamplerStats {
            rounds: self.rounds.len() as u64,
            cpu_seconds: thread_cpu_seconds(),
            longest_gap_seconds: 0.0,
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
        let result = self.source.read(&mut |position, value| {
            let channel = u16::try_from(first_channel + position).unwrap_or(u16::MAX);
            readings.push(EnergyReading { channel, at: clock.now(), value });
        });
        if let Err(fault) = result {
            self.note(fault);
        }
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
        entry.gone |= gone;
    }
}

/// Sorts the readings by time and returns the longest time between two of them that touches `start..end`.
fn longest_gap(readings: &mut [EnergyReading], start: Stamp, end: Stamp) -> f64 {
    readings.sort_by_key(|reading| reading.at);
    readings
        .windows(2)
        .filter(|pair| pair[1].at >= start && pair[0].at <= end)
        .map(|pair| pair[1].at.seconds_since(pair[0].at).0)
        .fold(0.0, f64::max)
}

fn thread_cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}
