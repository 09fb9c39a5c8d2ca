//! Where a batch stands when some positions are computed: what all layers of a device share.
//!
//! Refuses to know weights.

use tch::Tensor;

use super::mask::Masks;
use super::rope::Angles;
use crate::EngineError;

/// Some new positions of every row, as one device sees them.
#[derive(Debug)]
pub(super) struct Step {
    /// Rows.
    pub(super) rows: i64,
    /// New positions a row.
    pub(super) count: i64,
    /// Place of the first of them in the cache.
    pub(super) start: i64,
    /// Angles of the new positions, by the spec's list of ropes.
    pub(super) angles: Vec<Angles>,
    /// Masks of a prompt.
    pub(super) masks: std::rc::Rc<Masks>,
    /// What to add to the scores of each key, `[rows, 1, 1, capacity]`; `None` where no row has padding.
    pub(super) padding: Option<std::rc::Rc<Tensor>>,
}

impl Step {
    /// Angles of one rope.
    pub(super) fn angles(&self, rope: usize) -> Result<&Angles, EngineError> {
        self.angles.get(rope).ok_or_else(|| EngineError::model("rope", format!("there is no table {rope}")))
    }

    /// What to add to the scores of some keys for one new position a row.
    pub(super) fn key_mask(&self, first: i64, count: i64) -> Result<Option<Tensor>, EngineError> {
        let narrowed = |padding: &std::rc::Rc<Tensor>| padding.f_narrow(3, first, count);
        Ok(self.padding.as_ref().map(narrowed).transpose()?)
    }
}
