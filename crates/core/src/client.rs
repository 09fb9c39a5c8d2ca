//! What the client itself did while it loaded a server: its time on the processors, its sockets, how late its event loop
//! was, and what a calibration knows of its limits.
//!
//! Exists so that a report can tell the client's slowness from the server's. Refuses to judge: the summary does, from what
//! is kept here.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// What the client itself used: this program, on the machine it ran on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientUsage {
    /// CPU time of the whole process over the load, the sampler's included, s; `None` where the system does not tell.
    pub load_cpu_seconds: Option<f64>,
    /// When the looks at the process were taken: right before the load and right after it.
    #[serde(rename = "looked_ns")]
    pub looked: Option<[Stamp; 2]>,
    /// CPU time in the program's own code, s, in the kernel's ticks.
    pub user_seconds: Option<f64>,
    /// CPU time in the kernel on the program's behalf, s, in the kernel's ticks.
    pub system_seconds: Option<f64>,
    /// Processors that the process may use.
    pub cores: Option<f64>,
    /// CPU time by the threads' names; those that ended meanwhile are missing.
    pub threads: Vec<ThreadUse>,
    /// How late the load's event loop ran what was due; `None` where it was not probed.
    pub event_loop: Option<Delays>,
    /// What the connections carried; `None` where the backend has none.
    pub traffic: Option<Traffic>,
    /// What a calibration of this client on this machine found.
    pub calibration: Option<ClientLimits>,
    /// Why there is none; empty where there is one.
    pub uncalibrated: String,
}

/// CPU time of the threads of one name over the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadUse {
    /// Their name.
    pub name: String,
    /// How many there are.
    pub threads: usize,
    /// CPU time of all of them, s.
    pub cpu_seconds: f64,
    /// CPU time of the busiest one, s.
    pub busiest_seconds: f64,
    /// Time in which they were ready to run and had to wait for a processor, s.
    pub wait_seconds: f64,
}

/// What connections carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections that were made.
    pub opened: u64,
    /// Most connections open at a time.
    pub peak_open: u64,
    /// Requests that went out on a connection which had carried another one.
    pub reused: u64,
    /// Bytes that left the sockets, heads and TLS included.
    pub received_bytes: u64,
    /// Bytes that were given to the sockets.
    pub sent_bytes: u64,
}

impl Traffic {
    /// The sum of two, peaks included.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            peak_open: self.peak_open + other.peak_open,
            reused: self.reused + other.reused,
            received_bytes: self.received_bytes + other.received_bytes,
            sent_bytes: self.sent_bytes + other.sent_bytes,
        }
    }

    /// What came since an earlier count; the peak is this one's.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            opened: self.opened.saturating_sub(earlier.opened),
            peak_open: self.peak_open,
            reused: self.reused.saturating_sub(earlier.reused),
            received_bytes: self.received_bytes.saturating_sub(earlier.received_bytes),
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
        }
    }
}

/// Reads what this process has used so far.
pub trait ClientMeter: Send + Sync {
    /// A look at the process; what the system does not tell is `None` or missing.
    fn look(&self) -> ClientLook;
}

/// What the process has used up to a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientLook {
    /// CPU time in its own code, s.
    pub user_seconds: Option<f64>,
    /// CPU time in the kernel, s.
    pub system_seconds: Option<f64>,
    /// Processors it may use.
    pub cores: Option<f64>,
    /// Its threads.
    pub threads: Vec<ThreadLook>,
}

/// What one thread has used up to a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadLook {
    /// The system's number of it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// CPU time, s.
    pub cpu_seconds: f64,
    /// Time it was ready to run and waited for a processor, s.
    pub wait_seconds: f64,
}

impl ClientUsage {
    /// What was used between two looks; the rest is left as by default.
    pub fn between(before: &ClientLook, after: &ClientLook) -> Self {
        let rise = |before: Option<f64>, after: Option<f64>| Some((after? - before?).max(0.0));
        Self {
            user_seconds: rise(before.user_seconds, after.user_seconds),
            system_seconds: rise(before.system_seconds, after.system_seconds),
            cores: after.cores,
            threads: threads(&before.threads, &after.threads),
            ..Self::default()
        }
    }
}

/// The threads by name, in the order they were found; one that was not there before began at nothing.
fn threads(before: &[ThreadLook], after: &[ThreadLook]) -> Vec<ThreadUse> {
    let mut all: Vec<ThreadUse> = Vec::new();
    for thread in after {
        let earlier = before.iter().find(|earlier| earlier.id == thread.id);
        let (cpu, wait) = earlier.map_or((0.0, 0.0), |earlier| (earlier.cpu_seconds, earlier.wait_seconds));
        let (cpu, wait) = ((thread.cpu_seconds - cpu).max(0.0), (thread.wait_seconds - wait).max(0.0));
        if let Some(known) = all.iter_mut().find(|known| known.name == thread.name) {
            known.threads += 1;
            known.cpu_seconds += cpu;
            known.wait_seconds += wait;
            known.busiest_seconds = known.busiest_seconds.max(cpu);
        } else {
            all.push(ThreadUse {
                name: thread.name.clone(),
                threads: 1,
                cpu_seconds: cpu,
                busiest_seconds: cpu,
                wait_seconds: wait,
            });
        }
    }
    all
}

/// Classes of delays within a doubling. Their relative width is at most 1/32, so that a quantile is known to 1.6 %.
const CLASSES: u32 = 32;

/// Delays in classes of equal relative width: bounded memory however long the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delays {
    /// Time between two that are due, ns.
    pub period_ns: u64,
    /// How the delays came about, for reports, for example `timer descriptor`.
    pub instrument: String,
    /// How many.
    pub count: u64,
    /// Their sum, ns.
    pub sum_ns: u64,
    /// The largest, ns; exact.
    pub max_ns: u64,
    /// `[lower bound in ns, count]` of the classes that are not empty, rising.
    pub classes: Vec<(u64, u64)>,
}

