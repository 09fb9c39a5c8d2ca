//! Sequences that are computed together, and the logits that come out.
//!
//! Refuses to know sampling: it is told which token follows.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::cache::Cache;
use super::mask::Masks;
use super::model::Model;
use super::native::Inference;
use super::rope::{Angles, Table};
use super::step::Step;
use crate::EngineError;
use crate::model::Rope;

/// Sequences that are computed together: their cache and the logits of their last positions.
#[derive(Debug)]
pub struct Batch<'m> {
    model: &'m Model,
    /// All tokens of each row so far.
    tokens: Vec<Vec<u32>>,
    /// Padding before each row's first token.
    padding: Vec<i64>,
    capacity: usize,
    /// Positions in the cache, padding included.
    length: usize,
    caches: Vec<Cache>,
    /// What does not change from step to step, by device.
    shared: Vec<Shared>,
    /// Length up to which the rotary frequencies in use hold.
    frequencies_hold: usize,
    logits: Logits,
}

/// What the steps of a batch share on one device.
#[derive(Debug)]
struct Shared {
    tables: Vec<Table>,
    masks: Rc<Masks>,
    padding: Option<Rc<Tensor>>,
}

/// The logits of each row's last position, on the device that computed them.
#[derive(Debug)]
pub struct Logits {
    /// `[rows, vocab_size]`, in single precision.
    values: Tensor,
}

