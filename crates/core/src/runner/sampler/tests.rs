//! What the sampler brings back from sources that fail, die or panic.

use super::*;
use crate::energy::Domain;
use crate::fakes::FakeSource;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No round comes between the first and the last one.
const NEVER_MS: u32 = 3_600_000;

/// A source whose readings number `faulty` fail, and whose GPU is as busy as `busy` says when it is asked.
#[derive(Clone)]
struct Scripted {
    channels: Vec<Channel>,
    faulty: std::ops::Range<usize>,
    gone: bool,
    reads: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(faulty: std::ops::Range<usize>) -> Self {
        let channels = FakeSource::new(Domain::Gpu, 1.0).channels().to_vec();
        let (reads, looks, busy) = Default::default();
        Self { channels, faulty, gone: false, reads, looks, busy }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl EnergySource for Scripted {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        match (self.faulty.contains(&number), self.gone) {
            (true, true) => Err(ReadFault::Gone("lost".to_owned())),
            (true, false) => Err(ReadFault::Transient("busy".to_owned())),
            _ => {
                out(0, 7);
                Ok(())
            }
        }
    }

    fn gpu_states(&mut self) -> Vec<GpuState> {
        let busy = self.busy.load(Ordering::SeqCst) as f64;
        self.looks.fetch_add(1, Ordering::SeqCst);
        vec![GpuState { utilization_percent: Some(busy), ..GpuState::default() }]
    }
}

async fn start(sources: &[&Scripted], clock: Clock, interval_ms: u32) -> Sampler {
    let sources = sources.iter().map(|source| Box::new((*source).clone()) as Box<dyn EnergySource>);
    Sampler::start(sources.collect(), clock, interval_ms, Arc::new([])).await
}

#[tokio::test]
async fn a_fault_in_the_very_last_round_does_not_lose_the_source() {
    let clock = Clock::start();
    let (steady, faulty) = (Scripted::new(0..0), Scripted::new(1..4));
    let sampler = start(&[&steady, &faulty], clock, NEVER_MS).await;
    let end = clock.now();
    let sampled = sampler.finish(Stamp(0), end, end).await;
    let last = |channel: u16| sampled.readings.iter().rfind(|reading| reading.channel == channel).unwrap().at;
    assert!(last(0) >= end && last(1) >= end, "both span the load");
    assert_eq!((steady.reads(), faulty.reads()), (2, 5), "only the source that failed is read again");
    assert_eq!((sampled.stats.faults[0].count, sampled.stats.faults[0].gone), (3, false));
    assert_eq!(sampled.stats.rounds, 5);
}

#[tokio::test]
async fn a_source_that_stays_faulty_or_is_gone_does_not_hold_up_the_end() {
    let clock = Clock::start();
    let faulty = Scripted::new(1..usize::MAX);
    let gone = Scripted { gone: true, ..Scripted::new(1..usize::MAX) };
    let sampler = start(&[&faulty, &gone], clock, NEVER_MS).await;
    let sampled = sampler.finish(Stamp(0), clock.now(), clock.now()).await;
    assert_eq!(faulty.reads(), 2 + LAST_ROUND_REPEATS as usize);
    assert_eq!((gone.reads(), sampled.readings.len()), (2, 2));
}

#[tokio::test]
async fn gpus_are_shown_as_they_were_under_load() {
    let clock = Clock::start();
    let gpu = Scripted::new(0..0);
    gpu.busy.store(97, Ordering::SeqCst);
    let sampler = start(&[&gpu], clock, 1).await;
    while gpu.looks.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let end = clock.now();
    gpu.busy.store(0, Ordering::SeqCst);
    let sampled = sampler.finish(Stamp(0), end, end).await;
    assert_eq!(sampled.gpu_states[0].utilization_percent, Some(97.0));
}

#[tokio::test]
async fn gpus_that_were_not_seen_under_load_are_looked_at_after_it() {
    let clock = Clock::start();
    let gpu = Scripted::new(0..0);
    gpu.busy.store(97, Ordering::SeqCst);
    let sampler = start(&[&gpu], clock, 1).await;
    while gpu.looks.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gpu.busy.store(3, Ordering::SeqCst);
    let sampled = sampler.finish(clock.now(), clock.now(), clock.now()).await;
    assert_eq!(sampled.gpu_states[0].utilization_percent, Some(3.0), "not what was before the load");
}

/// More readings or looks than the run's length allows would keep a GPU from idling; fewer are a busy machine's.
#[tokio::test]
async fn polling_keeps_no_gpu_awake_readings_and_looks_come_no_faster_than_stated() {
    const INTERVAL_MS: u32 = 5;
    let clock = Clock::start();
    let gpu = Scripted::new(0..0);
    let begin = Instant::now();
    let sampler = start(&[&gpu], clock, INTERVAL_MS).await;
    while gpu.reads() < 40 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sampler.finish(Stamp(0), clock.now(), clock.now()).await;
    let seconds = begin.elapsed().as_secs_f64();
    // One before the pace begins and one at its end.
    let readings = seconds / (f64::from(INTERVAL_MS) * 1e-3) + 2.0;
    let (reads, looks) = (gpu.reads() as f64, gpu.looks.load(Ordering::SeqCst) as f64);
    assert!(reads <= readings, "{reads} readings in {seconds} s");
    assert!(looks <= seconds / STATE_INTERVAL.as_secs_f64() + 2.0, "{looks} looks in {seconds} s");
}

/// A source that panics at its second reading.
struct Panicking(FakeSource, bool);

impl EnergySource for Panicking {
    fn channels(&self) -> &[Channel] {
        self.0.channels()
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        assert!(!std::mem::replace(&mut self.1, true), "this source panics on purpose");
        self.0.read(out)
    }
}

#[tokio::test]
async fn a_source_that_panics_is_gone_and_takes_no_other_with_it() {
    let clock = Clock::start();
    let good = Scripted::new(0..0);
    let bad = Panicking(FakeSource::new(Domain::Cpu, 1.0), false);
    let sources: Vec<Box<dyn EnergySource>> = vec![Box::new(bad), Box::new(good.clone())];
    let sampler = Sampler::start(sources, clock, NEVER_MS, Vec::new().into()).await;
    let sampled = sampler.finish(Stamp(0), clock.now(), clock.now()).await;
    assert_eq!(sampled.channels.len(), 2);
    assert_eq!(sampled.readings.iter().filter(|reading| reading.channel == 1).count(), 2);
    let fault = &sampled.stats.faults[0];
    assert!(fault.gone && fault.channel == "fake:cpu" && fault.message.contains("panicked"), "{fault:?}");
}

/// An observer that panics, as no observer should.
struct Unruly;

impl Observer for Unruly {
    fn readings(&self, _channels: &[Channel], _readings: &[EnergyReading]) {
        panic!("this observer panics on purpose");
    }
}

#[tokio::test]
async fn a_thread_that_dies_leaves_what_it_read_with_the_reason_that_there_is_no_more() {
    let clock = Clock::start();
    let sources: Vec<Box<dyn EnergySource>> = vec![Box::new(FakeSource::new(Domain::Gpu, 1.0))];
    let observers: Arc<[Arc<dyn Observer>]> = vec![Arc::new(Unruly) as Arc<dyn Observer>].into();
    let sampled = Sampler::start(sources, clock, NEVER_MS, observers)
        .await
        .finish(Stamp(0), clock.now(), clock.now())
        .await;
    assert_eq!((sampled.channels.len(), sampled.readings.len()), (1, 1));
    assert!(sampled.stats.faults[0].gone && sampled.stats.faults[0].message.contains("died"));
}

/// A source that answers once and hangs from its second reading on, until the test lets go of it.
struct Hanging(FakeSource, Option<std::sync::mpsc::Receiver<()>>, bool);

impl EnergySource for Hanging {
    fn channels(&self) -> &[Channel] {
        self.0.channels()
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        if std::mem::replace(&mut self.2, true)
            && let Some(driver) = self.1.take()
        {
            let _ = driver.recv();
        }
        self.0.read(out)
    }
}

#[tokio::test]
async fn a_driver_that_hangs_does_not_hang_the_end_and_leaves_what_was_read() {
    let clock = Clock::start();
    let (release, driver) = std::sync::mpsc::channel();
    let good = Scripted::new(0..0);
    let bad = Hanging(FakeSource::new(Domain::Cpu, 1.0), Some(driver), false);
    let sources: Vec<Box<dyn EnergySource>> = vec![Box::new(good.clone()), Box::new(bad)];
    let sampler = Sampler::start(sources, clock, NEVER_MS, Vec::new().into()).await;
    let sampled = sampler.finish(Stamp(0), clock.now(), clock.now()).await;
    drop(release);
    let count = |channel: u16| sampled.readings.iter().filter(|reading| reading.channel == channel).count();
    assert_eq!(count(1), 1, "the hanging source was read before");
    assert_eq!(count(0), 2, "the source before it spans the load");
    let fault = |channel: &str| sampled.stats.faults.iter().find(|fault| fault.channel == channel).unwrap();
    assert!(fault("fake:cpu").message.contains("hangs") && fault("fake:cpu").gone);
    assert!(fault("fake:gpu").message.contains("fake:cpu hangs"), "{:?}", fault("fake:gpu"));
    assert_eq!(sampled.stats.cpu_seconds, None, "nobody knows what a hanging thread spent");
}

#[tokio::test]
async fn what_each_source_costs_is_counted() {
    let clock = Clock::start();
    let gpu = Scripted::new(0..0);
    let sampled = start(&[&gpu], clock, NEVER_MS).await.finish(Stamp(0), clock.now(), clock.now()).await;
    let cost = &sampled.stats.sources[0];
    assert_eq!((cost.channel.as_str(), cost.reads, cost.calls), ("fake:gpu", 2, None));
    assert!(cost.seconds >= 0.0 && sampled.stats.suspensions.is_empty());
    assert_eq!(sampled.gpu_samples.len(), 1, "a load without a look is looked at once after it");
}

/// A source whose values arrive `late` after the moment they were measured at.
struct Late {
    channels: Vec<Channel>,
    late: Duration,
    begin: Instant,
}

impl EnergySource for Late {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, _out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        Err(ReadFault::Gone("its moments are asked for".to_owned()))
    }

    fn read_stamped(
        &mut self,
        clock: &Clock,
        out: &mut dyn FnMut(usize, Stamp, u64),
    ) -> Result<(), ReadFault> {
        if self.begin.elapsed() >= self.late {
            out(0, clock.at(Instant::now() - self.late), 7);
        }
        Ok(())
    }

    fn latency(&self) -> Duration {
        self.late * 100
    }
}

#[tokio::test]
async fn values_that_arrive_late_keep_their_moment_and_are_waited_for() {
    let clock = Clock::start();
    let late = Duration::from_millis(400);
    let source = Late {
        channels: FakeSource::new(Domain::Node, 1.0).channels().to_vec(),
        late,
        begin: Instant::now(),
    };
    let sampler = Sampler::start(vec![Box::new(source)], clock, NEVER_MS, Arc::new([])).await;
    let (start, end) = (clock.now(), clock.now());
    let sampled = sampler.finish(start, end, end).await;
    let last = sampled.readings.last().unwrap();
    assert!(last.at >= end, "the value of the load's end has come: {last:?}, {end:?}");
    assert!(clock.now().since(last.at) >= late, "it has the moment it was measured at");
    assert!(sampled.stats.faults.is_empty());
}