impl Delays {
    /// None yet.
    pub fn new(period_ns: u64, instrument: &str) -> Self {
        Self { period_ns, instrument: instrument.to_owned(), ..Self::default() }
    }

    /// Counts a delay.
    pub fn add(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
        let lower = class(ns).0;
        match self.classes.binary_search_by_key(&lower, |(lower, _)| *lower) {
            Ok(place) => self.classes[place].1 += 1,
            Err(place) => self.classes.insert(place, (lower, 1)),
        }
    }

    /// The bounds in ns of the class that holds the `share`-quantile (nearest rank), the upper one never above the largest
    /// delay; `None` of none.
    pub fn quantile_ns(&self, share: f64) -> Option<(u64, u64)> {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let held = self.classes.iter().find(|(_, count)| {
            below += count;
            below >= rank
        })?;
        let (lower, upper) = class(held.0);
        Some((lower, upper.min(self.max_ns)))
    }
}

/// The bounds of the class that holds a delay, the upper one excluded.
fn class(ns: u64) -> (u64, u64) {
    let doubling = ns.checked_ilog2().unwrap_or(0);
    let shift = doubling.saturating_sub(CLASSES.ilog2());
    let lower = (ns >> shift) << shift;
    (lower, lower.saturating_add(1 << shift))
}

/// The highest level that held the bounds of a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limit {
    /// The level, in the limit's unit; 0 where none held.
    pub value: f64,
    /// `true` where a higher level broke the bounds; else the client can do at least this.
    pub reached: bool,
}

/// From where on a sign means that the client may be, and surely is, what limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// From here on it may be.
    pub maybe: f64,
    /// From here on it is.
    pub yes: f64,
}

/// The thresholds of the signs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Delay of the event loop, s.
    pub event_loop_seconds: Threshold,
    /// The client's own delay before a request, s.
    pub own_delay_seconds: Threshold,
    /// Share of the processors that it may use, 0 to 1.
    pub cpu_share: Threshold,
}

impl Default for Thresholds {
    /// What holds without a calibration. A delay of 5 ms is below what a person or a service-level objective notices, one of
    /// 50 ms is not; a process at 70 % of its processors has bursts in which it has none free.
    fn default() -> Self {
        Self {
            event_loop_seconds: Threshold { maybe: 0.005, yes: 0.05 },
            own_delay_seconds: Threshold { maybe: 0.01, yes: 0.1 },
            cpu_share: Threshold { maybe: 0.7, yes: 0.9 },
        }
    }
}

/// What a calibration found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientLimits {
    /// When it was made, RFC 3339, UTC.
    pub made_at: String,
    /// Processors that the client had.
    pub cores: f64,
    /// Streams at a time.
    pub streams: Limit,
    /// Streamed tokens a second.
    pub tokens_per_second: Limit,
    /// Requests a second.
    pub requests_per_second: Limit,
    /// The client's error of the time to first token at the highest levels that held, s: p50 and p99.
    pub ttft_error_seconds: Option<[f64; 2]>,
    /// Likewise of the time between tokens, as its absolute value.
    pub inter_token_error_seconds: Option<[f64; 2]>,
    /// Where the signs pointed to the client.
    pub thresholds: Thresholds,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_narrow_and_hold_their_values() {
        for ns in [0, 1, 31, 32, 33, 1000, 999_999, 1_000_000, 123_456_789, u64::MAX] {
            let (lower, upper) = class(ns);
            assert!(lower <= ns && (ns < upper || upper == u64::MAX), "{ns} in {lower}..{upper}");
            assert!((upper - lower) as f64 <= 1.0 + ns as f64 / f64::from(CLASSES), "{ns}");
            assert_eq!(class(lower), (lower, upper));
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values_to_a_class() {
        let mut delays = Delays::new(1, "test");
        assert_eq!(delays.quantile_ns(0.5), None, "nothing was delayed, so nothing is known");
        for value in (1..=1000_u64).rev() {
            delays.add(value * 1000);
        }
        for (share, expected) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let (lower, upper) = delays.quantile_ns(share).unwrap();
            assert!(lower <= expected && expected <= upper, "{share}: {expected} in {lower}..{upper}");
        }
        assert_eq!((delays.count, delays.max_ns), (1000, 1_000_000));
        assert!(delays.classes.len() < 400 && delays.classes.is_sorted());
    }

    #[test]
    fn use_is_the_rise_between_looks_and_a_new_thread_begins_at_nothing() {
        let thread = |id, name: &str, cpu_seconds| ThreadLook {
            id,
            name: name.to_owned(),
            cpu_seconds,
            wait_seconds: 0.5,
        };
        let before = ClientLook {
            user_seconds: Some(1.0),
            threads: vec![thread(1, "main", 3.0), thread(2, "worker", 1.0)],
            ..ClientLook::default()
        };
        let after = ClientLook {
            user_seconds: Some(1.5),
            system_seconds: Some(9.0),
            cores: Some(2.0),
            threads: vec![thread(1, "main", 3.25), thread(2, "worker", 1.5), thread(9, "worker", 2.0)],
        };
        let used = ClientUsage::between(&before, &after);
        assert_eq!((used.user_seconds, used.system_seconds, used.cores), (Some(0.5), None, Some(2.0)));
        let worker = &used.threads[1];
        assert_eq!((worker.threads, worker.cpu_seconds, worker.busiest_seconds), (2, 2.5, 2.0));
        assert_eq!((used.threads[0].cpu_seconds, used.threads[0].wait_seconds), (0.25, 0.0));
    }
}
