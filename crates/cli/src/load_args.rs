//! The command line's words for how requests are offered: shortcuts for keys of the `load` section.
//!
//! Refuses to know what contradicts what; `load_plan` does.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::args::RunArgs;

const HEADING: &str = "How requests are offered";

/// How requests are offered.
#[derive(Debug, Clone, Default, Args)]
pub struct LoadArgs {
    /// Requests in flight at a time (closed loop) [key: load.concurrency]
    #[arg(short, long, value_name = "N", help_heading = HEADING)]
    pub concurrency: Option<u64>,
    /// Requests a second at planned instants (open loop) [key: load.rate]
    #[arg(long, value_name = "R", help_heading = HEADING)]
    pub rate: Option<f64>,
    /// How an open loop's gaps are spread: poisson, constant or gamma [key: load.pattern]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub pattern: Option<String>,
    /// Shape of the gamma pattern; bursts below 1 [key: load.burstiness]
    #[arg(long, value_name = "K", help_heading = HEADING)]
    pub burstiness: Option<f64>,
    /// Most requests in flight in an open loop [key: load.max_in_flight]
    #[arg(long, visible_alias = "max-concurrency", value_name = "N", help_heading = HEADING)]
    pub max_in_flight: Option<u64>,
    /// Seconds of sending, instead of each prompt once [key: load.duration_seconds]
    #[arg(long, value_name = "S", help_heading = HEADING)]
    pub duration: Option<f64>,
    /// A load with a name, such as light, heavy or power_test [key: load.profile]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub profile: Option<String>,
    /// Requests that are sent before and not measured [key: load.warmup_requests]
    #[arg(long, value_name = "N", help_heading = HEADING)]
    pub warmup: Option<u64>,
    /// What a good request keeps, ms: ttft=500,tpot=50,itl=200,e2e=10000 [key: load.slo]
    #[arg(long, value_name = "LIMITS", value_parser = slo, help_heading = HEADING)]
    pub slo: Option<Value>,
    /// Seed of the planned instants [key: load.seed]
    #[arg(long, value_name = "N", help_heading = HEADING)]
    pub load_seed: Option<u64>,
}

impl LoadArgs {
    /// The flags that were given, as config keys with their values and the flags' names.
    pub fn keys(&self) -> Vec<(&'static str, Option<Value>, &'static str)> {
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
        let number = |value: Option<f64>| value.map(|value| json!(value));
        let whole = |value: Option<u64>| value.map(|value| json!(value));
        let mut keys = vec![
            ("load.concurrency", whole(self.concurrency), "--concurrency"),
            ("load.rate", number(self.rate), "--rate"),
            ("load.pattern", text(&self.pattern), "--pattern"),
            ("load.burstiness", number(self.burstiness), "--burstiness"),
            ("load.max_in_flight", whole(self.max_in_flight), "--max-in-flight"),
            ("load.duration_seconds", number(self.duration), "--duration"),
            ("load.profile", text(&self.profile), "--profile"),
            ("load.warmup_requests", whole(self.warmup), "--warmup"),
            ("load.seed", whole(self.load_seed), "--load-seed"),
        ];
        for (name, key) in SLOS {
            keys.push((key, self.slo.as_ref().and_then(|slo| slo.get(name)).cloned(), "--slo"));
        }
        keys
    }
}

/// How often a run is made.
#[derive(Debug, Clone, Default, Args)]
pub struct RepeatArgs {
    /// Runs of each config, with their spread at the end [key: repeat.count]
    #[arg(long, value_name = "N", help_heading = REPEATS)]
    pub repeat: Option<u64>,
    /// Seconds between two of them [key: repeat.pause_seconds]
    #[arg(long, value_name = "S", help_heading = REPEATS)]
    pub pause: Option<f64>,
    /// Run several configs in turn, each round in the other direction, instead of one after the other
    #[arg(long, help_heading = REPEATS)]
    pub interleave: bool,
}

const REPEATS: &str = "Repeats";

/// Arguments of `sweep`.
#[derive(Debug, Clone, Args)]
pub struct SweepArgs {
    /// What each run is, as for `run`.
    #[command(flatten)]
    pub run: RunArgs,
    /// Rates to try, requests/s; with --find, the lowest and the highest
    #[arg(long, value_name = "R,R,…", value_delimiter = ',', help_heading = SWEEP)]
    pub rates: Vec<f64>,
    /// Requests in flight to try; with --find, the fewest and the most
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', help_heading = SWEEP)]
    pub concurrencies: Vec<u64>,
    /// Search for one level instead: the highest that keeps --slo, the knee, or the least energy per token that keeps it
    #[arg(long, value_enum, value_name = "GOAL", help_heading = SWEEP)]
    pub find: Option<SearchGoal>,
    /// Share of requests that have to keep the objectives, surely (95 %)
    #[arg(long, default_value_t = 0.9, value_name = "SHARE", value_parser = share, help_heading = SWEEP)]
    pub good_share: f64,
    /// Levels closer than this are not told apart: 0.1 is 10 %
    #[arg(long, default_value_t = 0.1, value_name = "RATIO", value_parser = share, help_heading = SWEEP)]
    pub resolution: f64,
    /// Most runs of a search
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = SWEEP)]
    pub max_runs: usize,
}

const SWEEP: &str = "Levels";

/// What a sweep searches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchGoal {
    /// The highest level that keeps the objectives.
    Goodput,
    /// Most throughput over latency.
    Knee,
    /// Least energy per token that keeps the objectives.
    Energy,
}

/// A number above 0 and below 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("use a number above 0 and below 1".to_owned()) }
}

/// Names of objectives with their keys.
const SLOS: [(&str, &str); 4] = [
    ("ttft", "load.slo.ttft_ms"),
    ("tpot", "load.slo.tpot_ms"),
    ("itl", "load.slo.itl_ms"),
    ("e2e", "load.slo.e2e_ms"),
];

/// Reads `ttft=500,tpot=50`.
fn slo(text: &str) -> Result<Value, String> {
    let mut limits = serde_json::Map::new();
    for part in text.split(',') {
        let form = "write it like ttft=500,tpot=50, in milliseconds";
        let (name, limit) = part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`; {form}"))?;
        let name = name.trim().to_ascii_lowercase();
        if !SLOS.iter().any(|(known, _)| *known == name) {
            return Err(format!("`{name}` is none of ttft, tpot, itl and e2e; {form}"));
        }
        let number = limit.trim().trim_end_matches("ms");
        let limit: f64 = number.parse().map_err(|_| format!("`{limit}` is no number; {form}"))?;
        limits.insert(name, json!(limit));
    }
    Ok(Value::Object(limits))
}
