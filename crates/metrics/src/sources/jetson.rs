//! Jetson modules through their INA3221 power monitors.
//!
//! Two layouts: the mainline driver's hardware monitor (`inN_label`, volts and amperes) and the older one of NVIDIA's
//! kernels (`rail_name_N`, milliwatts). What a rail feeds is in NVIDIA's Jetson Linux Developer Guide; rails that it
//! does not name are not read. The input rail sees the whole module, so it stands apart from the others.

use std::path::{Path, PathBuf};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, Scope};
use ai_energy_core::figure::Provenance;

use super::sysfs::{Files, Value, entries, monitors, opening, refusal};
use super::{Found, Search, missing};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "jetson";

/// A shunt of 1 %, the monitor's own error, and what small currents add.
const GAIN_CI95: f64 = 0.05;

/// Channels of one monitor.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=3;

/// Looks for rails with a known load.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let mut parts = Vec::new();
    for (rail, value) in rails(&search.roots.sys) {
        let Some((domain, scope, contains)) = role(&rail) else { continue };
        if let Err(error) = value.read() {
            let (reason, remedy) = refusal(value.path(), &error, &opening(value.path()));
            return Found::unavailable(NAME, domain, reason, remedy);
        }
        parts.push((channel(&rail, domain, scope, contains), value));
    }
    if parts.is_empty() {
        return Found::default();
    }
    let contained: Vec<Domain> =
        parts.iter().flat_map(|(channel, _)| channel.instrument.contains.clone()).collect();
    let mut found = Found::source(Files::new(parts));
    for domain in contained {
        let reason = "is within the GPU figure: the processor shares the GPU's rail";
        found.unavailable.push(missing(NAME, domain, reason, ""));
    }
    found
}

/// Every rail with its name, of both layouts.
fn rails(sys: &Path) -> Vec<(String, Value)> {
    let mut rails = Vec::new();
    for monitor in monitors(sys, "ina3221") {
        for number in CHANNELS {
            let file = |what: String| monitor.join(what);
            if let Some(name) = machine::line(&file(format!("in{number}_label"))) {
                let value =
                    Value::Product(file(format!("in{number}_input")), file(format!("curr{number}_input")));
                rails.push((name, value));
            }
        }
    }
    for folder in older_monitors(sys) {
        for number in 0..3 {
            if let Some(name) = machine::line(&folder.join(format!("rail_name_{number}"))) {
                // Milliwatts.
                rails.push((name, Value::File(folder.join(format!("in_power{number}_input")), 1000)));
            }
        }
    }
    rails
}

fn older_monitors(sys: &Path) -> Vec<PathBuf> {
    let chips = entries(&sys.join("bus/i2c/drivers/ina3221x"));
    let folders = chips.iter().flat_map(|chip| entries(chip));
    folders
        .filter(|folder| {
            folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("iio:device"))
        })
        .collect()
}

/// What a rail feeds; `None` for rails that no document names.
fn role(rail: &str) -> Option<(Domain, Scope, &'static [Domain])> {
    let with: &'static [Domain] = &[Domain::Cpu];
    Some(match rail {
        "VDD_IN" | "POM_5V_IN" => (Domain::Node, Scope::Board, &[]),
        "VDD_CPU_GPU_CV" => (Domain::Gpu, Scope::Accelerator, with),
        "VDD_GPU_SOC" | "VDD_GPU" | "VDD_SYS_GPU" | "POM_5V_GPU" | "GPU" => {
            (Domain::Gpu, Scope::Accelerator, &[])
        }
        "VDD_CPU_CV" | "VDD_CPU_SOC_MSS" | "VDD_SYS_CPU" | "POM_5V_CPU" | "CPU" => {
            (Domain::Cpu, Scope::Package, &[])
        }
        "VDDQ_VDD2_1V8AO" | "VDD_SYS_DDR" | "VDDRQ" => (Domain::Ram, Scope::Memory, &[]),
        "VDD_SOC" | "VDD_SYS_SOC" | "SOC" => (Domain::Cpu, Scope::PackagePart, &[]),
        "CV" => (Domain::Gpu, Scope::AcceleratorPart, &[]),
        // The regulators of memory and everything outside the chip: memory lies within it.
        "VIN_SYS_5V0" | "SYS5V" => (Domain::Node, Scope::Platform, &[]),
        _ => return None,
    })
}

fn channel(rail: &str, domain: Domain, scope: Scope, contains: &[Domain]) -> Channel {
    let words = match contains {
        [] => format!("Jetson power monitor, rail {rail}"),
        _ => format!("Jetson power monitor, rail {rail}: GPU, CPU and vision engines together"),
    };
    Channel {
        name: format!("{NAME}:{}", rail.to_lowercase()),
        domain,
        device: "Jetson".to_owned(),
        device_id: format!("{NAME}:{}", rail.to_lowercase()),
        kind: ChannelKind::Power { averaging_ms: None },
        provenance: Provenance::Measured,
        source: words,
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument {
            gain_source: GainSource::Assumed,
            contains: contains.to_vec(),
            ..Instrument::of(scope)
        },
    }
}
