//! Arrivals that know nothing of one another, as from many independent users. Refuses to know how many there are.

use super::Gaps;
use crate::draw::Draw;

/// Exponential gaps; the first one too, so that any stretch of time sees a Poisson number of arrivals.
#[derive(Debug)]
pub struct Poisson;

impl Gaps for Poisson {
    fn next(&mut self, draw: &mut Draw) -> f64 {
        draw.exponential()
    }
}
