//! What many cases of one stressor come to: how many intervals hold the truth, and whether they are wider than need be.
//!
//! Refuses to know where cases come from and how figures are made.

/// The figure, half its interval, and the truth.
pub(crate) struct Outcome {
    pub(crate) joules: f64,
    pub(crate) ci95: f64,
    pub(crate) truth: f64,
}

/// What one case came to: an outcome, or why the figure was refused.
pub(crate) type Judged = Result<Outcome, String>;

/// What a stressor's cases came to.
pub(crate) struct Found {
    /// Share of the intervals that hold the truth, percent.
    pub(crate) held: f64,
    /// Half the interval by the oracle's: the 95 % quantile of the errors, each in units of its own interval.
    pub(crate) width: f64,
    /// Root mean square of the errors in standard deviations as stated.
    pub(crate) spread: f64,
    /// Share of the figures that were refused, percent.
    pub(crate) refused: f64,
}

/// Which seeds the cases of each stressor are drawn from: so many, from the first on.
#[derive(Clone, Copy)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) cases: u64,
}

/// Runs the cases of one stressor and says on standard output what came of them.
pub(crate) fn judge(name: &str, seeds: Seeds, case: impl Fn(u64) -> Judged) -> Found {
    let (mut errors, mut refused) = (Vec::new(), 0_u64);
    for seed in (0..seeds.cases).map(|number| seeds.first.wrapping_add(number)) {
        match case(seed) {
            Ok(Outcome { joules, ci95, truth }) => {
                assert!(joules > 0.0 && ci95 > 0.0, "{name}, case {seed}: {joules} ± {ci95} J");
                errors.push((joules - truth) / ci95);
            }
            Err(reason) => {
                assert!(!reason.is_empty(), "{name}, case {seed}: refused without a reason");
                refused += 1;
            }
        }
    }
    let told = errors.len() as f64;
    let held = 100.0 * errors.iter().filter(|error| error.abs() <= 1.0).count() as f64 / told;
    let spread = (errors.iter().map(|error| error.powi(2)).sum::<f64>() / told).sqrt() * 1.96;
    let bias = errors.iter().sum::<f64>() / told;
    errors.iter_mut().for_each(|error| *error = error.abs());
    errors.sort_by(f64::total_cmp);
    let oracle = errors.get((0.95 * told) as usize).copied().unwrap_or(f64::NAN);
    let refused = 100.0 * refused as f64 / seeds.cases as f64;
    println!(
        "{name:<34} {held:5.1} % of {told} hold the truth; width {:.2} of the oracle's; rms {spread:.2}, mean {bias:+.2}; \
         {refused:.1} % refused",
        1.0 / oracle
    );
    Found { held, width: 1.0 / oracle, spread, refused }
}
