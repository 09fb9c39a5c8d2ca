//! The server's own token counters, so that a run can be held against them.
//!
//! Reads the Prometheus text format as far as a counter's value needs it. Refuses to judge a difference.

use ai_energy_core::Stamp;
use ai_energy_core::record::ServerCounters;
use ai_energy_core::server::ServerSample;

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

/// vLLM's names of gauges and totals; where it renamed one, the newer name first.
const RUNNING: [&str; 1] = ["vllm:num_requests_running"];
const WAITING: [&str; 1] = ["vllm:num_requests_waiting"];
const CACHE_USE: [&str; 2] = ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"];
const PREEMPTIONS: [&str; 1] = ["vllm:num_preemptions_total"];
const PREFIX_QUERIES: [&str; 2] = ["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"];
const PREFIX_HITS: [&str; 2] = ["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"];
const TTFT_SUM: [&str; 1] = ["vllm:time_to_first_token_seconds_sum"];
const TTFT_COUNT: [&str; 1] = ["vllm:time_to_first_token_seconds_count"];

/// Finds what a metrics page says of the server's state; `None` where it says nothing of it.
pub(crate) fn sample(page: &str, at: Stamp) -> Option<ServerSample> {
    let first = |names: &[&str]| names.iter().find_map(|name| total(page, name));
    let found = ServerSample {
        at,
        running: first(&RUNNING),
        waiting: first(&WAITING),
        cache_use: CACHE_USE.iter().find_map(|name| most(page, name)),
        preemptions: first(&PREEMPTIONS),
        prefix_queries: first(&PREFIX_QUERIES),
        prefix_hits: first(&PREFIX_HITS),
        ttft_seconds_sum: first(&TTFT_SUM),
        ttft_count: first(&TTFT_COUNT),
    };
    (found != ServerSample { at, ..ServerSample::default() }).then_some(found)
}

/// The sum over all label sets of a counter, as a whole number.
fn sum(page: &str, name: &str) -> Option<u64> {
    total(page, name).map(|total| total.round() as u64)
}

/// The sum over all label sets: over the engines of a server.
fn total(page: &str, name: &str) -> Option<f64> {
    values(page, name).reduce(|sum, value| sum + value)
}

/// The largest over all label sets, for shares, which do not add up.
fn most(page: &str, name: &str) -> Option<f64> {
    values(page, name).reduce(f64::max)
}

/// The values of all label sets.
fn values<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => &labels[labels.rfind('}')? + 1..],
            None => rest.strip_prefix(' ')?,
        };
        value.split_ascii_whitespace().next()?.parse::<f64>().ok().filter(|value| *value >= 0.0)
    })
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

    #[test]
    fn a_servers_state_is_read_by_old_and_new_names_and_engines_add_up_where_they_can() {
        let page = "vllm:num_requests_running{engine=\"0\"} 3.0\nvllm:num_requests_running{engine=\"1\"} 4.0\n\
            vllm:num_requests_waiting 2\nvllm:gpu_cache_usage_perc{engine=\"0\"} 0.25\n\
            vllm:gpu_cache_usage_perc{engine=\"1\"} 0.75\nvllm:prefix_cache_queries_total 100\n\
            vllm:time_to_first_token_seconds_sum 1.5\nvllm:time_to_first_token_seconds_count 6\n\
            vllm:time_to_first_token_seconds_bucket{le=\"0.5\"} 6\n";
        let found = sample(page, Stamp(7)).unwrap();
        assert_eq!((found.at, found.running, found.waiting), (Stamp(7), Some(7.0), Some(2.0)));
        assert_eq!(
            (found.cache_use, found.prefix_queries, found.prefix_hits),
            (Some(0.75), Some(100.0), None)
        );
        assert_eq!((found.ttft_seconds_sum, found.ttft_count), (Some(1.5), Some(6.0)));
        assert_eq!(sample("process_cpu_seconds_total 3\n", Stamp(7)), None);
    }
}
