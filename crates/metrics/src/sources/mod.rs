//! Every energy source there is, in one list, and the look at the machine that goes through it.
//!
//! A new source is one file and one line in [`SOURCES`]. Sources are tried in order, instruments before models, and
//! each hears which domains already have a counting channel, so that a model never counts a joule that an instrument
//! counts. Refuses to fail: a source that is not there is reported with its reason and what would bring it.

mod cpu_model;
pub(crate) mod nvml;
mod probe;
mod ram_model;
mod rapl;

use ai_energy_core::energy::{Domain, EnergySource, SourceDiscovery, UnavailableSource};

use crate::machine;
use crate::options::{Options, Roots};

/// A kind of source.
pub struct SourceKind {
    /// Its name in options, records and lists.
    pub name: &'static str,
    /// What it measures.
    pub domains: &'static [Domain],
    /// One line for `list sources`.
    pub description: &'static str,
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
    SourceKind {
        name: nvml::NAME,
        domains: &[Domain::Gpu],
        description: "NVIDIA GPUs through NVML: the energy counter, with the power reading as a cross-check",
        discover: nvml::discover,
    },
    SourceKind {
        name: rapl::NAME,
        domains: &[Domain::Cpu, Domain::Ram],
        description: "processor packages and memory through RAPL counters (powercap)",
        discover: rapl::discover,
    },
    SourceKind {
        name: cpu_model::NAME,
        domains: &[Domain::Cpu],
        description: "an estimate from processor load, where no counter covers the processors",
        discover: cpu_model::discover,
    },
    SourceKind {
        name: ram_model::NAME,
        domains: &[Domain::Ram],
        description: "an estimate from the amount of memory, where no counter covers it",
        discover: ram_model::discover,
    },
];

/// Looks at the machine for every source that `options` select.
pub fn discover(options: &Options, roots: &Roots) -> SourceDiscovery {
    let mut discovery = SourceDiscovery::default();
    let (mut covered, mut whole_machine) = (Vec::new(), Vec::new());
    for kind in SOURCES.iter().filter(|kind| options.sources.includes(kind.name)) {
        let found = (kind.discover)(&Search { options, roots, covered: &covered });
        tracing::debug!(source = kind.name, found = found.source.is_some(), "looked for an energy source");
        if let Some(source) = &found.source {
            let counting = source.channels().iter().filter(|channel| channel.counts);
            covered.extend(counting.map(|channel| channel.domain));
        }
        discovery.sources.extend(found.source);
        discovery.unavailable.extend(found.unavailable);
        discovery.warnings.extend(found.warnings);
        whole_machine.extend(found.whole_machine);
    }
    discovery.warnings.extend(beyond_container(&whole_machine, roots));
    for kind in SOURCES.iter().filter(|kind| !options.sources.includes(kind.name)) {
        let open = kind.domains.iter().filter(|domain| !covered.contains(domain));
        discovery.unavailable.extend(open.map(|domain| not_selected(kind.name, *domain)));
    }
    discovery
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
