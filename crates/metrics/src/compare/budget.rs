//! The energy error budget of a difference: what two runs' energies have in common is no doubt about their difference.
//!
//! A device's gain is one unknown factor for as long as the device is read in the same way. Of two runs on one device the
//! ratio does not have it at all, and the difference has it on its own size alone. On different devices, and for models
//! whose error changes with the load, both sides have theirs in full. Refuses to integrate: it takes intervals apart.

use std::collections::BTreeSet;

use ai_energy_core::comparison::{ComparedRun, ComparedSide};
use ai_energy_core::energy::{Channel, Domain};
use ai_energy_core::figure::Provenance;

use super::figures::Scope;
use crate::energy::TOTAL_DOMAINS;

/// A domain's part of a side's energy, as shares of the scope's whole.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    domain: Domain,
    /// Its energy over the whole's.
    share: f64,
    /// Random half-width over the whole.
    random: f64,
    /// Gain's half-width over the domain's own energy.
    gain: f64,
    /// What was read and how; the same text on both sides means the same gain.
    devices: BTreeSet<String>,
}

/// Half the widths of the budget's part of a difference's 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Doubt {
    /// Random errors, relative to the baseline, of the difference over the baseline.
    pub(super) random: f64,
    /// Gains, likewise; what is common is left out.
    pub(super) gain: f64,
    /// What the common gains make of the absolute difference, relative to the baseline.
    pub(super) common: f64,
    /// `true` where some gain is common to both.
    pub(super) cancels: bool,
}

/// The budget of the difference of two values that are multiples of the scope's energy. `ratio` is the other over the base.
/// `None` where a side states no budget.
pub(super) fn doubt(base: &ComparedSide, other: &ComparedSide, scope: Scope, ratio: f64) -> Option<Doubt> {
    let (first, second) = (parts(base, scope)?, parts(other, scope)?);
    let random = |parts: &[Part]| parts.iter().map(|part| part.random.powi(2)).sum::<f64>().sqrt();
    let mut gain = 0.0;
    let mut common = 0.0;
    let mut cancels = false;
    for domain in TOTAL_DOMAINS {
        let of = |parts: &[Part]| parts.iter().find(|part| part.domain == domain).cloned();
        match (of(&first), of(&second)) {
            (Some(a), Some(b)) if same_gain(&a, &b, base, other) => {
                cancels = true;
                let factor = a.gain.max(b.gain);
                // Of the ratio Σ B ÷ Σ A, a factor common to one domain leaves only what it weighs differently.
                gain += (factor * ratio * (b.share - a.share)).powi(2);
                common += (factor * (ratio * b.share - a.share)).powi(2);
            }
            (a, b) => {
                let own = |part: Option<Part>| part.map_or(0.0, |part| part.gain * part.share);
                let both = (ratio * own(a)).powi(2) + (ratio * own(b)).powi(2);
                gain += both;
                common += both;
            }
        }
    }
    Some(Doubt {
        random: ratio.abs() * random(&first).hypot(random(&second)),
        gain: gain.sqrt(),
        common: common.sqrt(),
        cancels,
    })
}

/// Whether one unknown factor lies on both: the same devices of the same machine, read in the same way, by instruments.
/// A model's error is one factor only where the model is a constant, as that of memory is.
fn same_gain(a: &Part, b: &Part, base: &ComparedSide, other: &ComparedSide) -> bool {
    let host = |side: &ComparedSide| side.runs.first().and_then(|run| run.identity.host.clone());
    !a.devices.is_empty() && a.devices == b.devices && host(base).is_some() && host(base) == host(other)
}

/// The domains of a side: means over its runs, whose random errors are independent.
fn parts(side: &ComparedSide, scope: Scope) -> Option<Vec<Part>> {
    let runs: Option<Vec<Vec<Part>>> = side.runs.iter().map(|run| run_parts(run, scope)).collect();
    let runs = runs?;
    let count = runs.len() as f64;
    let mut parts = runs.first()?.clone();
    for part in &mut parts {
        let same = || runs.iter().flatten().filter(|other| other.domain == part.domain);
        let mean = |value: &dyn Fn(&Part) -> f64| same().map(value).sum::<f64>() / count;
        let share = mean(&|other| other.share);
        let gain = same().map(|other| other.gain).fold(0.0, f64::max);
        let random = same().map(|other| other.random.powi(2)).sum::<f64>().sqrt() / count;
        let devices = if same().all(|other| other.devices == part.devices) {
            part.devices.clone()
        } else {
            BTreeSet::new()
        };
        (part.share, part.gain, part.random, part.devices) = (share, gain, random, devices);
    }
    Some(parts)
}

/// The domains of a run's scope; `None` where one of them states no budget.
fn run_parts(run: &ComparedRun, scope: Scope) -> Option<Vec<Part>> {
    let summary = run.summary.as_ref()?;
    let within = |domain: Domain| match scope {
        Scope::Gpu => domain == Domain::Gpu,
        Scope::Total => TOTAL_DOMAINS.contains(&domain),
    };
    let known: Vec<_> = summary
        .energy
        .domains
        .iter()
        .filter(|entry| within(entry.domain))
        .filter_map(|entry| Some((entry.domain, entry.energy.value?, entry.energy.ci95)))
        .collect();
    let whole: f64 = known.iter().map(|(_, joules, _)| joules).sum();
    if known.is_empty() || whole <= 0.0 {
        return None;
    }
    let part = |(domain, joules, ci95): &(Domain, f64, Option<f64>)| {
        let ci95 = (*ci95)?;
        let counting: Vec<&Channel> =
            run.channels.iter().filter(|channel| channel.counts && channel.domain == *domain).collect();
        let gain = gain_joules(run, &counting).filter(|gain| *gain <= ci95).unwrap_or(ci95);
        let devices = if common_factor(&counting) {
            counting.iter().map(|c| identity(c)).collect()
        } else {
            BTreeSet::new()
        };
        Some(Part {
            domain: *domain,
            share: joules / whole,
            random: (ci95.powi(2) - gain.powi(2)).max(0.0).sqrt() / whole,
            gain: if *joules > 0.0 { gain / joules } else { 0.0 },
            devices,
        })
    };
    known.iter().map(part).collect()
}

/// What the channels' gains make of the domain's interval, J: gains of one design add linearly.
fn gain_joules(run: &ComparedRun, counting: &[&Channel]) -> Option<f64> {
    let energies = &run.summary.as_ref()?.energy.channels;
    let mut sum = 0.0;
    for channel in counting {
        let joules = energies.iter().find(|energy| energy.channel == channel.name)?.energy.value?;
        sum += channel.gain_ci95? * joules;
    }
    (!counting.is_empty()).then_some(sum)
}

/// Whether each channel's error is one factor, whatever the load: an instrument, or the constant model of memory.
fn common_factor(counting: &[&Channel]) -> bool {
    !counting.is_empty()
        && counting
            .iter()
            .all(|channel| channel.provenance != Provenance::Estimated || channel.domain == Domain::Ram)
}

fn identity(channel: &Channel) -> String {
    let factor = channel.instrument.gain_factor.unwrap_or(1.0);
    format!("{}|{}|{}|{}|{factor}", channel.name, channel.device, channel.device_id, channel.source)
}
