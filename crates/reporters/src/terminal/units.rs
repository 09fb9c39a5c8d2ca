//! Numbers as people read them: a unit that fits the size, and no more digits than the interval deserves.
//!
//! With an interval: the interval gets two significant digits and the value as many decimals. Without: the value gets
//! three significant digits.

use std::time::Duration;

use ai_energy_core::Figure;

use super::text::Glyphs;

/// Most significant digits a value gets, however small its interval.
const MOST_DIGITS: i32 = 6;

/// A unit and its multiples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// The symbol; `u` stands for micro until it is printed.
    symbol: &'static str,
    /// How much of the base unit it is.
    factor: f64,
}

/// Multiples of one unit, smallest first.
pub(crate) type Family = &'static [Scale];

const fn scale(symbol: &'static str, factor: f64) -> Scale {
    Scale { symbol, factor }
}

pub(crate) const JOULES: Family = &[
    scale("uJ", 1e-6),
    scale("mJ", 1e-3),
    scale("J", 1.0),
    scale("kJ", 1e3),
    scale("MJ", 1e6),
    scale("GJ", 1e9),
];
pub(crate) const WATT_HOURS: Family =
    &[scale("uWh", 1e-6), scale("mWh", 1e-3), scale("Wh", 1.0), scale("kWh", 1e3), scale("MWh", 1e6)];
pub(crate) const BYTES: Family = &[scale("B", 1.0), scale("kB", 1e3), scale("MB", 1e6), scale("GB", 1e9)];
pub(crate) const SECONDS: Family = &[scale("us", 1e-6), scale("ms", 1e-3), scale("s", 1.0)];
pub(crate) const GRAMS: Family =
    &[scale("ug", 1e-6), scale("mg", 1e-3), scale("g", 1.0), scale("kg", 1e3), scale("t", 1e6)];
/// Water.
pub(crate) const LITRES: Family = &[scale("mL", 1e-3), scale("L", 1.0), scale("m3", 1e3)];
pub(crate) const WATTS: Family = &[scale("mW", 1e-3), scale("W", 1.0), scale("kW", 1e3), scale("MW", 1e6)];

impl Scale {
    /// How much of the base unit it is.
    pub(crate) fn factor(self) -> f64 {
        self.factor
    }

    /// Its symbol as it is shown.
    pub(crate) fn unit(self, glyphs: &Glyphs) -> String {
        symbol(self, glyphs)
    }
}

/// The multiple that gives a value between 1 and 1000, as far as the family goes.
pub(crate) fn pick(family: Family, value: f64) -> Scale {
    // What rounds to 1000 in three digits belongs to the next multiple.
    let size = value.abs() * (1.0 + 5e-4);
    let fitting = family.iter().rev().find(|scale| scale.factor <= size);
    // Zero has no size: the unit itself serves it best.
    let zero = family.iter().find(|scale| scale.factor == 1.0).filter(|_| value == 0.0);
    zero.or(fitting).or(family.first()).copied().unwrap_or(scale("", 1.0))
}

/// The multiple for several values that stand in one column: that of the largest.
pub(crate) fn pick_common(family: Family, values: impl IntoIterator<Item = f64>) -> Scale {
    pick(family, values.into_iter().map(f64::abs).fold(0.0, f64::max))
}

/// `12.8 ± 0.4 J`-like text of a figure in base units, in `common` or, where that would leave only zeros before the
/// first digits, in the multiple that fits. A sign for "none" where there is no value.
pub(crate) fn figure(figure: &Figure, family: Family, common: Scale, glyphs: &Glyphs) -> String {
    match figure.value {
        None => glyphs.none.to_owned(),
        Some(value) => {
            let scale = if value.abs() < common.factor * 1e-3 { pick(family, value) } else { common };
            let number =
                with_interval(value / scale.factor, figure.ci95.map(|ci95| ci95 / scale.factor), glyphs);
            format!("{number} {}", symbol(scale, glyphs))
        }
    }
}

/// A value in base units with three significant digits, in the multiple given.
pub(crate) fn plain(value: f64, scale: Scale, glyphs: &Glyphs) -> String {
    format!("{} {}", significant(value / scale.factor, 3), symbol(scale, glyphs))
}

fn symbol(scale: Scale, glyphs: &Glyphs) -> String {
    match scale.symbol.strip_prefix('u') {
        Some(unit) => format!("{}{unit}", glyphs.micro),
        None => scale.symbol.to_owned(),
    }
}

/// A value with half the width of its interval, without a unit.
pub(crate) fn with_interval(value: f64, ci95: Option<f64>, glyphs: &Glyphs) -> String {
    let Some(ci95) = ci95.filter(|ci95| *ci95 > 0.0 && ci95.is_finite()) else {
        return significant(value, 3);
    };
    let deserved = 1 - exponent(ci95, 2);
    let allowed = MOST_DIGITS - 1 - exponent(value, MOST_DIGITS);
    let decimals = deserved.min(allowed);
    let interval = rounded(ci95, decimals);
    if interval.chars().all(|letter| matches!(letter, '0' | '.')) {
        // Smaller than the last digit shown: the digits say as much.
        return rounded(value, decimals);
    }
    format!("{} {} {interval}", rounded(value, decimals), glyphs.plus_minus)
}

