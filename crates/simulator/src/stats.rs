//! The server's counters, and their text for `/metrics` under vLLM's names.
//!
//! Exists so that a client that compares its counts with a server's own has a server to compare with. Refuses to know
//! requests: it is told numbers.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::truth::lock;

/// Upper bounds of the histogram of times to first token, in seconds: vLLM's.
const BOUNDS: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
];

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Abort,
    Error,
}

impl Finish {
    const ALL: [Self; 4] = [Self::Stop, Self::Length, Self::Abort, Self::Error];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
            Self::Error => "error",
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Generation requests read, refused ones included.
    pub requests: u64,
    /// Generation requests answered with a status other than 200, or reset.
    pub refused: u64,
    /// Requests in whose place a fault was induced, whole or in part.
    pub faults: u64,
    /// Prompt tokens of the requests whose first token was due.
    pub prompt_tokens: u64,
    /// Tokens generated, end-of-sequence tokens included.
    pub generation_tokens: u64,
    /// Requests being served.
    pub running: u64,
    /// Requests waiting for others to end.
    pub waiting: u64,
    /// Generations that ended of themselves.
    pub finished_stop: u64,
    /// Generations that ended at their token limit.
    pub finished_length: u64,
    /// Generations whose client went away.
    pub finished_abort: u64,
    /// Generations that an induced fault ended.
    pub finished_error: u64,
    /// Requests whose truth was dropped to bound memory.
    pub truth_dropped: u64,
}

/// The counters while they count.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generation_tokens: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) waiting: AtomicU64,
    finished: [AtomicU64; 4],
    first_token: Mutex<Histogram>,
}

/// Observations below each bound, then all; and their sum.
#[derive(Default, Clone)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Counters {
    pub(crate) fn finish(&self, finish: Finish) {
        if let Some(counter) = self.finished.get(finish as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn finished(&self, finish: Finish) -> u64 {
        self.finished.get(finish as usize).map_or(0, |counter| counter.load(Relaxed))
    }

    /// Takes note of one time to first token.
    pub(crate) fn observe_first_token(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let mut histogram = lock(&self.first_token);
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        histogram.count += 1;
        histogram.sum += seconds;
    }

    pub(crate) fn read(&self, truth_dropped: u64) -> Stats {
        Stats {
            connections: self.connections.load(Relaxed),
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
            faults: self.faults.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            generation_tokens: self.generation_tokens.load(Relaxed),
            running: self.running.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            finished_stop: self.finished(Finish::Stop),
            finished_length: self.finished(Finish::Length),
            finished_abort: self.finished(Finish::Abort),
            finished_error: self.finished(Finish::Error),
            truth_dropped,
        }
    }

    /// The Prometheus text.
    pub(crate) fn prometheus(&self, model: &str, started: SystemTime) -> String {
        let labels = format!("engine=\"0\",model_name=\"{}\"", escaped(model));
        let mut text = String::new();
        let started = started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        family(
            &mut text,
            "process_start_time_seconds",
            "gauge",
            "Start time of the server, seconds since 1970.",
        );
        line(&mut text, format_args!("process_start_time_seconds {started}"));
        for (name, kind, help, value) in [
            ("num_requests_running", "gauge", "Number of requests being served.", &self.running),
            ("num_requests_waiting", "gauge", "Number of requests waiting.", &self.waiting),
            ("prompt_tokens_total", "counter", "Number of prefill tokens processed.", &self.prompt_tokens),
            ("generation_tokens_total", "counter", "Number of tokens generated.", &self.generation_tokens),
        ] {
            family(&mut text, &format!("vllm:{name}"), kind, help);
            line(&mut text, format_args!("vllm:{name}{{{labels}}} {}.0", value.load(Relaxed)));
        }
        family(&mut text, "vllm:request_success_total", "counter", "Count of requests by how they ended.");
        for finish in Finish::ALL {
            let labels = format!(
                "engine=\"0\",finished_reason=\"{}\",model_name=\"{}\"",
                finish.word(),
                escaped(model)
            );
            line(
                &mut text,
                format_args!("vllm:request_success_total{{{labels}}} {}.0", self.finished(finish)),
            );
        }
        self.first_token_text(&mut text, model);
        text
    }

    fn first_token_text(&self, text: &mut String, model: &str) {
        let name = "vllm:time_to_first_token_seconds";
        let model = escaped(model);
        let histogram = lock(&self.first_token).clone();
        family(text, name, "histogram", "Histogram of time to first token in seconds.");
        for (count, bound) in histogram.buckets.iter().zip(BOUNDS) {
            line(
                text,
                format_args!(
                    "{name}_bucket{{engine=\"0\",le=\"{bound:?}\",model_name=\"{model}\"}} {count}.0"
                ),
            );
        }
        let (count, sum) = (histogram.count, histogram.sum);
        line(
            text,
            format_args!("{name}_bucket{{engine=\"0\",le=\"+Inf\",model_name=\"{model}\"}} {count}.0"),
        );
        line(text, format_args!("{name}_count{{engine=\"0\",model_name=\"{model}\"}} {count}.0"));
        line(text, format_args!("{name}_sum{{engine=\"0\",model_name=\"{model}\"}} {sum:?}"));
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}

/// A label's value as the exposition format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_is_cumulative_and_sums() {
        let counters = Counters::default();
        for millis in [3, 30, 30, 5_000_000] {
            counters.observe_first_token(Duration::from_millis(millis));
        }
        let text = counters.prometheus("m", UNIX_EPOCH);
        let value = |start: &str| {
            let found = text.lines().find(|line| line.starts_with(start)).unwrap();
            found.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        let bucket =
            |le: &str| value(&format!("vllm:time_to_first_token_seconds_bucket{{engine=\"0\",le=\"{le}\""));
        assert_eq!((bucket("0.001"), bucket("0.005"), bucket("0.04")), (0.0, 1.0, 3.0));
        assert_eq!((bucket("2560.0"), bucket("+Inf")), (3.0, 4.0));
        assert!((value("vllm:time_to_first_token_seconds_sum") - 5000.063).abs() < 1e-9);
        assert_eq!(value("vllm:time_to_first_token_seconds_count"), 4.0);
    }

    #[test]
    fn every_way_to_end_has_its_own_count() {
        let counters = Counters::default();
        counters.finish(Finish::Abort);
        counters.finish(Finish::Length);
        counters.finish(Finish::Length);
        let stats = counters.read(7);
        assert_eq!((stats.finished_stop, stats.finished_length), (0, 2));
        assert_eq!((stats.finished_abort, stats.finished_error, stats.truth_dropped), (1, 0, 7));
        let text = counters.prometheus("a \"b\" \\c", UNIX_EPOCH);
        assert!(text.contains(r#"finished_reason="length",model_name="a \"b\" \\c"} 2.0"#), "{text}");
    }
}
