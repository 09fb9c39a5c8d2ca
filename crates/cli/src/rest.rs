//! What is left of a load that was interrupted: the requests that have not ended, in their planned order.
//!
//! Requests are known by their numbers, which follow from plan and seed. A load of a known number of requests goes on with
//! those that are missing; planned instants are counted from the first missing one. A closed loop that lasts a time goes on
//! for the time that is left. Refuses loads of which it is not certain where they stood.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ai_energy_core::load::{Arrivals, LoadPlan, Step, instants, trace_instants};
use ai_energy_core::record::RequestRecord;
use ai_energy_core::{Fault, FaultKind, FormattedPrompt, PhaseKind};
use ai_energy_reporters::journal::request_number;

/// A rest shorter than this is none: it would send a request or two more than planned.
const SHORTEST_SECONDS: f64 = 0.01;

/// What is left to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// The plan of it; its steps have their places in the whole plan.
    pub plan: LoadPlan,
    /// The prompts of it, in order.
    pub prompts: Vec<Arc<FormattedPrompt>>,
    /// The planned instants of the prompts, for steps that have such; as long as `prompts`, or empty.
    pub timeline: Vec<Duration>,
    /// The numbers of the requests within the whole run; empty where they are counted on.
    pub numbers: Vec<usize>,
    /// The first number where they are counted on.
    pub first_number: usize,
}

/// The load that was to be run.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// Its plan.
    pub plan: &'a LoadPlan,
    /// Its prompts.
    pub prompts: &'a [Arc<FormattedPrompt>],
    /// The instants of a trace; empty without one.
    pub timeline: &'a [Duration],
    /// Whether prompts begin conversations.
    pub conversations: bool,
}

/// What is left of `whole` after `ended`, the last attempt at each request. `None` where nothing is. With `retry_failed` a
/// failed request has not ended.
///
/// # Errors
/// The load cannot be taken up in its middle.
pub fn rest(whole: Whole<'_>, ended: &[RequestRecord], retry_failed: bool) -> Result<Option<Rest>, Fault> {
    if whole.conversations {
        return Err(refusal("its conversations cannot be taken up in their middle"));
    }
    let measured: Vec<Step> = whole.plan.measured().map(|(_, step)| step).collect();
    if measured.iter().all(is_timed) && !measured.is_empty() {
        return Ok(timed(whole, ended));
    }
    let uncertain = |step: &Step| !step.is_open() && step.duration_seconds.is_some();
    if measured.iter().any(uncertain) {
        return Err(refusal(
            "a closed loop that lasts a time stands beside other steps or changes its concurrency: where it stood is not \
             certain",
        ));
    }
    Ok(counted(whole, ended, retry_failed))
}

fn refusal(cause: &str) -> Fault {
    Fault::new(FaultKind::Usage, "--resume", cause)
        .remedy("run it anew; `summarize` gives the figures so far")
}

/// A closed loop that lasts a time, the same all along.
fn is_timed(step: &Step) -> bool {
    matches!(step.arrivals, Arrivals::Closed { from: None, .. })
        && step.duration_seconds.is_some()
        && step.requests.is_none()
}

/// The missing requests of steps whose requests are known by number.
fn counted(whole: Whole<'_>, ended: &[RequestRecord], retry_failed: bool) -> Option<Rest> {
    let done: BTreeSet<usize> = ended
        .iter()
        .filter(|request| request.succeeded() || (request.failed() && !retry_failed))
        .filter_map(|request| request_number(&request.id))
        .collect();
    let mut left = Rest {
        plan: LoadPlan { steps: Vec::new(), ..whole.plan.clone() },
        prompts: Vec::new(),
        timeline: Vec::new(),
        numbers: Vec::new(),
        first_number: 0,
    };
    let mut taken = 0;
    for (place, step) in whole.plan.steps().into_iter().enumerate() {
        if step.kind != PhaseKind::Load {
            left.plan.steps.push(step);
            continue;
        }
        let unsent = whole.prompts.len().saturating_sub(taken);
        let planned = match step.arrivals {
            Arrivals::Trace => trace_instants(&step, whole.timeline.get(taken..).unwrap_or_default()),
            _ => instants(&step, whole.plan.seed, place, unsent),
        };
        let count = if step.is_open() { planned.len() } else { step.requests.unwrap_or(unsent) };
        let missing: Vec<usize> = (0..count).filter(|number| !done.contains(&(taken + number))).collect();
        for number in &missing {
            let at = (taken + number).checked_rem(whole.prompts.len())?;
            left.prompts.push(Arc::clone(&whole.prompts[at]));
            left.timeline.push(planned.get(*number).copied().unwrap_or_default());
            left.numbers.push(taken + number);
        }
        taken += count;
        left.plan.steps.push(Step {
            arrivals: if step.is_open() { Arrivals::Trace } else { step.arrivals },
            requests: Some(missing.len()),
            duration_seconds: None,
            pause_seconds: if missing.is_empty() { 0.0 } else { step.pause_seconds },
            ..step
        });
    }
    (!left.prompts.is_empty()).then_some(left)
}

