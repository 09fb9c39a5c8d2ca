//! Checks of the GPUs while they were measured: clocks, limits, temperature, company.
//!
//! Refuses to know the vendor: it goes by the words and numbers of [`GpuState`].

use std::collections::{BTreeMap, BTreeSet};

use ai_energy_core::energy::{GpuSample, GpuState};

use super::{Found, Look};

/// Words that say why clocks are low without anything being held down.
const HARMLESS: [&str; 3] = ["idle", "application_clocks", "display_clocks"];

/// Held down in at least this share of the looks.
const THROTTLED_SHARE: f64 = 0.05;

/// Spread of the compute clock within the load against its highest.
const CLOCK_SPREAD: f64 = 0.1;

/// A power limit that moves less than this has not moved, W.
const LIMIT_STEP_WATTS: f64 = 1.0;

/// Rise of temperature over the load from which on leakage changes the power noticeably, °C.
const WARMING_CELSIUS: f64 = 15.0;

const NO_STATE: &str = "no GPU told its state during the load";

/// Values of one kind by GPU, in time's order.
fn by_gpu<T>(samples: &[&GpuSample], value: impl Fn(&GpuState) -> Option<T>) -> BTreeMap<u32, Vec<T>> {
    let mut found: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for sample in samples {
        if let Some(value) = value(&sample.state) {
            found.entry(sample.state.index).or_default().push(value);
        }
    }
    found
}

pub(super) fn throttling(look: &Look<'_>) -> Found {
    let samples = look.gpu_samples();
    let looks = by_gpu(&samples, |state| state.throttle_reasons.clone());
    let all: Vec<&Vec<String>> = looks.values().flatten().collect();
    if all.is_empty() {
        return Found::unknown(NO_STATE, "");
    }
    let held = |reasons: &&&Vec<String>| reasons.iter().any(|word| !HARMLESS.contains(&word.as_str()));
    let number = all.iter().filter(held).count();
    let share = number as f64 / all.len() as f64;
    if share < THROTTLED_SHARE {
        return Found::ok(format!("clocks were held down in {number} of {} looks", all.len()));
    }
    let words: BTreeSet<&str> = all
        .iter()
        .flat_map(|reasons| reasons.iter().map(String::as_str))
        .filter(|word| !HARMLESS.contains(word))
        .collect();
    let words: Vec<&str> = words.into_iter().collect();
    Found::warning(
        format!("clocks were held down in {:.0} % of the looks: {}", share * 100.0, words.join(", ")),
        "cool the machine, or state the power limit with the figures: they hold for it alone",
    )
}

pub(super) fn clocks(look: &Look<'_>) -> Found {
    // Between two requests a GPU may idle, which is no change of its clocks under load.
    let idles = |state: &GpuState| {
        state.throttle_reasons.as_ref().is_some_and(|words| words.iter().any(|word| word == "idle"))
    };
    let clocks = by_gpu(&look.gpu_samples(), |state| state.compute_clock_mhz.filter(|_| !idles(state)));
    let spread = |values: &Vec<u32>| Some((*values.iter().min()?, *values.iter().max()?));
    let spreads: Vec<(u32, (u32, u32))> =
        clocks.iter().filter_map(|(gpu, values)| Some((*gpu, spread(values)?))).collect();
    let relative = |(low, high): (u32, u32)| f64::from(high - low) / f64::from(high.max(1));
    let Some((gpu, (low, high))) = spreads.into_iter().max_by(|a, b| relative(a.1).total_cmp(&relative(b.1)))
    else {
        return Found::unknown(NO_STATE, "");
    };
    let detail = format!("GPU {gpu} ran at {low} to {high} MHz");
    if relative((low, high)) > CLOCK_SPREAD {
        return Found::warning(detail, "lock the clocks, or warm up until they stand still");
    }
    Found::ok(detail)
}

pub(super) fn power_limit(look: &Look<'_>) -> Found {
    let limits = by_gpu(&look.gpu_samples(), |state| state.power_limit_w);
    if limits.is_empty() {
        return Found::unknown(NO_STATE, "");
    }
    let moved = limits.iter().find_map(|(gpu, values)| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        (high - low > LIMIT_STEP_WATTS).then_some((gpu, low, high))
    });
    match moved {
        Some((gpu, low, high)) => Found::warning(
            format!("the power limit of GPU {gpu} moved between {low:.0} and {high:.0} W"),
            "set one power limit for the whole run",
        ),
        None => {
            let first = limits.values().flatten().next().copied().unwrap_or_default();
            Found::ok(format!(
                "the power limit stood still (GPU {}: {first:.0} W)",
                limits.keys().next().unwrap_or(&0)
            ))
        }
    }
}

pub(super) fn other_processes(look: &Look<'_>) -> Found {
    let processes = by_gpu(&look.gpu_samples(), |state| state.process_ids.clone());
    if processes.is_empty() {
        return Found::unknown("no GPU told which processes use it", "");
    }
    let most = processes
        .iter()
        .map(|(gpu, looks)| (gpu, looks.iter().flatten().collect::<BTreeSet<_>>().len()))
        .max_by_key(|(_, number)| *number);
    match most {
        Some((gpu, number)) if number > 1 => Found::warning(
            format!("{number} processes used GPU {gpu} during the load; the energy is that of all together"),
            "see that only the measured server uses the GPU; several workers of one server are fine",
        ),
        Some((_, 1)) => Found::ok("one process used each GPU"),
        _ => Found::unknown("no process was seen on the GPUs, as in a container that hides them", ""),
    }
}

pub(super) fn temperature(look: &Look<'_>) -> Found {
    let temperatures = by_gpu(&look.gpu_samples(), |state| state.temperature_c);
    let ends: Vec<(u32, f64, f64)> = temperatures
        .iter()
        .filter_map(|(gpu, values)| Some((*gpu, *values.first()?, *values.last()?)))
        .collect();
    let Some((gpu, first, last)) =
        ends.into_iter().max_by(|a, b| (a.2 - a.1).abs().total_cmp(&(b.2 - b.1).abs()))
    else {
        return Found::unknown(NO_STATE, "");
    };
    let detail = format!("GPU {gpu} had {first:.0} °C at the load's begin and {last:.0} °C at its end");
    if (last - first).abs() > WARMING_CELSIUS {
        return Found::warning(detail, "warm up first: a warm chip draws more for the same work");
    }
    Found::ok(detail)
}
