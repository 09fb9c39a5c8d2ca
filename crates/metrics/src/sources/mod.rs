//! Every energy source there is, in one list, and the look at the machine that goes through it.
//!
//! A new source is one file and one line in [`SOURCES`]. Sources are tried in order, instruments before models, and
//! each hears which domains already have a counting channel, so that a model never counts a joule that an instrument
//! counts. What counts in the end is decided in `topology.rs`, over all sources at once. Refuses to fail: a source that is not there is reported with its reason and what would bring it.

mod amd;
mod amdgpu;
mod background;
mod battery;
pub(crate) mod bounded;
mod cpu_model;
mod grace;
mod http;
mod ipmi;
mod jetson;
pub(crate) mod nvml;
#[cfg(target_os = "linux")]
mod perf;
mod placed;
mod powermetrics;
mod probe;
mod program;
mod prometheus;
mod ram_model;
mod rapl;
mod redfish;
mod rocm;
mod sysfs;
mod wall_meter;

use std::time::Duration;

use ai_energy_core::energy::{Channel, Domain, EnergySource, SourceDiscovery, UnavailableSource};

use crate::machine;
use crate::options::{Options, Roots};
use crate::topology::{self, Claim};
use placed::Placed;

pub use http::HttpOptions;
pub use ipmi::IpmiOptions;
pub use prometheus::{Preset, PrometheusOptions, PrometheusQuery, Unit};
pub use redfish::RedfishOptions;
pub use wall_meter::WallMeterOptions;

/// A kind of source.
pub struct SourceKind {
    /// Its name in options, records and lists.
    pub name: &'static str,
    /// What it measures.
    pub domains: &'static [Domain],
    /// One line for `list sources`.
    pub description: &'static str,
    /// `true` where most machines have it: then it is named where it is not selected.
    pub usual: bool,
    /// `true` where the look calls into a driver, which may never return: it is given up after
    /// [`Options::discovery_seconds`]. The others have limits of their own.
    pub asks_drivers: bool,
    /// Looks whether it is there.
    pub discover: fn(&Search<'_>) -> Found,
}

/// What a source gets to know while it is looked for.
pub struct Search<'a> {
    /// What the user set.
    pub options: &'a Options,
    /// Where to look.
    pub roots: &'a Roots,
    /// Domains for which an earlier source counts.
    pub covered: &'a [Domain],
}

/// What the look for one kind of source brought.
#[derive(Default)]
pub struct Found {
    /// A source to read.
    pub source: Option<Box<dyn EnergySource>>,
    /// What could have been there and is not.
    pub unavailable: Vec<UnavailableSource>,
    /// Things the user should know.
    pub warnings: Vec<String>,
    /// The domain whose estimate is of the whole machine though this is a container.
    pub whole_machine: Option<Domain>,
    /// Domains that the user gave to this source by its options: no other source counts for them, even where this one
    /// cannot be read.
    pub claims: Vec<Domain>,
}

impl Found {
    fn source(source: impl EnergySource + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..Self::default() }
    }

    fn unavailable(
        source: &str,
        domain: Domain,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { unavailable: vec![missing(source, domain, reason, remedy)], ..Self::default() }
    }
}

fn missing(
    source: &str,
    domain: Domain,
    reason: impl Into<String>,
    remedy: impl Into<String>,
) -> UnavailableSource {
    UnavailableSource { source: source.to_owned(), domain, reason: reason.into(), remedy: remedy.into() }
}

