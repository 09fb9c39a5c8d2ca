//! Offers the load: a closed loop that keeps a number of requests in flight.
//!
//! Refuses to know how a request is sent; it schedules, collects and stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::Stop;
use crate::backend::{Backend, Request, Tally};
use crate::clock::{Clock, Stamp};
use crate::observer::Observer;
use crate::plan::Plan;
use crate::prompt::{FormattedPrompt, GenerationParams};
use crate::record::{Ending, ErrorClass, Generation, RequestError, RequestRecord};

/// What the load is made of.
pub(super) struct Offered {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) prompts: Vec<Arc<FormattedPrompt>>,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) tally: Arc<Tally>,
    pub(super) observers: Arc<[Arc<dyn Observer>]>,
}

/// What the load brought.
pub(super) struct Outcome {
    pub(super) requests: Vec<RequestRecord>,
    /// The first planned instant.
    pub(super) start: Stamp,
    /// When the first slot stayed free because nothing was left to send; `None` where some prompt was never sent.
    pub(super) drain: Option<Stamp>,
    /// The last end.
    pub(super) end: Stamp,
    pub(super) ending: Ending,
}

/// The state of a closed loop between two completions.
struct ClosedLoop<'a> {
    plan: &'a Plan,
    offered: Offered,
    params: Arc<GenerationParams>,
    /// Cancelled to end what is in flight: by the caller's stop or by too many failures.
    abort: Stop,
    running: JoinSet<Generation>,
    /// What is known of each running request, by its task.
    started: HashMap<Id, Started>,
    next: usize,
    failures_in_a_row: u32,
    ending: Ending,
}

/// A request that is running.
struct Started {
    id: String,
    prompt_index: usize,
    scheduled: Stamp,
}

/// How long a backend may take to return what it saw after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// Keeps `plan.load.concurrency` requests in flight until every prompt has been sent, then waits for the rest.
pub(super) async fn closed_loop(plan: &Plan, offered: Offered) -> Outcome {
    let start = offered.clock.now();
    for observer in offered.observers.iter() {
        observer.load_started(start, offered.prompts.len());
    }
    let mut state = ClosedLoop {
        params: Arc::new(plan.generation.clone()),
        abort: offered.stop.child_token(),
        plan,
        offered,
        running: JoinSet::new(),
        started: HashMap::new(),
        next: 0,
        failures_in_a_row: 0,
        ending: Ending::Complete,
    };
    let mut requests = Vec::with_capacity(state.offered.prompts.len());
    state.fill();
    let mut drain = None;
    while let Some(record) = state.next_ended().await {
        state.judge(&record);
        if state.next == state.offered.prompts.len() {
            drain.get_or_insert(record.generation.end);
        }
        state.fill();
        for observer in state.offered.observers.iter() {
            observer.request_ended(&record);
        }
        requests.push(record);
    }
    // A stop that comes when everything is done interrupts nothing.
    let cut_short = state.next < state.offered.prompts.len() || requests.iter().any(RequestRecord::cancelled);
    if state.offered.stop.is_cancelled() && cut_short && state.ending == Ending::Complete {
        state.ending = Ending::Interrupted;
    }
    let end = requests.iter().map(|record| record.generation.end).max().unwrap_or(start);
    for observer in state.offered.observers.iter() {
        observer.load_ended(end);
    }
    Outcome { requests, start, drain, end, ending: state.ending }
}

impl ClosedLoop<'_> {
    /// Starts requests up to the concurrency.
    fn fill(&mut self) {
        while self.running.len() < self.plan.load.concurrency.max(1)
            && self.next < self.offered.prompts.len()
            && !self.abort.is_cancelled()
        {
            self.start_one();
        }
    }

    fn start_one(&mut self) {
        let prompt = Arc::clone(&self.offered.prompts[self.next]);
        let request = Request {
            id: format!("{}-{:06}", self.plan.run_id, self.next),
            prompt,
            params: Arc::clone(&self.params),
            stop: self.abort.clone(),
        };
        self.next += 1;
        let scheduled = self.offered.clock.now();
        for observer in self.offered.observers.iter() {
            observer.request_started(scheduled);
        }
        let started = Started { id: request.id.clone(), prompt_index: request.prompt.index, scheduled };
        let backend = Arc::clone(&self.offered.backend);
        let tally = Arc::clone(&self.offered.tally);
        let clock = self.offered.clock;
        let task = self.running.spawn(async move { generate(&*backend, &request, clock, &tally).await });
        self.started.insert(task.id(), started);
    }

    /// The next request that ended. One whose backend panicked has failed like any other.
    async fn next_ended(&mut self) -> Option<RequestRecord> {
        let (task, generation) = match self.running.join_next_with_id().await? {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a request's task died");
                let end = self.offered.clock.now();
                (
                    error.id(),
                    ended_with(end, ErrorClass::Engine, "the client's own task for this request died"),
                )
            }
        };
        let Started { id, prompt_index, scheduled } = self.started.remove(&task)?;
        Some(RequestRecord { id, prompt_index, scheduled, generation })
    }

    /// Counts failures in a row and ends the run where there are too many.
    fn judge(&mut self, record: &RequestRecord) {
        if record.succeeded() {
            self.failures_in_a_row = 0;
        } else if record.failed() {
            self.failures_in_a_row += 1;
        }
        let limit = self.plan.load.max_consecutive_failures;
        if limit > 0 && self.failures_in_a_row >= limit && self.ending == Ending::Complete {
            self.ending = Ending::TooManyFailures { in_a_row: self.failures_in_a_row };
            self.abort.cancel();
        }
    }
}

/// Runs one generation. A backend that does not return soon after a stop is dropped, with what it saw.
async fn generate(backend: &dyn Backend, request: &Request, clock: Clock, tally: &Tally) -> Generation {
    let stop = request.stop.clone();
    tokio::select! {
        biased;
        generation = backend.generate(request, &clock, tally) => generation,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
            let message = "ended before it was complete because the run was stopped";
            ended_with(clock.now(), ErrorClass::Cancelled, message)
        }
    }
}

fn ended_with(end: Stamp, class: ErrorClass, message: &str) -> Generation {
    let error = RequestError { class, message: message.to_owned(), status: None };
    Generation { end, error: Some(error), ..Generation::default() }
}
