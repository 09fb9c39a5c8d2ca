//! Checks of the instruments: long enough a window, steady sampling, agreement, cost, a steady idle.
//!
//! Refuses to know what a device did while it was measured.

use ai_energy_core::figure::Provenance;

use super::{Found, Look};

/// Ticks in a window for an error of about 1 %; with fewer than the second number nothing is told.
const TICKS_GOOD: f64 = 100.0;
const TICKS_LEAST: f64 = 10.0;

/// Sampling intervals in a window that has no tick.
const INTERVALS_GOOD: f64 = 100.0;
const INTERVALS_LEAST: f64 = 10.0;

/// Longest pause of the sampler, in sampling intervals.
const GAP_INTERVALS: f64 = 10.0;

/// The sampler's share of one core.
const SAMPLER_SHARE: f64 = 0.02;

/// Drift of idle power against its mean.
const DRIFT_SHARE: f64 = 0.1;

const LONGER: &str = "run more requests";

pub(super) fn window_length(look: &Look<'_>) -> Found {
    let Some(window) = look.window else {
        return Found::unknown("no request was run", "");
    };
    let counting = || look.results.iter().filter(|result| result.channel.counts && result.energy.is_ok());
    if counting().count() == 0 {
        return Found::unknown("no energy is known", "");
    }
    let ticks = counting()
        .filter(|result| result.channel.provenance == Provenance::Measured)
        .filter_map(|result| Some((result.channel.name.as_str(), result.curve.as_ref()?.tick_seconds()?)));
    let slowest = ticks.max_by(|a, b| a.1.total_cmp(&b.1));
    let interval = f64::from(look.record.plan.sampling_interval_ms) * 1e-3;
    let (number, what, good, least) = match slowest {
        Some((name, tick)) if tick > 0.0 => {
            (window.seconds() / tick, format!("ticks of {name}"), TICKS_GOOD, TICKS_LEAST)
        }
        _ => (window.seconds() / interval, "sampling intervals".to_owned(), INTERVALS_GOOD, INTERVALS_LEAST),
    };
    let detail =
        format!("{:.1} s hold {number:.0} {what}; {good:.0} keep its error at about 1 %", window.seconds());
    if number < least {
        Found::invalid(detail, LONGER)
    } else if number < good {
        Found::warning(detail, LONGER)
    } else {
        Found::ok(detail)
    }
}

pub(super) fn sampling(look: &Look<'_>) -> Found {
    let interval = f64::from(look.record.plan.sampling_interval_ms) * 1e-3;
    let stats = &look.record.sampler;
    if let Some(fault) = stats.faults.iter().find(|fault| fault.gone) {
        return Found::warning(
            format!("the source of {} was lost: {}", fault.channel, fault.message),
            "see the system's log for the device, and run again",
        );
    }
    if let Some(lost) = lost_devices(look) {
        return lost;
    }
    match stats.longest_gap_seconds {
        None => Found::unknown("nothing was read twice", ""),
        Some(gap) if gap > GAP_INTERVALS * interval => Found::warning(
            format!("no sensor was read for {gap:.2} s at a time, at {interval} s between readings"),
            "leave the machine a free core while measuring",
        ),
        Some(gap) => Found::ok(format!("the longest pause between readings was {gap:.2} s")),
    }
}

/// Devices whose readings end before the load does though their source still answers for others.
fn lost_devices(look: &Look<'_>) -> Option<Found> {
    let end = look.window?.end;
    let lost = look.results.iter().filter(|result| {
        let over = result.curve.as_ref().is_none_or(|curve| curve.span().1 < end);
        result.channel.counts && result.energy.is_err() && over
    });
    let lost: Vec<&str> = lost.map(|result| result.channel.name.as_str()).collect();
    let others = look.results.iter().filter(|result| result.channel.counts).count() - lost.len();
    (!lost.is_empty()).then(|| {
        Found::warning(
            format!(
                "{} gave no reading to the load's end, {others} other channels did; its domain has no energy",
                lost.join(", ")
            ),
            "see the system's log for the device; run again, or choose the devices without it (metrics.gpu_ids)",
        )
    })
}

pub(super) fn counter_against_power(look: &Look<'_>) -> Found {
    let pairs = look.results.iter().filter(|result| !result.channel.counts && result.energy.is_ok());
    let pairs = pairs.filter(|other| {
        look.results.iter().any(|counted| {
            counted.channel.counts
                && counted.energy.is_ok()
                && counted.channel.device_id == other.channel.device_id
                && counted.channel.domain == other.channel.domain
        })
    });
    match (&look.disagreement, pairs.count()) {
        (Some(said), _) => Found::warning(said.clone(), "trust neither before a longer run agrees"),
        (None, 0) => Found::unknown("no device was read in two ways", ""),
        (None, number) => {
            Found::ok(format!("{number} further readings of the same devices agree within their intervals"))
        }
    }
}

pub(super) fn suspension(look: &Look<'_>) -> Found {
    let Some(window) = look.window else {
        return Found::unknown("no request was run", "");
    };
    let slept: f64 = look
        .record
        .sampler
        .suspensions
        .iter()
        .filter(|pause| pause.before >= window.start && pause.after <= window.end)
        .map(|pause| pause.seconds)
        .sum();
    if slept > 0.0 {
        return Found::invalid(
            format!("the machine slept for {slept:.0} s during the load"),
            "keep the machine from suspending and run again",
        );
    }
    Found::ok("the machine did not sleep")
}

pub(super) fn sampler_cost(look: &Look<'_>) -> Found {
    let readings = &look.record.readings;
    let span = readings.first().zip(readings.last()).map(|(first, last)| last.at.seconds_since(first.at).0);
    match (look.record.sampler.cpu_seconds, span.filter(|span| *span > 0.0)) {
        (Some(cpu), Some(span)) => {
            let share = cpu / span;
            let detail = format!("reading sensors took {:.2} % of one core", share * 100.0);
            if share > SAMPLER_SHARE {
                Found::warning(detail, "raise metrics.interval_ms")
            } else {
                Found::ok(detail)
            }
        }
        _ => Found::unknown("what sampling cost is not known", ""),
    }
}

pub(super) fn idle_drift(look: &Look<'_>) -> Found {
    let known = look.idle.iter().filter_map(|idle| {
        Some((
            idle.domain,
            idle.before.value?,
            idle.after.value?,
            idle.drift.value?,
            idle.drift.ci95.unwrap_or(0.0),
        ))
    });
    let worst = known.max_by(|a, b| (a.3.abs() / a.1).total_cmp(&(b.3.abs() / b.1)));
    let Some((domain, before, after, drift, ci95)) = worst else {
        return Found::unknown(
            "idle power was not measured on both sides of the load",
            "set metrics.idle_seconds to 3 or more",
        );
    };
    let detail = format!(
        "{} idle power was {before:.1} W before and {after:.1} W after the load",
        domain.word().to_uppercase()
    );
    let mean = f64::midpoint(before, after);
    if drift.abs() > ci95 && drift.abs() > DRIFT_SHARE * mean {
        return Found::warning(
            detail,
            "let the machine settle and warm up first, raise metrics.idle_seconds, and see that nothing else runs",
        );
    }
    Found::ok(detail)
}
