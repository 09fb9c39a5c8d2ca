//! Prefill and decode energy by regression: the joules of each interval against its prompt and generated tokens.
//!
//! joules = power × time + a × prompt tokens + b × generated tokens, least squares over all intervals, none below zero.
//! The power is what stays without tokens; a and b are what one more token takes, so their products with the load's tokens
//! are energies above that power. Refuses, with the reason, where the load cannot carry it: too few intervals, a tick
//! that is coarse against them, prompts and tokens that always come in one proportion, joules that do not follow tokens.

use ai_energy_core::energy::{ChannelKind, Domain};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{DomainEnergy, PrefillDecode};
use ai_energy_core::{RequestRecord, RunRecord};

use super::fit::{Fit, least_squares};
use super::work::{Intervals, Work, prompt_tokens};
use crate::blocks::by_block;
use crate::energy::{ChannelResult, counting};
use crate::integrate::Window;

/// Fewer intervals carry no regression of three parts.
const FEWEST: usize = 20;
/// More would be shorter than what a stream tells about the work in them.
const MOST: usize = 300;
/// An interval is this many of the slowest counter's ticks, sampling intervals and averaging spans long, so that its
/// ends are small against it.
const TICKS: f64 = 5.0;
/// Intervals of the two kinds of tokens wider than this factor (in variance) are no longer told apart.
const MOST_INFLATION: f64 = 10.0;
/// Tokens must explain at least this share of the differences between intervals.
const LEAST_EXPLAINED: f64 = 0.5;

/// Joules of one more prompt and one more generated token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PerToken {
    pub(super) prefill: f64,
    pub(super) decode: f64,
}

/// Everything unavailable for this reason.
pub(super) fn refused(reason: &str) -> PrefillDecode {
    let none = |unit: &str| Figure::unavailable(unit, reason);
    PrefillDecode {
        prefill: none("J"),
        decode: none("J"),
        other: none("J"),
        per_prefill_token: none("J/token"),
        per_decode_token: none("J/token"),
        other_power: none("W"),
        ..PrefillDecode::default()
    }
}

