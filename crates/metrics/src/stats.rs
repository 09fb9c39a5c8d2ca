//! Exact statistics of a set of observations.
//!
//! Every observation counts, sorted, or selected where they are too many to keep: no sketch, no approximation. Refuses to
//! know what is observed.

use ai_energy_core::summary::Distribution;

pub(crate) mod select;

/// The quantiles that every distribution tells.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// The distribution of `values` in `unit`; `None` without a value. Values that are not finite are left out.
///
/// Percentiles are of Hyndman and Fan's type 7, linear between order statistics, as in NumPy, R and Excel.
pub fn distribution(mut values: Vec<f64>, unit: &str) -> Option<Distribution> {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len() as u64;
    described(unit, count, &|| values.iter().map(|value| (*value, 1)), &|number| values[number as usize])
}

/// [`distribution`] of observations that each were made a number of times: `(value, times)`.
pub fn weighted_distribution(mut values: Vec<(f64, u64)>, unit: &str) -> Option<Distribution> {
    values.retain(|(value, times)| value.is_finite() && *times > 0);
    // In place: a stable sort would take as much memory again.
    values.sort_unstable_by(|a, b| f64::total_cmp(&a.0, &b.0).then(a.1.cmp(&b.1)));
    // How many observations there are up to and with each value.
    let upto: Vec<u64> = values
        .iter()
        .scan(0_u64, |sum, (_, times)| {
            *sum = sum.saturating_add(*times);
            Some(*sum)
        })
        .collect();
    let nth = |number: u64| values[upto.partition_point(|sum| *sum <= number).min(values.len() - 1)].0;
    described(unit, upto.last().copied().unwrap_or(0), &|| values.iter().copied(), &nth)
}

/// The distribution of `count` sorted observations, of which `nth` gives one by its number.
fn described<I: Iterator<Item = (f64, u64)>>(
    unit: &str,
    count: u64,
    all: &dyn Fn() -> I,
    nth: &dyn Fn(u64) -> f64,
) -> Option<Distribution> {
    let last = count.checked_sub(1)?;
    let (min, max) = (nth(0), nth(last));
    let sum = all().map(|(value, times)| value * times as f64).sum::<f64>();
    let mean = (sum / count as f64).clamp(min, max);
    // Two passes, so that a large mean costs no digits.
    let (offs, squares) = all().fold((0.0, 0.0), |(offs, squares), (value, times)| {
        let off = value - mean;
        (offs + off * times as f64, squares + off * off * times as f64)
    });
    let squares = about_the_mean(squares, offs, count);
    let points = QUANTILES.map(|q| between(last, q, nth));
    Some(of_moments(unit, count, mean, squares, (min, max), points))
}

/// The sum of squared differences to the mean, from the `squares` and the sum `offs` of the differences to nearly the mean.
/// The mean as computed carries the rounding of a long sum, which values that lie close together would show as spread; the
/// corrected two-pass formula takes it out (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983).
fn about_the_mean(squares: f64, offs: f64, count: u64) -> f64 {
    (squares - offs * offs / count as f64).max(0.0)
}

/// A distribution from its count, mean, sum of squared differences to the mean, least and greatest value, and quantiles.
fn of_moments(
    unit: &str,
    count: u64,
    mean: f64,
    squares: f64,
    (min, max): (f64, f64),
    [p50, p90, p95, p99, p999]: [f64; 5],
) -> Distribution {
    let size = usize::try_from(count).unwrap_or(usize::MAX);
    let standard_deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
    let mean_ci95 = standard_deviation.map(|deviation| t95(size - 1) * deviation / (count as f64).sqrt());
    Distribution {
        unit: unit.to_owned(),
        count: size,
        mean,
        mean_ci95,
        standard_deviation,
        min,
        p50,
        p90,
        p95,
        p99,
        p999,
        max,
    }
}

/// The `q` quantile (0 to 1) of sorted values, type 7: position `q × (n − 1)`, linear between its neighbours.
/// NaN for no values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    between(last as u64, q, |number| sorted[number as usize])
}

/// The `q` quantile of observations 0 to `last`, of which `nth` gives one by its number.
fn between(last: u64, q: f64, mut nth: impl FnMut(u64) -> f64) -> f64 {
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = (position.floor() as u64).min(last);
    let share = position - below as f64;
    let (from, to) = (nth(below), nth(below.saturating_add(1).min(last)));
    // Written so that equal neighbours give exactly that value.
    from + share * (to - from)
}