/// A value with so many significant digits; digits before the decimal point are never rounded away.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    rounded(value, (digits - 1 - exponent(value, digits)).max(0))
}

/// The decimal exponent of a value once it is rounded to `digits` significant digits; 0 for zero.
fn exponent(value: f64, digits: i32) -> i32 {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() {
        return 0;
    }
    let exponent = size.log10().floor() as i32;
    let unit = 10_f64.powi(exponent - digits + 1);
    if (size / unit).round() * unit >= 10_f64.powi(exponent + 1) * (1.0 - 1e-12) {
        exponent + 1
    } else {
        exponent
    }
}

/// A value with so many decimals; negative ones round to tens, hundreds, ….
fn rounded(value: f64, decimals: i32) -> String {
    if decimals >= 0 {
        let places = usize::try_from(decimals).unwrap_or(0).min(15);
        return group(&format!("{value:.places$}"));
    }
    let unit = 10_f64.powi(-decimals);
    group(&format!("{:.0}", (value / unit).round() * unit))
}

/// Thousands apart where there are four digits or more before the decimal point; no negative zero.
fn group(number: &str) -> String {
    let unsigned = number.trim_start_matches('-');
    let negative =
        unsigned.len() < number.len() && unsigned.bytes().any(|digit| (b'1'..=b'9').contains(&digit));
    let (whole, fraction) = unsigned.split_at(unsigned.find('.').unwrap_or(unsigned.len()));
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{}{grouped}{fraction}", if negative { "-" } else { "" })
}

/// A count with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    group(&value.to_string())
}

/// A time of the day-to-day kind: `8s`, `1m14s`, `2h05m`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::Provenance;
    use proptest::prelude::*;

    fn shown(value: f64, ci95: Option<f64>) -> String {
        with_interval(value, ci95, &Glyphs::new(true))
    }

    #[test]
    fn the_interval_decides_the_digits() {
        assert_eq!(shown(12.8437, Some(0.4123)), "12.84 ± 0.41");
        assert_eq!(shown(12.8437, Some(6.9)), "12.8 ± 6.9");
        assert_eq!(shown(711.4, Some(254.0)), "710 ± 250");
        assert_eq!(shown(12.8437, Some(0.0996)), "12.84 ± 0.10");
        assert_eq!(shown(12.8437, None), "12.8");
        assert_eq!(shown(12.8437, Some(0.0)), "12.8");
        assert_eq!(shown(9.0, Some(15.2)), "9 ± 15");
        assert_eq!(shown(12.843_712_345, Some(1e-9)), "12.8437");
    }

    #[test]
    fn three_digits_survive_rounding_up_to_the_next_power() {
        assert_eq!(significant(9.996, 3), "10.0");
        assert_eq!(significant(0.000_123_4, 3), "0.000123");
        assert_eq!(significant(12_742.4, 3), "12,742");
        assert_eq!(significant(0.0, 3), "0.00");
        assert_eq!(significant(-0.000_000_1, 3), "-0.000000100");
    }

    #[test]
    fn units_follow_the_size() {
        let glyphs = Glyphs::new(true);
        let text = |value, family| plain(value, pick(family, value), &glyphs);
        assert_eq!(text(0.201, JOULES), "201 mJ");
        assert_eq!(text(0.999_7, JOULES), "1.00 J");
        assert_eq!(text(0.999_4, JOULES), "999 mJ");
        assert_eq!(text(2.5e-5, SECONDS), "25.0 µs");
        assert_eq!(text(1200.0, WATT_HOURS), "1.20 kWh");
        assert_eq!(text(0.0, GRAMS), "0.00 g");
        assert_eq!(plain(2e-6, pick(GRAMS, 2e-6), &Glyphs::new(false)), "2.00 ug");
    }

    #[test]
    fn a_column_shares_its_unit_unless_a_value_would_drown_in_zeros() {
        let glyphs = Glyphs::new(true);
        let common = pick_common(JOULES, [12.0, 0.4]);
        let of = |value| Figure::new(value, "J", Provenance::Measured, "x");
        assert_eq!(figure(&of(0.4), JOULES, common, &glyphs), "0.400 J");
        assert_eq!(figure(&of(0.0004), JOULES, common, &glyphs), "400 µJ");
        assert_eq!(figure(&Figure::unavailable("J", "why"), JOULES, common, &glyphs), "–");
    }

    #[test]
    fn times_read_like_times() {
        assert_eq!(clock(Duration::from_secs(8)), "8s");
        assert_eq!(clock(Duration::from_secs(74)), "1m14s");
        assert_eq!(clock(Duration::from_secs(7500)), "2h05m");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_within_half_a_last_digit_of_the_interval(
            value in 1e-3_f64..1e6, relative in 1e-4_f64..2.0,
        ) {
            let ci95 = value * relative;
            let text = shown(value, Some(ci95));
            let (number, interval) = text.split_once(" ± ").unwrap();
            let parse = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
            prop_assert!((parse(number) - value).abs() <= 0.051 * ci95, "{} {} {}", value, ci95, text);
            prop_assert!((parse(interval) - ci95).abs() <= 0.051 * ci95, "{} {} {}", value, ci95, text);
        }
    }
}
