//! Conditions that make a comparison fail: `energy_per_output_token>5%`, `ttft_p99>500ms`, `abs(e2e_mean)>10%`.
//!
//! With a percent sign the condition is about the difference over the baseline's value, without one about the side's own
//! value. Refuses to pass what cannot be judged: a figure that is not known fails its condition.

use std::fmt;
use std::str::FromStr;

use ai_energy_core::comparison::{ComparedFigure, ComparedSide, Difference, GateResult};

use super::figures::{METRICS, Metric, metric};

/// Which side of the limit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Above,
    Below,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    text: String,
    key: &'static str,
    unit: &'static str,
    absolute_size: bool,
    beyond: Beyond,
    limit: f64,
    relative: bool,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Prefixes of units with their factors.
const PREFIXES: [(&str, f64); 7] =
    [("", 1.0), ("u", 1e-6), ("µ", 1e-6), ("m", 1e-3), ("k", 1e3), ("M", 1e6), ("G", 1e9)];

impl FromStr for Gate {
    type Err = String;

    /// Reads a condition; the error says what is wrong and how to write it.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it like energy_per_output_token>5%, abs(ttft_p99)>10% or ttft_p99>500ms";
        let at = text.find(['<', '>']).ok_or_else(|| format!("it has neither < nor >; {form}"))?;
        let (left, right) = (text[..at].trim(), text[at + 1..].trim());
        let beyond = if text[at..].starts_with('>') { Beyond::Above } else { Beyond::Below };
        let inner = left.strip_prefix("abs(").and_then(|rest| rest.strip_suffix(')'));
        let name = inner.unwrap_or(left).trim();
        let Metric { key, unit, .. } = metric(name).ok_or_else(|| unknown(name))?;
        let number =
            right.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(right.len());
        let limit: f64 =
            right[..number].parse().map_err(|_| format!("`{right}` begins with no number; {form}"))?;
        let stated = right[number..].trim();
        let relative = stated == "%";
        let factor = if relative {
            0.01
        } else {
            unit_factor(stated, unit).ok_or_else(|| wrong_unit(stated, name, unit))?
        };
        if !limit.is_finite() {
            return Err(format!("`{right}` is no finite number; {form}"));
        }
        let limit = limit * factor;
        Ok(Self {
            text: text.trim().to_owned(),
            key,
            unit,
            absolute_size: inner.is_some(),
            beyond,
            limit,
            relative,
        })
    }
}

fn unknown(name: &str) -> String {
    let near = METRICS
        .iter()
        .map(|metric| metric.key)
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    let all: Vec<&str> = METRICS.iter().map(|metric| metric.key).collect();
    format!("`{name}` is no figure{near} There are {}", all.join(", "))
}

fn wrong_unit(stated: &str, name: &str, unit: &str) -> String {
    format!("`{stated}` is no unit of {name}, which is in {unit}; leave it out, or write %")
}

/// What a number in the stated unit is to be multiplied by: none stated, the figure's own, or a multiple of it. Of `J/token` the
/// part before the stroke is enough.
fn unit_factor(stated: &str, unit: &str) -> Option<f64> {
    if stated.is_empty() {
        return Some(1.0);
    }
    let short = unit.split('/').next().unwrap_or(unit);
    PREFIXES
        .iter()
        .find(|(prefix, _)| [unit, short].iter().any(|unit| stated.strip_prefix(prefix) == Some(*unit)))
        .map(|(_, factor)| *factor)
}

/// Holds every condition against every side but the baseline; where there is only one side, against that.
pub(super) fn judge(
    gates: &[Gate],
    strict: bool,
    baseline: usize,
    sides: &[ComparedSide],
    figures: &[ComparedFigure],
) -> Vec<GateResult> {
    let held = |place: &usize| sides.len() == 1 || *place != baseline;
    let mut results = Vec::new();
    for gate in gates {
        let figure = figures.iter().find(|figure| figure.key == gate.key);
        for place in (0..sides.len()).filter(held) {
            let (failed, detail) = match figure {
                None => (true, "no side has this figure, so it cannot be judged".to_owned()),
                Some(figure) => gate.judge(figure, place, strict),
            };
            let (condition, side) = (gate.text.clone(), sides[place].name.clone());
            results.push(GateResult { condition, side, failed, detail });
        }
    }
    results
}