/// The time that is left of steps that last a time.
fn timed(whole: Whole<'_>, ended: &[RequestRecord]) -> Option<Rest> {
    let reached = ended.iter().map(|request| request.offer.step).max();
    let mut steps = whole.plan.steps();
    let mut left_over = false;
    for (place, step) in steps.iter_mut().enumerate().filter(|(_, step)| step.kind == PhaseKind::Load) {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let duration = step.duration_seconds.unwrap_or(0.0);
        let seconds = match reached {
            Some(reached) if place < reached => 0.0,
            Some(reached) if place == reached => duration - elapsed(ended, place),
            _ => duration,
        };
        let seconds = if seconds < SHORTEST_SECONDS { 0.0 } else { seconds };
        left_over |= seconds > 0.0;
        step.duration_seconds = Some(seconds);
        if seconds == 0.0 {
            step.pause_seconds = 0.0;
        }
    }
    let last = ended.iter().filter_map(|request| request_number(&request.id)).max();
    let first_number = last.map_or(0, |last| last + 1);
    let mut prompts = whole.prompts.to_vec();
    let turn = first_number.checked_rem(prompts.len())?;
    prompts.rotate_left(turn);
    left_over.then_some(Rest {
        plan: LoadPlan { steps, ..whole.plan.clone() },
        prompts,
        timeline: Vec::new(),
        numbers: Vec::new(),
        first_number,
    })
}

