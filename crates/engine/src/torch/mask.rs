//! Which keys a query may see: those before it, in its window, and none of the padding.
//!
//! Refuses to know scores.

use std::cell::RefCell;
use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use crate::EngineError;

/// Queries that are masked at a time: bounds what a long prompt's masks and scores take.
pub(super) const CHUNK: i64 = 1024;

/// Some queries of a prompt and the keys that any of them may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First query.
    pub(super) first: i64,
    /// Number of queries.
    pub(super) queries: i64,
    /// First key.
    pub(super) key: i64,
    /// Number of keys.
    pub(super) keys: i64,
}

/// A mask, and the span and the window it is for.
type Made = (Span, Option<i64>, Rc<Tensor>);

/// Masks of the queries at hand, on one device, made when first wanted.
#[derive(Debug)]
pub(super) struct Masks {
    /// Padding before each row's first token, `[rows, 1, 1]`; `None` where no row has any.
    padding: Option<Tensor>,
    kind: Kind,
    device: Device,
    made: RefCell<Vec<Made>>,
}

impl Masks {
    /// Masks for rows with this much padding before them.
    pub(super) fn new(padding: &[i64], kind: Kind, device: Device) -> Result<Self, EngineError> {
        let padded = padding.iter().any(|&count| count > 0);
        let column =
            || Tensor::from_slice(padding).f_view([-1, 1, 1]).and_then(|column| column.f_to_device(device));
        let padding = padded.then(column).transpose()?;
        Ok(Self { padding, kind, device, made: RefCell::default() })
    }

    /// `true` where some row has padding.
    pub(super) fn padded(&self) -> bool {
        self.padding.is_some()
    }

    /// The spans that `queries` queries from position 0 are computed in.
    pub(super) fn spans(queries: i64, window: Option<i64>) -> impl Iterator<Item = Span> {
        (0..queries).step_by(CHUNK as usize).map(move |first| {
            let count = CHUNK.min(queries - first);
            let key = window.map_or(0, |window| (first + 1 - window).max(0));
            Span { first, queries: count, key, keys: first + count - key }
        })
    }

    /// What to add to the scores of a span: 0 or minus infinity, `[rows or 1, 1, queries, keys]`. A padded query sees
    /// itself, so that no row of scores is without a key.
    pub(super) fn of(&self, span: Span, window: Option<i64>) -> Result<Rc<Tensor>, EngineError> {
        let found = |made: &&(Span, Option<i64>, Rc<Tensor>)| made.0 == span && made.1 == window;
        if let Some((_, _, mask)) = self.made.borrow().iter().find(found) {
            return Ok(Rc::clone(mask));
        }
        let mask = Rc::new(self.make(span, window)?);
        // A long prompt has many spans: they are made anew for each layer rather than kept.
        if span.first == 0 {
            self.made.borrow_mut().push((span, window, Rc::clone(&mask)));
        }
        Ok(mask)
    }

    fn make(&self, span: Span, window: Option<i64>) -> Result<Tensor, EngineError> {
        let whole = (Kind::Int64, self.device);
        let queries =
            Tensor::f_arange_start(span.first, span.first + span.queries, whole)?.f_view([-1, 1])?;
        let keys = Tensor::f_arange_start(span.key, span.key + span.keys, whole)?.f_view([1, -1])?;
        let back = queries.f_sub(&keys)?;
        let mut seen = back.f_ge(0)?;
        if let Some(window) = window {
            seen = seen.f_logical_and(&back.f_lt(window)?)?;
        }
        let mut seen = seen.f_unsqueeze(0)?;
        if let Some(padding) = &self.padding {
            let real = keys.f_unsqueeze(0)?.f_ge_tensor(padding)?;
            seen = seen.f_logical_and(&real.f_logical_or(&back.f_eq(0)?.f_unsqueeze(0)?)?)?;
        }
        let mut zeros = Tensor::f_zeros(seen.size().as_slice(), (self.kind, self.device))?;
        Ok(zeros.f_masked_fill_(&seen.f_logical_not()?, f64::NEG_INFINITY)?.f_unsqueeze(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_sees_its_window_and_no_padding_but_itself() {
        let masks = Masks::new(&[0, 2], Kind::Float, Device::Cpu).unwrap();
        let span = Span { first: 0, queries: 4, key: 0, keys: 4 };
        let mask = masks.of(span, Some(2)).unwrap();
        assert_eq!(mask.size(), [2, 1, 4, 4]);
        let seen = |row: i64| -> Vec<Vec<i64>> {
            let sees = |query, key| mask.double_value(&[row, 0, query, key]) == 0.0;
            (0..4).map(|query| (0..4).filter(|&key| sees(query, key)).collect()).collect()
        };
        assert_eq!(seen(0), [vec![0], vec![0, 1], vec![1, 2], vec![2, 3]]);
        assert_eq!(seen(1), [vec![0], vec![1], vec![2], vec![2, 3]]);
    }

    #[test]
    fn spans_cover_every_query_and_its_window() {
        let spans: Vec<_> = Masks::spans(2500, Some(100)).collect();
        assert_eq!(spans.iter().map(|span| span.queries).sum::<i64>(), 2500);
        assert_eq!(spans[1], Span { first: 1024, queries: 1024, key: 925, keys: 1123 });
        assert!(Masks::spans(2500, None).all(|span| span.key == 0 && span.keys == span.first + span.queries));
    }
}
