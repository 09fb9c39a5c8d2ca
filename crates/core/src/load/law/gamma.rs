//! Arrivals in bursts, or more even than chance. Refuses to know what makes users come together.

use super::Gaps;
use crate::draw::Draw;

/// Gamma-distributed gaps of mean 1. A shape of 1 is the exponential distribution.
#[derive(Debug)]
pub struct Gamma {
    /// The shape, above 0: "burstiness" in the words of serving benchmarks, though bursts grow as it falls.
    pub shape: f64,
}

impl Gaps for Gamma {
    fn next(&mut self, draw: &mut Draw) -> f64 {
        draw.gamma(self.shape) / self.shape
    }
}
