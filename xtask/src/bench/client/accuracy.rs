//! How far what a client says of its requests is from what the simulator did, request by request.
//!
//! Only requests of the steady state count: those that the simulator read after the first answer had ended. Before that all
//! streams begin together, wait in the simulator's queue, and say more of it than of the reader. Refuses to know how either
//! was measured.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashMap;

use super::contestants::{Seen, Sides};
use crate::bench::agreement::times;

/// Errors of one turn, ms: what was said less what was so for first tokens, the distance for gaps.
#[derive(Debug, Default)]
pub(super) struct Errors {
    pub(super) ttft: Vec<f64>,
    pub(super) gaps: Vec<f64>,
    /// Both ends of the times to first token, where the client tells instants.
    pub(super) ends: Ends,
}

/// How far a client's instants are from the simulator's on one clock, ms.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The simulator's reading of a request less the client's sending of it.
    pub(super) begin: Vec<f64>,
    /// The client's stamp of a first token less the simulator's writing of it.
    pub(super) first: Vec<f64>,
}

/// A request on both sides, ms, each side on its own clock.
struct Pair {
    client: Sides,
    arrival: f64,
    first: f64,
}

/// Pairs requests with the truth by id; or by the number behind it, where a client keeps the number alone.
///
/// # Errors
/// A request is in no truth, or has other tokens; or none was sent in the steady state.
pub(super) fn errors(seen: &[Seen], truth: &Value) -> Result<Errors> {
    let mut truths: HashMap<&str, &Value> = HashMap::new();
    for entry in truth["requests"].as_array().context("no truth")? {
        let id = entry["request_id"].as_str().context("a truth without id")?;
        truths.insert(id, entry);
        if let Some((_, number)) = id.rsplit_once('-') {
            truths.insert(number, entry);
        }
    }
    let mut paired = Vec::new();
    for request in seen {
        let truth = truths.get(request.id.as_str());
        paired.push((request, *truth.with_context(|| format!("the server never saw {}", request.id))?));
    }
    // A client's probe before its load is no request of it and begins no steady state.
    let ends = paired.iter().filter_map(|(_, truth)| truth["end_ns"].as_f64());
    let steady = ends.fold(f64::INFINITY, f64::min) / 1e6;
    let (mut errors, mut pairs) = (Errors::default(), Vec::new());
    for (request, truth) in paired {
        let ms = |name: &str| truth[name].as_f64().map(|ns| ns / 1e6).context("a truth without stamps");
        let (arrival, first) = (ms("arrival_ns")?, ms("first_token_ns")?);
        if arrival < steady {
            continue;
        }
        errors.ttft.push(request.ttft - (first - arrival));
        pairs.extend(request.sides.map(|client| Pair { client, arrival, first }));
        errors.gaps.extend(gap_errors(request, &times(&truth["writes"], 0))?);
    }
    ensure!(!errors.ttft.is_empty(), "no request of the steady state was paired with the truth");
    errors.ends = both_ends(&pairs);
    Ok(errors)
}

fn gap_errors(request: &Seen, written: &[f64]) -> Result<Vec<f64>> {
    let gaps = written.windows(2).map(|pair| pair[1] - pair[0]);
    if request.gaps.is_empty() {
        return Ok(Vec::new());
    }
    // A client that takes the chunk with the role for a token has a gap before those between tokens.
    let more = request.gaps.len().checked_sub(gaps.len());
    let more = more.filter(|more| *more <= 1).with_context(|| {
        format!("{}: {} gaps seen, {} written", request.id, request.gaps.len(), gaps.len())
    })?;
    Ok(request.gaps[more..].iter().zip(gaps).map(|(seen, so)| (seen - so).abs()).collect())
}

/// Both clocks run alike and differ by a constant. No request is read before it is sent and no token is stamped before it is
/// written, which bounds the constant from both sides; the bound that makes the client's stamps of tokens as late as they can
/// have been is taken.
fn both_ends(pairs: &[Pair]) -> Ends {
    let apart = pairs.iter().map(|pair| pair.arrival - pair.client.sent).fold(f64::INFINITY, f64::min);
    Ends {
        begin: pairs.iter().map(|pair| pair.arrival - pair.client.sent - apart).collect(),
        first: pairs.iter().map(|pair| pair.client.first + apart - pair.first).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn truth() -> Value {
        json!({"requests": [
            {"request_id": "x-0", "arrival_ns": 0, "first_token_ns": 9_000_000, "end_ns": 9_500_000,
             "writes": [[9_000_000, 1, "content"]]},
            {"request_id": "x-1", "arrival_ns": 11_000_000, "first_token_ns": 13_000_000, "end_ns": 20_000_000,
             "writes": [[13_000_000, 1, "content"], [15_000_000, 1, "content"], [19_000_000, 1, "content"]]},
            {"request_id": "x-2", "arrival_ns": 12_500_000, "first_token_ns": 14_000_000, "end_ns": 20_000_000,
             "writes": [[14_000_000, 1, "content"]]}]})
    }

    fn seen(id: &str, ttft: f64, gaps: Vec<f64>) -> Seen {
        Seen { id: id.to_owned(), ttft, gaps, sides: None }
    }

    /// What is off, with a request before it that begins the steady state where one is asked for.
    fn errors_after(first: &str, then: &[Seen]) -> Result<Errors> {
        let all: Vec<_> = std::iter::once(seen(first, 9.0, vec![])).chain(then.iter().cloned()).collect();
        errors(&all, &truth())
    }

    #[test]
    fn requests_are_paired_by_id_or_number_and_a_gap_before_the_tokens_is_left_out() {
        let errors = |seen: Seen| errors_after("x-0", &[seen]);
        let by_number = errors(seen("1", 2.5, vec![0.1, 2.25, 3.0])).unwrap();
        assert_eq!((by_number.ttft, by_number.gaps), (vec![0.5], vec![0.25, 1.0]));
        let by_id = errors(seen("x-1", 1.75, vec![2.0, 4.0])).unwrap();
        assert_eq!((by_id.ttft, by_id.gaps), (vec![-0.25], vec![0.0, 0.0]));
        assert!(errors(seen("3", 1.0, vec![])).is_err());
        assert!(errors(seen("x-1", 1.0, vec![1.0])).is_err(), "a token is missing");
    }

    #[test]
    fn what_was_read_before_the_first_answer_of_the_load_ended_does_not_count() {
        assert_eq!(errors_after("x-0", &[seen("x-2", 2.0, vec![])]).unwrap().ttft, [0.5]);
        // Here the request that ended early was a probe, which the client does not tell of.
        assert!(errors_after("x-1", &[seen("x-2", 2.0, vec![])]).is_err(), "both began together");
    }

    #[test]
    fn the_way_there_and_the_way_back_are_told_apart_by_what_no_request_contradicts() {
        // The client's clock is 10 ms behind; the second request waited half a millisecond to be read.
        let told = |id: &str, sent, first| Seen {
            sides: Some(Sides { sent, first }),
            ..seen(id, first - sent, vec![])
        };
        let errors = errors_after("x-0", &[told("x-1", 1.0, 3.25), told("x-2", 2.0, 4.125)]).unwrap();
        assert_eq!(errors.ends.begin, [0.0, 0.5]);
        assert_eq!(errors.ends.first, [0.25, 0.125]);
    }
}
