//! Where a value lies on an axis, and at which round values the axis is marked.
//!
//! Refuses to draw.

use crate::terminal::units::significant;

/// Marks that an axis has at most, about.
const MARKS: f64 = 5.0;

/// The range of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// A linear scale from 0 to a round value above all of `values`; below 0 where one is.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let high = if high > low { high } else { low + 1.0 };
        let step = step(high - low);
        Self { from: (low / step).floor() * step, to: (high / step - 1e-9).ceil() * step, logarithmic: false }
    }

    /// A scale from the least to the largest of `values`. A logarithmic one leaves out what has no logarithm.
    pub(super) fn around(values: impl Iterator<Item = f64>, logarithmic: bool) -> Option<Self> {
        let usable = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let bounds = usable.fold(None, |bounds: Option<(f64, f64)>, value| {
            Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let (mut from, mut to) = bounds?;
        if from == to && logarithmic {
            (from, to) = (from / 2.0, to * 2.0);
        } else if from == to {
            (from, to) = (from - 0.5, to + 0.5);
        }
        Some(Self { from, to, logarithmic })
    }

    /// The same scale with some of its length added at both ends, for dots and their texts.
    pub(super) fn widened(self, share: f64) -> Self {
        if self.logarithmic {
            let factor = (self.to / self.from).powf(share);
            return Self { from: self.from / factor, to: self.to * factor, ..self };
        }
        let more = (self.to - self.from) * share;
        Self { from: self.from - more, to: self.to + more, ..self }
    }

    /// The place of a value, 0 to 1 within the range; `None` for what has none.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.is_finite().then_some(place)
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> f64 {
        if self.logarithmic {
            self.from * (self.to / self.from).powf(place)
        } else {
            self.from + place * (self.to - self.from)
        }
    }

    /// Round values within the range, with their texts.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let values = if self.logarithmic { self.powers() } else { self.steps() };
        values.into_iter().map(|value| (value, text(value))).collect()
    }

    fn steps(&self) -> Vec<f64> {
        let step = step(self.to - self.from);
        let (first, last) = ((self.from / step - 1e-6).ceil() as i64, (self.to / step + 1e-6).floor() as i64);
        (first..=last).map(|number| number as f64 * step).collect()
    }

    /// Powers of ten; where there are few, their doubles and fives too; where there are many, every second or third.
    fn powers(&self) -> Vec<f64> {
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let decades = (self.to / self.from).log10();
        let parts: &[f64] = if decades <= 2.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = ((decades / MARKS).ceil() as usize).max(1);
        let powers = (first..=last).step_by(every);
        let all = powers.flat_map(|power| parts.iter().map(move |part| part * 10_f64.powi(power)));
        let found: Vec<f64> =
            all.filter(|value| *value >= self.from * 0.999 && *value <= self.to * 1.001).collect();
        if found.len() < 2 { vec![self.from, self.to] } else { found }
    }
}

/// The distance of marks: 1, 2 or 5 times a power of ten.
fn step(length: f64) -> f64 {
    let rough = length / MARKS;
    let power = 10_f64.powf(rough.log10().floor());
    let part = rough / power;
    let round = if part <= 1.5 {
        1.0
    } else if part <= 3.5 {
        2.0
    } else if part <= 7.5 {
        5.0
    } else {
        10.0
    };
    round * power
}

/// A mark's text without digits that say nothing.
fn text(value: f64) -> String {
    let text = significant(value, 3);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(scale: Scale) -> Vec<String> {
        scale.marks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round() {
        assert_eq!(texts(Scale::from_zero([3.0, 47.2].into_iter())), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(
            texts(Scale::from_zero([0.003].into_iter())),
            ["0", "0.0005", "0.001", "0.0015", "0.002", "0.0025", "0.003"]
        );
        let times = Scale::around([4.0, 210.0].into_iter(), true).unwrap();
        assert_eq!(texts(times), ["5", "10", "20", "50", "100", "200"]);
    }

    #[test]
    fn one_value_and_none_make_a_scale_or_none() {
        assert!(Scale::around([7.0].into_iter(), false).unwrap().place(7.0).unwrap() == 0.5);
        assert_eq!(Scale::around([0.0, -1.0].into_iter(), true), None);
        assert_eq!(Scale::from_zero([0.0].into_iter()).place(0.0), Some(0.0));
    }

    proptest! {
        #[test]
        fn all_values_and_marks_lie_within(
            low in 1e-6_f64..1e3, factor in 1.0_f64..1e6, logarithmic: bool
        ) {
            let scale = Scale::around([low, low * factor].into_iter(), logarithmic).unwrap();
            for value in [low, low * factor] {
                let place = scale.place(value).unwrap();
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&place), "{place}");
                prop_assert!((scale.value(place) / value - 1.0).abs() < 1e-6);
            }
            let marks = scale.marks();
            prop_assert!((1..=14).contains(&marks.len()), "{marks:?}");
            for (value, _) in marks {
                let place = scale.place(value).unwrap();
                prop_assert!((-0.01..=1.01).contains(&place), "{value} at {place}");
            }
        }
    }
}
