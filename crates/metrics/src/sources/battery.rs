//! A laptop's batteries while they discharge: the whole machine behind its power supply.
//!
//! Counts only while every battery gives and no charger is there: a machine on the charger draws nothing from the
//! battery, and reading that as 0 W would be a silent loss. Where the gauge counts charge instead of energy, the
//! charge that left is multiplied by the voltage of that moment.

use std::io::Error;
use std::path::{Path, PathBuf};

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;

use super::sysfs::{entries, number};
use super::{Found, Search};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "battery";

/// Gauges drift with age; nothing better is published for all of them.
const GAIN_CI95: f64 = 0.05;

/// Microjoules in a microwatt-hour.
const PER_HOUR: f64 = 3600.0;

/// How a battery tells what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gauge {
    /// `energy_now` in µWh.
    Energy,
    /// `charge_now` in µAh, `voltage_now` in µV.
    Charge,
}

struct Battery {
    folder: PathBuf,
    gauge: Gauge,
    /// The last state of the gauge, in its own unit.
    last: f64,
    /// What has left since, in microjoules.
    given: f64,
    /// `true` where it has a second channel, its power.
    tells_power: bool,
}

/// Looks for batteries that feed this machine.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let supplies = entries(&search.roots.sys.join("class/power_supply"));
    let mut batteries = Vec::new();
    for folder in supplies.iter().filter(|folder| is_battery(folder)) {
        let gauge = if folder.join("energy_now").exists() { Gauge::Energy } else { Gauge::Charge };
        match state(folder, gauge) {
            Ok(last) => {
                let tells_power = power(folder).is_ok();
                batteries.push(Battery { folder: folder.clone(), gauge, last, given: 0.0, tells_power });
            }
            Err(error) => {
                let reason = format!("{} does not tell what it holds: {error}", folder.display());
                return Found::unavailable(NAME, Domain::Node, reason, "");
            }
        }
    }
    if batteries.is_empty() {
        return Found::default();
    }
    if let Some(why) = fed_otherwise(&supplies, &batteries) {
        let remedy = "unplug the charger to measure the whole machine by its battery";
        return Found::unavailable(NAME, Domain::Node, why, remedy);
    }
    let channels = batteries.iter().flat_map(channels).collect();
    Found::source(Batteries { channels, batteries, supplies })
}

fn is_battery(folder: &Path) -> bool {
    let word = |file: &str| machine::line(&folder.join(file));
    // Mice and headsets have batteries too; these say that they are a device's.
    word("type").as_deref() == Some("Battery")
        && word("scope").as_deref() != Some("Device")
        && word("present").as_deref() != Some("0")
}

/// Why the batteries do not carry the machine, `None` where they do.
fn fed_otherwise(supplies: &[PathBuf], batteries: &[Battery]) -> Option<String> {
    let word = |folder: &Path, file: &str| machine::line(&folder.join(file));
    let charger = supplies.iter().find(|folder| {
        !batteries.iter().any(|battery| battery.folder == **folder)
            && word(folder, "scope").as_deref() != Some("Device")
            && word(folder, "online").as_deref() == Some("1")
    });
    if let Some(charger) = charger {
        return Some(format!("{} feeds the machine", charger.display()));
    }
    let states = batteries.iter().filter_map(|battery| word(&battery.folder, "status"));
    let states: Vec<String> = states.collect();
    (!states.iter().any(|state| state == "Discharging"))
        .then(|| format!("no battery discharges (status: {})", states.join(", ")))
}

/// The gauge's number, in its own unit.
fn state(folder: &Path, gauge: Gauge) -> Result<f64, Error> {
    let file = match gauge {
        Gauge::Energy => "energy_now",
        Gauge::Charge => "charge_now",
    };
    Ok(number(&folder.join(file))? as f64)
}

/// Present power, µW: told, or the product of current and voltage.
fn power(folder: &Path) -> Result<u64, Error> {
    if let Ok(microwatts) = number(&folder.join("power_now")) {
        return Ok(microwatts);
    }
    // Some drivers give a discharging current as a negative number.
    let text = std::fs::read_to_string(folder.join("current_now"))?;
    let microamperes = text.trim().trim_start_matches('-').parse().unwrap_or(0.0);
    let microvolts = number(&folder.join("voltage_now"))? as f64;
    Ok((microamperes * microvolts * 1e-6).round() as u64)
}

fn channels(battery: &Battery) -> Vec<Channel> {
    let name =
        battery.folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let channel = |what: &str, source: &str, kind: ChannelKind| Channel {
        name: format!("{NAME}:{name}:{what}"),
        domain: Domain::Node,
        device: machine::line(&battery.folder.join("model_name")).unwrap_or_else(|| name.clone()),
        device_id: format!("{NAME}:{name}"),
        kind,
        provenance: Provenance::Measured,
        source: source.to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Board) },
    };
    let mut channels =
        vec![channel("energy", "battery gauge", ChannelKind::Counter { wrap_microjoules: None })];
    if battery.tells_power {
        channels.push(channel("power", "battery power reading", ChannelKind::Power { averaging_ms: None }));
    }
    channels
}

impl Battery {
    /// What has left since the source began, in microjoules. A gauge that steps up a little corrects itself.
    fn read(&mut self) -> Result<f64, Error> {
        let now = state(&self.folder, self.gauge)?;
        let left = (self.last - now).max(0.0);
        self.given += PER_HOUR
            * match self.gauge {
                Gauge::Energy => left,
                Gauge::Charge => left * number(&self.folder.join("voltage_now"))? as f64 * 1e-6,
            };
        self.last = self.last.min(now);
        Ok(self.given)
    }
}

struct Batteries {
    channels: Vec<Channel>,
    batteries: Vec<Battery>,
    supplies: Vec<PathBuf>,
}

impl EnergySource for Batteries {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        // What the battery gives from here on is no longer what the machine draws.
        if let Some(why) = fed_otherwise(&self.supplies, &self.batteries) {
            return Err(ReadFault::Gone(why));
        }
        let mut position = 0;
        for battery in &mut self.batteries {
            let given = battery.read();
            let given = given
                .map_err(|error| ReadFault::Transient(format!("{}: {error}", battery.folder.display())))?;
            out(position, given.round() as u64);
            position += 1;
            if battery.tells_power {
                if let Ok(microwatts) = power(&battery.folder) {
                    out(position, microwatts);
                }
                position += 1;
            }
        }
        Ok(())
    }
}
