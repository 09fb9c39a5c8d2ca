//! What is known of a run beside a channel's readings: when nothing worked on the device, and when the machine slept.
//!
//! Refuses to know why: it holds moments alone.

use ai_energy_core::RunRecord;
use ai_energy_core::clock::Stamp;
use ai_energy_core::record::PhaseKind;

/// Moments that change how readings are to be taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Up to this moment the device idled, and no longer: the load began.
    pub idle_until: Option<Stamp>,
    /// From this moment on it idled: the load had ended.
    pub idle_from: Option<Stamp>,
    /// Stretches of the run's clock within which the machine slept; what counters counted in them is not of the run.
    pub sleeps: Vec<(Stamp, Stamp)>,
}

impl Known {
    /// What a record tells. A warm-up right before the load leaves no idling there, whatever came before it.
    pub fn of(record: &RunRecord) -> Self {
        let load = record.phase(PhaseKind::Load);
        let has = |kind| record.phase(kind).is_some();
        let sleeps = record.sampler.suspensions.iter().map(|sleep| (sleep.after, sleep.before));
        Self {
            idle_until: load
                .filter(|_| has(PhaseKind::IdleBefore) && !has(PhaseKind::Warmup))
                .map(|load| load.start),
            idle_from: load.filter(|_| has(PhaseKind::IdleAfter)).map(|load| load.end),
            sleeps: sleeps.collect(),
        }
    }

    /// Whether the machine slept between two neighbouring readings.
    pub(super) fn slept(&self, from: Stamp, to: Stamp) -> bool {
        self.sleeps.iter().any(|(after, before)| from < *before && to > *after)
    }
}
