//! Calibrated gains: how a user writes them, and which cannot be meant.
//!
//! Refuses to apply them: that is done where readings become a curve.

use std::collections::BTreeMap;

use ai_energy_core::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::usage;

/// A calibrated gain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "GainForm", into = "GainForm")]
pub struct Gain {
    /// What the readings are multiplied by.
    pub factor: f64,
    /// The factor's relative uncertainty at 95 %; unset, the instrument keeps its own.
    pub ci95: Option<f64>,
}

/// How a gain is written.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum GainForm {
    Factor(f64),
    Full {
        factor: f64,
        #[serde(default)]
        ci95: Option<f64>,
    },
}

impl From<GainForm> for Gain {
    fn from(written: GainForm) -> Self {
        match written {
            GainForm::Factor(factor) => Self { factor, ci95: None },
            GainForm::Full { factor, ci95 } => Self { factor, ci95 },
        }
    }
}

impl From<Gain> for GainForm {
    fn from(gain: Gain) -> Self {
        match gain.ci95 {
            None => Self::Factor(gain.factor),
            ci95 => Self::Full { factor: gain.factor, ci95 },
        }
    }
}

impl JsonSchema for Gain {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Gain".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        GainForm::json_schema(generator)
    }
}

/// Refuses factors that are no gains.
pub(crate) fn check_gains(gains: &BTreeMap<String, Gain>) -> Result<(), Fault> {
    let bad = gains.iter().find(|(_, gain)| {
        let factor = gain.factor.is_finite() && gain.factor > 0.0;
        !factor || gain.ci95.is_some_and(|ci95| !(ci95.is_finite() && ci95 >= 0.0))
    });
    match bad {
        None => Ok(()),
        Some((device, gain)) => {
            let object = format!("metrics.gains.{device}");
            Err(usage(&object, format!("{} is no gain", gain.factor))
                .remedy("set true energy / measured energy, for example 1.057"))
        }
    }
}
