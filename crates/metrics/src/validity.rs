//! Whether the energy figures can be relied on: a fixed list of checks over the record and what was computed from it.
//!
//! Each check always answers, if only that it could not look. Refuses to change a figure: it says what to think of them.

mod device;
mod host;
mod instrument;
mod parts;

use ai_energy_core::RunRecord;
use ai_energy_core::energy::GpuSample;
use ai_energy_core::figure::Provenance;
use ai_energy_core::summary::{Counts, DomainEnergy, Health, IdlePower, Validity, ValidityCheck, Verdict};

use crate::energy::ChannelResult;
use crate::integrate::Window;

/// What checks look at.
pub(crate) struct Look<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) window: Option<Window>,
    pub(crate) counts: &'a Counts,
    pub(crate) results: &'a [ChannelResult<'a>],
    pub(crate) domains: &'a [DomainEnergy],
    pub(crate) idle: &'a [IdlePower],
    pub(crate) health: &'a Health,
    /// `true` where two channels of one device disagree beyond their intervals.
    pub(crate) disagreement: Option<String>,
}

impl Look<'_> {
    /// The GPUs' states within the load; those next to it where the load was shorter than a look.
    pub(crate) fn gpu_samples(&self) -> Vec<&GpuSample> {
        let within = |sample: &&GpuSample| {
            self.window.is_some_and(|window| sample.at >= window.start && sample.at <= window.end)
        };
        self.record.gpu_samples.iter().filter(within).collect()
    }
}

/// What a check found, before it has its name.
pub(crate) struct Found {
    verdict: Verdict,
    detail: String,
    remedy: &'static str,
}

impl Found {
    fn ok(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, detail: detail.into(), remedy: "" }
    }

    fn warning(detail: impl Into<String>, remedy: &'static str) -> Self {
        Self { verdict: Verdict::Warning, detail: detail.into(), remedy }
    }

    fn invalid(detail: impl Into<String>, remedy: &'static str) -> Self {
        Self { verdict: Verdict::Invalid, detail: detail.into(), remedy }
    }

    fn unknown(detail: impl Into<String>, remedy: &'static str) -> Self {
        Self { verdict: Verdict::Unknown, detail: detail.into(), remedy }
    }
}

/// A check: its name in reports, and what makes it.
type Check = (&'static str, fn(&Look<'_>) -> Found);

/// Every check, in the order of reports.
pub(crate) const CHECKS: [Check; 18] = [
    ("energy_source", energy_source),
    ("requests", requests),
    ("breaks", breaks),
    ("window_length", instrument::window_length),
    ("sampling", instrument::sampling),
    ("counter_against_power", instrument::counter_against_power),
    ("node_against_parts", parts::node_against_parts),
    ("suspension", instrument::suspension),
    ("sampler_cost", instrument::sampler_cost),
    ("idle_drift", instrument::idle_drift),
    ("throttling", device::throttling),
    ("clocks", device::clocks),
    ("power_limit", device::power_limit),
    ("other_processes", device::other_processes),
    ("temperature", device::temperature),
    ("server_host", host::server_host),
    ("client", host::client),
    ("client_bound", host::client_bound),
];

/// Makes every check.
pub(crate) fn validity(look: &Look<'_>) -> Validity {
    let check = |(name, check): &Check| {
        let Found { verdict, detail, remedy } = check(look);
        ValidityCheck { name: (*name).to_owned(), verdict, detail, remedy: remedy.to_owned() }
    };
    let checks: Vec<ValidityCheck> = CHECKS.iter().map(check).collect();
    Validity { verdict: overall(&checks), checks }
}

/// The worst of what is known; unknown only where there is no energy to be judged.
fn overall(checks: &[ValidityCheck]) -> Verdict {
    let any = |verdict| checks.iter().any(|check| check.verdict == verdict);
    let energy = checks.iter().find(|check| check.name == "energy_source").map(|check| check.verdict);
    if any(Verdict::Invalid) {
        Verdict::Invalid
    } else if energy == Some(Verdict::Unknown) {
        Verdict::Unknown
    } else if any(Verdict::Warning) {
        Verdict::Warning
    } else {
        Verdict::Ok
    }
}

/// Whether the run was interrupted and resumed.
fn breaks(look: &Look<'_>) -> Found {
    let segments = &look.record.segments;
    if segments.len() < 2 {
        return Found::ok("the run had no break");
    }
    let known: Option<f64> = segments.iter().skip(1).map(|segment| segment.break_seconds).sum();
    let length = known.map_or("unknown length".to_owned(), |seconds| format!("{seconds:.1} s in all"));
    Found::warning(
        format!(
            "the run was resumed: {} segments, breaks of {length}; caches, clocks and temperatures began anew in each",
            segments.len()
        ),
        "run it in one piece for a figure that others are held against",
    )
}

fn energy_source(look: &Look<'_>) -> Found {
    if look.record.synthetic {
        return Found::invalid(
            "a part of the run was a fake or a simulator",
            "run a real server on a machine with energy counters",
        );
    }
    let words = |wanted: fn(Provenance) -> bool| {
        let entries = look.domains.iter().filter(|entry| entry.energy.value.is_some());
        let known = entries.filter(|entry| wanted(entry.energy.provenance));
        known.map(|entry| entry.domain.word().to_uppercase()).collect::<Vec<_>>().join(", ")
    };
    let measured = words(|provenance| provenance <= Provenance::Derived);
    let modelled = words(|provenance| provenance == Provenance::Estimated);
    match (measured.is_empty(), modelled.is_empty()) {
        (true, true) => {
            Found::unknown("no energy is known", "see what each source lacks under unavailable_sources")
        }
        (true, false) => Found::warning(
            format!("no instrument measured anything: {modelled} energy is a model"),
            "give this user access to an energy counter",
        ),
        (false, true) => Found::ok(format!("{measured} measured")),
        (false, false) => Found::ok(format!("{measured} measured, {modelled} modelled")),
    }
}

fn requests(look: &Look<'_>) -> Found {
    let Counts { total, successful, failed, cancelled, .. } = look.counts;
    if *successful == 0 {
        return Found::invalid("no request succeeded", "see the errors in requests.jsonl");
    }
    if failed + cancelled > 0 {
        return Found::warning(
            format!(
                "{failed} of {total} requests failed and {cancelled} were cancelled; what they drew is in the figures"
            ),
            "run again without failures",
        );
    }
    Found::ok(format!("all {total} requests succeeded"))
}
