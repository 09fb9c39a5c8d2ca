//! What the client costs and how true its times are at many streams: beside the floor and beside the peers that are
//! installed, turn by turn in one run, the simulator on one core and the reader on another.
//!
//! Prints figures and whether they meet what is aimed at; refuses to decide a test, since machines differ.

mod accuracy;
mod contestants;
mod cost;

use anyhow::{Result, bail};
use std::path::Path;

use super::quantile;
use super::server::Server;
use crate::{say, succeeds};
use contestants::{CORES, Contestant, Load, Turn};

/// Streams, tokens of each, the pause between two of them, and the most that a token may cost: a multiple of the floor, or µs.
const LOADS: [(u32, u32, &str, Bar); 4] = [
    (64, 2000, "1ms", Bar::Floors(1.3)),
    (256, 500, "10ms", Bar::Floors(1.3)),
    (1000, 500, "10ms", Bar::Floors(1.3)),
    (64, 4000, "0ms", Bar::Micros(1.0)),
];

/// Streams of the rows of errors, and the most that is aimed at, ms: first tokens p50 and p99, gaps p99.
const ERRORS: [(u32, [Option<f64>; 3]); 3] = [
    (32, [Some(0.2), Some(2.0), None]),
    (256, [Some(0.2), Some(2.0), None]),
    (1000, [None, Some(10.0), Some(2.0)]),
];

/// The most that is aimed at beyond the load, s, and of memory at 1,000 streams, MiB.
const BEYOND: f64 = 0.15;
const MEMORY: f64 = 40.0;

const ROUNDS: usize = 3;

/// Requests a stream in the rows of errors: the first ones begin together and do not count.
const REQUESTS: u32 = 3;

/// What is aimed at.
#[derive(Clone, Copy)]
enum Bar {
    Floors(f64),
    Micros(f64),
}

/// Who takes turns, and how.
struct Field {
    program: std::path::PathBuf,
    all: Vec<Contestant>,
    pinned: bool,
}

/// Prints every part, or those that are named: `cost`, `error`, `rest`.
pub(super) fn run(root: &Path, program: &Path, parts: &[String]) -> Result<()> {
    if let Some(other) = parts.iter().find(|part| !["cost", "error", "rest"].contains(&part.as_str())) {
        bail!("the client's benchmark has no part `{other}`: known are cost, error, rest");
    }
    let pinned = succeeds("taskset", &["-c", "0,1", "true"]);
    let floor = crate::target(root).join("release/xtask");
    let mut all = vec![Contestant::Floor(floor), Contestant::Ours(program.to_owned())];
    all.extend(Contestant::peers());
    let field = Field { program: program.to_owned(), all, pinned };
    field.introduce();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|named| named == part);
    if wanted("cost") {
        field.costs()?;
    }
    if wanted("error") {
        field.errors()?;
    }
    if wanted("rest") {
        field.rest()?;
    }
    Ok(())
}

impl Field {
    fn introduce(&self) {
        let how = if self.pinned {
            "simulator on core 0, readers on core 1"
        } else {
            "cores not pinned: no taskset"
        };
        say(&format!("client: medians of {ROUNDS} rounds, in turns; {how}"));
        for (name, variable) in [("vllm-rs", "AI_ENERGY_BENCH_VLLM_RS"), ("aiperf", "AI_ENERGY_BENCH_AIPERF")]
        {
            if !self.all.iter().any(|one| one.name() == name) {
                say(&format!("client: {name} is not there: neither on the PATH nor named by {variable}"));
            }
        }
    }

    fn serve(&self, timing: &[&str]) -> Result<Server> {
        let all = [timing, &["--max-model-len", "100000", "--truth-capacity", "20000"]].concat();
        Server::start_on(&self.program, &all, self.pinned.then_some(CORES[0]))
    }