/// All kinds of sources in the order they are tried.
pub const SOURCES: &[SourceKind] = &[
    // Those that the user configures come first: what they measure is theirs.
    SourceKind {
        name: prometheus::NAME,
        domains: &[Domain::Gpu, Domain::Cpu, Domain::Ram, Domain::Node],
        description: "a Prometheus server: DCGM exporter, node_exporter, Kepler, any query; for other machines",
        usual: false,
        asks_drivers: false,
        discover: prometheus::discover,
    },
    SourceKind {
        name: wall_meter::NAME,
        domains: &[Domain::Node],
        description: "the whole machine at its socket, from the CSV file that a meter's program writes",
        usual: false,
        asks_drivers: false,
        discover: wall_meter::discover,
    },
    SourceKind {
        name: redfish::NAME,
        domains: &[Domain::Node],
        description: "the whole machine through its management controller's Redfish service",
        usual: false,
        asks_drivers: false,
        discover: redfish::discover,
    },
    SourceKind {
        name: ipmi::NAME,
        domains: &[Domain::Node],
        description: "the whole machine through its management controller, by ipmitool",
        usual: false,
        asks_drivers: false,
        discover: ipmi::discover,
    },
    SourceKind {
        name: nvml::NAME,
        domains: &[Domain::Gpu],
        description: "NVIDIA GPUs through NVML: the energy counter, with the power reading as a cross-check",
        usual: true,
        asks_drivers: true,
        discover: nvml::discover,
    },
    SourceKind {
        name: rocm::NAME,
        domains: &[Domain::Gpu],
        description: "AMD GPUs through ROCm SMI: the energy counter, with the power reading as a cross-check",
        usual: false,
        asks_drivers: true,
        discover: rocm::discover,
    },
    SourceKind {
        name: amdgpu::NAME,
        domains: &[Domain::Gpu],
        description: "AMD GPUs through the kernel driver's power reading (hwmon)",
        usual: false,
        asks_drivers: true,
        discover: amdgpu::discover,
    },
    SourceKind {
        name: jetson::NAME,
        domains: &[Domain::Gpu, Domain::Cpu, Domain::Ram, Domain::Node],
        description: "Jetson modules through their INA3221 power monitors",
        usual: false,
        asks_drivers: true,
        discover: jetson::discover,
    },
    SourceKind {
        name: grace::NAME,
        domains: &[Domain::Cpu, Domain::Node],
        description: "NVIDIA Grace sockets, memory included, through ACPI power meters",
        usual: false,
        asks_drivers: true,
        discover: grace::discover,
    },
    SourceKind {
        name: rapl::NAME,
        domains: &[Domain::Cpu, Domain::Ram],
        description: "processor packages and memory through RAPL counters (powercap)",
        usual: true,
        asks_drivers: true,
        discover: rapl::discover,
    },
    #[cfg(target_os = "linux")]
    SourceKind {
        name: perf::NAME,
        domains: &[Domain::Cpu, Domain::Ram],
        description: "the RAPL counters through performance events, where powercap cannot be read",
        usual: false,
        asks_drivers: true,
        discover: perf::discover,
    },
    SourceKind {
        name: powermetrics::NAME,
        domains: &[Domain::Cpu, Domain::Gpu, Domain::Ram],
        description: "Apple silicon through macOS' powermetrics",
        usual: false,
        asks_drivers: false,
        discover: powermetrics::discover,
    },
    SourceKind {
        name: battery::NAME,
        domains: &[Domain::Node],
        description: "the whole machine by its batteries, while they discharge",
        usual: false,
        asks_drivers: true,
        discover: battery::discover,
    },
    SourceKind {
        name: cpu_model::NAME,
        domains: &[Domain::Cpu],
        description: "an estimate from processor load, where no counter covers the processors",
        usual: true,
        asks_drivers: false,
        discover: cpu_model::discover,
    },
    SourceKind {
        name: ram_model::NAME,
        domains: &[Domain::Ram],
        description: "an estimate from the amount of memory, where no counter covers it",
        usual: true,
        asks_drivers: false,
        discover: ram_model::discover,
    },
];

/// `true` where the channel is of a source that the user set to a machine of their choice: it may see a server that runs
/// elsewhere. All others see the machine that this program runs on.
pub(crate) fn sees_the_users_choice(channel: &Channel) -> bool {
    let source = channel.name.split(':').next().unwrap_or_default();
    let always = [prometheus::NAME, redfish::NAME, wall_meter::NAME].contains(&source);
    always || (source == ipmi::NAME && channel.device_id != ipmi::THIS_MACHINE)
}

