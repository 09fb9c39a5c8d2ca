//! Finds a counter's tick: the first reading of a source is a short burst, kept in the record like any other reading.
//!
//! The tick is nowhere written down and differs by device and driver, and the usual pace of sampling is too slow to
//! see it. A burst before the load costs a fraction of a second once and leaves the evidence in the raw trace.

use std::time::{Duration, Instant};

use ai_energy_core::energy::ReadFault;

/// Changes after which a counter's tick is known well enough.
const CHANGES: usize = 3;

/// How a burst goes.
pub(super) struct Burst {
    /// Its longest duration.
    pub(super) limit: Duration,
    /// The pause between two readings.
    pub(super) pause: Duration,
}

/// Reads over and over until each of the `counters` has changed a few times or the time is up.
pub(super) fn burst(
    how: &Burst,
    counters: &[usize],
    out: &mut dyn FnMut(usize, u64),
    mut read: impl FnMut(&mut dyn FnMut(usize, u64)) -> Result<(), ReadFault>,
) -> Result<(), ReadFault> {
    let mut seen: Vec<(Option<u64>, usize)> = vec![(None, 0); counters.len()];
    let begin = Instant::now();
    while seen.iter().any(|(_, changes)| *changes < CHANGES) && begin.elapsed() < how.limit {
        read(&mut |position, value| {
            let place = counters.iter().position(|counter| *counter == position);
            if let Some(entry) = place.and_then(|place| seen.get_mut(place)) {
                entry.1 += usize::from(entry.0.is_some_and(|before| before != value));
                entry.0 = Some(value);
            }
            out(position, value);
        })?;
        std::thread::sleep(how.pause);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Burst = Burst { limit: Duration::from_millis(50), pause: Duration::ZERO };

    #[test]
    fn it_ends_once_every_counter_has_moved_and_hands_on_every_value() {
        let (mut slow, mut handed) = (0, Vec::new());
        let long = Burst { limit: Duration::from_secs(60), pause: Duration::ZERO };
        burst(&long, &[0], &mut |position, value| handed.push((position, value)), |out| {
            slow += 1;
            out(0, slow / 10);
            out(1, 7);
            Ok(())
        })
        .unwrap();
        assert_eq!(slow, 30, "three changes at ten readings each");
        assert_eq!(handed.len(), 60);
    }

    #[test]
    fn a_counter_that_stands_still_ends_it_by_time_and_a_fault_at_once() {
        let mut reads = 0_u64;
        let mut still = |out: &mut dyn FnMut(usize, u64)| {
            reads += 1;
            out(0, 5);
            Ok(())
        };
        burst(&QUICK, &[0], &mut |_, _| {}, &mut still).unwrap();
        assert!(reads > 0);
        let gone = burst(&QUICK, &[0], &mut |_, _| {}, |_| Err(ReadFault::Gone("pulled".into())));
        assert_eq!(gone, Err(ReadFault::Gone("pulled".into())));
    }
}
