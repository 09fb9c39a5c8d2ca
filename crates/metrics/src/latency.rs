//! Latencies of the successful requests.
//!
//! Only stamps of requests that succeeded count: a failed one's are no latency of anything. Refuses to guess a moment
//! that was not seen, so that a request without streaming adds nothing to the time to first token.

use ai_energy_core::chunks::Unpacked;
use ai_energy_core::clock::Stamp;
use ai_energy_core::summary::{Distribution, InterTokenBasis, Latency};
use ai_energy_core::{RequestRecord, TokenCountSource};

use crate::blocks::{BLOCK, both, by_block};
use crate::stats::select::{self, Observations};
use crate::stats::{distribution, weighted_distribution};

/// All latency distributions of a run, in seconds.
///
/// - time to first token: first token of any channel − sent; to first content likewise with the answer's own;
/// - inter-token: the time between consecutive chunks. A chunk of n tokens gives n equal parts, so that a server
///   which sends several tokens at a time is not seen as slower per token; chunks that were read at once are 0 apart.
///   A chunk never has more tokens than the server counts for its whole request. Where chunks are not counted and the
///   request has clearly more tokens than chunks, each chunk stands for the request's mean ([`InterTokenBasis`]);
/// - time per output token: (last chunk − first token) ÷ tokens after the first chunk, since those of the first were
///   made before the clock began. Of N tokens in k chunks these are N − n where the first chunk's n are counted; else
///   N − N/k, as if chunks were equal, which is N − 1 for one token a chunk. A request of one chunk has none;
/// - end to end: end − sent; schedule lag: sent − scheduled.
///
/// Where the instant was planned before the run (an open loop), latencies count from it instead of from sending: leaving
/// out what a request waited for its turn would hide an overloaded server (coordinated omission). That waiting is told
/// apart too: queueing is admitted − scheduled, admitted being when a bound on requests in flight let the request go, and
/// schedule lag is then sent − admitted.
pub fn latency<'a>(requests: impl IntoIterator<Item = &'a RequestRecord>) -> Latency {
    let done: Vec<&RequestRecord> = requests.into_iter().filter(|request| request.succeeded()).collect();
    let each = |value: fn(&RequestRecord) -> Option<f64>| {
        distribution(done.iter().filter_map(|request| value(request)).collect(), "s")
    };
    let inter_token = inter_token(&done);
    let (
        (time_to_first_token, time_to_first_content, time_per_output_token),
        (end_to_end, queueing, schedule_lag),
    ) = both(
        || {
            let content = |request: &RequestRecord| since_origin(request, request.generation.first_content);
            (each(time_to_first_token), each(content), each(time_per_output_token))
        },
        || (each(end_to_end), each(queueing), each(schedule_lag)),
    );
    Latency {
        time_to_first_token,
        time_to_first_content,
        inter_token,
        time_per_output_token,
        end_to_end,
        queueing,
        schedule_lag,
        client_bound: None,
    }
}

/// Gaps up to which all are kept and sorted; more are gone through several times instead.
const SORTED: usize = 1 << 16;

fn inter_token(done: &[&RequestRecord]) -> Option<Distribution> {
    let chunks: usize = done.iter().map(|request| request.generation.chunks.len()).sum();
    let all = Gaps { done };
    if chunks > SORTED {
        return select::distribution(&all, "s");
    }
    let mut gaps = Vec::with_capacity(chunks);
    (0..all.blocks()).for_each(|block| all.each(block, |gap, times| gaps.push((gap, times))));
    weighted_distribution(gaps, "s")
}

/// The gaps of all requests.
struct Gaps<'a> {
    done: &'a [&'a RequestRecord],
}

impl Observations for Gaps<'_> {
    fn blocks(&self) -> usize {
        self.done.len().div_ceil(BLOCK)
    }

    fn each(&self, block: usize, mut take: impl FnMut(f64, u64)) {
        let mut room = Unpacked::default();
        let requests = self.done.iter().skip(block * BLOCK).take(BLOCK);
        requests.for_each(|request| gaps(request, &mut room, &mut take));
    }
}

