//! Least squares of a sum of three parts, none below zero.
//!
//! With three parts there are eight ways to hold some of them at zero: each is solved exactly and the best one that
//! stays at or above zero is taken, so there is no iteration to converge. Errors are those of the fit without bounds,
//! which the bounds can only bring nearer to a truth that keeps them; they follow Newey and West (1987), since what a
//! counter's tick takes from one interval it gives to the next. Refuses to know what the parts are.

use crate::stats::t95;

const PARTS: usize = 3;

/// A fit of `y` by `x[0]·c[0] + x[1]·c[1] + x[2]·c[2]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The coefficients, none below zero.
    pub coefficients: [f64; PARTS],
    /// Half the width of each one's 95 % interval, from the residuals.
    pub ci95: [f64; PARTS],
    /// Share of the variance of `y` that the fit explains, 0 to 1.
    pub r_squared: f64,
    /// How much wider the second and third part's intervals are for being alike (variance inflation factor; 1 where they
    /// are not).
    pub inflation: [f64; 2],
}

/// Fits `y` by `rows`; `None` where there are too few rows or a part cannot be told from the others.
pub fn least_squares(rows: &[[f64; PARTS]], y: &[f64]) -> Option<Fit> {
    let free = rows.len().checked_sub(PARTS).filter(|free| *free > 0 && rows.len() == y.len())?;
    let (normal, right) = normal_equations(rows, y);
    let inverse = invert(&normal)?;
    let unbounded = multiply(&inverse, &right);
    let covariance = covariance(rows, y, &unbounded, &inverse);
    let quantile = t95(free);
    let ci95 = std::array::from_fn(|part| quantile * covariance[part][part].max(0.0).sqrt());
    let coefficients = bounded(rows, y, &normal, &right);
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let spread: f64 = y.iter().map(|value| (value - mean).powi(2)).sum();
    let left = squares(rows, y, &coefficients);
    let r_squared = if spread > 0.0 { (1.0 - left / spread).clamp(0.0, 1.0) } else { 0.0 };
    let inflation = [1, 2].map(|part| {
        let mean = rows.iter().map(|row| row[part]).sum::<f64>() / rows.len() as f64;
        let spread: f64 = rows.iter().map(|row| (row[part] - mean).powi(2)).sum();
        spread * inverse[part][part]
    });
    Some(Fit { coefficients, ci95, r_squared, inflation })
}

/// The coefficients' covariance where neighbouring residuals hang together (Newey and West, Bartlett's weights, their
/// usual number of neighbours), with the degrees of freedom that were spent.
fn covariance(
    rows: &[[f64; PARTS]],
    y: &[f64],
    coefficients: &[f64; PARTS],
    inverse: &[[f64; PARTS]; PARTS],
) -> [[f64; PARTS]; PARTS] {
    let scores: Vec<[f64; PARTS]> =
        rows.iter().zip(y).map(|(row, y)| row.map(|x| x * residual(row, *y, coefficients))).collect();
    let count = rows.len() as f64;
    let neighbours = (4.0 * (count / 100.0).powf(2.0 / 9.0)) as usize;
    let mut middle = [[0.0; PARTS]; PARTS];
    for lag in 0..=neighbours.min(rows.len() - 1) {
        let weight = if lag == 0 { 0.5 } else { 1.0 - lag as f64 / (neighbours + 1) as f64 };
        for (one, other) in scores.iter().zip(&scores[lag..]) {
            for (i, row) in middle.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum += weight * (one[i] * other[j] + other[i] * one[j]);
                }
            }
        }
    }
    let scale = count / (count - PARTS as f64);
    product(&product(inverse, &middle), inverse).map(|row| row.map(|value| value * scale))
}

fn product(a: &[[f64; PARTS]; PARTS], b: &[[f64; PARTS]; PARTS]) -> [[f64; PARTS]; PARTS] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..PARTS).map(|k| a[i][k] * b[k][j]).sum()))
}

fn residual(row: &[f64; PARTS], y: f64, coefficients: &[f64; PARTS]) -> f64 {
    y - row.iter().zip(coefficients).map(|(x, c)| x * c).sum::<f64>()
}

fn normal_equations(rows: &[[f64; PARTS]], y: &[f64]) -> ([[f64; PARTS]; PARTS], [f64; PARTS]) {
    let mut normal = [[0.0; PARTS]; PARTS];
    let mut right = [0.0; PARTS];
    for (row, y) in rows.iter().zip(y) {
        for (i, x) in row.iter().enumerate() {
            right[i] += x * y;
            for (j, other) in row.iter().enumerate() {
                normal[i][j] += x * other;
            }
        }
    }
    (normal, right)
}