impl<'m> Batch<'m> {
    /// Computes the prompts.
    pub(super) fn begin(model: &'m Model, prompts: &[&[u32]], capacity: usize) -> Result<Self, EngineError> {
        check(model, prompts, capacity)?;
        let _inference = Inference::enter();
        let tokens: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        let caches = model.caches(tokens.len() as i64, capacity as i64)?;
        let logits = Logits { values: Tensor::f_zeros([0, 0], (Kind::Float, Device::Cpu))? };
        let mut batch = Self {
            model,
            padding: Vec::new(),
            tokens,
            capacity,
            length: 0,
            caches,
            shared: Vec::new(),
            frequencies_hold: 0,
            logits,
        };
        batch.compute_all()?;
        Ok(batch)
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Positions taken of the capacity, padding included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The logits of each row's last position.
    pub fn logits(&self) -> &Logits {
        &self.logits
    }

    /// Appends one token to each row and computes the next logits.
    ///
    /// # Errors
    /// Not one token a row, a token that the model does not know, more positions than the capacity, or libtorch fails.
    pub fn step(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        if tokens.len() != self.rows() {
            let cause = format!("{} tokens for {} rows", tokens.len(), self.rows());
            return Err(EngineError::bad_request("batch", cause));
        }
        check_tokens(self.model, tokens)?;
        if self.length >= self.capacity {
            return Err(EngineError::bad_request(
                "batch",
                format!("all {} positions are taken", self.capacity),
            ));
        }
        let _inference = Inference::enter();
        for (row, &token) in self.tokens.iter_mut().zip(tokens) {
            row.push(token);
        }
        if self.longest() > self.frequencies_hold {
            // Beyond the trained length LongRoPE turns every position otherwise: keys in the cache are of no use.
            if self.ropes().any(|rope| rope.switches_at().is_some_and(|limit| limit < self.longest())) {
                return self.compute_all();
            }
            self.make_tables()?;
        }
        let start = self.length as i64;
        let input: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
        self.length += 1;
        self.compute(&input, start, 1)
    }

    /// Keeps only these rows, in this order; the others' sequences are let go.
    ///
    /// # Errors
    /// A row that is not there, or libtorch fails.
    pub fn keep(&mut self, rows: &[usize]) -> Result<(), EngineError> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            return Err(EngineError::bad_request(
                "batch",
                format!("there is no row {row} of {}", self.rows()),
            ));
        }
        let _inference = Inference::enter();
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::from_slice(&index);
        for cache in &mut self.caches {
            cache.keep(&index)?;
        }
        self.tokens = rows.iter().map(|&row| self.tokens[row].clone()).collect();
        self.padding = rows.iter().map(|&row| self.padding[row]).collect();
        self.logits.values =
            self.logits.values.f_index_select(0, &index.f_to_device(self.logits.values.device())?)?;
        self.make_masks()
    }

    fn ropes(&self) -> impl Iterator<Item = &Rope> {
        self.model.spec.ropes.iter()
    }

    fn longest(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Computes all tokens of all rows from the first on.
    fn compute_all(&mut self) -> Result<(), EngineError> {
        let longest = self.longest();
        self.padding = self.tokens.iter().map(|row| (longest - row.len()) as i64).collect();
        self.shared.clear();
        self.make_tables()?;
        let padded = |row: &Vec<u32>| {
            let padding = std::iter::repeat_n(0, longest - row.len());
            padding.chain(row.iter().map(|&token| i64::from(token))).collect::<Vec<i64>>()
        };
        let input: Vec<i64> = self.tokens.iter().flat_map(padded).collect();
        self.length = longest;
        self.compute(&input, 0, longest as i64)
    }

    /// Rotary tables for the sequences as long as they are now.
    fn make_tables(&mut self) -> Result<(), EngineError> {
        let longest = self.longest();
        let model = self.model;
        let hold = model.spec.ropes.iter().map(|rope| holds_to(rope, longest)).min();
        self.frequencies_hold = hold.unwrap_or(usize::MAX);
        let mut all = Vec::with_capacity(model.devices.len());
        for &device in &model.devices {
            let table = |rope: &Rope| Table::new(rope, self.capacity, longest, model.kind, device);
            all.push(model.spec.ropes.iter().map(table).collect::<Result<Vec<_>, _>>()?);
        }
        if self.shared.is_empty() {
            for tables in all {
                let masks = Rc::new(Masks::new(&[], model.kind, Device::Cpu)?);
                self.shared.push(Shared { tables, masks, padding: None });
            }
            return self.make_masks();
        }
        for (shared, tables) in self.shared.iter_mut().zip(all) {
            shared.tables = tables;
        }
        Ok(())
    }

    /// Masks for the rows and their padding.
    fn make_masks(&mut self) -> Result<(), EngineError> {
        let kind = self.model.kind;
        let padded = self.padding.iter().any(|&count| count > 0);
        for (shared, &device) in self.shared.iter_mut().zip(&self.model.devices) {
            shared.masks = Rc::new(Masks::new(&self.padding, kind, device)?);
            shared.padding = None;
            if padded {
                let keys = Tensor::f_arange(self.capacity as i64, (Kind::Int64, Device::Cpu))?
                    .f_view([1, 1, 1, -1])?;
                let hidden = keys.f_lt_tensor(&Tensor::from_slice(&self.padding).f_view([-1, 1, 1, 1])?)?;
                let mut zeros = Tensor::f_zeros(hidden.size().as_slice(), (kind, Device::Cpu))?;
                let mask = zeros.f_masked_fill_(&hidden, f64::NEG_INFINITY)?.f_to_device(device)?;
                shared.padding = Some(Rc::new(mask));
            }
        }
        Ok(())
    }

    /// Computes `count` new positions a row, whose first goes to place `start` of the cache.
    fn compute(&mut self, input: &[i64], start: i64, count: i64) -> Result<(), EngineError> {
        let model = self.model;
        let rows = self.rows() as i64;
        let tokens = Tensor::f_from_slice(input)?.f_view([rows, count])?;
        let tokens = tokens.f_to_device(model.devices[model.embedding.place])?;
        let positions = self.positions(start, count)?;
        let mut steps = Vec::with_capacity(model.devices.len());
        for (shared, &device) in self.shared.iter().zip(&model.devices) {
            let angles = |table: &Table| angles(table, positions.as_ref(), start, count, device);
            steps.push(Step {
                rows,
                count,
                start,
                angles: shared.tables.iter().map(angles).collect::<Result<_, _>>()?,
                masks: Rc::clone(&shared.masks),
                padding: shared.padding.clone(),
            });
        }
        let learned = match (&positions, model.embedding.wants_positions()) {
            (_, false) => None,
            (Some(positions), true) => Some(positions.shallow_clone()),
            (None, true) => Some(
                Tensor::f_arange_start(start, start + count, (Kind::Int64, Device::Cpu))?
                    .f_repeat([rows, 1])?,
            ),
        };
        let learned = learned.map(|learned| learned.f_to_device(tokens.device())).transpose()?;
        self.logits.values = model.forward(&tokens, learned.as_ref(), &self.caches, &steps)?;
        Ok(())
    }

    /// Each row's own positions, `[rows, count]`; `None` where they are the same in every row.
    fn positions(&self, start: i64, count: i64) -> Result<Option<Tensor>, EngineError> {
        if self.padding.iter().all(|&padding| padding == 0) {
            return Ok(None);
        }
        let row = |&padding: &i64| (start..start + count).map(move |place| (place - padding).max(0));
        let all: Vec<i64> = self.padding.iter().flat_map(row).collect();
        Ok(Some(Tensor::f_from_slice(&all)?.f_view([self.padding.len() as i64, count])?))
    }
}

