//! The spread between repeats: means with Student's t, differences with Welch's.
//!
//! B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
//! Biometrika 34 (1947). Refuses to know what is repeated.

use crate::stats::t95;

/// Mean and variance of a few values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample variance (n − 1); `None` below two values.
    pub variance: Option<f64>,
}

impl Sample {
    /// The sample of these values; `None` without one.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self { count, mean, variance: (count > 1).then(|| squares / (count - 1) as f64) })
    }

    /// Half the 95 % interval of the mean (Student's t); `None` below two values.
    pub fn mean_ci95(&self) -> Option<f64> {
        Some(t95(self.count - 1) * (self.variance? / self.count as f64).sqrt())
    }

    /// Variance of the mean.
    fn of_mean(&self) -> Option<f64> {
        Some(self.variance? / self.count as f64)
    }
}

/// Half the 95 % intervals of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// Of other − base.
    pub absolute: f64,
    /// Of other ÷ base, by the delta method; `None` where the base is 0.
    pub relative: Option<f64>,
    /// Degrees of freedom (Welch and Satterthwaite), rounded down.
    pub freedom: usize,
}

/// The intervals of the difference of two means; `None` where a side has fewer than two values.
pub fn welch(base: &Sample, other: &Sample) -> Option<Welch> {
    let (first, second) = (base.of_mean()?, other.of_mean()?);
    let freedom = |variances: [f64; 2]| {
        let square = |variance: f64, count: usize| variance.powi(2) / (count - 1) as f64;
        let below = square(variances[0], base.count) + square(variances[1], other.count);
        let most = base.count + other.count - 2;
        // Repeats without any spread: nothing is to be weighed.
        if below > 0.0 {
            ((variances[0] + variances[1]).powi(2) / below).floor().clamp(1.0, most as f64) as usize
        } else {
            most
        }
    };
    let half = |variances: [f64; 2]| t95(freedom(variances)) * (variances[0] + variances[1]).sqrt();
    let relative = (base.mean != 0.0).then(|| {
        let ratio = other.mean / base.mean;
        half([first * (ratio / base.mean).powi(2), second / base.mean.powi(2)])
    });
    Some(Welch { absolute: half([first, second]), relative, freedom: freedom([first, second]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::draw::Draw;

    #[test]
    fn a_textbook_example_of_unequal_variances() {
        // Two samples of Welch's kind: means 20.82 and 23.71, t(24.99 → 24) of the printed solution.
        let a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
        let b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.4, 23.8];
        let (a, b) = (Sample::of(&a).unwrap(), Sample::of(&b).unwrap());
        let found = welch(&a, &b).unwrap();
        assert!((a.mean - 20.82).abs() < 1e-9 && (b.mean - 23.606_667).abs() < 1e-5);
        // By hand: variances of the means 0.484 and 0.444.
        let by_hand = t95(found.freedom) * (a.variance.unwrap() / 15.0 + b.variance.unwrap() / 15.0).sqrt();
        assert!((found.absolute - by_hand).abs() < 1e-12);
        assert!((26..=28).contains(&found.freedom), "{}", found.freedom);
    }

    #[test]
    fn the_interval_holds_the_truth_in_19_of_20_cases_with_unequal_spreads_and_few_repeats() {
        let mut draw = Draw::new(7, 3);
        let (mut absolute, mut relative) = (0, 0);
        const CASES: usize = 4000;
        for _ in 0..CASES {
            let mut sample = |mean: f64, deviation: f64, count: usize| {
                let values: Vec<f64> = (0..count).map(|_| mean + deviation * draw.normal()).collect();
                Sample::of(&values).unwrap()
            };
            let (a, b) = (sample(10.0, 0.1, 4), sample(11.0, 0.4, 6));
            let found = welch(&a, &b).unwrap();
            absolute += usize::from((b.mean - a.mean - 1.0).abs() <= found.absolute);
            relative += usize::from((b.mean / a.mean - 1.1).abs() <= found.relative.unwrap());
        }
        for held in [absolute, relative] {
            let share = held as f64 / CASES as f64;
            assert!((0.935..0.968).contains(&share), "{share}");
        }
    }

    #[test]
    fn one_run_has_no_spread_and_equal_runs_have_none() {
        let one = Sample::of(&[3.0]).unwrap();
        assert_eq!((one.variance, welch(&one, &one)), (None, None));
        let same = Sample::of(&[3.0, 3.0]).unwrap();
        assert_eq!(welch(&same, &same).map(|found| (found.absolute, found.freedom)), Some((0.0, 2)));
        assert_eq!(Sample::of(&[]), None);
    }
}
