//! Gross, idle and net energy of each stretch of a run.
//!
//! Idle power is measured before and after the load and interpolated linearly between the middles of the two; the idle
//! part of a stretch is that power over its time, and net is gross less idle. What the interpolation cannot know, the
//! path between the two, is in the interval as half the drift. A sensor's gain scales gross and idle alike, so net has it
//! once. Refuses to call net measured, and to give a net energy that is nothing or less.

mod idle;
mod stretches;

use ai_energy_core::RunRecord;
use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{DomainSplit, EnergySplit, IdlePower, PhaseEnergy, Stretch};

use crate::energy::{ChannelResult, TOTAL_DOMAINS, counting, domain_sum, peak, total_of};
use crate::integrate::{Integral, Window};
use idle::{Idle, Part};

pub use stretches::stretches;

/// What was found about a run's phases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Idle power by domain; empty where idling was not measured.
    pub(crate) idle: Vec<IdlePower>,
    /// Energy by stretch.
    pub(crate) phases: Vec<PhaseEnergy>,
}

/// The energy of every stretch of `record`, from the channels that `results` hold.
pub(crate) fn phases(record: &RunRecord, results: &[ChannelResult<'_>]) -> Found {
    let node = results.iter().any(|result| result.channel.counts && result.channel.domain == Domain::Node);
    let domains: Vec<Domain> = TOTAL_DOMAINS.into_iter().chain(node.then_some(Domain::Node)).collect();
    let idles: Vec<(Domain, Idle)> =
        domains.iter().map(|domain| (*domain, Idle::new(record, &counting(results, *domain)))).collect();
    let phase = |(stretch, window)| phase(record, results, &idles, stretch, window);
    Found {
        idle: idles.iter().filter_map(|(domain, idle)| idle.figures(*domain)).collect(),
        phases: stretches(record).into_iter().map(phase).collect(),
    }
}

/// A domain's energy over a window and its parts; the parts as they are before they become figures.
struct Parted {
    domain: Domain,
    gross: Figure,
    idle: Result<Part, String>,
    net: Result<Part, String>,
}

fn phase(
    record: &RunRecord,
    results: &[ChannelResult<'_>],
    idles: &[(Domain, Idle)],
    stretch: Stretch,
    window: Window,
) -> PhaseEnergy {
    let parted: Vec<Parted> = idles
        .iter()
        .map(|(domain, idle)| parts(record, &counting(results, *domain), idle, *domain, window))
        .collect();
    let domains = parted.iter().map(|part| DomainSplit {
        domain: part.domain,
        split: split(part, &counting(results, part.domain), window),
    });
    PhaseEnergy {
        phase: stretch,
        start_seconds: window.start.seconds(),
        duration: Figure::new(window.seconds(), "s", Provenance::Measured, "monotonic clock"),
        domains: domains.collect(),
        total: whole(&parted, results, window),
    }
}

fn parts(
    record: &RunRecord,
    counting: &[&ChannelResult<'_>],
    idle: &Idle,
    domain: Domain,
    window: Window,
) -> Parted {
    let energies: Vec<Result<Integral, String>> =
        counting.iter().map(|result| result.energy_over(window)).collect();
    let gross = domain_sum(record, counting, &energies.iter().collect::<Vec<_>>(), domain);
    let reason = || gross.reason.clone().unwrap_or_else(|| "the energy is not known".to_owned());
    let known: Option<Vec<&Integral>> = energies.iter().map(|energy| energy.as_ref().ok()).collect();
    let (idle, net) = match (known, gross.value) {
        (Some(known), Some(_)) => idle.parts(&known, window),
        _ => (Err(reason()), Err(reason())),
    };
    Parted { domain, gross, idle, net }
}

fn split(parted: &Parted, counting: &[&ChannelResult<'_>], window: Window) -> EnergySplit {
    let peak = match parted.gross.value {
        Some(_) => peak(counting, window, &parted.gross),
        None => parted.gross.per(1.0, "W"),
    };
    EnergySplit {
        mean_power: parted.gross.per(window.seconds(), "W"),
        peak_power: peak,
        idle: idle_figure(&parted.idle, &parted.gross.source),
        net: net_figure(&parted.net, &parted.gross),
        gross: parted.gross.clone(),
    }
}

/// The parts of GPU, CPU and RAM together.
fn whole(parted: &[Parted], results: &[ChannelResult<'_>], window: Window) -> EnergySplit {
    let entries: Vec<(Domain, &Figure)> = parted.iter().map(|part| (part.domain, &part.gross)).collect();
    let all: Vec<&ChannelResult<'_>> = results
        .iter()
        .filter(|result| result.channel.counts && TOTAL_DOMAINS.contains(&result.channel.domain))
        .collect();
    let counted =
        || parted.iter().filter(|part| TOTAL_DOMAINS.contains(&part.domain) && part.gross.value.is_some());
    let sum = |which: fn(&Parted) -> &Result<Part, String>| {
        counted()
            .map(|part| which(part).as_ref().map_err(|reason| format!("{}: {reason}", part.domain.word())))
            .collect::<Result<Vec<&Part>, String>>()
            .and_then(|parts| Part::sum(&parts).ok_or_else(|| "no domain is known".to_owned()))
    };
    let gross = total_of(&entries, results);
    let (idle, net) = match gross.value {
        Some(_) => (sum(|part| &part.idle), sum(|part| &part.net)),
        None => {
            let reason = gross.reason.clone().unwrap_or_default();
            (Err(reason.clone()), Err(reason))
        }
    };
    let parted = Parted { domain: Domain::Node, gross, idle, net };
    split(&parted, &all, window)
}

fn idle_figure(part: &Result<Part, String>, source: &str) -> Figure {
    match part {
        Err(reason) => Figure::unavailable("J", reason),
        Ok(part) => part.figure(part.joules, format!("idle power of {source} × duration")),
    }
}

/// Net energy, told only as far as it can be told from nothing.
fn net_figure(part: &Result<Part, String>, gross: &Figure) -> Figure {
    let part = match part {
        Err(reason) => return Figure::unavailable("J", reason),
        Ok(part) => part,
    };
    let interval = part.ci95.map_or(String::new(), |ci95| format!(" ± {ci95:.3}"));
    if part.joules <= 0.0 {
        let below = part.ci95.is_some_and(|ci95| part.joules < -ci95);
        let reason = if below {
            format!(
                "idling drew more than the load: gross less idle is {:.3}{interval} J; what idled was not idle",
                part.joules
            )
        } else {
            format!("cannot be told from idling: gross less idle is {:.3}{interval} J", part.joules)
        };
        return Figure::unavailable("J", reason);
    }
    let figure = part.figure(part.joules, format!("gross less idle, {}", gross.source));
    if part.ci95.is_some_and(|ci95| ci95 >= part.joules) {
        let said = figure.reason.clone().map_or(String::new(), |reason| format!("{reason}; "));
        return figure.with_reason(format!("{said}no larger than its own interval: it may be nothing"));
    }
    figure
}
