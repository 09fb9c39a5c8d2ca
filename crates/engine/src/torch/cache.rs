//! Keys and values of the positions so far, in memory that is taken once.
//!
//! Refuses to know queries and scores.

use tch::{Device, Kind, Tensor};

use super::native::room::Room;
use crate::EngineError;

/// One layer's keys and values, each `[rows, kv_heads, capacity, head_dim]`.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    /// Room for so many positions; zeros, so that nothing unwritten is no number.
    pub(super) fn new(
        shape: [i64; 4],
        kind: Kind,
        device: Device,
        room: &mut Room,
    ) -> Result<Self, EngineError> {
        // One value that is looked at as if it were many: a form without memory.
        let like = Tensor::f_zeros([1], (kind, device))?.f_expand(shape, false)?;
        Ok(Self { keys: room.zeros_like(&like)?, values: room.zeros_like(&like)? })
    }

    /// Writes keys and values `[rows, positions, kv_heads, head_dim]` from position `start` on.
    pub(super) fn write(&self, start: i64, keys: &Tensor, values: &Tensor) -> Result<(), EngineError> {
        let count = keys.size().get(1).copied().unwrap_or(0);
        for (room, new) in [(&self.keys, keys), (&self.values, values)] {
            room.f_narrow(2, start, count)?.f_copy_(&new.f_transpose(1, 2)?)?;
        }
        Ok(())
    }

    /// Keys and values of some positions, `[rows, kv_heads, count, head_dim]`.
    pub(super) fn read(&self, start: i64, count: i64) -> Result<(Tensor, Tensor), EngineError> {
        Ok((self.keys.f_narrow(2, start, count)?, self.values.f_narrow(2, start, count)?))
    }

    /// All keys and values, unwritten places included.
    pub(super) fn whole(&self) -> (&Tensor, &Tensor) {
        (&self.keys, &self.values)
    }

    /// Keeps some rows.
    pub(super) fn keep(&mut self, rows: &Tensor) -> Result<(), EngineError> {
        let rows = rows.f_to_device(self.keys.device())?;
        self.keys = self.keys.f_index_select(0, &rows)?;
        self.values = self.values.f_index_select(0, &rows)?;
        Ok(())
    }
}
