//! Latencies of the successful requests.
//!
//! Only stamps of requests that succeeded count: a failed one's are no latency of anything. Refuses to guess a moment
//! that was not seen, so that a request without streaming adds nothing to the time to first token.

use ai_energy_core::RequestRecord;
use ai_energy_core::clock::Stamp;
use ai_energy_core::summary::Latency;

use crate::stats::{distribution, weighted_distribution};

/// All latency distributions of a run, in seconds.
///
/// - time to first token: first token of any channel − sent; to first content likewise with the answer's own;
/// - inter-token: the time between consecutive chunks. A chunk of n tokens gives n equal parts, so that a server
///   which sends several tokens at a time is not seen as slower per token; chunks that were read at once are 0 apart.
///   A chunk never has more tokens than the server counts for its whole request;
/// - time per output token: (last chunk − first token) ÷ (completion tokens − 1);
/// - end to end: end − sent; schedule lag: sent − scheduled.
pub fn latency(requests: &[RequestRecord]) -> Latency {
    let done: Vec<&RequestRecord> = requests.iter().filter(|request| request.succeeded()).collect();
    let each = |value: fn(&RequestRecord) -> Option<f64>| {
        distribution(done.iter().filter_map(|request| value(request)).collect(), "s")
    };
    Latency {
        time_to_first_token: each(|request| after_sent(request, request.generation.first_token)),
        time_to_first_content: each(|request| after_sent(request, request.generation.first_content)),
        inter_token: weighted_distribution(done.iter().flat_map(|request| gaps(request)).collect(), "s"),
        time_per_output_token: each(time_per_output_token),
        end_to_end: each(|request| after_sent(request, Some(request.generation.end))),
        schedule_lag: each(|request| Some(request.generation.sent?.seconds_since(request.scheduled).0)),
    }
}

fn after_sent(request: &RequestRecord, at: Option<Stamp>) -> Option<f64> {
    Some(at?.seconds_since(request.generation.sent?).0)
}

/// The time before each token after the first chunk and how many tokens had it. Counted, not repeated: a server may
/// claim any number of tokens in a chunk.
fn gaps(request: &RequestRecord) -> impl Iterator<Item = (f64, u64)> {
    let most = request.generation.completion_tokens.map_or(u32::MAX, |count| count.tokens);
    request.generation.chunks.windows(2).map(move |pair| {
        let tokens = pair[1].tokens.unwrap_or(1).min(most).max(1);
        let gap = pair[1].at.seconds_since(pair[0].at).0 / f64::from(tokens);
        (gap, u64::from(tokens))
    })
}

fn time_per_output_token(request: &RequestRecord) -> Option<f64> {
    let generation = &request.generation;
    let following = generation.completion_tokens?.tokens.checked_sub(1).filter(|count| *count > 0)?;
    let last = generation.chunks.last()?.at;
    Some(last.seconds_since(generation.first_token?).0 / f64::from(following))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::ErrorClass;
    use ai_energy_core::record::{
        Chunk, Generation, OutputChannel, RequestError, TokenCount, TokenCountSource,
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
            chunks: vec![chunk(150, 1), chunk(160, 1), chunk(160, 1), chunk(200, 4)],
            completion_tokens: Some(TokenCount { tokens: 8, source: TokenCountSource::Server }),
            ..Generation::default()
        };
        RequestRecord { id: "a".into(), prompt_index: 0, scheduled: ms(100), generation }
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
        bounded.generation.chunks[1].tokens = Some(u32::MAX);
        let gaps = latency(&[bounded.clone()]).inter_token.unwrap();
        assert_eq!(gaps.count, 8 + 1 + 4, "no more than the request's own 8");
        bounded.generation.completion_tokens = None;
        let gaps = latency(&[bounded]).inter_token.unwrap();
        assert_eq!(gaps.count, u32::MAX as usize + 5);
        assert!((gaps.max - 0.010).abs() < 1e-12 && gaps.p50 < 1e-11);
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
        whole.generation.chunks.clear();
        let found = latency(&[whole]);
        assert!(found.time_to_first_token.is_none() && found.inter_token.is_none());
        assert!(found.time_per_output_token.is_none() && found.end_to_end.is_some());
    }

    #[test]
    fn a_single_token_has_no_time_per_following_token() {
        let mut one = request();
        one.generation.completion_tokens = Some(TokenCount { tokens: 1, source: TokenCountSource::Server });
        assert!(latency(&[one]).time_per_output_token.is_none());
    }
}
