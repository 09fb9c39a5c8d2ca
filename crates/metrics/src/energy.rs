//! From channels to domains to the run: what counts, what it adds up to, and what each share of it is.
//!
//! Adds each joule once: only channels that count make a domain, and only GPU, CPU and RAM make the total. A node
//! source sees the same joules again and stands apart. Refuses to fill holes: a domain with one lost channel has no
//! energy, and neither has the total then. A total without a domain that nothing could measure says so.

use ai_energy_core::RunRecord;
use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::{Channel, Domain};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{ChannelEnergy, DomainEnergy};

use crate::integrate::{Curve, Integral, Known, Window};
use crate::segments::spliced_results;
use crate::shares::Shares;

/// Ticks that a peak power is taken over at least, so that a tick more or less in it is a tenth at most.
const PEAK_TICKS: f64 = 10.0;

/// The domains that make the total, in the order of reports.
pub const TOTAL_DOMAINS: [Domain; 3] = [Domain::Gpu, Domain::Cpu, Domain::Ram];

/// One channel of a record with what its readings give over the load window.
#[derive(Debug, Clone)]
pub struct ChannelResult<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// Its readings as a curve; `None` without readings.
    pub curve: Option<Curve>,
    /// Its energy over the window, or why there is none.
    pub energy: Result<Integral, String>,
    /// Readings in the record.
    pub readings: usize,
}

impl ChannelResult<'_> {
    /// The channel's energy over another window.
    ///
    /// # Errors
    /// Why it is not known, as a reason for a figure.
    pub(crate) fn energy_over(&self, window: Window) -> Result<Integral, String> {
        match (&self.curve, &self.energy) {
            (Some(curve), _) => curve.energy(self.channel, window),
            (None, Err(reason)) => Err(reason.clone()),
            (None, Ok(_)) => Err(format!("source {} gave no reading", self.channel.name)),
        }
    }
}

/// The energy of every channel of `record` over `window`.
pub fn channel_results(record: &RunRecord, window: Option<Window>) -> Vec<ChannelResult<'_>> {
    if !record.segments.is_empty() {
        return spliced_results(record, window);
    }
    let mut traces: Vec<Vec<(Stamp, u64)>> = vec![Vec::new(); record.channels.len()];
    for reading in &record.readings {
        if let Some(trace) = traces.get_mut(usize::from(reading.channel)) {
            trace.push((reading.at, reading.value));
        }
    }
    let known = Known::of(record);
    let mut results = Vec::with_capacity(traces.len());
    for (channel, mut trace) in record.channels.iter().zip(traces) {
        trace.sort_by_key(|(at, _)| *at);
        let curve = Curve::with(channel, &trace, &known);
        let energy = match (&curve, window) {
            (Err(reason), _) => Err(reason.clone()),
            (Ok(_), None) => Err(no_window()),
            (Ok(curve), Some(window)) => curve.energy(channel, window),
        };
        let energy = energy.map_err(|reason| with_fault(record, channel, reason));
        results.push(ChannelResult { channel, curve: curve.ok(), energy, readings: trace.len() });
    }
    results
}

fn no_window() -> String {
    "no request was run, so there is no window to measure over".to_owned()
}

/// The reason with what the sampler heard when the source's readings failed. Faults are noted by the name of a
/// source's first channel, and names of one source share what stands before the first colon.
fn with_fault(record: &RunRecord, channel: &Channel, reason: String) -> String {
    let source = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    match record.sampler.faults.iter().find(|fault| source(&fault.channel) == source(&channel.name)) {
        Some(fault) => format!("{reason}: {}", fault.message),
        None => reason,
    }
}

/// The summary's line of a channel.
pub fn channel_energy(result: &ChannelResult<'_>) -> ChannelEnergy {
    let energy = match &result.energy {
        Ok(integral) => figure(integral, &result.channel.source),
        Err(reason) => Figure::unavailable("J", reason),
    };
    ChannelEnergy {
        channel: result.channel.name.clone(),
        domain: result.channel.domain,
        counts: result.channel.counts,
        energy,
        readings: result.readings,
    }
}

fn figure(integral: &Integral, source: &str) -> Figure {
    let figure = Figure::new(integral.joules, "J", integral.provenance, source);
    let figure = match integral.ci95() {
        Some(ci95) => figure.with_ci95(ci95),
        None => figure,
    };
    match &integral.remark {
        Some(remark) => figure.with_reason(remark),
        None => figure,
    }
}

