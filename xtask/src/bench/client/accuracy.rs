//! How far what a client says of its requests is from what the simulator did, request by request.
//!
//! Refuses to know how either was measured.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashMap;

use super::contestants::Seen;
use crate::bench::agreement::times;

/// Errors of one turn, ms: what was said less what was so for first tokens, the distance for gaps.
#[derive(Debug, Default)]
pub(super) struct Errors {
    pub(super) ttft: Vec<f64>,
    pub(super) gaps: Vec<f64>,
}

/// Pairs requests with the truth by id; or by the number behind it, where a client keeps the number alone.
///
/// # Errors
/// A request is in no truth, or has other tokens.
pub(super) fn errors(seen: &[Seen], truth: &Value) -> Result<Errors> {
    let mut truths: HashMap<&str, &Value> = HashMap::new();
    for entry in truth["requests"].as_array().context("no truth")? {
        let id = entry["request_id"].as_str().context("a truth without id")?;
        truths.insert(id, entry);
        if let Some((_, number)) = id.rsplit_once('-') {
            truths.insert(number, entry);
        }
    }
    let mut errors = Errors::default();
    for request in seen {
        let truth = truths.get(request.id.as_str());
        let truth = truth.with_context(|| format!("the server never saw {}", request.id))?;
        let ms = |name: &str| truth[name].as_f64().map(|ns| ns / 1e6).context("a truth without stamps");
        errors.ttft.push(request.ttft - (ms("first_token_ns")? - ms("arrival_ns")?));
        let written = times(&truth["writes"], 0);
        let gaps = written.windows(2).map(|pair| pair[1] - pair[0]);
        if request.gaps.is_empty() {
            continue;
        }
        // A client that takes the chunk with the role for a token has a gap before those between tokens.
        let more = request.gaps.len().checked_sub(gaps.len());
        let more = more.filter(|more| *more <= 1).with_context(|| {
            format!("{}: {} gaps seen, {} written", request.id, request.gaps.len(), gaps.len())
        })?;
        errors.gaps.extend(request.gaps[more..].iter().zip(gaps).map(|(seen, so)| (seen - so).abs()));
    }
    ensure!(!errors.ttft.is_empty(), "no request was paired with the truth");
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_paired_by_id_or_number_and_a_gap_before_the_tokens_is_left_out() {
        let truth = json!({"requests": [
            {"request_id": "x-0", "arrival_ns": 0, "first_token_ns": 9_000_000, "writes": [[9_000_000, 1, "content"]]},
            {"request_id": "x-1", "arrival_ns": 1_000_000, "first_token_ns": 3_000_000,
             "writes": [[3_000_000, 1, "content"], [5_000_000, 1, "content"], [9_000_000, 1, "content"]]}]});
        let seen = |id: &str, ttft, gaps| Seen { id: id.to_owned(), ttft, gaps };
        let errors = |seen: Seen| super::errors(&[seen], &truth);
        let by_number = errors(seen("1", 2.5, vec![0.1, 2.25, 3.0])).unwrap();
        assert_eq!((by_number.ttft, by_number.gaps), (vec![0.5], vec![0.25, 1.0]));
        let by_id = errors(seen("x-1", 1.75, vec![2.0, 4.0])).unwrap();
        assert_eq!((by_id.ttft, by_id.gaps), (vec![-0.25], vec![0.0, 0.0]));
        assert!(errors(seen("2", 1.0, vec![])).is_err());
        assert!(errors(seen("x-1", 1.0, vec![1.0])).is_err(), "a token is missing");
    }
}
