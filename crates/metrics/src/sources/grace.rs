//! NVIDIA Grace and Grace Hopper through the kernel's ACPI power meters.
//!
//! Each meter says in words what it measures: `Module` (processor and GPU with all memory), `Grace` (the processor
//! socket with its memory and regulators), `CPU` and `SysIO` (rails within the socket), each with its socket's number
//! (NVIDIA Grace Performance Tuning Guide, "Power Telemetry"). The socket counts; memory lies within it and is not
//! modelled again; the GPU's own figure comes from its driver.

use std::path::PathBuf;

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, Scope};
use ai_energy_core::figure::Provenance;

use super::sysfs::{Files, Value, attribute, monitors, number, opening, refusal};
use super::{Found, Search, missing};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "grace";

/// No comparison with an external meter is published.
const GAIN_CI95: f64 = 0.05;

/// What a meter measures.
struct Place {
    word: &'static str,
    domain: Domain,
    scope: Scope,
    contains: &'static [Domain],
}

/// What the first word of a meter's description says.
const PLACES: [Place; 4] = [
    Place { word: "Module", domain: Domain::Node, scope: Scope::Module, contains: &[] },
    Place { word: "Grace", domain: Domain::Cpu, scope: Scope::Socket, contains: &[Domain::Ram] },
    Place { word: "CPU", domain: Domain::Cpu, scope: Scope::PackagePart, contains: &[] },
    Place { word: "SysIO", domain: Domain::Cpu, scope: Scope::PackagePart, contains: &[] },
];

/// Looks for the meters.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let meters = monitors(&search.roots.sys, "power_meter").into_iter().filter_map(|monitor| {
        let words = machine::line(&attribute(&monitor, &["power1_oem_info"])?)?;
        let (place, socket) = parse(&words)?;
        Some((place, socket, monitor))
    });
    let mut parts = Vec::new();
    for (place, socket, monitor) in meters {
        let Some(file) = attribute(&monitor, &["power1_average"]) else { continue };
        let value = Value::File(file, 1);
        if let Err(error) = value.read() {
            let (reason, remedy) = refusal(value.path(), &error, &opening(value.path()));
            return Found::unavailable(NAME, Domain::Cpu, reason, remedy);
        }
        let interval = attribute(&monitor, &["power1_average_interval"]);
        parts.push((channel(place, socket, interval), value));
    }
    if parts.is_empty() {
        return Found::default();
    }
    let mut found = Found::source(Files::new(parts));
    let sockets = found.source.as_ref().is_some_and(|source| {
        source.channels().iter().any(|channel| channel.instrument.scope == Scope::Socket)
    });
    if sockets {
        let reason = "memory is within the CPU figure: one meter measures the socket with its memory";
        found.unavailable.push(missing(NAME, Domain::Ram, reason, ""));
    }
    found
}

/// `Grace Power Socket 0` is the socket of number 0.
fn parse(words: &str) -> Option<(&'static Place, u32)> {
    let (what, socket) = words.trim().split_once(" Power Socket ")?;
    let place = PLACES.iter().find(|place| place.word.eq_ignore_ascii_case(what.trim()))?;
    Some((place, socket.trim().parse().ok()?))
}

fn channel(place: &Place, socket: u32, interval: Option<PathBuf>) -> Channel {
    let averaging_ms = interval.and_then(|file| number(&file).ok()).and_then(|ms| u32::try_from(ms).ok());
    let word = place.word.to_lowercase();
    Channel {
        name: format!("{NAME}:{word}-{socket}"),
        domain: place.domain,
        device: format!("NVIDIA Grace, socket {socket}"),
        device_id: format!("{NAME}:{word}-{socket}"),
        kind: ChannelKind::Power { averaging_ms },
        provenance: Provenance::Measured,
        source: format!(
            "ACPI power meter of the {}",
            match place.scope {
                Scope::Module => "module (processor, GPU and memory)",
                Scope::Socket => "Grace socket (memory included)",
                _ => place.word,
            }
        ),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument {
            update_period_ms: averaging_ms.map(f64::from),
            gain_source: GainSource::Assumed,
            contains: place.contains.to_vec(),
            ..Instrument::of(place.scope)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meters_words_tell_what_it_measures() {
        let read = |words: &str| parse(words).map(|(place, socket)| (place.word, socket));
        assert_eq!(read("Module Power Socket 0"), Some(("Module", 0)));
        assert_eq!(read("SysIO Power Socket 1\n"), Some(("SysIO", 1)));
        assert_eq!(read("Total Power"), None);
        assert_eq!(read("Fan Power Socket 0"), None);
    }
}
