//! A step under way: what is due, how many may be in flight, and when it is over. Refuses to know requests and tasks.

use std::collections::VecDeque;
use std::time::Duration;

use super::pacer::{Pacer, after};
use crate::clock::{Clock, Stamp};
use crate::load::{Arrivals, LoadPlan, Step, bounds, instants, trace_instants};

/// When a request was to be sent, and when it was free to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) scheduled: Stamp,
    pub(super) admitted: Stamp,
}

/// A step under way.
pub(super) struct Course {
    clock: Clock,
    begin: Stamp,
    /// No request begins at or after it.
    end: Option<Stamp>,
    /// Requests still to be started, where their number is known; planned ones are counted by their instants.
    left: Option<usize>,
    /// The rest of an open step's instants; `None` in a closed loop and after the last one.
    pacer: Option<Pacer>,
    /// Planned instants that have come and whose requests wait for room.
    due: VecDeque<Stamp>,
    open: bool,
    bound: Option<usize>,
    /// Later bounds with their instants.
    changes: VecDeque<(Stamp, usize)>,
    /// When each free slot became free.
    freed: VecDeque<Stamp>,
    /// When the bound last rose.
    raised: Stamp,
}

impl Course {
    /// Begins a step now. `left` are the prompts that have not been sent yet, and `timeline` their instants where they have
    /// such.
    pub(super) fn begin(
        clock: Clock,
        plan: &LoadPlan,
        number: usize,
        step: &Step,
        left: usize,
        timeline: &[Duration],
    ) -> Self {
        let planned = match step.arrivals {
            Arrivals::Trace => trace_instants(step, timeline),
            _ => instants(step, plan.seed, number, left),
        };
        let begin = clock.now();
        let (bound, changes) = bounds(step);
        let counted = step.requests.or_else(|| step.duration_seconds.is_none().then_some(left));
        Self {
            clock,
            begin,
            end: step.duration().map(|duration| after(begin, duration)),
            left: if step.is_open() { None } else { counted },
            pacer: step.is_open().then(|| Pacer::start(clock, begin, planned)),
            due: VecDeque::new(),
            open: step.is_open(),
            bound,
            changes: changes.into_iter().map(|(at, bound)| (after(begin, at), bound)).collect(),
            freed: VecDeque::new(),
            raised: begin,
        }
    }

    /// When it began.
    pub(super) fn began(&self) -> Stamp {
        self.begin
    }

    /// The next request that is free to go with so many in flight, if there is one.
    pub(super) fn admit(&mut self, in_flight: usize) -> Option<Turn> {
        if self.bound.is_some_and(|bound| in_flight >= bound) {
            return None;
        }
        if self.open {
            let scheduled = self.due.pop_front()?;
            // A slot that was free before the request came has not made it wait.
            let freed = self.bound.and_then(|_| self.freed.pop_front()).unwrap_or(scheduled);
            return Some(Turn { scheduled, admitted: freed.max(scheduled) });
        }
        let begins = self.left != Some(0) && self.end.is_none_or(|end| self.clock.now() < end);
        if !begins {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        let scheduled = self.freed.pop_front().unwrap_or(self.raised).max(self.begin);
        Some(Turn { scheduled, admitted: scheduled })
    }

    /// A request ended at `at`, with so many still in flight.
    pub(super) fn ended(&mut self, at: Stamp, in_flight: usize) {
        if self.bound.is_none_or(|bound| in_flight < bound) {
            self.freed.push_back(at);
        }
        if self.open {
            // Only the latest slots matter: whoever waits takes the one that has just become free.
            while self.freed.len() > 1 {
                self.freed.pop_front();
            }
        }
    }

    /// `true` where no request will come any more.
    pub(super) fn over(&self) -> bool {
        if self.open {
            return self.pacer.is_none() && self.due.is_empty();
        }
        self.left == Some(0) || self.end.is_some_and(|end| self.clock.now() >= end)
    }

    /// Waits until something changes by time alone: an instant comes, the bound changes, the step ends.
    pub(super) async fn change(&mut self) {
        let next = self.changes.front().map(|(at, _)| *at);
        let wake = match (next, self.end.filter(|_| !self.open)) {
            (Some(change), Some(end)) => Some(change.min(end)),
            (change, end) => change.or(end),
        };
        let clock = self.clock;
        let timer = async move {
            match wake {
                Some(at) => tokio::time::sleep_until(clock.instant(at).into()).await,
                None => std::future::pending().await,
            }
        };
        let planned = async {
            match &mut self.pacer {
                Some(pacer) => pacer.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            due = planned => match due {
                Some(at) => self.due.push_back(at),
                None => self.pacer = None,
            },
            () = timer => self.rise(),
        }
    }

    /// Takes the bounds whose instants have come.
    fn rise(&mut self) {
        let now = self.clock.now();
        while let Some((at, bound)) = self.changes.front().copied().filter(|(at, _)| *at <= now) {
            self.changes.pop_front();
            self.raised = at;
            self.bound = Some(bound);
        }
    }
}
