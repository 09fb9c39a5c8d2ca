//! Idle power of one domain, from the settled part of idling before and after the load, and what follows for a window.
//!
//! Refuses to guess: a side that could not be measured is left out and said, and without either there is nothing.

use ai_energy_core::RunRecord;
use ai_energy_core::energy::{ChannelKind, Domain};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::{Phase, PhaseKind};
use ai_energy_core::summary::IdlePower;

use crate::energy::ChannelResult;
use crate::integrate::{Integral, Window};

/// This share of each idling is left out at its begin: clocks and fans fall back only slowly.
const SETTLING_SHARE: f64 = 1.0 / 3.0;

/// Idling whose settled part is a smaller share tells nothing.
const LEAST_SHARE: f64 = 0.1;

/// Mean idle power of one channel, W.
#[derive(Debug, Clone, Copy)]
struct Level {
    watts: f64,
    random_ci95: f64,
}

/// One side of the load: when it was idle, and each counting channel's power then.
#[derive(Debug, Clone)]
struct Side {
    middle_seconds: f64,
    levels: Vec<Level>,
}

/// What idling told about a domain.
#[derive(Debug, Clone)]
pub(super) struct Idle {
    before: Result<Side, String>,
    after: Result<Side, String>,
    gains: Vec<Option<f64>>,
    provenance: Provenance,
    source: String,
}

/// An energy on its way to a figure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) joules: f64,
    pub(super) ci95: Option<f64>,
    pub(super) provenance: Provenance,
    pub(super) remark: Option<String>,
}

impl Part {
    pub(super) fn figure(&self, joules: f64, source: String) -> Figure {
        let figure = Figure::new(joules, "J", self.provenance, source);
        let figure = match self.ci95 {
            Some(ci95) => figure.with_ci95(ci95),
            None => figure,
        };
        match &self.remark {
            Some(remark) => figure.with_reason(remark),
            None => figure,
        }
    }

    /// The sum of independent domains; `None` for none.
    pub(super) fn sum(parts: &[&Part]) -> Option<Self> {
        let squares: Option<f64> = parts.iter().map(|part| part.ci95.map(|ci95| ci95.powi(2))).sum();
        (!parts.is_empty()).then(|| Self {
            joules: parts.iter().map(|part| part.joules).sum(),
            ci95: squares.map(f64::sqrt),
            provenance: parts
                .iter()
                .map(|part| part.provenance)
                .fold(Provenance::Derived, Provenance::weaker),
            remark: parts.iter().find_map(|part| part.remark.clone()),
        })
    }
}

