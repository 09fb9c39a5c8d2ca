//! Offers the load: follows the plan's steps, collects what ends, and stops when it has to.
//!
//! Refuses to know how a request is sent and what anything costs.

mod course;
mod driver;
mod pacer;
mod task;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Stop;
use crate::backend::{Backend, Tally};
use crate::clock::{Clock, Stamp};
use crate::load::Step;
use crate::observer::Observer;
use crate::phase::{Phase, PhaseKind};
use crate::plan::Plan;
use crate::prompt::{FollowUp, FormattedPrompt};
use crate::record::{Ending, RequestRecord};
use crate::store::StoredText;
use driver::Driver;

/// What the load holds beside its prompts. The default is nothing of it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Prompts of requests that are not measured, taken round and round; where there are none, the measured ones are.
    pub spare: Vec<Arc<FormattedPrompt>>,
    /// The instant of each prompt since the first, for steps that follow a trace.
    pub timeline: Vec<Duration>,
    /// What follows in the conversations that prompts begin, by [`FormattedPrompt::index`].
    pub follow_ups: HashMap<usize, Arc<[FollowUp]>>,
    /// The number of each measured request within the run, where a resumed run has not the first ones left; empty: they are
    /// counted on from `first_number`.
    pub numbers: Vec<usize>,
    /// The first measured request's number.
    pub first_number: usize,
}

/// What the load is made of.
pub(super) struct Offered {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) prompts: Vec<Arc<FormattedPrompt>>,
    pub(super) script: Script,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) tally: Arc<Tally>,
    pub(super) observers: Arc<[Arc<dyn Observer>]>,
}

/// What the load brought.
pub(super) struct Outcome {
    /// The measured requests in the order they ended.
    pub(super) requests: Vec<RequestRecord>,
    /// The others.
    pub(super) unmeasured: Vec<RequestRecord>,
    /// Texts whose tokens are still to be counted and that are not in memory, by their request's place among the measured.
    pub(super) texts: Vec<(usize, StoredText)>,
    /// When the first measured step began.
    pub(super) start: Stamp,
    /// When the load began to run out; `None` where some measured request was never sent.
    pub(super) drain: Option<Stamp>,
    /// The last end of a measured request.
    pub(super) end: Stamp,
    /// The cool-down, where there was one.
    pub(super) cool_down: Option<Phase>,
    pub(super) ending: Ending,
    /// Things the user should know.
    pub(super) warnings: Vec<String>,
}

impl Outcome {
    /// A load that never began.
    fn nothing(start: Stamp, ending: Ending) -> Self {
        Self {
            requests: Vec::new(),
            unmeasured: Vec::new(),
            texts: Vec::new(),
            start,
            drain: None,
            end: start,
            cool_down: None,
            ending,
            warnings: Vec::new(),
        }
    }
}

/// Sends what comes before the measured steps and waits for its end. `None` where the plan has no such step or the run is
/// stopped already.
pub(super) async fn warm_up(plan: &Plan, offered: &Offered) -> Option<(Phase, Outcome)> {
    let steps = part(plan, |kind| kind == PhaseKind::Warmup);
    if steps.is_empty() || offered.stop.is_cancelled() {
        return None;
    }
    let start = offered.clock.now();
    let expected = steps.iter().filter_map(|(_, step)| step.duration()).sum::<Duration>();
    for observer in offered.observers.iter() {
        observer.phase_started(PhaseKind::Warmup, start, expected);
    }
    let outcome = Driver::new(plan, offered).run(&steps).await;
    Some((Phase { kind: PhaseKind::Warmup, start, end: offered.clock.now() }, outcome))
}

/// Offers the measured steps and what follows them, then waits for the rest.
///
/// A warm-up that failed is the run's end: nothing is measured on a server that does not answer.
pub(super) async fn measured(plan: &Plan, offered: &Offered, warm_up: Option<&Outcome>) -> Outcome {
    if let Some(warm_up) = warm_up.filter(|warm_up| warm_up.ending != Ending::Complete) {
        let start = offered.clock.now();
        return Outcome::nothing(start, warm_up.ending.clone());
    }
    let steps = part(plan, |kind| kind != PhaseKind::Warmup);
    let start = offered.clock.now();
    let requests = planned_requests(plan, offered, &steps);
    for observer in offered.observers.iter() {
        observer.load_started(start, requests);
    }
    let outcome = Driver::new(plan, offered).run(&steps).await;
    for observer in offered.observers.iter() {
        observer.load_ended(outcome.end);
    }
    outcome
}

fn part(plan: &Plan, wanted: impl Fn(PhaseKind) -> bool) -> Vec<(usize, Step)> {
    plan.load.steps().into_iter().enumerate().filter(|(_, step)| wanted(step.kind)).collect()
}

/// How many measured requests are planned; 0 where the time decides.
fn planned_requests(plan: &Plan, offered: &Offered, steps: &[(usize, Step)]) -> usize {
    let mut left = offered.prompts.len();
    let mut planned = 0_usize;
    for (number, step) in steps.iter().filter(|(_, step)| step.kind == PhaseKind::Load) {
        let open = crate::load::instants(step, plan.load.seed, *number, left).len();
        let of_trace = if offered.script.timeline.is_empty() { None } else { Some(left) };
        let requests = match step.requests {
            _ if open > 0 => open,
            Some(requests) => requests,
            None if step.duration_seconds.is_none() => of_trace.unwrap_or(left),
            None => return 0,
        };
        left = left.saturating_sub(requests);
        planned += requests;
    }
    planned
}
