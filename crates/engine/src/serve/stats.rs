//! What the engine's work has come to since the model was loaded: counts and seconds by phase, and peak memory.
//!
//! Every name carries its unit. Refuses to know energy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

/// The counts so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stats {
    /// Generations that ended as asked.
    pub(super) completed: u64,
    /// Generations that ended in an error.
    pub(super) failed: u64,
    /// Generations that the host ended.
    pub(super) cancelled: u64,
    /// Prompt tokens computed, without padding.
    pub(super) prefill_tokens: u64,
    /// Tokens that went to generations, the first of each included.
    pub(super) generated_tokens: u64,
    /// Time from the begin of a batch to the logits of its first tokens.
    pub(super) prefill: Duration,
    /// Time from the first token of a batch to its last.
    pub(super) decode: Duration,
    /// Steps after the first, of whole batches.
    pub(super) decode_steps: u64,
    /// Batches by the number of requests in them.
    pub(super) batches: BTreeMap<usize, u64>,
    /// What was asked of generations and is not done, a sentence each, once.
    pub(super) remarks: BTreeSet<String>,
}

impl Stats {
    /// The figures by name; `own` are those of whatever computes.
    pub(super) fn figures(&self, own: Map<String, Value>) -> Map<String, Value> {
        let batches: Map<String, Value> =
            self.batches.iter().map(|(size, count)| (size.to_string(), json!(count))).collect();
        let mut figures = Map::new();
        let mut put = |name: &str, value: Value| figures.insert(name.to_owned(), value);
        put("engine_completed_requests", json!(self.completed));
        put("engine_failed_requests", json!(self.failed));
        put("engine_cancelled_requests", json!(self.cancelled));
        put("engine_prefill_tokens", json!(self.prefill_tokens));
        put("engine_generated_tokens", json!(self.generated_tokens));
        put("engine_prefill_seconds", json!(self.prefill.as_secs_f64()));
        put("engine_decode_seconds", json!(self.decode.as_secs_f64()));
        put("engine_decode_steps", json!(self.decode_steps));
        put("engine_batches_by_size", Value::Object(batches));
        if !self.remarks.is_empty() {
            put("engine_remarks", json!(self.remarks));
        }
        match peak_rss_bytes() {
            Some(bytes) => put("peak_rss_bytes", json!(bytes)),
            None => {
                put(
                    "peak_rss_bytes_missing",
                    json!("this system does not tell the peak memory of a process"),
                );
                put("peak_rss_bytes", Value::Null)
            }
        };
        figures.extend(own);
        figures
    }
}

/// Most memory that this process has held, in bytes; weights that are mapped from a file count while they are resident.
fn peak_rss_bytes() -> Option<u64> {
    // `VmHWM` of proc_pid_status(5), in kB, which means KiB there.
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        assert_eq!(high_water_mark("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(high_water_mark("Name:\tx\n"), None);
        assert_eq!(high_water_mark("VmHWM: many kB"), None);
    }

    #[test]
    fn figures_carry_units_and_what_is_unknown_is_null_with_a_reason() {
        let stats = Stats { prefill: Duration::from_millis(1500), ..Stats::default() };
        let own = json!({"peak_gpu_memory_bytes": 7}).as_object().cloned().unwrap_or_default();
        let figures = stats.figures(own);
        assert_eq!(
            (&figures["engine_prefill_seconds"], &figures["peak_gpu_memory_bytes"]),
            (&json!(1.5), &json!(7))
        );
        assert_ne!(figures["peak_rss_bytes"].is_null(), figures.get("peak_rss_bytes_missing").is_none());
        assert_ne!(figures["peak_rss_bytes"], json!(0));
    }
}