fn angles(
    table: &Table,
    positions: Option<&Tensor>,
    start: i64,
    count: i64,
    device: Device,
) -> Result<Angles, EngineError> {
    match positions {
        Some(positions) => table.rows(&positions.f_to_device(device)?),
        None => table.range(start, count),
    }
}

/// The longest sequence for which the frequencies of one of `length` hold.
fn holds_to(rope: &Rope, length: usize) -> usize {
    if rope.grows() {
        return length;
    }
    rope.switches_at().filter(|&limit| length <= limit).unwrap_or(usize::MAX)
}

fn check(model: &Model, prompts: &[&[u32]], capacity: usize) -> Result<(), EngineError> {
    let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
    if prompts.is_empty() || prompts.iter().any(|prompt| prompt.is_empty()) {
        return Err(EngineError::bad_request("prompt", "there is no token to continue"));
    }
    if capacity < longest {
        let cause = format!("a prompt of {longest} tokens does not fit into {capacity} positions");
        return Err(EngineError::bad_request("prompt", cause));
    }
    if capacity > model.spec.max_context {
        let cause = format!("{capacity} positions are more than the model's {}", model.spec.max_context);
        return Err(
            EngineError::bad_request("prompt", cause).remedy("use a shorter prompt or fewer max_new_tokens")
        );
    }
    prompts.iter().try_for_each(|prompt| check_tokens(model, prompt))
}

fn check_tokens(model: &Model, tokens: &[u32]) -> Result<(), EngineError> {
    match tokens.iter().find(|&&token| token as usize >= model.spec.vocab_size) {
        Some(token) => {
            let cause = format!("token {token} is none of the model's {}", model.spec.vocab_size);
            Err(EngineError::bad_request("prompt", cause)
                .remedy("use the tokenizer that belongs to the model"))
        }
        None => Ok(()),
    }
}

impl Logits {
    /// The most likely token of each row: one small copy from the device.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn argmax(&self) -> Result<Vec<u32>, EngineError> {
        let best: Vec<i64> = Vec::try_from(self.values.f_argmax(-1, false)?)?;
        Ok(best.into_iter().map(|token| u32::try_from(token).unwrap_or(u32::MAX)).collect())
    }

    /// All logits, a vector a row.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn rows(&self) -> Result<Vec<Vec<f32>>, EngineError> {
        let (rows, width) = self.values.size2()?;
        let mut all = vec![0f32; (rows * width) as usize];
        let values = self.values.f_to_device(Device::Cpu)?.f_contiguous()?;
        values.f_copy_data(&mut all, (rows * width) as usize)?;
        Ok(all.chunks_exact(width as usize).map(<[f32]>::to_vec).collect())
    }
}
