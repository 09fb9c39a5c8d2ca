//! Follows steps one after another: starts what is due, takes in what ends, counts failures.
//!
//! Refuses to know when a request is due (`course` does) and how it is run (`task` does).

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};

use super::course::{Course, Turn};
use super::pacer::after;
use super::task::{ended_with, generate};
use super::{Offered, Outcome, Script};
use crate::backend::Request;
use crate::clock::Stamp;
use crate::load::Step;
use crate::phase::{Phase, PhaseKind};
use crate::plan::Plan;
use crate::prompt::{FollowUp, FormattedPrompt, GenerationParams, Message, PromptContent, Role};
use crate::record::{ConversationTurn, Ending, ErrorClass, Generation, Offer, RequestRecord};
use crate::runner::Stop;
use crate::store::{Bound, IN_MEMORY, StoredText};

/// A request that is running.
struct Started {
    id: String,
    scheduled: Stamp,
    offer: Offer,
    prompt: Arc<FormattedPrompt>,
}

/// A run of steps.
pub(super) struct Driver<'a> {
    plan: &'a Plan,
    offered: &'a Offered,
    params: Arc<GenerationParams>,
    /// Cancelled to end what is in flight: by the caller's stop or by too many failures.
    abort: Stop,
    running: JoinSet<Generation>,
    /// What is known of each running request, by its task.
    started: HashMap<Id, Started>,
    /// Measured prompts taken so far, and others.
    taken: usize,
    spared: usize,
    sent: usize,
    failures_in_a_row: u32,
    /// A planned request was never started.
    left_out: bool,
    /// No measured request will be started any more.
    all_sent: bool,
    drain: Option<Stamp>,
    requests: Vec<RequestRecord>,
    unmeasured: Vec<RequestRecord>,
    bound: Bound,
    /// Texts that are still to be counted, by the place of their request.
    texts: Vec<(usize, StoredText)>,
    ending: Ending,
    textless: bool,
}

impl<'a> Driver<'a> {
    pub(super) fn new(plan: &'a Plan, offered: &'a Offered) -> Self {
        Self {
            params: Arc::new(plan.generation.clone()),
            abort: offered.stop.child_token(),
            plan,
            offered,
            running: JoinSet::new(),
            started: HashMap::new(),
            taken: 0,
            spared: 0,
            sent: 0,
            failures_in_a_row: 0,
            left_out: false,
            all_sent: false,
            drain: None,
            requests: Vec::with_capacity(offered.prompts.len()),
            unmeasured: Vec::new(),
            bound: Bound::new(IN_MEMORY, offered.observers.iter().find_map(|observer| observer.store())),
            texts: Vec::new(),
            ending: Ending::Complete,
            textless: false,
        }
    }

    /// Follows the steps to their end, then waits for what is in flight.
    pub(super) async fn run(mut self, steps: &[(usize, Step)]) -> Outcome {
        let start = self.offered.clock.now();
        let last_measured = steps.iter().rposition(|(_, step)| step.kind == PhaseKind::Load);
        let mut cool_down = None;
        for (position, (number, step)) in steps.iter().enumerate() {
            if self.abort.is_cancelled() {
                self.left_out = true;
                break;
            }
            let begin = self.follow(*number, step, last_measured == Some(position)).await;
            if step.kind == PhaseKind::Cooldown {
                cool_down.get_or_insert(begin);
            }
            self.pause(step).await;
        }
        self.drain_running(None).await;
        // A stop that comes when everything is done interrupts nothing.
        let cancelled = |records: &[RequestRecord]| records.iter().any(RequestRecord::cancelled);
        let cut_short = self.left_out || cancelled(&self.requests) || cancelled(&self.unmeasured);
        if self.offered.stop.is_cancelled() && cut_short && self.ending == Ending::Complete {
            self.ending = Ending::Interrupted;
        }
        let end = self.requests.iter().map(|record| record.generation.end).max().unwrap_or(start);
        let last = self.unmeasured.iter().map(|record| record.generation.end).max().unwrap_or(end);
        let cool_down =
            cool_down.map(|start| Phase { kind: PhaseKind::Cooldown, start, end: last.max(start) });
        Outcome {
            requests: self.requests,
            unmeasured: self.unmeasured,
            texts: self.texts,
            start,
            // Where a cool-down keeps the load up, it does not run out.
            drain: self.drain.filter(|_| !self.left_out && cool_down.is_none()),
            end,
            cool_down,
            ending: self.ending,
            warnings: textless(self.textless),
        }
    }

