//! The laws of arrivals: how the gaps between requests are spread, whatever their rate.
//!
//! Each law gives gaps of mean 1; [`super::instants`] stretches them to the rate of the moment. Adding a law is one file
//! and one line here and in [`Law`]. Refuses to know rates and clocks.

mod constant;
mod gamma;
mod poisson;

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

pub use constant::Constant;
pub use gamma::Gamma;
pub use poisson::Poisson;

/// A law of arrivals.
pub trait Gaps {
    /// The next gap, in units of the mean gap; 0 or more.
    fn next(&mut self, draw: &mut Draw) -> f64;
}

/// Which law, with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "law")]
pub enum Law {
    /// Evenly spaced.
    Constant,
    /// Independent of one another: exponential gaps.
    Poisson,
    /// Gamma-distributed gaps: burstier than Poisson below a shape of 1, more even above.
    Gamma {
        /// The shape; the squared coefficient of variation of the gaps is its inverse.
        burstiness: f64,
    },
}

impl Law {
    /// The law at work, from its begin.
    pub fn gaps(self) -> Box<dyn Gaps> {
        match self {
            Law::Constant => Box::new(Constant::default()),
            Law::Poisson => Box::new(Poisson),
            Law::Gamma { burstiness } => Box::new(Gamma { shape: burstiness }),
        }
    }

    /// The words that reports use.
    pub fn words(self) -> String {
        match self {
            Law::Constant => "evenly spaced".to_owned(),
            Law::Poisson => "Poisson".to_owned(),
            Law::Gamma { burstiness } => format!("gamma, burstiness {burstiness}"),
        }
    }
}