/// Looks at the machine for every source that `options` select.
pub fn discover(options: &Options, roots: &Roots) -> SourceDiscovery {
    let mut discovery = SourceDiscovery::default();
    let (mut covered, mut whole_machine, mut claims) = (Vec::new(), Vec::new(), Vec::<Claim>::new());
    for kind in SOURCES.iter().filter(|kind| options.sources.includes(kind.name)) {
        let found = look(kind, options, roots, &covered);
        tracing::debug!(source = kind.name, found = found.source.is_some(), "looked for an energy source");
        if let Some(source) = &found.source {
            let counting = source.channels().iter().filter(|channel| channel.counts);
            covered.extend(
                counting
                    .flat_map(|channel| channel.instrument.contains.iter().copied().chain([channel.domain])),
            );
        }
        let position = found.source.as_ref().map(|_| discovery.sources.len());
        covered.extend(&found.claims);
        claims.extend(found.claims.into_iter().map(|domain| (domain, position)));
        discovery.sources.extend(found.source);
        discovery.unavailable.extend(found.unavailable);
        discovery.warnings.extend(found.warnings);
        whole_machine.extend(found.whole_machine);
    }
    discovery.sources = place(discovery.sources, &claims, options);
    discovery.warnings.extend(beyond_container(&whole_machine, roots));
    let unselected = |kind: &&SourceKind| kind.usual && !options.sources.includes(kind.name);
    for kind in SOURCES.iter().filter(unselected) {
        let open = kind.domains.iter().filter(|domain| !covered.contains(domain));
        discovery.unavailable.extend(open.map(|domain| not_selected(kind.name, *domain)));
    }
    discovery
}

/// Looks for one kind of source; a driver that does not answer in time costs its source, not the run.
fn look(kind: &'static SourceKind, options: &Options, roots: &Roots, covered: &[Domain]) -> Found {
    if !kind.asks_drivers {
        return (kind.discover)(&Search { options, roots, covered });
    }
    let limit = Duration::try_from_secs_f64(options.discovery_seconds).unwrap_or(bounded::LIMIT);
    let (theirs, places, before) = (options.clone(), roots.clone(), covered.to_vec());
    let looked = bounded::within(kind.name, roots, limit, move || {
        (kind.discover)(&Search { options: &theirs, roots: &places, covered: &before })
    });
    looked.unwrap_or_else(|unanswered| {
        let open = kind.domains.iter().filter(|domain| !covered.contains(domain));
        let said = open.map(|domain| missing(kind.name, *domain, unanswered.to_string(), bounded::REMEDY));
        Found { unavailable: said.collect(), ..Found::default() }
    })
}

/// The sources with what counts decided over all of them, and with the user's calibrations.
fn place(
    sources: Vec<Box<dyn EnergySource>>,
    claims: &[Claim],
    options: &Options,
) -> Vec<Box<dyn EnergySource>> {
    let channels: Vec<_> = sources.iter().map(|source| source.channels().to_vec()).collect();
    let decided = topology::decide(&channels, claims);
    let gain = |device: &str| options.gains.get(device);
    let placed = sources.into_iter().zip(decided);
    placed
        .map(|(source, counts)| Box::new(Placed::new(source, &counts, gain)) as Box<dyn EnergySource>)
        .collect()
}

/// Says once for all domains that their estimate is of more than this container.
fn beyond_container(domains: &[Domain], roots: &Roots) -> Option<String> {
    let kind = machine::container(roots).filter(|_| !domains.is_empty())?;
    let words: Vec<String> = domains.iter().map(|domain| domain.word().to_uppercase()).collect();
    let whole = machine::word(roots);
    Some(format!(
        "this is a container ({kind}): estimated {} energy is the whole {whole}'s",
        words.join(" and ")
    ))
}

fn not_selected(name: &str, domain: Domain) -> UnavailableSource {
    missing(name, domain, "not among the selected sources", format!("add `{name}` to metrics.sources"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_keeps_its_laws() {
        let mut names: Vec<&str> = SOURCES.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SOURCES.len(), "names are unique");
        for kind in SOURCES {
            assert!(!kind.domains.is_empty() && !kind.description.is_empty(), "{}", kind.name);
        }
    }
}
