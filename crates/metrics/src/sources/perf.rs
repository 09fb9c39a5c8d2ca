//! RAPL counters through the kernel's performance events, for machines where powercap is closed or not there.
//!
//! The same counters as powercap's, so nothing is looked for where those are read already. One event for each package,
//! on the processor that the kernel names for it. The kernel extends the counters to 64 bits: they never wrap.

use std::io::{Error, ErrorKind};
use std::path::Path;

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;
use perf_event::events::DynamicBuilder;
use perf_event::{Builder, Counter};

use super::{Found, Search, missing};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "perf";

/// As that of the counters through powercap.
const GAIN_CI95: f64 = 0.05;

/// What opens the events to a user who is not root.
const REMEDY: &str = "run as root, or `sudo sysctl kernel.perf_event_paranoid=0`, or give the program the capability: \
                      `sudo setcap cap_perfmon=ep` and its path; a container needs `--cap-add PERFMON`";

/// The kernel's events that are whole domains; those of cores and of graphics inside a package are parts of it.
const EVENTS: [(&str, &str, Domain, Scope); 3] = [
    ("energy-pkg", "package", Domain::Cpu, Scope::Package),
    ("energy-ram", "dram", Domain::Ram, Scope::Memory),
    ("energy-psys", "psys", Domain::Node, Scope::Platform),
];

/// Looks for the events, where the processors have no counter yet.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let folder = search.roots.sys.join("bus/event_source/devices/power");
    if search.covered.contains(&Domain::Cpu) || !folder.exists() {
        return Found::default();
    }
    let cpus = machine::line(&folder.join("cpumask")).map(|mask| cpu_list(&mask)).unwrap_or_default();
    let mut perf = Perf { channels: Vec::new(), counters: Vec::new() };
    for (event, word, domain, scope) in EVENTS {
        if !folder.join("events").join(event).exists() {
            continue;
        }
        for cpu in &cpus {
            let package = package(&search.roots.sys, *cpu);
            match open(&folder, event, *cpu) {
                Ok((counter, microjoules)) => {
                    perf.channels.push(channel(word, package, domain, scope));
                    perf.counters.push((counter, microjoules));
                }
                // Half of the packages would be half of the energy: what is refused in part is refused whole.
                Err(error) => {
                    let (reason, remedy) = refusal(event, *cpu, &error);
                    let entries =
                        [Domain::Cpu, Domain::Ram].map(|domain| missing(NAME, domain, &reason, &remedy));
                    return Found { unavailable: entries.to_vec(), ..Found::default() };
                }
            }
        }
    }
    if perf.channels.is_empty() {
        let reason = format!("{} shows no energy events", folder.display());
        return Found::unavailable(NAME, Domain::Cpu, reason, "");
    }
    Found::source(perf)
}

/// A counter that runs, and microjoules in one of its steps.
fn open(folder: &Path, event: &str, cpu: usize) -> Result<(Counter, f64), Error> {
    let other = |error: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidData, error.to_string());
    let mut dynamic = DynamicBuilder::new(folder)?;
    dynamic.event(event)?;
    let joules = dynamic.scale()?.ok_or_else(|| other(&format!("event {event} has no scale")))?;
    let unit = dynamic.unit()?.unwrap_or_default();
    if unit.trim() != "Joules" {
        return Err(other(&format!("event {event} counts `{}`, not Joules", unit.trim())));
    }
    let event = dynamic.build().map_err(|error| other(&error))?;
    // Of any program on this processor; these counters take no filter by mode.
    let mut builder = Builder::new(event);
    builder.any_pid().one_cpu(cpu).exclude_kernel(false).exclude_hv(false);
    let mut counter = builder.build()?;
    counter.enable()?;
    counter.read()?;
    Ok((counter, joules * 1e6))
}

/// The numbers in a list such as `0,28-29`.
fn cpu_list(text: &str) -> Vec<usize> {
    let part = |part: &str| -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(part).flatten().collect()
}

fn package(sys: &Path, cpu: usize) -> usize {
    let file = sys.join(format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"));
    machine::line(&file).and_then(|line| line.parse().ok()).unwrap_or(cpu)
}

fn channel(word: &str, package: usize, domain: Domain, scope: Scope) -> Channel {
    let name = match scope {
        Scope::Package => format!("package-{package}"),
        Scope::Memory => format!("package-{package}:{word}"),
        _ => word.to_owned(),
    };
    Channel {
        name: format!("{NAME}:{name}"),
        domain,
        // The same identities as through powercap.
        device_id: format!("rapl:{name}"),
        device: name,
        kind: ChannelKind::Counter { wrap_microjoules: None },
        provenance: Provenance::Measured,
        source: "RAPL counter (perf event)".to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Published, ..Instrument::of(scope) },
    }
}

fn refusal(event: &str, cpu: usize, error: &Error) -> (String, String) {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            (format!("no permission to open the perf event {event}"), REMEDY.to_owned())
        }
        _ => (format!("the perf event {event} cannot be opened on processor {cpu}: {error}"), String::new()),
    }
}

struct Perf {
    channels: Vec<Channel>,
    counters: Vec<(Counter, f64)>,
}

impl EnergySource for Perf {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        for (position, (counter, microjoules)) in self.counters.iter_mut().enumerate() {
            let steps = counter.read().map_err(|error| {
                ReadFault::Transient(format!("{}: {error}", self.channels[position].name))
            })?;
            out(position, (steps as f64 * *microjoules) as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_by_number_and_range() {
        assert_eq!(cpu_list("0,28-29\n"), [0, 28, 29]);
        assert_eq!(cpu_list(""), Vec::<usize>::new());
    }

    #[test]
    fn a_missing_permission_has_its_remedy() {
        let (reason, remedy) = refusal("energy-pkg", 0, &Error::from(ErrorKind::PermissionDenied));
        assert!(reason.contains("energy-pkg") && remedy.contains("cap_perfmon"));
    }
}
