//! The cells of a compared figure: both values in one unit, the difference, its interval, and what it comes to.
//!
//! One place for every way a comparison is written, so that all of them round alike. Refuses to judge: the comparison did.

use ai_energy_core::comparison::{Better, ComparedFigure};
use ai_energy_core::figure::Figure;

use crate::terminal::text::Glyphs;
use crate::terminal::units::{self, Family, Scale};

/// What a difference comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Significant, to the good.
    Better,
    /// Significant, to the bad.
    Worse,
    /// Significant, of a figure that is neither good nor bad.
    Other,
    /// Not significant.
    Same,
    /// Nobody can say.
    Unknown,
}

impl Outcome {
    /// The word that tables use.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Other => "differs",
            Outcome::Same => "not significant",
            Outcome::Unknown => "no interval",
        }
    }
}

/// The cells of a row.
pub(crate) struct Cells {
    /// The baseline's value.
    pub(crate) base: String,
    /// The side's value.
    pub(crate) other: String,
    /// The difference in the figure's unit.
    pub(crate) absolute: String,
    /// The difference over the baseline.
    pub(crate) relative: String,
    /// Its interval.
    pub(crate) interval: String,
    /// What it comes to; `None` where a side has no value.
    pub(crate) outcome: Option<Outcome>,
}

/// The cells of the side at `place` against the baseline.
pub(crate) fn cells(figure: &ComparedFigure, baseline: usize, place: usize, glyphs: &Glyphs) -> Cells {
    let (base, other) = (&figure.values[baseline], &figure.values[place]);
    let known = [base, other].into_iter().filter_map(|value| value.value);
    let scaling = Scaling::of(&base.unit, known);
    let none = || glyphs.none.to_owned();
    let difference = figure.differences.get(place).and_then(Option::as_ref);
    let outcome = difference.filter(|difference| difference.absolute.is_some()).map(|difference| {
        let up = difference.absolute.is_some_and(|absolute| absolute > 0.0);
        match (difference.significant, figure.better) {
            (None, _) => Outcome::Unknown,
            (Some(false), _) => Outcome::Same,
            (Some(true), Better::Neither) => Outcome::Other,
            (Some(true), better) => {
                if up == (better == Better::Higher) {
                    Outcome::Better
                } else {
                    Outcome::Worse
                }
            }
        }
    });
    Cells {
        base: scaling.value(base, glyphs),
        other: scaling.value(other, glyphs),
        absolute: difference
            .and_then(|found| found.absolute)
            .map_or_else(none, |value| scaling.signed(value, glyphs)),
        relative: difference.and_then(|found| found.relative).map_or_else(none, percent),
        interval: difference.and_then(|found| found.relative_ci95).map_or_else(none, |[low, high]| {
            format!("{} {} {}", percent(low).trim_end_matches(" %"), "to", percent(high))
        }),
        outcome,
    }
}

/// A value with its interval and unit, by itself.
pub(crate) fn quantity(figure: &Figure, glyphs: &Glyphs) -> String {
    Scaling::of(&figure.unit, figure.value).value(figure, glyphs)
}

/// `+5.2 %`: two digits after the point below a tenth of a percent, one below ten.
fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        size if size >= 9.995 => format!("{value:+.1} %"),
        size if size == 0.0 || size >= 0.0995 => format!("{value:+.2} %"),
        _ => format!("{value:+.3} %"),
    }
}

/// The unit that a row is shown in.
enum Scaling {
    Scaled(Family, Scale),
    Plain(String),
}

impl Scaling {
    /// Joules and the like in the multiple that fits the largest value; what stands after a stroke is in the row's name.
    fn of(unit: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let family = match unit.split('/').next().unwrap_or(unit) {
            "J" => units::JOULES,
            "Wh" => units::WATT_HOURS,
            "s" => units::SECONDS,
            "g" => units::GRAMS,
            "W" => units::WATTS,
            "1" => return Self::Plain(String::new()),
            "token" if unit == "token/s" => return Self::Plain("tok/s".to_owned()),
            "request" if unit == "request/s" => return Self::Plain("req/s".to_owned()),
            "token" => return Self::Plain("tok".to_owned()),
            _ => return Self::Plain(unit.to_owned()),
        };
        Self::Scaled(family, units::pick_common(family, values))
    }

    fn value(&self, figure: &Figure, glyphs: &Glyphs) -> String {
        match self {
            Self::Scaled(family, scale) => units::figure(figure, family, *scale, glyphs),
            Self::Plain(unit) => match figure.value {
                Some(value) => {
                    format!("{} {unit}", units::with_interval(value, figure.ci95, glyphs)).trim().to_owned()
                }
                None => glyphs.none.to_owned(),
            },
        }
    }

    fn signed(&self, value: f64, glyphs: &Glyphs) -> String {
        let sign = if value < 0.0 { "-" } else { "+" };
        let size = value.abs();
        match self {
            Self::Scaled(family, scale) => {
                let scale = if size < scale.factor() * 1e-3 { units::pick(family, size) } else { *scale };
                format!("{sign}{}", units::plain(size, scale, glyphs))
            }
            Self::Plain(unit) => format!("{sign}{} {unit}", units::significant(size, 3)).trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::comparison::{Basis, Difference};
    use ai_energy_core::figure::Provenance;

    fn figure(base: f64, other: f64, significant: Option<bool>, better: Better) -> ComparedFigure {
        let value = |value: f64| Figure::new(value, "J/token", Provenance::Derived, "").with_ci95(0.01);
        let relative = other / base - 1.0;
        let difference = Difference {
            absolute: Some(other - base),
            absolute_ci95: None,
            relative: Some(relative),
            relative_ci95: significant.map(|_| [relative - 0.01, relative + 0.01]),
            significant,
            basis: Basis::Repeats,
            method: String::new(),
        };
        ComparedFigure {
            key: "k".to_owned(),
            label: "l".to_owned(),
            group: "energy".to_owned(),
            better,
            values: vec![value(base), value(other)],
            differences: vec![None, Some(difference)],
        }
    }

    #[test]
    fn both_values_share_a_unit_and_the_difference_has_its_sign() {
        let glyphs = Glyphs::new(true);
        let row = cells(&figure(0.2, 0.19, Some(true), Better::Lower), 0, 1, &glyphs);
        assert_eq!((row.base.as_str(), row.other.as_str()), ("200 ± 10 mJ", "190 ± 10 mJ"));
        assert_eq!((row.absolute.as_str(), row.relative.as_str()), ("-10.0 mJ", "-5.00 %"));
        assert_eq!((row.interval.as_str(), row.outcome), ("-6.00 to -4.00 %", Some(Outcome::Better)));
    }

    #[test]
    fn what_it_comes_to_depends_on_the_way_that_is_better() {
        let outcome = |significant, better| {
            cells(&figure(0.2, 0.3, significant, better), 0, 1, &Glyphs::new(true)).outcome
        };
        assert_eq!(outcome(Some(true), Better::Lower), Some(Outcome::Worse));
        assert_eq!(outcome(Some(true), Better::Higher), Some(Outcome::Better));
        assert_eq!(outcome(Some(true), Better::Neither), Some(Outcome::Other));
        assert_eq!(outcome(Some(false), Better::Lower), Some(Outcome::Same));
        assert_eq!(outcome(None, Better::Lower), Some(Outcome::Unknown));
    }
}