/// Splits the energy of the GPUs, or of the processors where no GPU is measured.
pub(super) fn prefill_decode(
    record: &RunRecord,
    results: &[ChannelResult<'_>],
    domains: &[DomainEnergy],
    window: Window,
) -> (PrefillDecode, Option<PerToken>) {
    let attempt = candidate(domains).and_then(|(domain, gross)| {
        let channels = counting(results, domain);
        let intervals = intervals(record, &channels, window)?;
        let load = Load::new(record, &channels, intervals)?;
        let fit = load.fit()?;
        Ok(load.figures(&fit, domain, gross, relative_gain(&channels)))
    });
    match attempt {
        Ok((split, per_token)) => (split, Some(per_token)),
        Err(reason) => (refused(&reason), None),
    }
}

/// The measured domain that runs the model.
fn candidate(domains: &[DomainEnergy]) -> Result<(Domain, f64), String> {
    let of = |domain| domains.iter().find(|entry| entry.domain == domain);
    let gpu = of(Domain::Gpu).filter(|gpu| gpu.energy.value.is_some());
    let entry = gpu.or_else(|| of(Domain::Cpu)).ok_or("no domain is known")?;
    match entry.energy.value {
        Some(joules) if entry.energy.provenance <= Provenance::Derived => Ok((entry.domain, joules)),
        Some(_) => Err(format!("{} energy is a model, which knows nothing of tokens", entry.domain.word())),
        None => Err("neither GPU nor CPU energy was measured".to_owned()),
    }
}

/// Intervals as short as the instruments allow.
fn intervals(
    record: &RunRecord,
    channels: &[&ChannelResult<'_>],
    window: Window,
) -> Result<Intervals, String> {
    let sampling = f64::from(record.plan.sampling_interval_ms) * 1e-3;
    let slowest = channels.iter().map(|result| {
        let averaging = match result.channel.kind {
            ChannelKind::Power { averaging_ms } => averaging_ms.map_or(0.0, |ms| f64::from(ms) * 1e-3),
            ChannelKind::Counter { .. } => 0.0,
        };
        result.curve.as_ref().and_then(|curve| curve.tick_seconds()).unwrap_or(0.0).max(averaging)
    });
    let slowest = slowest.fold(0.0, f64::max);
    let shortest = TICKS * slowest.max(sampling);
    let count = (window.seconds() / shortest) as usize;
    if count < FEWEST {
        let why = if slowest > sampling {
            format!("the sensor's tick of {slowest:.2} s")
        } else {
            format!("the sampling interval of {sampling} s")
        };
        return Err(format!(
            "too few intervals: {why} allows {count} in {:.1} s, and {FEWEST} are needed; run for {:.0} s or longer",
            window.seconds(),
            FEWEST as f64 * shortest
        ));
    }
    Ok(Intervals::new(window, count.min(MOST)))
}

fn relative_gain(channels: &[&ChannelResult<'_>]) -> Option<f64> {
    let known: Vec<_> = channels.iter().filter_map(|result| result.energy.as_ref().ok()).collect();
    let joules: f64 = known.iter().map(|energy| energy.joules).sum();
    let gain: Option<f64> = known.iter().map(|energy| energy.gain_ci95).sum();
    gain.filter(|_| joules > 0.0).map(|gain| gain / joules)
}

/// Prompt and generated tokens of some requests in each interval.
fn tokens_by_interval(requests: &[RequestRecord], intervals: &Intervals) -> Vec<[f64; 2]> {
    let (mut sums, mut work) = (vec![[0.0; 2]; intervals.count], Work::default());
    for request in requests {
        for piece in work.pieces(request, intervals) {
            sums[piece.interval][0] += piece.prefill;
            sums[piece.interval][1] += piece.decode;
        }
    }
    sums
}

/// Work and joules of every interval.
struct Load {
    intervals: Intervals,
    rows: Vec<[f64; 3]>,
    joules: Vec<f64>,
}

impl Load {
    fn new(
        record: &RunRecord,
        channels: &[&ChannelResult<'_>],
        intervals: Intervals,
    ) -> Result<Self, String> {
        let succeeded = || record.requests.iter().filter(|request| request.succeeded());
        if succeeded().any(|request| request.generation.first_token.is_none()) {
            return Err("without streaming nobody sees where a prompt ends and the answer begins".to_owned());
        }
        if succeeded().any(|request| prompt_tokens(&request.generation).is_none()) {
            return Err("not every request has a count of its prompt tokens".to_owned());
        }
        let mut work = Work::default();
        if succeeded().all(|request| work.decode_tokens(&request.generation) == 0.0) {
            return Err("every answer came in one piece: nothing tells when its tokens were made".to_owned());
        }
        let mut rows = vec![[intervals.seconds, 0.0, 0.0]; intervals.count];
        for block in by_block(&record.requests, |block| tokens_by_interval(block, &intervals)) {
            for (row, [prefill, decode]) in rows.iter_mut().zip(block) {
                row[1] += prefill;
                row[2] += decode;
            }
        }
        let edges = intervals.edges();
        let curves: Vec<_> = channels.iter().filter_map(|result| result.curve.as_ref()).collect();
        let at: Vec<f64> =
            edges.iter().map(|edge| curves.iter().map(|curve| curve.joules_at(*edge)).sum()).collect();
        Ok(Self { intervals, rows, joules: at.windows(2).map(|pair| pair[1] - pair[0]).collect() })
    }

    fn fit(&self) -> Result<Fit, String> {
        let alike = "prompt and generated tokens come in one proportion in every interval: vary the prompts' lengths or \
                     send several at a time";
        let fit = least_squares(&self.rows, &self.joules).ok_or(alike)?;
        let worst = fit.inflation[0].max(fit.inflation[1]);
        if worst > MOST_INFLATION {
            return Err(format!("{alike} (variance inflation {worst:.0})"));
        }
        if fit.r_squared < LEAST_EXPLAINED {
            return Err(format!(
                "tokens explain {:.0} % of the differences between intervals, too little to split by: something else \
                 draws power, or power hardly follows the load",
                fit.r_squared * 100.0
            ));
        }
        Ok(fit)
    }

    fn figures(&self, fit: &Fit, domain: Domain, gross: f64, gain: Option<f64>) -> (PrefillDecode, PerToken) {
        let tokens = |part: usize| self.rows.iter().map(|row| row[part]).sum::<f64>();
        let seconds = tokens(0);
        let (prompt, generated) = (tokens(1), tokens(2));
        let [power, prefill, decode] = fit.coefficients;
        // Where the constant part is held at zero the two may overshoot the whole, which they never do in truth.
        let sum = prefill * prompt + decode * generated;
        let scale = if sum > gross { gross / sum } else { 1.0 };
        let (prefill, decode) = (prefill * scale, decode * scale);
        let source = format!("regression over {} intervals", self.rows.len());
        let figure = |value: f64, random: f64, unit: &str| {
            let figure = Figure::new(value, unit, Provenance::Estimated, source.clone());
            let figure = match gain {
                Some(gain) => figure.with_ci95(random.hypot(gain * value)),
                None => figure,
            };
            match figure.ci95 {
                Some(ci95) if ci95 >= value => {
                    figure.with_reason("no larger than its own interval: it may be nothing")
                }
                _ => figure,
            }
        };
        let [power_ci95, prefill_ci95, decode_ci95] = fit.ci95;
        let split = PrefillDecode {
            domain: Some(domain),
            method: format!(
                "least squares of each interval's joules by its time, prompt tokens and generated tokens, none below 0; \
                 {} intervals of {:.2} s; tokens explain {:.1} % of their differences",
                self.rows.len(),
                self.intervals.seconds,
                fit.r_squared * 100.0
            ),
            prefill: figure(prefill * prompt, prefill_ci95 * prompt, "J"),
            decode: figure(decode * generated, decode_ci95 * generated, "J"),
            other: figure(gross - prefill * prompt - decode * generated, power_ci95 * seconds, "J"),
            per_prefill_token: figure(prefill, prefill_ci95, "J/token"),
            per_decode_token: figure(decode, decode_ci95, "J/token"),
            other_power: figure(power, power_ci95, "W"),
            intervals: self.rows.len(),
            interval_seconds: Some(self.intervals.seconds),
            r_squared: Some(fit.r_squared),
        };
        (split, PerToken { prefill, decode })
    }
}
