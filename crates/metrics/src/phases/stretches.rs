//! When each stretch of a run began and ended.
//!
//! The steady part follows ML.ENERGY's rule: it begins when every slot holds a request that has its first token and ends
//! when only all but one do. Ramp, steady part and drain tile the load. Refuses to know what was drawn in them.

use ai_energy_core::RunRecord;
use ai_energy_core::clock::Stamp;
use ai_energy_core::record::{Phase, PhaseKind};
use ai_energy_core::summary::Stretch;

use crate::integrate::Window;

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
    let full = all_slots_busy(record).map_or(drain, |full| full.clamp(load.start, drain));
    [
        (Stretch::Ramp, Window { start: load.start, end: full }),
        (Stretch::Steady, Window { start: full, end: drain }),
        (Stretch::Drain, Window { start: drain, end: load.end }),
    ]
}

/// The first moment at which as many requests as there are slots have their first token and have not ended.
fn all_slots_busy(record: &RunRecord) -> Option<Stamp> {
    let mut events: Vec<(Stamp, i64)> = Vec::with_capacity(2 * record.requests.len());
    for request in &record.requests {
        let generation = &request.generation;
        // Without streaming the first token is not seen; then a slot counts as busy once its request is sent.
        if let Some(begin) = generation.first_token.or(generation.sent) {
            events.push((begin, 1));
            events.push((generation.end, -1));
        }
    }
    // At one moment ends come first: a slot that changes hands is not two.
    events.sort_unstable();
    let slots = i64::try_from(record.plan.load.concurrency.max(1)).ok()?;
    let mut busy = 0;
    events.into_iter().find_map(|(at, change)| {
        busy += change;
        (busy >= slots).then_some(at)
    })
}