impl Idle {
    pub(super) fn new(record: &RunRecord, counting: &[&ChannelResult<'_>]) -> Self {
        let side = |kind| side(record, record.phase(kind), counting);
        let provenances = counting.iter().map(|result| result.channel.provenance);
        let source = counting.first().map(|result| result.channel.source.clone()).unwrap_or_default();
        Self {
            before: side(PhaseKind::IdleBefore),
            after: side(PhaseKind::IdleAfter),
            gains: counting.iter().map(|result| result.channel.gain_ci95).collect(),
            provenance: provenances.fold(Provenance::Derived, Provenance::weaker),
            source,
        }
    }

    /// The domain's idle power on either side; `None` where it has no channel or nothing idled.
    pub(super) fn figures(&self, domain: Domain) -> Option<IdlePower> {
        if self.gains.is_empty() || (self.before.is_err() && self.after.is_err()) {
            return None;
        }
        let drift = match (&self.before, &self.after) {
            (Ok(before), Ok(after)) => {
                let sides = || before.levels.iter().zip(&after.levels);
                let watts: Vec<f64> = sides().map(|(before, after)| after.watts - before.watts).collect();
                let random = sides().map(|(before, after)| before.random_ci95.hypot(after.random_ci95));
                self.power(&watts, quadrature(random), "idle power after less before")
            }
            (Err(reason), _) | (_, Err(reason)) => Figure::unavailable("W", reason),
        };
        Some(IdlePower {
            domain,
            before: self.side_power(&self.before),
            after: self.side_power(&self.after),
            drift,
        })
    }

    fn side_power(&self, side: &Result<Side, String>) -> Figure {
        match side {
            Err(reason) => Figure::unavailable("W", reason),
            Ok(side) => {
                let watts: Vec<f64> = side.levels.iter().map(|level| level.watts).collect();
                let random = quadrature(side.levels.iter().map(|level| level.random_ci95));
                self.power(&watts, random, &self.source)
            }
        }
    }

    /// The sum of the channels' powers with random errors in quadrature and gains linearly.
    fn power(&self, watts: &[f64], random: f64, source: &str) -> Figure {
        let figure = Figure::new(watts.iter().sum(), "W", self.provenance, source);
        match self.gain(watts) {
            Some(gain) => figure.with_ci95(gain.hypot(random)),
            None => figure,
        }
    }

    fn gain(&self, values: &[f64]) -> Option<f64> {
        values.iter().zip(&self.gains).map(|(value, gain)| gain.map(|gain| (gain * value).abs())).sum()
    }

    /// The idle and the net part of `gross`, each channel's energy over `window`.
    pub(super) fn parts(
        &self,
        gross: &[&Integral],
        window: Window,
    ) -> (Result<Part, String>, Result<Part, String>) {
        let idle = match self.over(window) {
            Ok(idle) => idle,
            Err(reason) => return (Err(reason.clone()), Err(reason)),
        };
        let part = |joules: &[f64], random: f64| Part {
            joules: joules.iter().sum(),
            ci95: self.gain(joules).map(|gain| gain.hypot(random)),
            provenance: self.provenance,
            remark: idle.remark.clone(),
        };
        let net: Vec<f64> = gross.iter().zip(&idle.joules).map(|(gross, idle)| gross.joules - idle).collect();
        let random = quadrature(gross.iter().map(|gross| gross.random_ci95)).hypot(idle.random_ci95);
        let bridged = gross.iter().map(|gross| gross.provenance).fold(self.provenance, Provenance::weaker);
        let net = Part { provenance: bridged, ..part(&net, random) };
        (Ok(part(&idle.joules, idle.random_ci95)), Ok(net))
    }

    /// Idle energy by channel over a window.
    fn over(&self, window: Window) -> Result<IdleEnergy, String> {
        let seconds = window.seconds();
        let middle = (window.start.seconds() + window.end.seconds()) / 2.0;
        match (&self.before, &self.after) {
            (Ok(before), Ok(after)) => Ok(between(before, after, middle, seconds)),
            (Ok(side), Err(_)) | (Err(_), Ok(side)) => Ok(IdleEnergy {
                joules: side.levels.iter().map(|level| level.watts * seconds).collect(),
                random_ci95: quadrature(side.levels.iter().map(|level| level.random_ci95 * seconds)),
                remark: Some(
                    "idling was measured on one side of the load alone: the interval knows no drift"
                        .to_owned(),
                ),
            }),
            (Err(reason), Err(_)) => Err(reason.clone()),
        }
    }
}

/// Idle energy of each channel over a window, with the random half of its interval, all channels together.
struct IdleEnergy {
    joules: Vec<f64>,
    random_ci95: f64,
    remark: Option<String>,
}

/// Idle power at `middle`, by linear interpolation between the two sides, over so many seconds.
fn between(before: &Side, after: &Side, middle: f64, seconds: f64) -> IdleEnergy {
    let span = after.middle_seconds - before.middle_seconds;
    let weight = if span > 0.0 { ((middle - before.middle_seconds) / span).clamp(0.0, 1.0) } else { 0.5 };
    let sides = || before.levels.iter().zip(&after.levels);
    let mixed = |before: f64, after: f64| (1.0 - weight) * before + weight * after;
    let random = quadrature(sides().map(|(before, after)| {
        ((1.0 - weight) * before.random_ci95).hypot(weight * after.random_ci95) * seconds
    }));
    // Power moved from one level to the other at some time in between: half the way is the most that the straight line
    // errs on average. On either side itself nothing has moved.
    let drift: f64 = sides().map(|(before, after)| after.watts - before.watts).sum();
    let path = if weight > 0.0 && weight < 1.0 { drift.abs() / 2.0 * seconds } else { 0.0 };
    IdleEnergy {
        joules: sides().map(|(before, after)| mixed(before.watts, after.watts) * seconds).collect(),
        random_ci95: random.hypot(path),
        remark: None,
    }
}

fn side(record: &RunRecord, phase: Option<Phase>, counting: &[&ChannelResult<'_>]) -> Result<Side, String> {
    let Some(phase) = phase else {
        return Err(if record.plan.idle_seconds > 0.0 {
            "the run was stopped before idle power was measured".to_owned()
        } else {
            "idle power was not measured: metrics.idle_seconds asks for none, or no instrument counts"
                .to_owned()
        });
    };
    let window = settled(phase, counting)?;
    let levels = counting.iter().map(|result| level(result, window)).collect::<Result<_, _>>()?;
    Ok(Side { middle_seconds: (window.start.seconds() + window.end.seconds()) / 2.0, levels })
}

/// The part of an idling in which no sensor's average reaches back into the work before it.
fn settled(phase: Phase, counting: &[&ChannelResult<'_>]) -> Result<Window, String> {
    let length = phase.end.seconds_since(phase.start).0;
    let averaging = counting.iter().filter_map(|result| match result.channel.kind {
        ChannelKind::Power { averaging_ms } => averaging_ms.map(|ms| f64::from(ms) * 1e-3),
        ChannelKind::Counter { .. } => None,
    });
    let averaging = averaging.fold(0.0, f64::max);
    let settling = averaging.max(length * SETTLING_SHARE);
    if length - settling < length * LEAST_SHARE {
        return Err(format!(
            "idling of {length:.2} s is too short for a sensor that averages over {averaging} s: raise metrics.idle_seconds"
        ));
    }
    let start = ai_energy_core::clock::Stamp(phase.start.0 + (settling * 1e9) as u64);
    Ok(Window { start, end: phase.end })
}

fn level(result: &ChannelResult<'_>, window: Window) -> Result<Level, String> {
    let energy = result.energy_over(window)?;
    let seconds = window.seconds();
    Ok(Level { watts: energy.joules / seconds, random_ci95: energy.random_ci95 / seconds })
}

fn quadrature(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}
