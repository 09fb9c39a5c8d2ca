//! The work of each request in each interval of the load: prompt tokens read, tokens generated, time in flight.
//!
//! Refuses to know any energy.

use ai_energy_core::clock::Stamp;
use ai_energy_core::record::{Generation, RequestRecord};

use crate::integrate::Window;

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

/// What a request did, interval by interval.
pub(super) fn pieces(request: &RequestRecord, intervals: &Intervals) -> Vec<Piece> {
    let generation = &request.generation;
    let begin = generation.sent.unwrap_or(request.scheduled);
    let mut found: Vec<Piece> = Vec::new();
    let mut add = |interval: usize, change: &dyn Fn(&mut Piece)| match found
        .iter_mut()
        .rev()
        .find(|piece| piece.interval == interval)
    {
        Some(piece) => change(piece),
        None => {
            let mut piece = Piece { interval, ..Piece::default() };
            change(&mut piece);
            found.push(piece);
        }
    };
    let end = generation.end;
    let seconds = end.seconds_since(begin).0;
    intervals.spread(begin, end, seconds, |interval, part| add(interval, &|piece| piece.seconds += part));
    if let (Some(tokens), Some(first)) = (prompt_tokens(generation), generation.first_token) {
        intervals
            .spread(begin, first, tokens, |interval, part| add(interval, &|piece| piece.prefill += part));
    }
    let mut before = generation.chunks.first().map(|chunk| chunk.at);
    for (at, tokens) in later_chunks(generation) {
        let from = before.replace(at).unwrap_or(at);
        intervals.spread(from, at, tokens, |interval, part| add(interval, &|piece| piece.decode += part));
    }
    found
}

/// Prompt tokens that were computed: those from the server's cache cost next to nothing.
pub(super) fn prompt_tokens(generation: &Generation) -> Option<f64> {
    let all = generation.prompt_tokens?.tokens;
    Some(f64::from(all.saturating_sub(generation.cached_prompt_tokens.unwrap_or(0))))
}

/// Generated tokens after the first chunk.
pub(super) fn decode_tokens(generation: &Generation) -> f64 {
    later_chunks(generation).map(|(_, tokens)| tokens).sum()
}

/// Every chunk but the first with its tokens.
fn later_chunks(generation: &Generation) -> impl Iterator<Item = (Stamp, f64)> + '_ {
    chunk_tokens(generation).skip(1)
}

/// Every chunk with its tokens: as the server counted them, else the request's count in equal parts.
pub(crate) fn chunk_tokens(generation: &Generation) -> impl Iterator<Item = (Stamp, f64)> + '_ {
    let chunks = &generation.chunks;
    let counted = chunks.iter().all(|chunk| chunk.tokens.is_some());
    let each = match generation.completion_tokens {
        Some(count) if !chunks.is_empty() => f64::from(count.tokens) / chunks.len() as f64,
        _ => 1.0,
    };
    chunks.iter().map(move |chunk| {
        let tokens = if counted { chunk.tokens.map_or(each, f64::from) } else { each };
        (chunk.at, tokens)
    })
}
