//! Segments of a run that had breaks, and moving what was observed from one segment's clock to the run's.
//!
//! Each segment was measured by a process of its own with a clock of its own. On the run's timeline breaks take no time: the
//! load of a segment begins where that of the segment before it ended. Refuses to compute: energy is integrated over each
//! segment's own readings by whoever computes figures.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::record::{Generation, RequestRecord, RunRecord};

/// One stretch between two breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where its load begins on the run's timeline.
    #[serde(rename = "at_ns")]
    pub at: Stamp,
    /// How long nothing was sent before it, by the wall clock, s; `None` for the first one, and where the wall clock does not
    /// tell.
    pub break_seconds: Option<f64>,
    /// Measured requests that ended in it, attempts that a later segment made again included.
    pub requests: usize,
    /// What was observed, on the segment's own clock and without its requests.
    pub record: RunRecord,
}

impl Segment {
    /// Its stretch of the run's timeline; `None` where no request was measured in it.
    pub fn stretch(&self) -> Option<(Stamp, Stamp)> {
        let (start, end) = self.record.load_window()?;
        Some((self.at, Stamp(self.at.0.saturating_add(end.0.saturating_sub(start.0)))))
    }
}

/// From one clock to another: what is added to a stamp, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift(i128);

impl Shift {
    /// The shift that brings `from` to `to`.
    pub fn between(from: Stamp, to: Stamp) -> Self {
        Self(i128::from(to.0) - i128::from(from.0))
    }

    /// The stamp on the other clock; `None` where that clock had not begun.
    pub fn checked(self, stamp: Stamp) -> Option<Stamp> {
        u64::try_from(i128::from(stamp.0) + self.0).ok().map(Stamp)
    }

    /// The stamp on the other clock; its origin where that clock had not begun.
    pub fn of(self, stamp: Stamp) -> Stamp {
        let moved = (i128::from(stamp.0) + self.0).clamp(0, i128::from(u64::MAX));
        Stamp(u64::try_from(moved).unwrap_or(u64::MAX))
    }

    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        Self(-self.0)
    }

    /// Moves every stamp of a request.
    pub fn request(self, request: &mut RequestRecord) {
        request.scheduled = self.of(request.scheduled);
        request.offer.admitted = request.offer.admitted.map(|at| self.of(at));
        self.generation(&mut request.generation);
    }

    fn generation(self, generation: &mut Generation) {
        let optional = [
            &mut generation.sent,
            &mut generation.first_byte,
            &mut generation.first_token,
            &mut generation.first_content,
        ];
        for stamp in optional {
            *stamp = stamp.map(|at| self.of(at));
        }
        generation.end = self.of(generation.end);
        generation.chunks.restamp(|at| self.of(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_goes_both_ways_and_never_before_an_origin() {
        let shift = Shift::between(Stamp(900), Stamp(100));
        assert_eq!(shift.of(Stamp(950)), Stamp(150));
        assert_eq!(shift.back().of(Stamp(150)), Stamp(950));
        assert_eq!(shift.checked(Stamp(700)), None);
        assert_eq!(shift.of(Stamp(700)), Stamp(0));
    }
}