/// The best solution without a negative coefficient.
fn bounded(
    rows: &[[f64; PARTS]],
    y: &[f64],
    normal: &[[f64; PARTS]; PARTS],
    right: &[f64; PARTS],
) -> [f64; PARTS] {
    let mut best = ([0.0; PARTS], squares(rows, y, &[0.0; PARTS]));
    for held in 0..(1_u8 << PARTS) {
        let holds = |part: usize| held & (1 << part) != 0;
        // A held part's equation becomes "coefficient = 0".
        let mut matrix = *normal;
        let mut side = *right;
        for part in (0..PARTS).filter(|part| holds(*part)) {
            matrix[part] = std::array::from_fn(|other| if other == part { 1.0 } else { 0.0 });
            side[part] = 0.0;
        }
        let Some(inverse) = invert(&matrix) else { continue };
        let found = multiply(&inverse, &side);
        let left = squares(rows, y, &found);
        if found.iter().all(|value| *value >= 0.0) && left < best.1 {
            best = (found, left);
        }
    }
    best.0
}

fn squares(rows: &[[f64; PARTS]], y: &[f64], coefficients: &[f64; PARTS]) -> f64 {
    rows.iter().zip(y).map(|(row, y)| residual(row, *y, coefficients).powi(2)).sum()
}

fn multiply(matrix: &[[f64; PARTS]; PARTS], vector: &[f64; PARTS]) -> [f64; PARTS] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}

/// The inverse by cofactors, after the columns are brought to one scale; `None` where the matrix is as good as singular.
fn invert(matrix: &[[f64; PARTS]; PARTS]) -> Option<[[f64; PARTS]; PARTS]> {
    const SINGULAR: f64 = 1e-10;
    let scale: [f64; PARTS] = std::array::from_fn(|part| matrix[part][part].sqrt());
    if scale.iter().any(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return None;
    }
    let m: [[f64; PARTS]; PARTS] =
        std::array::from_fn(|i| std::array::from_fn(|j| matrix[i][j] / (scale[i] * scale[j])));
    let cofactor = |i: usize, j: usize| {
        let (a, b) = ((i + 1) % 3, (i + 2) % 3);
        let (c, d) = ((j + 1) % 3, (j + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: f64 = (0..PARTS).map(|j| m[0][j] * cofactor(0, j)).sum();
    if determinant.abs() < SINGULAR {
        return None;
    }
    Some(std::array::from_fn(|i| {
        std::array::from_fn(|j| cofactor(j, i) / determinant / (scale[i] * scale[j]))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[f64; PARTS]> {
        (0..40).map(|n| [1.0, f64::from(n % 7), f64::from(n % 5)]).collect()
    }

    #[test]
    fn an_exact_sum_is_found_without_error() {
        let y: Vec<f64> = rows().iter().map(|row| 3.0 * row[0] + 0.5 * row[1] + 2.0 * row[2]).collect();
        let fit = least_squares(&rows(), &y).unwrap();
        for (found, truth) in fit.coefficients.iter().zip([3.0, 0.5, 2.0]) {
            assert!((found - truth).abs() < 1e-9, "{fit:?}");
        }
        assert!(fit.ci95.iter().all(|ci95| *ci95 < 1e-6) && fit.r_squared > 1.0 - 1e-12);
        assert!(fit.inflation.iter().all(|factor| (0.99..1.1).contains(factor)), "{fit:?}");
    }

    #[test]
    fn a_part_that_would_be_negative_is_held_at_zero_and_the_others_follow() {
        let y: Vec<f64> = rows().iter().map(|row| 3.0 - 0.2 * row[1] + 2.0 * row[2]).collect();
        let fit = least_squares(&rows(), &y).unwrap();
        assert_eq!(fit.coefficients[1], 0.0);
        assert!(fit.coefficients[0] > 2.0 && (fit.coefficients[2] - 2.0).abs() < 0.1, "{fit:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_told() {
        let same: Vec<[f64; PARTS]> = (0..40).map(|n| [1.0, f64::from(n), 2.0 * f64::from(n)]).collect();
        let y: Vec<f64> = same.iter().map(|row| row[1]).collect();
        assert_eq!(least_squares(&same, &y), None);
        let constant: Vec<[f64; PARTS]> = (0..40).map(|n| [1.0, 7.0, f64::from(n)]).collect();
        assert_eq!(least_squares(&constant, &y), None);
        assert_eq!(least_squares(&rows()[..3], &y[..3]), None);
    }
}