/// The domains of a run: GPU, CPU and RAM always, the node where a channel counts for it.
pub fn domains(
    record: &RunRecord,
    results: &[ChannelResult<'_>],
    window: Option<Window>,
    shares: &Shares,
) -> Vec<DomainEnergy> {
    let node = results.iter().any(|result| result.channel.counts && result.channel.domain == Domain::Node);
    let listed = TOTAL_DOMAINS.into_iter().chain(node.then_some(Domain::Node));
    listed.map(|domain| domain_energy(record, &counting(results, domain), window, shares, domain)).collect()
}

/// The channels that make a domain.
pub(crate) fn counting<'a, 'r>(
    results: &'a [ChannelResult<'r>],
    domain: Domain,
) -> Vec<&'a ChannelResult<'r>> {
    results.iter().filter(|result| result.channel.counts && result.channel.domain == domain).collect()
}

fn domain_energy(
    record: &RunRecord,
    counting: &[&ChannelResult<'_>],
    window: Option<Window>,
    shares: &Shares,
    domain: Domain,
) -> DomainEnergy {
    let energies: Vec<&Result<Integral, String>> = counting.iter().map(|result| &result.energy).collect();
    let energy = domain_sum(record, counting, &energies, domain);
    let (mean_power, peak_power) = match (window, energy.value) {
        (Some(window), Some(_)) => (energy.per(window.seconds(), "W"), peak(counting, window, &energy)),
        _ => {
            let none = energy.per(1.0, "W");
            (none.clone(), none)
        }
    };
    DomainEnergy {
        per_request: shares.per_request(&energy, "J/request"),
        per_output_token: shares.per_output_token(&energy, "J/token"),
        domain,
        energy,
        mean_power,
        peak_power,
    }
}

/// The sum of a domain's channels, whose energies stand in `energies`: errors of their own in quadrature, gains linearly.
pub(crate) fn domain_sum(
    record: &RunRecord,
    counting: &[&ChannelResult<'_>],
    energies: &[&Result<Integral, String>],
    domain: Domain,
) -> Figure {
    if counting.is_empty() {
        return Figure::unavailable("J", missing_reason(record, domain));
    }
    let failed: Vec<&str> =
        energies.iter().filter_map(|energy| energy.as_ref().err()).map(String::as_str).collect();
    if !failed.is_empty() {
        return Figure::unavailable("J", failed.join("; "));
    }
    let parts: Vec<&Integral> = energies.iter().filter_map(|energy| energy.as_ref().ok()).collect();
    let remarks: Vec<&str> = parts.iter().filter_map(|part| part.remark.as_deref()).collect();
    let sum = Integral {
        joules: parts.iter().map(|part| part.joules).sum(),
        random_ci95: parts.iter().map(|part| part.random_ci95.powi(2)).sum::<f64>().sqrt(),
        gain_ci95: parts.iter().map(|part| part.gain_ci95).sum(),
        provenance: parts.iter().map(|part| part.provenance).fold(Provenance::Measured, Provenance::weaker),
        remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
    };
    figure(&sum, &source_words(counting))
}

fn source_words(counting: &[&ChannelResult<'_>]) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for result in counting {
        match words.iter_mut().find(|(word, _)| *word == result.channel.source) {
            Some((_, count)) => *count += 1,
            None => words.push((&result.channel.source, 1)),
        }
    }
    let parts = words.into_iter().map(|(word, count)| match count {
        1 => word.to_owned(),
        _ => format!("{word} of {count} devices"),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

fn missing_reason(record: &RunRecord, domain: Domain) -> String {
    let reasons: Vec<String> = record
        .unavailable_sources
        .iter()
        .filter(|missing| missing.domain == domain)
        .map(|missing| format!("{}: {}", missing.source, missing.reason))
        .collect();
    if reasons.is_empty() {
        return format!("no source for {} energy was looked for", domain.word());
    }
    reasons.join("; ")
}

/// The largest mean power between two readings in the window, all channels together. Between the two lie at least
/// [`PEAK_TICKS`] ticks of the slowest counter; for powers, two neighbouring readings.
pub(crate) fn peak(counting: &[&ChannelResult<'_>], window: Window, energy: &Figure) -> Figure {
    let curves: Vec<&Curve> = counting.iter().filter_map(|result| result.curve.as_ref()).collect();
    let tick = curves.iter().filter_map(|curve| curve.tick_seconds()).fold(0.0, f64::max);
    let unknown_tick =
        curves.iter().any(|curve| matches!(curve, Curve::Counter(_)) && curve.tick_seconds().is_none());
    let moments = curves.first().map(|curve| curve.moments(window)).unwrap_or_default();
    let joules: Vec<f64> =
        moments.iter().map(|at| curves.iter().map(|curve| curve.joules_at(*at)).sum()).collect();
    let shortest = PEAK_TICKS * tick;
    let (mut watts, mut seconds, mut late) = (f64::NEG_INFINITY, 0.0, 0);
    for early in 0..moments.len() {
        late = late.max(early + 1);
        while late < moments.len() && moments[late].seconds_since(moments[early]).0 < shortest {
            late += 1;
        }
        let Some(at) = moments.get(late) else { break };
        let span = at.seconds_since(moments[early]).0;
        let mean = (joules[late] - joules[early]) / span;
        if span > 0.0 && mean > watts {
            (watts, seconds) = (mean, span);
        }
    }
    if unknown_tick || !watts.is_finite() {
        return Figure::unavailable("W", format!("the window holds no two readings {shortest:.3} s apart"));
    }
    let provenance = energy.provenance.weaker(Provenance::Derived);
    let figure = Figure::new(watts, "W", provenance, energy.source.clone())
        .with_reason(format!("mean over {seconds:.3} s"));
    match (energy.ci95, energy.value) {
        (Some(ci95), Some(value)) if value > 0.0 => {
            let ticks = std::f64::consts::SQRT_2 * tick / seconds * watts;
            figure.with_ci95(ticks.hypot(ci95 / value * watts))
        }
        _ => figure,
    }
}

/// The sum of GPU, CPU and RAM. Domains that no channel of `results` counts for are left out, and its reason names
/// them. A domain that was measured and lost leaves no total: the rest would pass for the run's energy.
pub fn total(domains: &[DomainEnergy], results: &[ChannelResult<'_>]) -> Figure {
    let entries: Vec<(Domain, &Figure)> = domains.iter().map(|entry| (entry.domain, &entry.energy)).collect();
    total_of(&entries, results)
}

/// [`total`] of one figure a domain.
pub(crate) fn total_of(entries: &[(Domain, &Figure)], results: &[ChannelResult<'_>]) -> Figure {
    let parts = || entries.iter().filter(|(domain, _)| TOTAL_DOMAINS.contains(domain));
    let known: Vec<&(Domain, &Figure)> = parts().filter(|(_, figure)| figure.value.is_some()).collect();
    let missing: Vec<&str> =
        parts().filter(|(_, figure)| figure.value.is_none()).map(|(domain, _)| domain.word()).collect();
    if known.is_empty() {
        // One cause can take all domains, such as measuring that is switched off: it is said once.
        let mut reasons: Vec<&str> = Vec::new();
        for reason in parts().filter_map(|(_, figure)| figure.reason.as_deref()) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        return Figure::unavailable("J", format!("no domain is known: {}", reasons.join("; ")));
    }
    let lost = parts()
        .filter(|(domain, figure)| figure.value.is_none() && !counting(results, *domain).is_empty())
        .map(|(domain, figure)| {
            let reason = figure.reason.as_deref().unwrap_or("no reason was given");
            format!("{} energy is not known: {reason}", domain.word().to_uppercase())
        });
    let lost: Vec<String> = lost.collect();
    if !lost.is_empty() {
        return Figure::unavailable("J", lost.join("; "));
    }
    let joules = known.iter().filter_map(|(_, figure)| figure.value).sum();
    let provenance =
        known.iter().map(|(_, figure)| figure.provenance).fold(Provenance::Derived, Provenance::weaker);
    let words: Vec<&str> = known.iter().map(|(domain, _)| domain.word()).collect();
    let total = Figure::new(joules, "J", provenance, words.join(" + "));
    let squares: Option<f64> = known.iter().map(|(_, figure)| figure.ci95.map(|ci95| ci95.powi(2))).sum();
    let total = match squares {
        Some(squares) => total.with_ci95(squares.sqrt()),
        None => total,
    };
    if missing.is_empty() {
        total
    } else {
        total.with_reason(format!("not included: {}", missing.join(", ")))
    }
}