/// From when a request could go to sending, s.
pub(crate) fn schedule_lag(request: &RequestRecord) -> Option<f64> {
    let free = request.offer.admitted.unwrap_or(request.scheduled);
    Some(request.generation.sent?.seconds_since(free).0)
}

/// From a request's origin to a moment, s: the planned instant where there was one, else sending.
fn since_origin(request: &RequestRecord, at: Option<Stamp>) -> Option<f64> {
    let sent = request.generation.sent?;
    let origin = if request.offer.planned { request.scheduled } else { sent };
    Some(at?.seconds_since(origin).0)
}

/// Time to the first token of any channel, s.
pub(crate) fn time_to_first_token(request: &RequestRecord) -> Option<f64> {
    since_origin(request, request.generation.first_token)
}

/// Time to the end, s.
pub(crate) fn end_to_end(request: &RequestRecord) -> Option<f64> {
    since_origin(request, Some(request.generation.end))
}

/// Time that a bound on requests in flight held a planned request back, s.
pub(crate) fn queueing(request: &RequestRecord) -> Option<f64> {
    Some(request.offer.admitted?.seconds_since(request.scheduled).0)
}

/// The time before each token after the first chunk and how many tokens had it. Counted, not repeated: a server may
/// claim any number of tokens in a chunk.
pub(crate) fn gaps(request: &RequestRecord, room: &mut Unpacked, mut take: impl FnMut(f64, u64)) {
    request.generation.chunks.unpack(room);
    let most = request.generation.completion_tokens.map_or(u32::MAX, |count| count.tokens);
    let coalesced = mean_tokens(request, room.at.len()).filter(|mean| *mean > COALESCED);
    let mut at = room.at.as_slice();
    let mut skipped = 1;
    for alike in &room.alike {
        // Each row goes with the last chunk before it, whose stamp the first gap counts from.
        let chunks = alike.chunks - std::mem::take(&mut skipped).min(alike.chunks);
        let (row, rest) = (at.get(..=chunks).unwrap_or(at), at.get(chunks..).unwrap_or_default());
        let (divisor, times) = match (alike.tokens, coalesced) {
            (None, Some(mean)) => (mean, mean.round() as u64),
            (tokens, _) => {
                let tokens = tokens.unwrap_or(1).min(most).max(1);
                (f64::from(tokens), u64::from(tokens))
            }
        };
        if times == 1 && divisor == 1.0 {
            // The usual case, without a division.
            row.windows(2).for_each(|pair| take(pair[1].seconds_since(pair[0]).0, 1));
        } else {
            row.windows(2).for_each(|pair| take(pair[1].seconds_since(pair[0]).0 / divisor, times));
        }
        at = rest;
    }
}

/// Mean tokens a chunk above which uncounted chunks hold several. One token of a few may have no text and so no chunk, such
/// as the one that ends the answer: a mean a little above 1 is one token a chunk.
const COALESCED: f64 = 1.25;

/// Tokens a chunk of a request by its own count; `None` where that is itself a count of chunks, or there is none.
fn mean_tokens(request: &RequestRecord, chunks: usize) -> Option<f64> {
    let count =
        request.generation.completion_tokens.filter(|count| count.source != TokenCountSource::Chunks)?;
    (chunks > 0).then(|| f64::from(count.tokens) / chunks as f64)
}

/// What the inter-token time of these requests stands on: the least exact basis of any of them.
pub(crate) fn basis(requests: &[&RequestRecord]) -> InterTokenBasis {
    let of = |request: &RequestRecord, room: &mut Unpacked| {
        request.generation.chunks.unpack(room);
        let chunks = room.at.len();
        if chunks < 2 {
            InterTokenBasis::Unseen
        } else if room.counted_after(1) {
            InterTokenBasis::Counted
        } else if mean_tokens(request, chunks).is_some_and(|mean| mean > COALESCED) {
            InterTokenBasis::Split
        } else {
            InterTokenBasis::OneAChunk
        }
    };
    let least = by_block(requests, |block| {
        let mut room = Unpacked::default();
        block.iter().filter(|request| request.succeeded()).map(|request| of(request, &mut room)).max()
    });
    least.into_iter().flatten().max().unwrap_or_default()
}

