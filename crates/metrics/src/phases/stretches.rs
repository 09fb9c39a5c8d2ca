//! When each stretch of a run began and ended.
//!
//! What is steady, the load's own figures say (`load::steady`). Ramp, steady part and drain tile the load. Refuses to know what was drawn in them.

use ai_energy_core::RunRecord;
use ai_energy_core::record::{Phase, PhaseKind};
use ai_energy_core::summary::Stretch;

use crate::integrate::Window;
use crate::load::steady::steady;

/// The stretches of a run by their begin, without those of no length.
pub fn stretches(record: &RunRecord) -> Vec<(Stretch, Window)> {
    let mut found = Vec::new();
    for phase in &record.phases {
        let stretch = match phase.kind {
            PhaseKind::IdleBefore => Stretch::IdleBefore,
            PhaseKind::Warmup => Stretch::Warmup,
            PhaseKind::Cooldown => Stretch::Cooldown,
            PhaseKind::IdleAfter => Stretch::IdleAfter,
            PhaseKind::Load => {
                found.push((Stretch::Load, Window { start: phase.start, end: phase.end }));
                found.extend(parts_of_load(record, *phase));
                continue;
            }
            // Told with the load's other parts, which it completes.
            PhaseKind::Drain => continue,
        };
        found.push((stretch, Window { start: phase.start, end: phase.end }));
    }
    found.retain(|(_, window)| window.end > window.start);
    found
}

fn parts_of_load(record: &RunRecord, load: Phase) -> [(Stretch, Window); 3] {
    let drain =
        record.phase(PhaseKind::Drain).map_or(load.end, |drain| drain.start.clamp(load.start, load.end));
    let whole = Window { start: load.start, end: load.end };
    // Where nothing was steady, all up to the drain is ramp.
    let full = steady(record, whole).bounds.map_or(drain, |steady| steady.start.clamp(load.start, drain));
    [
        (Stretch::Ramp, Window { start: load.start, end: full }),
        (Stretch::Steady, Window { start: full, end: drain }),
        (Stretch::Drain, Window { start: drain, end: load.end }),
    ]
}
