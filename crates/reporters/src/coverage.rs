//! What the total energy covers: a total without the GPU looks like any other number and must say so wherever it goes.
//!
//! Refuses to judge whether a partial total is of use.

use ai_energy_core::{Domain, Report};

/// The domains that make the total, in the order of reports. The node sees the same joules again and is none of them.
const TOTAL_DOMAINS: [Domain; 3] = [Domain::Gpu, Domain::Cpu, Domain::Ram];

/// The domains within the total and those that nothing measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Their energy is in the total.
    pub(crate) covers: Vec<Domain>,
    /// Their energy is not.
    pub(crate) lacks: Vec<Domain>,
}

impl Coverage {
    /// For example `GPU, RAM`: what the total lacks; `None` where it is whole.
    pub(crate) fn lacks_words(&self) -> Option<String> {
        let words: Vec<String> = self.lacks.iter().map(|domain| domain.word().to_uppercase()).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// What the run's total covers; `None` where there is no total.
pub(crate) fn coverage(report: Report<'_>) -> Option<Coverage> {
    report.summary.energy.total.value?;
    let known = |domain: &Domain| {
        report.summary.domain(*domain).is_some_and(|entry: &_| entry.energy.value.is_some())
    };
    let (covers, lacks) = TOTAL_DOMAINS.into_iter().partition(known);
    Some(Coverage { covers, lacks })
}

/// `true` where the energy of any domain is known.
pub(crate) fn any_energy(report: Report<'_>) -> bool {
    report.summary.energy.domains.iter().any(|entry| entry.energy.value.is_some())
}