impl Gate {
    fn judge(&self, figure: &ComparedFigure, place: usize, strict: bool) -> (bool, String) {
        if !self.relative {
            return match figure.values[place].value {
                None => (true, "the figure is not known, so it cannot be judged".to_owned()),
                Some(value) => {
                    let failed = self.is_beyond(value);
                    (failed, format!("it is {} {}", short(value), self.unit))
                }
            };
        }
        let known = figure.differences[place].as_ref().and_then(|found| Some((found, found.relative?)));
        let Some((difference, relative)) = known else {
            return (true, "the difference is not known, so it cannot be judged".to_owned());
        };
        let said = format!("{:+.2} %{}", relative * 100.0, interval(difference));
        match (self.is_beyond(relative), difference.significant) {
            (false, _) => (false, said),
            (true, Some(false)) if !strict => (false, format!("{said}: not significant")),
            (true, Some(false)) => (true, format!("{said}: not significant, but --strict")),
            (true, Some(true)) => (true, format!("{said}: significant")),
            (true, None) => (true, format!("{said}: no interval is known, so it counts")),
        }
    }

    fn is_beyond(&self, value: f64) -> bool {
        let value = if self.absolute_size { value.abs() } else { value };
        match self.beyond {
            Beyond::Above => value > self.limit,
            Beyond::Below => value < self.limit,
        }
    }
}

fn interval(difference: &Difference) -> String {
    difference
        .relative_ci95
        .map_or(String::new(), |[low, high]| format!(" [{:+.2}, {:+.2}]", low * 100.0, high * 100.0))
}

fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (3 - value.abs().log10().floor() as i32).clamp(0, 12) };
    format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::comparison::{Basis, Better};
    use ai_energy_core::figure::{Figure, Provenance};

    fn figure(relative: Option<f64>, significant: Option<bool>) -> ComparedFigure {
        let value = |value: f64| Figure::new(value, "s", Provenance::Measured, "");
        let difference = relative.map(|relative| Difference {
            absolute: Some(relative),
            absolute_ci95: None,
            relative: Some(relative),
            relative_ci95: None,
            significant,
            basis: Basis::Repeats,
            method: String::new(),
        });
        ComparedFigure {
            key: "ttft_p99".to_owned(),
            label: String::new(),
            group: String::new(),
            better: Better::Lower,
            values: vec![value(1.0), value(1.0 + relative.unwrap_or(0.0))],
            differences: vec![None, difference],
        }
    }

    fn fails(condition: &str, relative: f64, significant: Option<bool>, strict: bool) -> bool {
        let gate: Gate = condition.parse().unwrap();
        gate.judge(&figure(Some(relative), significant), 1, strict).0
    }

    #[test]
    fn a_difference_fails_only_where_it_is_beyond_and_significant_unless_strict() {
        assert!(fails("ttft_p99>5%", 0.06, Some(true), false));
        assert!(!fails("ttft_p99>5%", 0.06, Some(false), false));
        assert!(fails("ttft_p99>5%", 0.06, Some(false), true));
        assert!(!fails("ttft_p99>5%", 0.04, Some(true), true));
        assert!(!fails("ttft_p99>5%", -0.06, Some(true), false));
        assert!(fails("abs(ttft_p99)>5%", -0.06, Some(true), false));
        assert!(fails("ttft_p99 < -5%", -0.06, Some(true), false));
    }

    #[test]
    fn what_cannot_be_judged_fails() {
        assert!(fails("ttft_p99>5%", 0.06, None, false), "no interval: nobody can call it chance");
        let gate: Gate = "ttft_p99>5%".parse().unwrap();
        assert!(gate.judge(&figure(None, None), 1, false).0);
        let gates = [gate];
        let sides = vec![ComparedSide::default(); 2];
        assert!(judge(&gates, false, 0, &sides, &[])[0].failed, "a figure that no side has");
    }

    #[test]
    fn a_limit_without_percent_is_of_the_value_in_its_unit() {
        assert!(fails("ttft_p99>1040ms", 0.05, None, false) && !fails("ttft_p99>1060ms", 0.05, None, false));
        assert!(fails("ttft_p99>1.04", 0.05, None, false) && fails("ttft_p99>1.04 s", 0.05, None, false));
        let per_token: Gate = "energy_per_output_token>300mJ".parse().unwrap();
        assert_eq!((per_token.limit, per_token.relative), (0.3, false));
        assert_eq!("wh_per_1000_queries<2kWh".parse::<Gate>().unwrap().limit, 2000.0);
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_to_write_it() {
        let error = |text: &str| text.parse::<Gate>().unwrap_err();
        assert!(error("energy_per_output_tokn>5%").contains("did you mean `energy_per_output_token`"));
        assert!(error("ttft_p99=5%").contains("neither < nor >"));
        assert!(error("ttft_p99>5J").contains("which is in s"));
        assert!(error("ttft_p99>five%").contains("no number"));
    }
}
