//! A batch from its first token to its last.
//!
//! Rows that are done leave it, so that what remains costs no more than it must. Refuses to know how requests were
//! collected and what a model is made of.

use std::time::Instant;

use ai_energy_backends_pytorch::protocol::{EngineErrorKind, FromEngine, Generate};

use super::guard::guard;
use super::row::{Row, Taken};
use super::seam::{Compute, Loader, Rows};
use super::worker::{Loaded, Worker};
use crate::EngineError;

/// A row of the batch: the generation it belongs to, until that is done.
type Slot = Option<Row>;

impl<L: Loader> Worker<L> {
    /// Computes these requests together; each gets its own answer or error.
    pub(super) fn compute(&mut self, loaded: &Loaded, requests: Vec<Generate>) {
        self.active = requests.iter().map(|request| request.id.clone()).collect();
        let mut rows = Vec::new();
        for request in requests {
            match guard(|| Row::prepare(&request, &loaded.model, loaded.truncation)) {
                Ok(row) => {
                    self.stats.remarks.extend(row.remarks().iter().cloned());
                    rows.push(row);
                }
                Err(error) => self.fail(request.id, error),
            }
        }
        self.begin(&*loaded.model.model, rows);
        self.active.clear();
        self.cancelled.clear();
    }

    /// Begins a batch; where there is not enough memory for all of it, its halves one after the other, so that only what
    /// does not fit by itself fails.
    fn begin(&mut self, model: &dyn Compute, mut rows: Vec<Row>) {
        self.catch_up(model);
        rows.retain(|row| !self.is_given_up(row));
        if rows.is_empty() || self.ended {
            return;
        }
        let begun = Instant::now();
        let prompts: Vec<&[u32]> = rows.iter().map(Row::prompt).collect();
        let capacity = capacity(&rows);
        // Short prompts are padded up to the longest, so rows that fit one by one may not fit together.
        if capacity > model.context() && rows.len() > 1 {
            return self.halve(model, rows);
        }
        let batch = guard(|| model.begin(&prompts, capacity));
        match batch {
            Ok(mut batch) => {
                let tokens: usize = prompts.iter().map(|prompt| prompt.len()).sum();
                self.stats.prefill_tokens += tokens as u64;
                *self.stats.batches.entry(rows.len()).or_default() += 1;
                let mut slots: Vec<Slot> = rows.into_iter().map(Some).collect();
                let outcome = guard(|| self.decode(model, &mut *batch, &mut slots, begun));
                if let Err(error) = outcome {
                    self.fail_all(slots.into_iter().flatten(), &error);
                }
            }
            Err(error) if error.kind == EngineErrorKind::OutOfMemory && rows.len() > 1 => {
                self.halve(model, rows);
            }
            Err(error) => self.fail_all(rows.into_iter(), &error),
        }
    }

    fn halve(&mut self, model: &dyn Compute, mut rows: Vec<Row>) {
        let rest = rows.split_off(rows.len() / 2);
        self.begin(model, rows);
        self.begin(model, rest);
    }

    fn decode(
        &mut self,
        model: &dyn Compute,
        batch: &mut dyn Rows,
        slots: &mut Vec<Slot>,
        begun: Instant,
    ) -> Result<(), EngineError> {
        let mut first_known: Option<Instant> = None;
        loop {
            let tokens = next_tokens(batch, slots)?;
            self.tell(slots, &tokens);
            let now = Instant::now();
            match first_known {
                None => self.stats.prefill += now - begun,
                Some(_) => self.stats.decode_steps += 1,
            }
            let first = *first_known.get_or_insert(now);
            self.catch_up(model);
            for slot in slots.iter_mut() {
                if slot.as_ref().is_some_and(|row| self.is_given_up(row)) {
                    *slot = None;
                }
            }
            if self.ended || self.outbox.is_broken() || slots.iter().all(Option::is_none) {
                self.stats.decode += now - first;
                return Ok(());
            }
            let tokens = leave(batch, slots, tokens)?;
            batch.step(&tokens)?;
        }
    }

