//! The work of each request in each interval of the load: prompt tokens read, tokens generated, time in flight.
//!
//! Refuses to know any energy.

use ai_energy_core::chunks::Unpacked;
use ai_energy_core::clock::Stamp;
use ai_energy_core::record::{Generation, RequestRecord};

use crate::integrate::Window;
use crate::tokens::Tokens;

/// What one request did in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Piece {
    /// The interval's number.
    pub(super) interval: usize,
    /// Time in flight, s.
    pub(super) seconds: f64,
    /// Prompt tokens.
    pub(super) prefill: f64,
    /// Generated tokens after the first chunk, which the prompt's reading brings.
    pub(super) decode: f64,
}

/// Intervals that tile a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    start: f64,
    /// Length of one, s.
    pub(super) seconds: f64,
    pub(super) count: usize,
}

impl Intervals {
    /// So many equal intervals.
    pub(super) fn new(window: Window, count: usize) -> Self {
        let count = count.max(1);
        Self { start: window.start.seconds(), seconds: window.seconds() / count as f64, count }
    }

    /// The moments between them, first and last included.
    pub(super) fn edges(&self) -> Vec<Stamp> {
        let edge = |number: usize| Stamp(((self.start + self.seconds * number as f64) * 1e9).round() as u64);
        (0..=self.count).map(edge).collect()
    }

    /// The interval that a moment within the window falls into.
    fn place(&self, at: Stamp) -> Option<usize> {
        let place = (at.seconds() - self.start) / self.seconds;
        (place >= 0.0 && place < self.count as f64).then_some(place as usize)
    }

    /// Spreads `amount` evenly over `from..to` and hands each interval's part to `add`. A moment of no length falls
    /// into one interval; what lies outside the window is lost.
    fn spread(&self, from: Stamp, to: Stamp, amount: f64, mut add: impl FnMut(usize, f64)) {
        let (from, to) = (from.seconds() - self.start, to.seconds() - self.start);
        let last = self.count - 1;
        if to <= from {
            add(((from / self.seconds).max(0.0) as usize).min(last), amount);
            return;
        }
        let first = (from / self.seconds).max(0.0) as usize;
        for interval in first..=last {
            let begin = interval as f64 * self.seconds;
            if begin >= to {
                break;
            }
            let overlap = to.min(begin + self.seconds) - from.max(begin);
            if overlap > 0.0 {
                add(interval, amount * overlap / (to - from));
            }
        }
    }
}

/// What requests did, one after another, in memory that is used again.
#[derive(Default)]
pub(super) struct Work {
    room: Unpacked,
    found: Vec<Piece>,
}

impl Work {
    /// What a request did, interval by interval.
    pub(super) fn pieces(&mut self, request: &RequestRecord, intervals: &Intervals) -> &[Piece] {
        let Self { room, found } = self;
        found.clear();
        let generation = &request.generation;
        let begin = generation.sent.unwrap_or(request.scheduled);
        let end = generation.end;
        let seconds = end.seconds_since(begin).0;
        intervals.spread(begin, end, seconds, |interval, part| piece(found, interval).seconds += part);
        if let (Some(tokens), Some(first)) = (prompt_tokens(generation), generation.first_token) {
            intervals.spread(begin, first, tokens, |interval, part| piece(found, interval).prefill += part);
        }
        let tokens = Tokens::of(generation, room);
        // A row of chunks that all came in one interval, the one before them too, is added at once.
        let whole = |from: usize, to: usize| {
            let (before, last) = (tokens.at[from - 1], tokens.at[to - 1]);
            let inside = intervals.place(before).filter(|place| intervals.place(last) == Some(*place));
            if inside.is_none() && from + 1 == to { Some(None) } else { inside.map(Some) }
        };
        tokens.rows(1, tokens.at.len(), &whole, &mut |place, from, to| {
            let amount = tokens.within(from, to);
            match place {
                Some(place) => piece(found, place).decode += amount,
                None => intervals.spread(tokens.at[from - 1], tokens.at[from], amount, |interval, part| {
                    piece(found, interval).decode += part;
                }),
            }
        });
        found
    }

    /// Generated tokens after the first chunk.
    pub(super) fn decode_tokens(&mut self, generation: &Generation) -> f64 {
        let tokens = Tokens::of(generation, &mut self.room);
        tokens.within(1, tokens.at.len())
    }
}

/// The piece of an interval, the last one first: work goes forward.
fn piece(found: &mut Vec<Piece>, interval: usize) -> &mut Piece {
    let known = found.iter().rposition(|piece| piece.interval == interval);
    let place = known.unwrap_or(found.len());
    if known.is_none() {
        found.push(Piece { interval, ..Piece::default() });
    }
    &mut found[place]
}

/// Prompt tokens that were computed: those from the server's cache cost next to nothing.
pub(super) fn prompt_tokens(generation: &Generation) -> Option<f64> {
    let all = generation.prompt_tokens?.tokens;
    Some(f64::from(all.saturating_sub(generation.cached_prompt_tokens.unwrap_or(0))))
}
