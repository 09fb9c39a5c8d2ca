//! The same run by the method of CodeCarbon 3, to stand beside the figures, and why the two differ where they do.
//!
//! Facts of that method: GPU energy is the NVML counters' rise; CPU energy the RAPL packages', else the design power ×
//! (0.1 + 0.9 × load³) with 4 W a hardware thread where no design power is known; memory is always a model, so many watts
//! by an assumed number of modules. The load of an interval is read back from this program's own CPU model, which is
//! linear in it, so the record suffices. Refuses to give an interval: the method states none.

use ai_energy_core::RunRecord;
use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{Carbon, CodeCarbonMethod, DomainEnergy};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use serde_json::Value;

use crate::energy::{ChannelResult, counting};
use crate::integrate::Window;

/// Seconds between two readings of CodeCarbon's default.
const INTERVAL_SECONDS: f64 = 15.0;

/// Design power of a hardware thread where none is known, W.
const WATTS_PER_THREAD: f64 = 4.0;

/// Share of the design power drawn when idle.
const IDLE_SHARE: f64 = 0.1;

/// What is compared.
pub(crate) struct Seen<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) window: Option<Window>,
    pub(crate) results: &'a [ChannelResult<'a>],
    pub(crate) domains: &'a [DomainEnergy],
    pub(crate) carbon: &'a Carbon,
    pub(crate) cpu_tdp_watts: Option<f64>,
}

/// The run by CodeCarbon's method.
pub(crate) fn codecarbon(seen: &Seen<'_>) -> CodeCarbonMethod {
    let none = || Figure::unavailable("J", "no request was run");
    let Some(window) = seen.window else {
        return CodeCarbonMethod {
            gpu: none(),
            cpu: none(),
            ram: none(),
            total: none(),
            emissions: Figure::unavailable("g", "no request was run"),
            differences: Vec::new(),
        };
    };
    let (gpu, cpu, ram) = (gpu(seen), cpu(seen, window), ram(seen, window));
    let known: Vec<f64> = [&gpu, &cpu, &ram].into_iter().filter_map(|figure| figure.value).collect();
    let total = match known.is_empty() {
        true => Figure::unavailable("J", "the method finds nothing to count on this machine"),
        false => estimate(known.iter().sum(), "the sum of GPU, CPU and RAM by CodeCarbon's method"),
    };
    let emissions = match seen.carbon.intensity.value {
        Some(intensity) => total.scaled(intensity * seen.carbon.pue / (1000.0 * JOULES_PER_WATT_HOUR), "g"),
        None => Figure::unavailable("g", "no intensity is known"),
    };
    let differences = differences(seen, &gpu, &cpu, &ram);
    CodeCarbonMethod { gpu, cpu, ram, total, emissions, differences }
}

fn estimate(joules: f64, source: &str) -> Figure {
    Figure::new(joules, "J", Provenance::Estimated, source)
}

fn ours(seen: &Seen<'_>, domain: Domain) -> Option<Figure> {
    seen.domains.iter().find(|entry| entry.domain == domain).map(|entry| entry.energy.clone())
}

/// The counters' rise, which is this program's figure too.
fn gpu(seen: &Seen<'_>) -> Figure {
    let channels = counting(seen.results, Domain::Gpu);
    let by_nvml =
        !channels.is_empty() && channels.iter().all(|result| result.channel.name.starts_with("nvml:"));
    match ours(seen, Domain::Gpu) {
        Some(figure) if by_nvml => Figure { ci95: None, ..figure },
        _ => Figure::unavailable("J", "the method counts GPUs through NVML alone, and none was read"),
    }
}

fn cpu(seen: &Seen<'_>, window: Window) -> Figure {
    let channels = counting(seen.results, Domain::Cpu);
    if let Some(figure) = ours(seen, Domain::Cpu)
        && !channels.is_empty()
        && channels.iter().all(|result| result.channel.name.starts_with("rapl:"))
    {
        return Figure { ci95: None, ..figure };
    }
    let model = seen.results.iter().find(|result| result.channel.name.starts_with("cpu_model:"));
    let threads = seen.record.environment.get("cpu_count").and_then(Value::as_f64);
    let tdp = seen.cpu_tdp_watts.or(threads.map(|threads| threads * WATTS_PER_THREAD));
    let (Some(curve), Some(tdp)) = (model.and_then(|result| result.curve.as_ref()), tdp) else {
        return Figure::unavailable("J", "neither RAPL nor the processors' load was read");
    };
    let steps = ((window.seconds() / INTERVAL_SECONDS).round() as u64).max(1);
    let moment = |step: u64| {
        let length = window.end.0 - window.start.0;
        Stamp(window.start.0 + (u128::from(length) * u128::from(step) / u128::from(steps)) as u64)
    };
    let joules = (0..steps).map(|step| {
        let (from, to) = (moment(step), moment(step + 1));
        let seconds = to.seconds_since(from).0;
        cubic_watts(tdp, (curve.joules_at(to) - curve.joules_at(from)) / seconds) * seconds
    });
    estimate(joules.sum(), &format!("{tdp} W × (0.1 + 0.9 × load³)"))
}