/// The two-sided 95 % point of Student's t with `freedom` degrees of freedom, to about 1e-4.
///
/// A table up to 10; above, the Cornish-Fisher expansion around the normal point (Abramowitz and Stegun 26.7.5).
pub fn t95(freedom: usize) -> f64 {
    const SMALL: [f64; 10] = [
        12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157,
        2.228_139,
    ];
    if freedom == 0 {
        return f64::NAN;
    }
    if let Some(point) = SMALL.get(freedom - 1) {
        return *point;
    }
    let (z, n) = (1.959_963_985_f64, freedom as f64);
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + g1 / n + g2 / n.powi(2) + g3 / n.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-3 * b.abs().max(1e-9)
    }

    #[test]
    fn one_to_ten_by_hand() {
        let found = distribution((1..=10).rev().map(f64::from).collect(), "s").unwrap();
        assert_eq!((found.count, found.mean, found.min, found.max), (10, 5.5, 1.0, 10.0));
        assert_eq!((found.p50, found.p90), (5.5, 9.1));
        assert!(close(found.p95, 9.55) && close(found.p99, 9.91) && close(found.p999, 9.991));
        assert!(close(found.standard_deviation.unwrap(), 3.027_650), "sqrt(82.5 / 9)");
        assert!(close(found.mean_ci95.unwrap(), 2.262_157 * 3.027_650 / 10f64.sqrt()));
    }

    #[test]
    fn one_value_has_no_spread_and_none_has_nothing() {
        let found = distribution(vec![0.25], "s").unwrap();
        assert_eq!(
            (found.p50, found.p999, found.standard_deviation, found.mean_ci95),
            (0.25, 0.25, None, None)
        );
        assert_eq!(distribution(vec![], "s"), None);
        assert_eq!(distribution(vec![f64::NAN, f64::INFINITY], "s"), None);
    }

    #[test]
    fn t_points_match_the_printed_tables() {
        for (freedom, point) in
            [(1, 12.706), (10, 2.228), (11, 2.201), (30, 2.0423), (120, 1.9799), (100_000, 1.9600)]
        {
            assert!((t95(freedom) - point).abs() < 5e-4, "{freedom}: {}", t95(freedom));
        }
    }

    proptest! {
        #[test]
        fn order_holds_and_order_of_arrival_does_not_matter(mut values in prop::collection::vec(-1e6..1e6f64, 1..200)) {
            let found = distribution(values.clone(), "s").unwrap();
            let points = [found.min, found.p50, found.p90, found.p95, found.p99, found.p999, found.max];
            prop_assert!(points.windows(2).all(|pair| pair[0] <= pair[1]), "{points:?}");
            prop_assert!(found.min <= found.mean && found.mean <= found.max);
            values.sort_by(f64::total_cmp);
            let sorted = distribution(values, "s").unwrap();
            prop_assert_eq!(sorted.p99, found.p99);
            prop_assert!((sorted.mean - found.mean).abs() <= 1e-9 * found.max.abs().max(found.min.abs()).max(1.0));
        }

        #[test]
        fn a_weight_is_as_many_observations(values in prop::collection::vec((-1e3..1e3f64, 0..5_u64), 1..50)) {
            let repeat = |(value, times): &(f64, u64)| std::iter::repeat_n(*value, *times as usize);
            let repeated = distribution(values.iter().flat_map(repeat).collect(), "s");
            let weighted = weighted_distribution(values, "s");
            prop_assert_eq!(weighted.is_some(), repeated.is_some());
            if let (Some(weighted), Some(repeated)) = (weighted, repeated) {
                let points = |of: &Distribution| (of.count, of.min, of.p50, of.p90, of.p95, of.p99, of.p999, of.max);
                prop_assert_eq!(points(&weighted), points(&repeated));
                prop_assert!((weighted.mean - repeated.mean).abs() < 1e-9);
                let spread = |of: &Distribution| of.standard_deviation.unwrap_or(0.0);
                prop_assert!((spread(&weighted) - spread(&repeated)).abs() < 1e-9);
            }
        }

        #[test]
        fn shifting_moves_places_and_keeps_spread(values in prop::collection::vec(0.0..1e3f64, 2..50), by in -1e3..1e3f64) {
            let here = distribution(values.clone(), "s").unwrap();
            let there = distribution(values.iter().map(|value| value + by).collect(), "s").unwrap();
            prop_assert!((there.p90 - here.p90 - by).abs() < 1e-9);
            prop_assert!((there.standard_deviation.unwrap() - here.standard_deviation.unwrap()).abs() < 1e-8);
        }
    }
}
