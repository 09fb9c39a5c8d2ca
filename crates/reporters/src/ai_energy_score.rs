//! `GPU_ENERGY_WH.txt` and `GPU_ENERGY_SUMMARY.json`, as AI Energy Score's tooling reads them.
//!
//! An unknown GPU energy is `nan` in the text file, which every float parser takes and no sum hides, and null in the
//! JSON file. Prefill and decode are the summary's split of GPU energy, each above what is drawn without tokens; what
//! follows neither is `other_wh`, and the three add up to the total. Refuses to split by itself.

use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Domain, Fault, Figure, Place, Report, Reporter, Written};
use serde_json::{Value, json};

use crate::files::{with_note, write_whole};
use crate::json::{number_or_null, pretty};

/// The registry's name.
pub const NAME: &str = "ai_energy_score";
/// GPU energy of the run in Wh with two decimals.
pub const TEXT_FILE_NAME: &str = "GPU_ENERGY_WH.txt";
/// The same with all digits.
pub const SUMMARY_FILE_NAME: &str = "GPU_ENERGY_SUMMARY.json";

/// Writes AI Energy Score's two files.
#[derive(Debug, Clone, Copy)]
pub struct AiEnergyScore;

impl Reporter for AiEnergyScore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let watt_hours = gpu_watt_hours(report);
        let text = place.run_dir.join(TEXT_FILE_NAME);
        write_whole(&text, two_decimals(watt_hours).as_bytes())?;
        let summary = place.run_dir.join(SUMMARY_FILE_NAME);
        write_whole(&summary, &pretty(SUMMARY_FILE_NAME, &value(report, watt_hours))?)?;
        let synthetic =
            report.record.synthetic.then_some("the run is synthetic, which a bare number cannot say");
        let text = with_note(Written { path: text, note: note(watt_hours) }, synthetic);
        Ok(vec![text, Written::at(&summary)])
    }
}

fn gpu_watt_hours(report: Report<'_>) -> Option<f64> {
    Some(report.summary.domain(Domain::Gpu)?.energy.value? / JOULES_PER_WATT_HOUR)
}

fn two_decimals(watt_hours: Option<f64>) -> String {
    watt_hours.map_or_else(|| "nan\n".to_owned(), |watt_hours| format!("{watt_hours:.2}\n"))
}

/// What the two decimals hide.
fn note(watt_hours: Option<f64>) -> Option<String> {
    match watt_hours {
        None => Some("GPU energy is not known, hence nan".to_owned()),
        Some(watt_hours) if watt_hours > 0.0 && watt_hours < 1.0 => {
            Some(format!("two decimals hide digits of a run this short; {SUMMARY_FILE_NAME} has them all"))
        }
        Some(_) => None,
    }
}

fn value(report: Report<'_>, watt_hours: Option<f64>) -> Value {
    let reason = report.summary.domain(Domain::Gpu).and_then(|gpu| gpu.energy.reason.clone());
    let split = &report.summary.energy.prefill_decode;
    let part = |figure: &Figure| {
        let joules = figure.value.filter(|_| split.domain == Some(Domain::Gpu));
        number_or_null(joules.map(|joules| joules / JOULES_PER_WATT_HOUR))
    };
    json!({
        "units": "Wh",
        "total": number_or_null(watt_hours),
        "format": "ai_energy_benchmarks",
        "preprocess_wh": null,
        "prefill_wh": part(&split.prefill),
        "decode_wh": part(&split.decode),
        "other_wh": part(&split.other),
        "split_method": split.method,
        "split_reason": split.prefill.reason,
        "run_id": report.record.plan.run_id,
        "synthetic": report.record.synthetic,
        "reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_parses_as_a_float_and_unknown_is_not_zero() {
        assert_eq!(two_decimals(Some(12.345_6)).trim().parse::<f64>().unwrap(), 12.35);
        assert!(two_decimals(None).trim().parse::<f64>().unwrap().is_nan());
        assert!(note(Some(0.004)).is_some() && note(None).is_some() && note(Some(25.0)).is_none());
    }
}