    /// Gives each row its token. The stamp is read right after the token is known and before anything is made of it.
    fn tell(&mut self, slots: &mut [Slot], tokens: &[u32]) {
        let t_ns = self.clock.now_ns();
        for (slot, &token) in slots.iter_mut().zip(tokens) {
            let Some(row) = slot else { continue };
            match guard(|| Ok(row.take(token))) {
                Ok(Taken { channel, text, finish }) => {
                    self.stats.generated_tokens += 1;
                    let (id, n) = (row.id().to_owned(), row.generated());
                    self.outbox.say(FromEngine::Token { id, n, t_ns, channel, text });
                    if let Some(reason) = finish {
                        self.done(row, t_ns, reason);
                        *slot = None;
                    }
                }
                Err(error) => {
                    let id = row.id().to_owned();
                    *slot = None;
                    self.fail(id, error);
                }
            }
        }
    }

    fn done(&mut self, row: &Row, t_ns: u64, reason: &str) {
        self.stats.completed += 1;
        self.active.remove(row.id());
        self.outbox.say(FromEngine::Done {
            id: row.id().to_owned(),
            t_ns,
            prompt_tokens: u32::try_from(row.prompt().len()).unwrap_or(u32::MAX),
            completion_tokens: row.generated(),
            finish_reason: reason.to_owned(),
            truncated_prompt_tokens: row.truncated(),
        });
    }

    fn is_given_up(&mut self, row: &Row) -> bool {
        let given_up = self.cancelled.remove(row.id());
        if given_up {
            self.active.remove(row.id());
            self.stats.cancelled += 1;
        }
        given_up
    }

    fn fail_all(&mut self, rows: impl Iterator<Item = Row>, error: &EngineError) {
        for row in rows {
            if !self.is_given_up(&row) {
                self.fail(row.id().to_owned(), error.clone());
            }
        }
    }
}

/// Positions that a batch needs: its prompts are padded to the longest, and every row may generate as much as any.
fn capacity(rows: &[Row]) -> usize {
    let longest = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    longest(|row| row.prompt().len()) + longest(Row::max_new_tokens)
}

/// The next token of each row: chosen on the device where that settles it, else from the logits here.
fn next_tokens(batch: &mut dyn Rows, slots: &mut [Slot]) -> Result<Vec<u32>, EngineError> {
    let mut chosen: Vec<Option<u32>> = if slots.iter().flatten().any(Row::is_greedy) {
        let largest = batch.argmax()?;
        let rows = slots.iter_mut().zip(largest);
        rows.map(|(slot, largest)| slot.as_mut().and_then(|row| row.accept(largest))).collect()
    } else {
        vec![None; slots.len()]
    };
    let open = |(slot, token): (&Slot, &Option<u32>)| slot.is_some() && token.is_none();
    if slots.iter().zip(&chosen).any(open) {
        let mut logits = batch.logits()?;
        for ((slot, token), logits) in slots.iter_mut().zip(&mut chosen).zip(&mut logits) {
            if let (Some(row), None) = (slot, &token) {
                *token = Some(row.pick(logits));
            }
        }
    }
    Ok(chosen.into_iter().map(Option::unwrap_or_default).collect())
}

/// Lets the rows that are done leave the batch; the tokens of those that remain.
fn leave(batch: &mut dyn Rows, slots: &mut Vec<Slot>, tokens: Vec<u32>) -> Result<Vec<u32>, EngineError> {
    let live: Vec<usize> = (0..slots.len()).filter(|&row| slots[row].is_some()).collect();
    if live.len() == slots.len() {
        return Ok(tokens);
    }
    batch.keep(&live)?;
    slots.retain(Option::is_some);
    Ok(live.into_iter().map(|row| tokens[row]).collect())
}