/// Power by CodeCarbon's curve at the load that the linear model shows with `linear_watts`.
fn cubic_watts(tdp: f64, linear_watts: f64) -> f64 {
    let load = ((linear_watts / tdp - IDLE_SHARE) / (1.0 - IDLE_SHARE)).clamp(0.0, 1.0);
    tdp * (IDLE_SHARE + (1.0 - IDLE_SHARE) * load.powi(3))
}

fn ram(seen: &Seen<'_>, window: Window) -> Figure {
    let environment = &seen.record.environment;
    let Some(gib) = environment.get("ram_total_gib").and_then(Value::as_f64) else {
        return Figure::unavailable("J", "the amount of memory is not known");
    };
    let arm = environment
        .get("architecture")
        .and_then(Value::as_str)
        .is_some_and(|word| word.contains("arm") || word == "aarch64");
    let modules = modules(gib);
    let watts = module_watts(modules, arm);
    estimate(watts * window.seconds(), &format!("{modules} assumed modules, {watts} W"))
}

/// CodeCarbon's number of modules of a machine with `gib` GiB.
fn modules(gib: f64) -> u32 {
    match gib {
        gib if gib <= 2.0 => 1,
        gib if gib <= 16.0 => 2,
        gib if gib <= 64.0 => 4,
        gib if gib <= 128.0 => 8,
        gib => {
            let size = [128.0, 64.0, 32.0, 16.0, 8.0, 4.0].into_iter().find(|size| *size <= gib / 8.0);
            ((gib / size.unwrap_or(4.0)).ceil() as u32).min(32)
        }
    }
}

/// Power of so many modules, W: the fifth to eighth count 0.9, the ninth to sixteenth 0.8, further ones 0.7.
fn module_watts(modules: u32, arm: bool) -> f64 {
    let (each, least) = if arm { (1.5, 3.0) } else { (5.0, 10.0) };
    let counted: f64 = (1..=modules)
        .map(|number| match number {
            1..=4 => 1.0,
            5..=8 => 0.9,
            9..=16 => 0.8,
            _ => 0.7,
        })
        .sum();
    (counted * each).max(least)
}

/// Each domain where the methods differ by more than this program's interval, and why.
fn differences(seen: &Seen<'_>, gpu: &Figure, cpu: &Figure, ram: &Figure) -> Vec<String> {
    let why = |domain: Domain| match domain {
        Domain::Gpu => "this program counts GPUs that the method does not read",
        Domain::Cpu => {
            "its curve falls with the cube of the load, where an instrument measures and the model here is linear"
        }
        Domain::Ram if ours(seen, Domain::Ram).is_some_and(|ours| ours.provenance <= Provenance::Derived) => {
            "it models memory although an instrument measures it here"
        }
        Domain::Ram => {
            "it takes the whole machine's memory, and its assumed number of modules jumps between sizes; here a \
             container's limit and a steady rule hold"
        }
        Domain::Node => "it knows no such domain",
    };
    let mut found = Vec::new();
    for (domain, theirs) in [(Domain::Gpu, gpu), (Domain::Cpu, cpu), (Domain::Ram, ram)] {
        let Some(own) = ours(seen, domain) else { continue };
        let word = domain.word().to_uppercase();
        match (own.value, theirs.value) {
            (Some(own_joules), Some(joules))
                if (own_joules - joules).abs() > own.ci95.unwrap_or(0.0).max(own_joules * 1e-9) =>
            {
                let ci95 = own.ci95.map_or(String::new(), |ci95| format!(" ± {ci95:.1}"));
                found.push(format!(
                    "{word}: {own_joules:.1}{ci95} J here, {joules:.1} J by CodeCarbon's method: {}",
                    why(domain)
                ));
            }
            (Some(own_joules), None) => found.push(format!(
                "{word}: {own_joules:.1} J here, nothing by CodeCarbon's method: {}",
                theirs.reason.as_deref().unwrap_or("it reads no such device")
            )),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_modules_and_their_power_are_codecarbons() {
        let rule = [
            (1.5, 1),
            (15.6, 2),
            (62.0, 4),
            (125.0, 8),
            (256.0, 8),
            (512.0, 8),
            (1000.0, 16),
            (1024.0, 8),
            (8000.0, 32),
        ];
        for (gib, expected) in rule {
            assert_eq!(modules(gib), expected, "{gib} GiB");
        }
        for (modules, arm, watts) in
            [(1, false, 10.0), (4, false, 20.0), (8, false, 38.0), (16, false, 70.0), (1, true, 3.0)]
        {
            assert!((module_watts(modules, arm) - watts).abs() < 1e-9, "{modules} {arm}");
        }
    }

    #[test]
    fn the_curve_meets_the_line_at_its_ends_and_lies_below_between() {
        assert!((cubic_watts(100.0, 10.0) - 10.0).abs() < 1e-9, "idle");
        assert!((cubic_watts(100.0, 100.0) - 100.0).abs() < 1e-9, "full");
        assert!((cubic_watts(100.0, 55.0) - 21.25).abs() < 1e-9, "half: 100 × (0.1 + 0.9 / 8)");
    }
}
