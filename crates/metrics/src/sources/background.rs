//! Sources that take their time: a thread asks, and the sampler takes what has come.
//!
//! A program or another host may answer after a second or never. Values carry the moment they were measured at; one
//! from before the run's origin is kept until the next comes, and a straight line between the two gives the value at
//! the origin. The thread is left to itself when the source is dropped: each of its steps is bounded by who wrote it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ai_energy_core::clock::{Clock, Stamp};
use ai_energy_core::energy::{Channel, EnergySource, ReadFault};

/// How the thread hands values on: a channel's position, the moment and the value.
pub(super) type Hand<'a> = &'a mut dyn FnMut(usize, Instant, u64);

/// One step of asking; the thread pauses between steps.
pub(super) trait Ask: Send + 'static {
    /// Asks once and hands on what came.
    ///
    /// # Errors
    /// Nothing came this time, or never will again.
    fn ask(&mut self, hand: Hand<'_>) -> Result<(), ReadFault>;
}

impl<F: FnMut(Hand<'_>) -> Result<(), ReadFault> + Send + 'static> Ask for F {
    fn ask(&mut self, hand: Hand<'_>) -> Result<(), ReadFault> {
        self(hand)
    }
}

enum Event {
    Value(usize, Instant, u64),
    Fault(ReadFault),
}

/// A source whose values come from a thread.
pub(super) struct Background {
    channels: Vec<Channel>,
    /// Taken when the thread starts, at the first reading.
    ask: Option<Box<dyn Ask>>,
    period: Duration,
    latency: Duration,
    events: Option<(Receiver<Event>, Sender<()>)>,
    /// The last value of each channel, and whether it was before the origin.
    last: Vec<Option<(Instant, u64)>>,
}

impl Background {
    /// Asks every `period`; a value comes `latency` after its moment at the latest.
    pub(super) fn new(channels: Vec<Channel>, period: Duration, latency: Duration, ask: impl Ask) -> Self {
        let last = vec![None; channels.len()];
        Self { channels, ask: Some(Box::new(ask)), period, latency, events: None, last }
    }

    /// Starts the thread and waits for its first answer, so that a load that begins now has a reading before it.
    fn start(&mut self, mut ask: Box<dyn Ask>) -> Option<Event> {
        let (events, received) = channel();
        let (stop, stopped) = channel();
        let period = self.period;
        std::thread::spawn(move || {
            loop {
                let begin = Instant::now();
                let mut hand = |position, at, value| {
                    // Nobody listens once the source is dropped; the pause below ends then.
                    let _ = events.send(Event::Value(position, at, value));
                };
                let asked = ask.ask(&mut hand);
                let gone = matches!(asked, Err(ReadFault::Gone(_)));
                if let Err(fault) = asked {
                    let _ = events.send(Event::Fault(fault));
                }
                let pause = period.saturating_sub(begin.elapsed());
                if gone || stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        let first = received.recv_timeout(self.latency).ok();
        self.events = Some((received, stop));
        first
    }

    fn take(
        &mut self,
        event: Event,
        clock: &Clock,
        out: &mut dyn FnMut(usize, Stamp, u64),
    ) -> Option<ReadFault> {
        let (position, at, value) = match event {
            Event::Value(position, at, value) => (position, at, value),
            Event::Fault(fault) => return Some(fault),
        };
        let last = self.last.get_mut(position)?;
        let origin = clock.instant(Stamp(0));
        match *last {
            // The same value again, or one that came out of order.
            Some((before, _)) if at <= before => return None,
            Some(before) if before.0 < origin && at > origin => {
                out(position, Stamp(0), between(before, (at, value), origin));
            }
            _ => {}
        }
        *last = Some((at, value));
        if at >= origin {
            out(position, clock.at(at), value);
        }
        None
    }
}

/// The value at `moment` on the straight line between two.
fn between(from: (Instant, u64), to: (Instant, u64), moment: Instant) -> u64 {
    let span = to.0.duration_since(from.0).as_secs_f64();
    let share = if span > 0.0 { moment.duration_since(from.0).as_secs_f64() / span } else { 0.0 };
    // A counter that fell in between started anew: what it showed last is the best that is known.
    if to.1 < from.1 {
        return from.1;
    }
    from.1 + ((to.1 - from.1) as f64 * share).round() as u64
}

impl EnergySource for Background {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, _out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        Err(ReadFault::Gone("the moments of these values are asked for".to_owned()))
    }

    fn read_stamped(
        &mut self,
        clock: &Clock,
        out: &mut dyn FnMut(usize, Stamp, u64),
    ) -> Result<(), ReadFault> {
        let first = self.ask.take().and_then(|ask| self.start(ask));
        let mut fault = first.and_then(|event| self.take(event, clock, out));
        loop {
            let event = self.events.as_ref().and_then(|(received, _)| received.try_recv().ok());
            let Some(event) = event else { break };
            fault = self.take(event, clock, out).or(fault);
        }
        fault.map_or(Ok(()), Err)
    }

    fn latency(&self) -> Duration {
        self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::Domain;
    use ai_energy_core::fakes::FakeSource;

    const LONG: Duration = Duration::from_secs(60);

    fn source(period: Duration, ask: impl Ask) -> Background {
        let channels = FakeSource::new(Domain::Node, 1.0).channels().to_vec();
        Background::new(channels, period, LONG, ask)
    }

    #[test]
    fn a_value_from_before_the_origin_gives_one_at_the_origin_and_repeats_are_dropped() {
        let begin = Instant::now();
        std::thread::sleep(Duration::from_millis(30));
        let clock = Clock::start();
        let origin = clock.instant(Stamp(0));
        let late = origin + (origin - begin);
        let mut source = source(LONG, move |hand: Hand<'_>| {
            hand(0, begin, 1000);
            hand(0, begin, 1000);
            hand(0, late, 3000);
            Err(ReadFault::Transient("and then it failed".to_owned()))
        });
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        while faults.is_empty() {
            let fault = source.read_stamped(&clock, &mut |_, at, value| read.push((at, value)));
            faults.extend(fault.err());
        }
        assert_eq!(read, [(Stamp(0), 2000), (clock.at(late), 3000)]);
        assert_eq!(faults, [ReadFault::Transient("and then it failed".to_owned())]);
    }

    #[test]
    fn the_thread_ends_with_its_source_and_after_what_ends_it() {
        let (alive, ended) = channel::<()>();
        let kept = alive.clone();
        let mut asked = source(LONG, move |hand: Hand<'_>| {
            let _alive = &kept;
            hand(0, Instant::now(), 1);
            Ok(())
        });
        drop(alive);
        asked.read_stamped(&Clock::start(), &mut |_, _, _| {}).unwrap();
        drop(asked);
        assert_eq!(ended.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected), "dropped with the thread");
        let mut gone = source(Duration::ZERO, |_: Hand<'_>| Err(ReadFault::Gone("over".to_owned())));
        let first = gone.read_stamped(&Clock::start(), &mut |_, _, _| {});
        assert_eq!(first, Err(ReadFault::Gone("over".to_owned())));
    }
}
