//! Evenly spaced arrivals. Refuses to draw anything.

use super::Gaps;
use crate::draw::Draw;

/// The first request at once, then one each mean gap.
#[derive(Debug, Default)]
pub struct Constant {
    begun: bool,
}

impl Gaps for Constant {
    fn next(&mut self, _draw: &mut Draw) -> f64 {
        if std::mem::replace(&mut self.begun, true) { 1.0 } else { 0.0 }
    }
}
