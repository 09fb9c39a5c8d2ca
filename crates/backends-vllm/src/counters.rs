//! The server's own token counters, so that a run can be held against them.
//!
//! Reads the Prometheus text format as far as a counter's value needs it. Refuses to judge a difference.

use ai_energy_core::record::ServerCounters;

/// Counter names by server: prompt tokens, generated tokens.
const NAMES: [(&str, &str); 2] = [
    ("vllm:prompt_tokens_total", "vllm:generation_tokens_total"),
    ("llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"),
];

/// Finds both counters in a metrics page; `None` where either is missing.
pub(crate) fn read(page: &str) -> Option<ServerCounters> {
    NAMES.iter().find_map(|(prompt, generation)| {
        Some(ServerCounters { prompt_tokens: sum(page, prompt)?, generation_tokens: sum(page, generation)? })
    })
}

/// The sum over all label sets of a counter.
fn sum(page: &str, name: &str) -> Option<u64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => &labels[labels.rfind('}')? + 1..],
            None => rest.strip_prefix(' ')?,
        };
        value.split_ascii_whitespace().next()?.parse::<f64>().ok().filter(|value| *value >= 0.0)
    });
    let mut any = false;
    let total: f64 = values.inspect(|_| any = true).sum();
    any.then_some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels_and_neighbours_are_not_taken() {
        let page = "# TYPE vllm:prompt_tokens_total counter\n\
            vllm:prompt_tokens_total{engine=\"0\",m=\"a}b\"} 1.5e2\n\
            vllm:prompt_tokens_total{engine=\"1\"} 50.0 1700000000\n\
            vllm:prompt_tokens_total_created{engine=\"0\"} 9e9\n\
            vllm:generation_tokens_total 7\n";
        assert_eq!(read(page), Some(ServerCounters { prompt_tokens: 200, generation_tokens: 7 }));
        assert_eq!(read("vllm:prompt_tokens_total 1\n"), None);
        let llama = "llamacpp:prompt_tokens_total 3\nllamacpp:tokens_predicted_total 4\n";
        assert_eq!(read(llama), Some(ServerCounters { prompt_tokens: 3, generation_tokens: 4 }));
    }
}
