//! When the tokens of one request came, in a form that is summed without going through each.
//!
//! A hundred million tokens are summed by slice, by interval and by stretch. Those of one request lie close together, so
//! that most sums need only the two ends of a row of chunks. Refuses to know what is summed for what.

use ai_energy_core::Stamp;
use ai_energy_core::chunks::Unpacked;
use ai_energy_core::record::Generation;

/// The chunks of a generation and the tokens in each: as the server counted them, else the request's count in equal parts.
pub(crate) struct Tokens<'a> {
    /// When each chunk came.
    pub(crate) at: &'a [Stamp],
    all: &'a Unpacked,
    /// Tokens in each chunk where they are not counted.
    each: Option<f64>,
    sorted: bool,
}

impl<'a> Tokens<'a> {
    /// Unpacks a generation's chunks into `room`.
    pub(crate) fn of(generation: &Generation, room: &'a mut Unpacked) -> Self {
        generation.chunks.unpack(room);
        let chunks = room.at.len();
        let each = match generation.completion_tokens {
            Some(count) if chunks > 0 => f64::from(count.tokens) / chunks as f64,
            _ => 1.0,
        };
        let each = (!room.counted_after(0)).then_some(each);
        Self { at: &room.at, all: room, each, sorted: room.at.is_sorted() }
    }

    /// The tokens of the chunks at some positions.
    pub(crate) fn within(&self, from: usize, to: usize) -> f64 {
        if let Some(each) = self.each {
            return each * to.saturating_sub(from) as f64;
        }
        let (mut begin, mut sum) = (0, 0.0);
        for alike in &self.all.alike {
            let end = begin + alike.chunks;
            let chunks = end.min(to).saturating_sub(begin.max(from));
            sum += chunks as f64 * f64::from(alike.tokens.unwrap_or(0));
            begin = end;
        }
        sum
    }

    /// Hands the tokens of each row of chunks that came at one place to `add`.
    pub(crate) fn by_place<P: PartialEq>(&self, place: impl Fn(Stamp) -> P, mut add: impl FnMut(P, f64)) {
        self.rows(
            0,
            self.at.len(),
            &|from, to| {
                let first = place(self.at[from]);
                (from + 1 == to || first == place(self.at[to - 1])).then_some(first)
            },
            &mut |place, from, to| add(place, self.within(from, to)),
        );
    }

    /// Cuts the chunks `from..to` into rows that `whole` says something about, and hands these to `add`. Asked for a single
    /// chunk, `whole` always does.
    pub(crate) fn rows<P>(
        &self,
        from: usize,
        to: usize,
        whole: &impl Fn(usize, usize) -> Option<P>,
        add: &mut impl FnMut(P, usize, usize),
    ) {
        if from >= to {
            return;
        }
        let known = if self.sorted || from + 1 == to { whole(from, to) } else { None };
        match known {
            Some(place) => add(place, from, to),
            None if from + 1 == to => {}
            None => {
                let middle = from + (to - from) / 2;
                self.rows(from, middle, whole, add);
                self.rows(middle, to, whole, add);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::record::{Chunk, OutputChannel, TokenCount, TokenCountSource};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_give_what_each_chunk_gives(
            made in prop::collection::vec((0..400_u64, prop::option::weighted(0.9, 0..4_u32)), 1..60),
            count in prop::option::of(0..200_u32),
            turned in any::<bool>(),
        ) {
            let mut at = 0;
            let mut plain: Vec<Chunk> = made.iter().map(|(gap, tokens)| {
                at += gap;
                Chunk { at: Stamp(at), channel: OutputChannel::Content, tokens: *tokens }
            }).collect();
            if turned {
                plain.reverse();
            }
            let generation = Generation {
                chunks: plain.clone().into(),
                completion_tokens: count.map(|tokens| TokenCount { tokens, source: TokenCountSource::Server }),
                ..Generation::default()
            };
            let mut room = Unpacked::default();
            let tokens = Tokens::of(&generation, &mut room);
            let counted = plain.iter().all(|chunk| chunk.tokens.is_some());
            let each = count.map_or(1.0, |count| f64::from(count) / plain.len() as f64);
            let (mut sums, mut expected) = (vec![0.0; 200], vec![0.0; 200]);
            tokens.by_place(|at| (at.0 / 150) as usize, |place, tokens| sums[place] += tokens);
            for chunk in &plain {
                expected[(chunk.at.0 / 150) as usize] +=
                    if counted { f64::from(chunk.tokens.unwrap()) } else { each };
            }
            for (sum, expected) in sums.iter().zip(&expected) {
                prop_assert!((sum - expected).abs() < 1e-9, "{sums:?} {expected:?}");
            }
        }
    }
}