/// How long a step has lasted: from its first request's instant to its last one's end, breaks left out.
fn elapsed(ended: &[RequestRecord], place: u32) -> f64 {
    let of_step = || ended.iter().filter(|request| request.offer.step == place);
    let start = of_step().map(|request| request.scheduled).min();
    let end = of_step().map(|request| request.generation.end).max();
    start.zip(end).map_or(0.0, |(start, end)| end.seconds_since(start).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::prompt::PromptContent;
    use ai_energy_core::record::{ErrorClass, Generation, Offer, RequestError};
    use ai_energy_core::{LoadPlan, Stamp};

    fn prompts(count: usize) -> Vec<Arc<FormattedPrompt>> {
        let prompt = |index: usize| FormattedPrompt {
            index,
            ..FormattedPrompt::plain(PromptContent::Text(index.to_string()))
        };
        (0..count).map(|index| Arc::new(prompt(index))).collect()
    }

    fn ended(number: usize, step: u32, seconds: (f64, f64), class: Option<ErrorClass>) -> RequestRecord {
        let at = |seconds: f64| Stamp((seconds * 1e9) as u64);
        let error = class.map(|class| RequestError { class, message: String::new(), status: None });
        RequestRecord {
            id: format!("a-run-20261123-{number:06}"),
            prompt_index: number,
            scheduled: at(seconds.0),
            offer: Offer { step, ..Offer::default() },
            generation: Generation { end: at(seconds.1), error, ..Generation::default() },
        }
    }

    fn of<'a>(plan: &'a LoadPlan, prompts: &'a [Arc<FormattedPrompt>]) -> Whole<'a> {
        Whole { plan, prompts, timeline: &[], conversations: false }
    }

    fn indices(rest: &Rest) -> Vec<usize> {
        rest.prompts.iter().map(|prompt| prompt.index).collect()
    }

    #[test]
    fn a_closed_loop_goes_on_with_what_is_missing_and_retries_failures_only_when_asked() {
        let (plan, prompts) = (LoadPlan { concurrency: 2, ..LoadPlan::default() }, prompts(6));
        let seen = [
            ended(0, 0, (0.0, 1.0), None),
            ended(2, 0, (0.0, 1.0), Some(ErrorClass::Server)),
            ended(3, 0, (0.0, 1.0), Some(ErrorClass::Cancelled)),
        ];
        let left = rest(of(&plan, &prompts), &seen, false).unwrap().unwrap();
        assert_eq!((indices(&left), &left.numbers), (vec![1, 3, 4, 5], &vec![1, 3, 4, 5]));
        assert_eq!(left.plan.steps[0].requests, Some(4));
        let again = rest(of(&plan, &prompts), &seen, true).unwrap().unwrap();
        assert_eq!(again.numbers, [1, 2, 3, 4, 5]);
        let all: Vec<_> = (0..6).map(|number| ended(number, 0, (0.0, 1.0), None)).collect();
        assert_eq!(rest(of(&plan, &prompts), &all, true).unwrap(), None, "nothing is left");
    }

    #[test]
    fn an_open_loop_keeps_the_gaps_of_its_own_schedule() {
        let step = Step { requests: Some(8), ..Step::open(10.0) };
        let plan = LoadPlan { steps: vec![step.clone()], seed: 7, ..LoadPlan::default() };
        let prompts = prompts(5);
        let planned = instants(&step, 7, 0, 5);
        let seen: Vec<_> = [0, 1, 2, 4].map(|number| ended(number, 0, (0.0, 1.0), None)).to_vec();
        let left = rest(of(&plan, &prompts), &seen, false).unwrap().unwrap();
        assert_eq!(left.numbers, [3, 5, 6, 7]);
        assert_eq!(indices(&left), [3, 0, 1, 2], "prompts go round as they would have");
        assert_eq!(left.timeline, [planned[3], planned[5], planned[6], planned[7]]);
        let rebased = trace_instants(&left.plan.steps[0], &left.timeline);
        assert_eq!(rebased[0], Duration::ZERO);
        assert_eq!(rebased[3], planned[7] - planned[3]);
    }

    #[test]
    fn steps_keep_their_places_and_finished_ones_send_nothing() {
        let step = |requests| Step { requests: Some(requests), pause_seconds: 1.0, ..Step::closed(1) };
        let warm_up = Step { kind: PhaseKind::Warmup, ..step(1) };
        let plan = LoadPlan { steps: vec![warm_up, step(2), step(3)], ..LoadPlan::default() };
        let prompts = prompts(5);
        let seen: Vec<_> = [0, 1, 2].map(|number| ended(number, 1, (0.0, 1.0), None)).to_vec();
        let left = rest(of(&plan, &prompts), &seen, false).unwrap().unwrap();
        let requests: Vec<_> =
            left.plan.steps.iter().map(|step| (step.requests, step.pause_seconds)).collect();
        assert_eq!(
            requests,
            [(Some(1), 1.0), (Some(0), 0.0), (Some(2), 1.0)],
            "the server is warmed up again"
        );
        assert_eq!(left.numbers, [3, 4]);
    }

    #[test]
    fn a_timed_loop_goes_on_for_the_time_that_is_left() {
        let step = |seconds| Step { duration_seconds: Some(seconds), pause_seconds: 2.0, ..Step::closed(2) };
        let plan = LoadPlan { steps: vec![step(10.0), step(20.0), step(5.0)], ..LoadPlan::default() };
        let prompts = prompts(3);
        let seen = [
            ended(0, 0, (0.0, 10.5), None),
            ended(1, 1, (12.0, 14.0), None),
            ended(3, 1, (14.0, 17.0), Some(ErrorClass::Cancelled)),
        ];
        let left = rest(of(&plan, &prompts), &seen, false).unwrap().unwrap();
        let seconds: Vec<_> = left.plan.steps.iter().filter_map(|step| step.duration_seconds).collect();
        assert_eq!(seconds, [0.0, 15.0, 5.0]);
        assert_eq!((left.first_number, indices(&left)), (4, vec![1, 2, 0]));
        let over = [ended(9, 2, (0.0, 5.5), None)];
        assert_eq!(rest(of(&plan, &prompts), &over, false).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_taken_up_is_refused_with_its_reason() {
        let prompts = prompts(3);
        let timed = Step { duration_seconds: Some(5.0), ..Step::closed(2) };
        let mixed = LoadPlan { steps: vec![timed.clone(), Step::closed(1)], ..LoadPlan::default() };
        assert!(rest(of(&mixed, &prompts), &[], false).unwrap_err().cause.contains("not certain"));
        let ramp = Step { arrivals: Arrivals::Closed { concurrency: 4, from: Some(1) }, ..timed };
        let ramp = LoadPlan { steps: vec![ramp], ..LoadPlan::default() };
        assert!(rest(of(&ramp, &prompts), &[], false).is_err());
        let plan = LoadPlan::default();
        let talks = Whole { conversations: true, ..of(&plan, &prompts) };
        assert!(rest(talks, &[], false).unwrap_err().cause.contains("conversations"));
    }
}