/// Mean time per token after the first chunk, s.
pub(crate) fn time_per_output_token(request: &RequestRecord) -> Option<f64> {
    let chunks = &request.generation.chunks;
    let following = tokens_after_first_chunk(request)?;
    Some(chunks.last()?.at.seconds_since(request.generation.first_token?).0 / following)
}

/// The tokens that came between the first chunk and the last; `None` where there are none.
fn tokens_after_first_chunk(request: &RequestRecord) -> Option<f64> {
    let chunks = &request.generation.chunks;
    let all = f64::from(request.generation.completion_tokens?.tokens);
    let first = match chunks.first()?.tokens {
        Some(counted) => f64::from(counted.max(1)),
        // A chunk without a count may hold a piece of a token, though the first one is never less than one token.
        None => (all / chunks.len() as f64).max(1.0),
    };
    let following = all - first;
    (chunks.len() > 1 && following > 0.0).then_some(following)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::ErrorClass;
    use ai_energy_core::record::{
        Chunk, Chunks, Generation, Offer, OutputChannel, RequestError, TokenCount, TokenCountSource,
    };

    fn ms(value: u64) -> Stamp {
        Stamp(value * 1_000_000)
    }

    fn chunk(at: u64, tokens: u32) -> Chunk {
        Chunk { at: ms(at), channel: OutputChannel::Content, tokens: Some(tokens) }
    }

    fn request() -> RequestRecord {
        let generation = Generation {
            sent: Some(ms(102)),
            first_token: Some(ms(150)),
            first_content: Some(ms(160)),
            end: ms(205),
            chunks: vec![chunk(150, 1), chunk(160, 1), chunk(160, 1), chunk(200, 4)].into(),
            completion_tokens: Some(TokenCount { tokens: 8, source: TokenCountSource::Server }),
            ..Generation::default()
        };
        RequestRecord {
            id: "a".into(),
            prompt_index: 0,
            scheduled: ms(100),
            offer: Offer::default(),
            generation,
        }
    }

    #[test]
    fn each_latency_by_hand() {
        let found = latency(&[request()]);
        let max =
            |part: Option<ai_energy_core::summary::Distribution>| (part.unwrap().max * 1e6).round() / 1e3;
        assert_eq!(max(found.time_to_first_token), 48.0);
        assert_eq!(max(found.time_to_first_content), 58.0);
        assert_eq!(max(found.end_to_end), 103.0);
        assert_eq!(max(found.schedule_lag), 2.0);
        assert_eq!(max(found.time_per_output_token), 7.143, "50 ms over 7 tokens");
        let gaps = found.inter_token.unwrap();
        assert_eq!((gaps.count, gaps.min), (6, 0.0), "10 ms, 0 ms, and 40 ms as four times 10 ms");
        assert!((gaps.max - 0.010).abs() < 1e-12);
    }

    #[test]
    fn a_chunk_that_claims_billions_of_tokens_costs_no_memory_and_does_not_outvote_the_others() {
        let mut bounded = request();
        let claims = vec![chunk(150, 1), chunk(160, u32::MAX), chunk(160, 1), chunk(200, 4)];
        bounded.generation.chunks = claims.into();
        let gaps = latency(&[bounded.clone()]).inter_token.unwrap();
        assert_eq!(gaps.count, 8 + 1 + 4, "no more than the request's own 8");
        bounded.generation.completion_tokens = None;
        let gaps = latency(&[bounded]).inter_token.unwrap();
        assert_eq!(gaps.count, u32::MAX as usize + 5);
        assert!((gaps.max - 0.010).abs() < 1e-12 && gaps.p50 < 1e-11);
    }

    #[test]
    fn latency_of_a_planned_request_counts_from_its_instant_and_the_waiting_is_told_apart() {
        let mut planned = request();
        planned.offer = Offer { planned: true, admitted: Some(ms(101)), ..Offer::default() };
        let found = latency(&[planned]);
        let max = |part: Option<ai_energy_core::summary::Distribution>| part.unwrap().max;
        assert!((max(found.time_to_first_token) - 0.050).abs() < 1e-12);
        assert!((max(found.end_to_end) - 0.105).abs() < 1e-12);
        assert!((max(found.queueing) - 0.001).abs() < 1e-12);
        assert!((max(found.schedule_lag) - 0.001).abs() < 1e-12);
        assert_eq!(latency(&[request()]).queueing, None);
    }

    #[test]
    fn failed_requests_and_unseen_moments_add_nothing() {
        let mut failed = request();
        failed.generation.error =
            Some(RequestError { class: ErrorClass::Server, message: "500".into(), status: Some(500) });
        assert_eq!(latency(&[failed]), Latency::default());
        let mut whole = request();
        whole.generation.first_token = None;
        whole.generation.first_content = None;
        whole.generation.chunks = Chunks::default();
        let found = latency(&[whole]);
        assert!(found.time_to_first_token.is_none() && found.inter_token.is_none());
        assert!(found.time_per_output_token.is_none() && found.end_to_end.is_some());
    }

    /// `tokens` tokens in chunks of `size`, one chunk each 40 ms; their times per token are 40 ms ÷ `size`.
    fn even(tokens: u32, size: u32, counted: bool) -> RequestRecord {
        let mut even = request();
        let chunk = |number: u32| Chunk {
            tokens: counted.then_some(size),
            ..chunk(150 + u64::from(number) * 40, size)
        };
        even.generation.chunks = (0..tokens / size).map(chunk).collect();
        even.generation.completion_tokens = Some(TokenCount { tokens, source: TokenCountSource::Server });
        even
    }

    #[test]
    fn the_time_per_output_token_does_not_depend_on_how_many_come_in_a_chunk() {
        let mean = |request| latency(&[request]).time_per_output_token.map(|found| found.mean);
        for (size, counted) in [(1, true), (1, false), (4, true), (4, false), (8, true), (8, false)] {
            let expected = 0.040 / f64::from(size);
            for tokens in [16, 64, 400] {
                let found = mean(even(tokens, size, counted)).unwrap();
                assert!((found - expected).abs() < 1e-12, "{tokens} by {size}, {counted}: {found}");
            }
        }
        assert_eq!(mean(even(8, 8, true)), None, "one chunk tells no time between tokens");
        assert_eq!(mean(even(8, 8, false)), None, "and is not 0 s a token");
    }

    #[test]
    fn an_uneven_first_chunk_is_taken_by_its_own_count() {
        let mut uneven = request();
        uneven.generation.chunks = vec![chunk(150, 5), chunk(180, 3)].into();
        let found = latency(&[uneven.clone()]).time_per_output_token.unwrap();
        assert!((found.mean - 0.010).abs() < 1e-12, "30 ms over the 3 that followed: {}", found.mean);
        uneven.generation.chunks = vec![chunk(150, u32::MAX), chunk(180, 3)].into();
        assert!(latency(&[uneven]).time_per_output_token.is_none(), "more than the request has");
    }

    #[test]
    fn chunks_of_less_than_a_token_count_the_first_as_one() {
        let mut pieces = even(16, 1, false);
        pieces.generation.completion_tokens =
            Some(TokenCount { tokens: 8, source: TokenCountSource::Server });
        let found = latency(&[pieces]).time_per_output_token.unwrap();
        assert!((found.mean - 0.600 / 7.0).abs() < 1e-12, "{}", found.mean);
    }

    #[test]
    fn a_single_token_has_no_time_per_following_token() {
        let mut one = request();
        one.generation.completion_tokens = Some(TokenCount { tokens: 1, source: TokenCountSource::Server });
        assert!(latency(&[one]).time_per_output_token.is_none());
    }
}
