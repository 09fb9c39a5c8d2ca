//! RAPL energy counters of Intel and AMD processors, read from the kernel's powercap folder.
//!
//! Counts each joule once: packages and memory count; the platform zone (`psys`) overlaps both and is kept for a
//! cross-check; `core` and `uncore` are parts of their package and are not read; the memory-mapped twin of a package
//! is not read where the package itself is. Dies that mirror another's counter are kept, and do not count.

use std::fs;
use std::io::{Error, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;

use super::probe::{Burst, burst};
use super::{Found, Search, missing};
use crate::{machine, topology};

/// The source's name.
pub(super) const NAME: &str = "rapl";

/// Relative error at 95 %, from published comparisons of RAPL with meters on server processors of the last decade.
const GAIN_CI95: f64 = 0.05;

/// Makes the counters readable whenever the kernel shows a zone.
const RULE: &str = r#"echo 'SUBSYSTEM=="powercap", RUN+="/bin/chmod -f a+r /sys%p/energy_uj"' | sudo tee /etc/udev/rules.d/70-rapl.rules"#;

/// The counters move every millisecond or so.
const PROBE: Burst = Burst { limit: Duration::from_millis(20), pause: Duration::from_micros(300) };

/// Between two looks at packages that might mirror each other: many times the millisecond in which counters move.
const MIRROR_PAUSE: Duration = Duration::from_millis(50);

/// A zone as the folder shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Zone {
    /// For example `intel-rapl:0:1`.
    entry: String,
    /// What the kernel calls it, for example `package-0` or `dram`.
    name: String,
    /// `true` for the memory-mapped interface.
    mapped: bool,
    path: PathBuf,
}

/// Looks for readable zones.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let zones = zones(&search.roots.powercap);
    if zones.is_empty() {
        let (reason, remedy) = absent(search);
        let mut found = both(&reason, &remedy);
        // Processors that other instruments measure need no word about RAPL.
        found.unavailable.retain(|missing| !search.covered.contains(&missing.domain));
        return found;
    }
    let mut channels = Vec::new();
    let mut files = Vec::new();
    let mut refused = None;
    for zone in &zones {
        let Some((domain, counts)) = role(zone, &zones) else {
            continue;
        };
        let file = zone.path.join("energy_uj");
        match read_number(&file) {
            Ok(_) => {
                channels.push(channel(zone, &zones, domain, counts));
                files.push(file);
            }
            Err(error) => {
                refused = refused.or_else(|| Some(refusal(&file, &error, machine::container(search.roots))))
            }
        }
    }
    let counted = |domain: Domain| channels.iter().any(|channel| channel.counts && channel.domain == domain);
    let (cpu, ram) = (counted(Domain::Cpu), counted(Domain::Ram));
    // Half of the packages would be half of the energy: what is refused in part is refused whole.
    if let Some((reason, remedy)) = refused {
        return both(&reason, &remedy);
    }
    drop_mirrors(&mut channels, &files);
    let mut found = match channels.is_empty() {
        true => Found::default(),
        false => Found::source(Rapl { channels, files, probed: false }),
    };
    if !cpu {
        found.unavailable.push(missing(NAME, Domain::Cpu, "powercap shows no processor package", ""));
    }
    if !ram {
        found.unavailable.push(missing(NAME, Domain::Ram, "this processor shows no memory zone (dram)", ""));
    }
    found
}

/// Dies of some AMD processors show one counter several times: packages whose values are the same in two looks, moved
/// in between, count once.
fn drop_mirrors(channels: &mut [Channel], files: &[PathBuf]) {
    let look = || -> Vec<u64> { files.iter().map(|file| read_number(file).unwrap_or(0)).collect() };
    let packages = |index: &usize| channels.get(*index).is_some_and(|channel| channel.domain == Domain::Cpu);
    let packages: Vec<usize> = (0..files.len()).filter(packages).collect();
    let of = |values: &[u64]| -> Vec<u64> { packages.iter().map(|index| values[*index]).collect() };
    let first = of(&look());
    let alike = (1..first.len()).any(|index| first[..index].contains(&first[index]));
    if !alike {
        return;
    }
    std::thread::sleep(MIRROR_PAUSE);
    let repeated = topology::mirrors(&first, &of(&look()));
    for (index, _) in packages.iter().zip(repeated).filter(|(_, repeats)| *repeats) {
        channels[*index].counts = false;
        channels[*index].source.push_str(" (repeats another die's)");
    }
}

fn both(reason: &str, remedy: &str) -> Found {
    let entries = [Domain::Cpu, Domain::Ram].map(|domain| missing(NAME, domain, reason, remedy));
    Found { unavailable: entries.to_vec(), ..Found::default() }
}

/// Why there may be no zones at all, and what to do.
fn absent(search: &Search<'_>) -> (String, String) {
    let folder = search.roots.powercap.display();
    let because = |place: String| format!("RAPL shows no zones {place}");
    if machine::virtual_machine(search.roots) == Some(true) {
        return (because("in this virtual machine".to_owned()), "measure on the host itself".to_owned());
    }
    match machine::container(search.roots) {
        Some(kind) => (because(format!("in this container ({kind})")), unmasking(kind).to_owned()),
        None => (
            because(format!("under {folder}")),
            "load the kernel's module, if the processor has RAPL: `sudo modprobe intel_rapl_msr`".to_owned(),
        ),
    }
}