    /// One turn; none where a peer fails, which is said and ends nothing.
    fn turn(&self, who: &Contestant, server: &Server, load: Load, start_up: f64) -> Result<Option<Turn>> {
        match who.turn(server, load, self.pinned, start_up) {
            Ok(turn) => Ok(Some(turn)),
            Err(error) if matches!(who, Contestant::VllmRs(_) | Contestant::Aiperf(_)) => {
                say(&format!("client: {} failed: {error:#}", who.name()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// CPU time of a peer's start-up: that of a turn of one token.
    fn start_up(&self, who: &Contestant) -> Result<f64> {
        if matches!(who, Contestant::Floor(_) | Contestant::Ours(_)) {
            return Ok(0.0);
        }
        let server = self.serve(&["--ttft", "1ms"])?;
        let one = Load { streams: 1, requests: 1, tokens: 1, streaming: true };
        Ok(self.turn(who, &server, one, 0.0)?.map_or(0.0, |turn| turn.cpu))
    }

    /// CPU time a token, tokens a second and memory.
    fn costs(&self) -> Result<()> {
        // aiperf takes ten seconds a turn: it has its row of errors.
        let who: Vec<_> = self.all.iter().filter(|one| one.name() != "aiperf").collect();
        let start_up = who.iter().map(|one| self.start_up(one)).collect::<Result<Vec<_>>>()?;
        say("  streams  every  who        µs/token  of floor    tokens/s  peak MiB  bar");
        for (streams, tokens, every, bar) in LOADS {
            let load = Load { streams, requests: streams, tokens, streaming: true };
            let mut turns = vec![Vec::new(); who.len()];
            for _ in 0..ROUNDS {
                for ((one, start_up), turns) in who.iter().zip(&start_up).zip(&mut turns) {
                    let server = self.serve(&["--ttft", "5ms", "--inter-token", every])?;
                    turns.extend(self.turn(one, &server, load, *start_up)?);
                }
            }
            show_costs(&who, &turns, load, every, bar);
        }
        Ok(())
    }

    /// How far times are from the simulator's truth.
    fn errors(&self) -> Result<()> {
        say(
            "  streams  who        TTFT p50      p99   gaps p50      p99   begin p50      p99   first p50      p99  ms; bar",
        );
        for (streams, bars) in ERRORS {
            let load = Load { streams, requests: streams * REQUESTS, tokens: 100, streaming: true };
            for one in self.all.iter().filter(|one| !matches!(one, Contestant::Floor(_))) {
                let slow = one.name() == "aiperf";
                if slow && streams != 256 {
                    continue;
                }
                let mut rounds = Vec::new();
                for round in 0..if slow { 1 } else { ROUNDS } {
                    rounds.extend(self.round_of_errors(one, load, round)?);
                }
                let median =
                    |at: usize| quantile(&mut rounds.iter().map(|row| row[at]).collect::<Vec<_>>(), 0.5);
                show_errors(one, streams, std::array::from_fn(median), bars);
            }
        }
        Ok(())
    }

    /// The median and the 99th percentile of what is off: first tokens, gaps, and both ends of the first.
    fn round_of_errors(&self, who: &Contestant, load: Load, round: usize) -> Result<Option<[f64; 8]>> {
        let seed = (std::process::id() as usize + round).to_string();
        let timing =
            ["--ttft", "uniform:50ms..250ms", "--inter-token", "lognormal:10ms,0.4", "--seed", &seed];
        let server = self.serve(&timing)?;
        let Some(turn) = self.turn(who, &server, load, 0.0)? else { return Ok(None) };
        let mut errors = accuracy::errors(&turn.seen, &server.get("/truth")?)?;
        errors.ttft.iter_mut().for_each(|error| *error = error.abs());
        let mut row = [f64::NAN; 8];
        let of = [&mut errors.ttft, &mut errors.gaps, &mut errors.ends.begin, &mut errors.ends.first];
        for (found, cells) in of.into_iter().zip(row.chunks_exact_mut(2)) {
            cells.copy_from_slice(&[quantile(found, 0.5), quantile(found, 0.99)]);
        }
        Ok(Some(row))
    }

    /// Whole answers a second, and the time beyond the load.
    fn rest(&self) -> Result<()> {
        for one in self.all.iter().filter(|one| !matches!(one, Contestant::Floor(_))) {
            let mut beyond = Vec::new();
            for _ in 0..if one.name() == "aiperf" { 1 } else { ROUNDS } {
                let server = self.serve(&["--ttft", "5ms", "--inter-token", "10ms"])?;
                let load = Load { streams: 64, requests: 64, tokens: 50, streaming: true };
                beyond.extend(self.turn(one, &server, load, 0.0)?.and_then(|turn| turn.beyond));
            }
            let beyond = quantile(&mut beyond, 0.5);
            let bar =
                if matches!(one, Contestant::Ours(_)) { met(BEYOND, beyond, " s") } else { String::new() };
            say(&format!("  beyond the load      {:<9}  {beyond:>8.3} s  {bar}", one.name()));
        }
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let server = self.serve(&["--ttft", "0ms", "--inter-token", "0ms"])?;
            let load = Load { streams: 64, requests: 10_000, tokens: 1, streaming: false };
            let ours = Contestant::Ours(self.program.clone()).turn(&server, load, self.pinned, 0.0)?;
            rates.extend(ours.load.map(|seconds| f64::from(load.requests) / seconds));
        }
        say(&format!(
            "  whole answers        ours       {:>8.0} requests/s, 64 at a time",
            quantile(&mut rates, 0.5)
        ));
        Ok(())
    }
}

/// The bar, and whether it is met.
fn met(bar: f64, found: f64, unit: &str) -> String {
    format!("{bar}{unit}, {}", if found <= bar { "met" } else { "not met" })
}

fn show_costs(who: &[&Contestant], turns: &[Vec<Turn>], load: Load, every: &str, bar: Bar) {
    let total = f64::from(load.requests) * f64::from(load.tokens);
    let median = |turns: &[Turn], of: &dyn Fn(&Turn) -> Option<f64>| {
        quantile(&mut turns.iter().filter_map(of).collect::<Vec<_>>(), 0.5)
    };
    let mut floor = f64::NAN;
    for (one, turns) in who.iter().zip(turns) {
        let micros = median(turns, &|turn| Some(turn.cpu / total * 1e6));
        let rate = median(turns, &|turn| turn.load.map(|seconds| total / seconds));
        let peak = median(turns, &|turn| turn.peak_mib);
        if matches!(one, Contestant::Floor(_)) {
            floor = micros;
        }
        let judged = match (one, bar) {
            (Contestant::Ours(_), Bar::Floors(most)) => met(most, micros / floor, " × floor"),
            (Contestant::Ours(_), Bar::Micros(most)) => met(most, micros, " µs"),
            _ => String::new(),
        };
        let memory = match one {
            Contestant::Ours(_) if load.streams == 1000 => format!("; {}", met(MEMORY, peak, " MiB")),
            _ => String::new(),
        };
        say(&format!(
            "  {:>7}  {every:>5}  {:<9}  {micros:>8.2}  {:>8.2}  {rate:>10.0}  {peak:>8.1}  {judged}{memory}",
            load.streams,
            one.name(),
            micros / floor
        ));
    }
}

fn show_errors(who: &Contestant, streams: u32, found: [f64; 8], bars: [Option<f64>; 3]) {
    let [ttft, ttft_p99, _, gaps_p99, ..] = found;
    let judged =
        [(bars[0], ttft, "TTFT p50"), (bars[1], ttft_p99, "TTFT p99"), (bars[2], gaps_p99, "gaps p99")]
            .iter()
            .filter_map(|(bar, found, name)| Some(format!("{name} {}", met((*bar)?, *found, ""))))
            .collect::<Vec<_>>();
    let judged = if matches!(who, Contestant::Ours(_)) { judged.join("; ") } else { String::new() };
    let cells = found.chunks_exact(2).map(|two| match two[0].is_nan() {
        true => format!("{:>8} {:>8}", "-", "-"),
        false => format!("{:>8.3} {:>8.3}", two[0], two[1]),
    });
    let cells = cells.collect::<Vec<_>>().join("   ");
    say(&format!("  {streams:>7}  {:<9}  {cells}  {judged}", who.name()));
}
