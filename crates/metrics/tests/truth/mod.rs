//! A server of known prefill and decode energy under random loads, and a GPU counter that saw it.
//!
//! Shares no code and no constant with what is tested: it integrates its own power on a fine grid.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

use ai_energy_core::RunRecord;
use ai_energy_core::energy::Domain;
use ai_energy_core::record::{
    Chunk, Generation, OutputChannel, Phase, PhaseKind, TokenCount, TokenCountSource,
};

use crate::common::{add, at, counter, record};

/// SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn integer(&mut self, (low, high): (u32, u32)) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    /// Of unit variance, nearly normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f64>() - 6.0
    }
}

/// What load is offered and how the server draws power.
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) slots: usize,
    pub(crate) prompt: (u32, u32),
    pub(crate) output: (u32, u32),
    pub(crate) decode_seconds: f64,
    pub(crate) prefill_joules: f64,
    pub(crate) decode_joules: f64,
    pub(crate) idle_watts: f64,
    /// Standard deviation of power over 50 ms, as a share of it.
    pub(crate) noise: f64,
    pub(crate) tick_seconds: f64,
    /// Spread of waits and paces: 1 as a server's, 0 for a clockwork.
    pub(crate) jitter: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            requests: 240,
            slots: 4,
            prompt: (50, 3000),
            output: (20, 200),
            decode_seconds: 0.012,
            prefill_joules: 0.06,
            decode_joules: 0.9,
            idle_watts: 90.0,
            noise: 0.05,
            tick_seconds: 0.03,
            jitter: 1.0,
        }
    }
}

/// What was truly spent within the load.
pub(crate) struct Truth {
    pub(crate) prefill_joules: f64,
    pub(crate) decode_joules: f64,
    pub(crate) other_joules: f64,
}

const GRID: f64 = 0.01;

/// A stretch of constant power: begin, end, watts.
type Slab = (f64, f64, f64);

/// Runs a closed loop and returns its record with the truth.
pub(crate) fn generate(rng: &mut Rng, load: &Load) -> (RunRecord, Truth) {
    let mut record = record();
    record.plan.load.concurrency = load.slots;
    record.plan.sampling_interval_ms = 50;
    let mut slots: Vec<f64> = vec![1.0; load.slots];
    let (mut slabs, mut requests) = (Vec::new(), Vec::new());
    for number in 0..load.requests {
        let slot = (0..slots.len()).min_by(|a, b| slots[*a].total_cmp(&slots[*b])).unwrap();
        let (request, end) = one(rng, load, number, slots[slot], &mut slabs);
        slots[slot] = end;
        requests.push(request);
    }
    let end = slots.iter().copied().fold(0.0, f64::max);
    record.requests = requests;
    record.phases = vec![Phase { kind: PhaseKind::Load, start: at(1.0), end: at(end) }];
    let truth = Truth {
        prefill_joules: slabs.iter().map(|(slab, _)| (slab.1 - slab.0) * slab.2).sum(),
        decode_joules: slabs.iter().map(|(_, slab)| (slab.1 - slab.0) * slab.2).sum(),
        other_joules: load.idle_watts * (end - 1.0),
    };
    let all: Vec<Slab> = slabs.into_iter().flat_map(|(prefill, decode)| [prefill, decode]).collect();
    meter(rng, load, &mut record, &all, end);
    (record, truth)
}

/// One request from `begin` on: a wait of random length, the prompt at a random pace, then token after token.
fn one(
    rng: &mut Rng,
    load: &Load,
    number: usize,
    begin: f64,
    slabs: &mut Vec<(Slab, Slab)>,
) -> (ai_energy_core::RequestRecord, f64) {
    let (prompt, output) = (rng.integer(load.prompt), rng.integer(load.output).max(2));
    let around = |rng: &mut Rng, middle: f64, half: f64| {
        rng.between(middle - load.jitter * half, middle + load.jitter * half)
    };
    let started = begin + around(rng, 0.01, 0.009);
    let first = started + f64::from(prompt) / around(rng, 10000.0, 2000.0);
    let pace = load.decode_seconds * around(rng, 1.0, 0.2);
    let stamps: Vec<f64> = (0..output).map(|token| first + pace * f64::from(token)).collect();
    let end = *stamps.last().unwrap();
    slabs.push((
        (started, first, load.prefill_joules * f64::from(prompt) / (first - started)),
        (first, end, load.decode_joules * f64::from(output - 1) / (end - first)),
    ));
    let count = |tokens| Some(TokenCount { tokens, source: TokenCountSource::Server });
    let chunk = |when: &f64| Chunk { at: at(*when), channel: OutputChannel::Content, tokens: Some(1) };
    let generation = Generation {
        sent: Some(at(begin)),
        first_token: Some(at(first)),
        end: at(end),
        chunks: stamps.iter().map(chunk).collect(),
        prompt_tokens: count(prompt),
        completion_tokens: count(output),
        ..Generation::default()
    };
    let request = ai_energy_core::RequestRecord {
        id: format!("r{number}"),
        prompt_index: number,
        scheduled: at(begin),
        offer: ai_energy_core::record::Offer::default(),
        generation,
    };
    (request, end)
}

/// A counter with gain, noise and tick, read every 50 ms or so.
fn meter(rng: &mut Rng, load: &Load, record: &mut RunRecord, slabs: &[Slab], end: f64) {
    let cells = ((end + 1.0) / GRID) as usize;
    let mut watts = vec![load.idle_watts; cells];
    for (from, to, power) in slabs {
        let (first, last) = ((from / GRID) as usize, ((to / GRID) as usize).min(cells - 1));
        for (cell, watts) in watts.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = to.min((cell + 1) as f64 * GRID) - from.max(cell as f64 * GRID);
            *watts += power * overlap.max(0.0) / GRID;
        }
    }
    let gain = 1.0 + 0.025 * rng.normal();
    let (mut joules, mut factor) = (vec![0.0], 1.0);
    for (cell, watts) in watts.iter().enumerate() {
        if cell % 5 == 0 {
            factor = 1.0 + load.noise * rng.normal();
        }
        joules.push(joules[cell] + gain * watts * factor.max(0.0) * GRID);
    }
    let seen = |when: f64| {
        let ticked = (when / load.tick_seconds).floor() * load.tick_seconds;
        joules[((ticked / GRID).round() as usize).min(joules.len() - 1)]
    };
    let mut channel = counter("nvml:gpu0:energy", Domain::Gpu);
    channel.gain_ci95 = Some(0.05);
    let reads = ((end + 0.9) / 0.05) as usize;
    let readings: Vec<(f64, u64)> = (0..reads)
        .map(|read| {
            let when = read as f64 * 0.05 + rng.between(0.0, 0.004);
            (when, (seen(when) * 1e6).round() as u64)
        })
        .collect();
    add(record, channel, readings);
}