/// How to show the counters to a container of this kind. Engines hide them since CVE-2020-8694 by a mask over the folder
/// that the links of the powercap class lead to, which mounting the class does not lift.
fn unmasking(kind: &str) -> &'static str {
    match kind {
        "docker" => {
            "start the container as root with `--security-opt systempaths=unconfined`, or measure on the host"
        }
        "podman" => {
            "start the container with sudo and `--security-opt unmask=/sys/devices/virtual/powercap`, or measure on the host"
        }
        "kubernetes" => {
            "set `privileged: true` in the container's securityContext, or measure on the node itself"
        }
        _ => "show /sys/devices/virtual/powercap to the container, or measure on the host",
    }
}

fn zones(folder: &Path) -> Vec<Zone> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut zones: Vec<Zone> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let file_name = entry.file_name().into_string().ok()?;
            let (class, _) = file_name.split_once(':')?;
            let mapped = class == "intel-rapl-mmio";
            if !mapped && class != "intel-rapl" {
                return None;
            }
            let path = entry.path();
            let name = machine::line(&path.join("name"))?;
            Some(Zone { entry: file_name, name, mapped, path })
        })
        .collect();
    zones.sort_by(|a, b| a.entry.cmp(&b.entry));
    zones
}

/// What a zone is for: its domain and whether it counts; `None` where it is not read.
fn role(zone: &Zone, all: &[Zone]) -> Option<(Domain, bool)> {
    let twin = || all.iter().any(|other| !other.mapped && full_name(other, all) == full_name(zone, all));
    if zone.mapped && twin() {
        return None;
    }
    match zone.name.as_str() {
        name if name.starts_with("package") => Some((Domain::Cpu, true)),
        "dram" => Some((Domain::Ram, true)),
        "psys" => Some((Domain::Node, true)),
        _ => None,
    }
}

/// `package-0`, or `package-0:dram` for a zone within another.
fn full_name(zone: &Zone, all: &[Zone]) -> String {
    let parent =
        zone.entry.rsplit_once(':').and_then(|(parent, _)| all.iter().find(|other| other.entry == parent));
    match parent {
        Some(parent) => format!("{}:{}", parent.name, zone.name),
        None => zone.name.clone(),
    }
}

fn channel(zone: &Zone, all: &[Zone], domain: Domain, counts: bool) -> Channel {
    let name = full_name(zone, all);
    let wrap_microjoules = read_number(&zone.path.join("max_energy_range_uj")).ok();
    let source = match zone.mapped {
        true => "RAPL counter (memory-mapped)",
        false => "RAPL counter",
    };
    let scope = match domain {
        Domain::Ram => Scope::Memory,
        Domain::Node => Scope::Platform,
        _ => Scope::Package,
    };
    Channel {
        name: format!("{NAME}:{name}"),
        domain,
        device: name.clone(),
        device_id: format!("{NAME}:{name}"),
        kind: ChannelKind::Counter { wrap_microjoules },
        provenance: Provenance::Measured,
        source: source.to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts,
        instrument: Instrument { gain_source: GainSource::Published, ..Instrument::of(scope) },
    }
}

/// Reads a file that holds a number, without an allocation where it does.
fn read_number(file: &Path) -> Result<u64, Error> {
    // Longer than any number of 64 bits with its end of line.
    let mut text = [0_u8; 32];
    let mut length = 0;
    let mut open = fs::File::open(file)?;
    while length < text.len() {
        match open.read(&mut text[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let text = String::from_utf8_lossy(&text[..length]);
    text.trim()
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidData, format!("`{}` is no number", text.trim())))
}

/// Reason and remedy for a counter that cannot be read.
fn refusal(file: &Path, error: &Error, container: Option<&str>) -> (String, String) {
    let reason = match error.kind() {
        ErrorKind::PermissionDenied => format!("no permission to read {}", file.display()),
        _ => format!("{} cannot be read: {error}", file.display()),
    };
    let place = if container.is_some() { "on the host " } else { "" };
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "run as root, or until the next boot {place}`sudo chmod a+r /sys/class/powercap/*/energy_uj`, or for good \
             {place}`{RULE}`; the kernel hides these counters since they can leak secrets between users"
        ),
        _ => String::new(),
    };
    (reason, remedy)
}

struct Rapl {
    channels: Vec<Channel>,
    files: Vec<PathBuf>,
    probed: bool,
}

impl Rapl {
    /// Reads what can be read; files that are gone do not keep the others from being read.
    fn read_once(files: &[PathBuf], out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let mut failed = Vec::new();
        for (position, file) in files.iter().enumerate() {
            match read_number(file) {
                Ok(value) => out(position, value),
                Err(error) => failed.push(format!("{}: {error}", file.display())),
            }
        }
        match failed.first() {
            None => Ok(()),
            Some(message) if failed.len() == files.len() => Err(ReadFault::Gone(message.clone())),
            Some(message) => Err(ReadFault::Transient(message.clone())),
        }
    }
}

impl EnergySource for Rapl {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let files = &self.files;
        if !std::mem::replace(&mut self.probed, true) {
            let counters: Vec<usize> = (0..files.len()).collect();
            burst(&PROBE, &counters, out, |out| Self::read_once(files, out))?;
        }
        Self::read_once(files, out)
    }
}