    /// Follows one step until nothing more of it will be sent; says when it began.
    async fn follow(&mut self, number: usize, step: &Step, last_measured: bool) -> Stamp {
        let (clock, prompts) = (self.offered.clock, self.offered.prompts.len());
        let timeline = self.offered.script.timeline.get(self.taken..).unwrap_or_default();
        let left = prompts.saturating_sub(self.taken);
        let mut course = Course::begin(clock, &self.plan.load, number, step, left, timeline);
        loop {
            while !self.abort.is_cancelled()
                && let Some(turn) = course.admit(self.running.len())
            {
                self.start(number, step, turn);
            }
            if course.over() || self.abort.is_cancelled() {
                break;
            }
            tokio::select! {
                biased;
                () = self.abort.cancelled() => {}
                Some(ended) = self.running.join_next_with_id() => self.take(ended, Some(&mut course)),
                () = course.change() => {}
            }
        }
        self.left_out |= !course.over();
        if last_measured {
            self.all_sent = true;
            if step.is_open() {
                // Nothing comes after the last arrival: from here on the load only falls.
                self.drain.get_or_insert(clock.now());
            }
        }
        if step.drain {
            self.drain_running(Some(&mut course)).await;
        }
        course.began()
    }

    async fn pause(&mut self, step: &Step) {
        if let Ok(pause) = std::time::Duration::try_from_secs_f64(step.pause_seconds)
            && !pause.is_zero()
        {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.abort.cancelled() => {}
            }
        }
    }

    async fn drain_running(&mut self, mut course: Option<&mut Course>) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.take(ended, course.as_deref_mut());
        }
    }

    /// The next prompt: measured ones in their order, then again from the first; spare ones for what is not measured.
    fn next_prompt(&mut self, kind: PhaseKind) -> Option<Arc<FormattedPrompt>> {
        let Offered { prompts, script, .. } = self.offered;
        let (from, taken) = match kind {
            PhaseKind::Load => (prompts, &mut self.taken),
            _ if script.spare.is_empty() => (prompts, &mut self.spared),
            _ => (&script.spare, &mut self.spared),
        };
        let position = taken.checked_rem(from.len())?;
        *taken += 1;
        from.get(position).cloned()
    }

    /// Starts the next request of a step.
    fn start(&mut self, number: usize, step: &Step, turn: Turn) {
        let Some(prompt) = self.next_prompt(step.kind) else { return };
        let begins = self.offered.script.follow_ups.contains_key(&prompt.index);
        let conversation = || ConversationTurn { conversation: self.sent, turn: 0 };
        let offer = Offer {
            phase: step.kind,
            step: u32::try_from(number).unwrap_or(u32::MAX),
            planned: step.is_open(),
            admitted: step.is_open().then_some(turn.admitted),
            conversation: begins.then(conversation),
        };
        self.send(offer, prompt, turn.scheduled, None);
    }

    fn send(
        &mut self,
        offer: Offer,
        prompt: Arc<FormattedPrompt>,
        scheduled: Stamp,
        not_before: Option<Stamp>,
    ) {
        let mark = match offer.phase {
            PhaseKind::Warmup => "w",
            PhaseKind::Cooldown => "c",
            _ => "",
        };
        let request = Request {
            id: format!("{}-{mark}{:06}", self.plan.run_id, self.number()),
            prompt: Arc::clone(&prompt),
            params: Arc::clone(&self.params),
            stop: self.abort.clone(),
        };
        self.sent += 1;
        for observer in self.offered.observers.iter() {
            observer.request_started(scheduled);
        }
        let started = Started { id: request.id.clone(), scheduled, offer, prompt };
        let backend = Arc::clone(&self.offered.backend);
        let tally = Arc::clone(&self.offered.tally);
        let clock = self.offered.clock;
        let task =
            self.running.spawn(async move { generate(&*backend, &request, clock, &tally, not_before).await });
        self.started.insert(task.id(), started);
    }

    /// The number of the request that is sent now.
    fn number(&self) -> usize {
        let Script { numbers, first_number, .. } = &self.offered.script;
        numbers.get(self.sent).copied().unwrap_or(first_number + self.sent)
    }

    /// Takes in a request that ended. One whose backend panicked has failed like any other.
    fn take(&mut self, ended: Result<(Id, Generation), tokio::task::JoinError>, course: Option<&mut Course>) {
        let (task, generation) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a request's task died");
            let message = "the client's own task for this request died";
            (error.id(), ended_with(self.offered.clock.now(), ErrorClass::Engine, message))
        });
        let Some(Started { id, scheduled, offer, prompt }) = self.started.remove(&task) else { return };
        let mut record = RequestRecord { id, prompt_index: prompt.index, scheduled, offer, generation };
        record.generation.chunks.pack();
        self.judge(&record);
        let goes_on = self.go_on(&record, &prompt);
        if let Some(course) = course.filter(|_| !goes_on) {
            course.ended(record.generation.end, self.running.len());
        }
        if self.all_sent && !goes_on && record.offer.phase == PhaseKind::Load {
            self.drain.get_or_insert(record.generation.end);
        }
        for observer in self.offered.observers.iter() {
            observer.request_ended(&record);
        }
        let text = self.bound.take(&mut record);
        if record.offer.phase == PhaseKind::Load {
            self.texts.extend(text.map(|text| (self.requests.len(), text)));
            self.requests.push(record);
        } else {
            self.unmeasured.push(record);
        }
    }

    /// Sends the next turn of the conversation that a request belongs to, after the user's thinking; `false` where there
    /// is none.
    fn go_on(&mut self, record: &RequestRecord, prompt: &FormattedPrompt) -> bool {
        let Some(ConversationTurn { conversation, turn }) = record.offer.conversation else { return false };
        let follow_ups = self.offered.script.follow_ups.get(&prompt.index).cloned();
        let Some(next) = follow_ups.as_ref().and_then(|all| all.get(turn)) else { return false };
        if !record.succeeded() || self.abort.is_cancelled() {
            return false;
        }
        let Some(said) = &record.generation.text else {
            self.textless = true;
            return false;
        };
        let at = after(record.generation.end, next.think);
        let offer = Offer {
            planned: false,
            admitted: None,
            conversation: Some(ConversationTurn { conversation, turn: turn + 1 }),
            ..record.offer
        };
        self.send(offer, Arc::new(continued(prompt, said, next)), at, Some(at));
        true
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

/// The conversation so far, with the model's answer and what the user says to it.
fn continued(prompt: &FormattedPrompt, said: &str, next: &FollowUp) -> FormattedPrompt {
    let mut messages = match &prompt.content {
        PromptContent::Chat(messages) => messages.clone(),
        PromptContent::Text(text) => vec![Message { role: Role::User, content: text.clone() }],
    };
    messages.push(Message { role: Role::Assistant, content: said.to_owned() });
    messages.push(Message { role: Role::User, content: next.message.clone() });
    FormattedPrompt {
        content: PromptContent::Chat(messages),
        target_output_tokens: next.target_output_tokens.or(prompt.target_output_tokens),
        ..prompt.clone()
    }
}

fn textless(textless: bool) -> Vec<String> {
    let warning = "the backend gave no text, so conversations ended after their first answer";
    if textless { vec![warning.to_owned()] } else { Vec::new() }
}
