//! The planned instants held against the distributions that they are drawn from.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::load::Law;
use proptest::prelude::*;

fn open(law: Law, rate: f64, from: Option<f64>, seconds: f64) -> Step {
    Step { arrivals: Arrivals::Open { rate, from, law }, duration_seconds: Some(seconds), ..Step::open(rate) }
}

fn gaps(instants: &[Duration]) -> Vec<f64> {
    let mut before = 0.0;
    let mut gap = |at: &Duration| {
        let gap = at.as_secs_f64() - before;
        before = at.as_secs_f64();
        gap
    };
    instants.iter().map(&mut gap).collect()
}

/// Kolmogorov and Smirnov's distance of a sample from a distribution function, times √n.
fn distance(mut sample: Vec<f64>, function: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let apart = sample.iter().enumerate().map(|(rank, value)| {
        let expected = function(*value);
        (expected - rank as f64 / n).abs().max(((rank + 1) as f64 / n - expected).abs())
    });
    apart.fold(0.0, f64::max) * n.sqrt()
}

/// √n times the distance is below this in 99.9 % of samples from the distribution itself.
const KOLMOGOROV_999: f64 = 1.95;

#[test]
fn constant_arrivals_are_evenly_spaced_from_the_begin_on() {
    let planned = instants(&open(Law::Constant, 8.0, None, 2.0), 1, 0, 0);
    assert_eq!(planned.len(), 16);
    for (number, at) in planned.iter().enumerate() {
        assert!((at.as_secs_f64() - number as f64 / 8.0).abs() < 1e-9, "{number}: {at:?}");
    }
}

#[test]
fn poisson_gaps_are_exponential_and_counts_have_the_variance_of_their_mean() {
    let planned = instants(&open(Law::Poisson, 50.0, None, 400.0), 7, 0, 0);
    let far = distance(gaps(&planned), |gap| 1.0 - (-50.0 * gap).exp());
    assert!(far < KOLMOGOROV_999, "{far}");
    let mut counts = [0.0_f64; 400];
    planned.iter().for_each(|at| counts[at.as_secs() as usize] += 1.0);
    let mean = counts.iter().sum::<f64>() / 400.0;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 399.0;
    assert!((mean - 50.0).abs() < 5.0 * (50.0_f64 / 400.0).sqrt(), "{mean}");
    // The index of dispersion of a Poisson process is 1, with the standard deviation √(2/399).
    assert!((variance / mean - 1.0).abs() < 5.0 * (2.0_f64 / 399.0).sqrt(), "{variance} of {mean}");
    let uniform = distance(planned.iter().map(Duration::as_secs_f64).collect(), |at| at / 400.0);
    assert!(uniform < KOLMOGOROV_999, "{uniform}");
}

#[test]
fn a_gamma_of_shape_two_is_erlangs_and_burstiness_is_the_inverse_square_of_variation() {
    let planned = instants(&open(Law::Gamma { burstiness: 2.0 }, 30.0, None, 500.0), 3, 0, 0);
    let far = distance(gaps(&planned), |gap| 1.0 - (-60.0 * gap).exp() * (1.0 + 60.0 * gap));
    assert!(far < KOLMOGOROV_999, "{far}");
    for burstiness in [0.25, 1.0, 4.0] {
        let gaps = gaps(&instants(&open(Law::Gamma { burstiness }, 40.0, None, 1000.0), 3, 0, 0));
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance / (mean * mean) * burstiness;
        assert!((mean * 40.0 - 1.0).abs() < 0.05, "{burstiness}: {mean}");
        assert!((variation - 1.0).abs() < 0.1, "{burstiness}: {variation}");
    }
    let poisson = distance(gaps(&planned), |gap| 1.0 - (-30.0 * gap).exp());
    assert!(poisson > KOLMOGOROV_999, "the test tells the laws apart: {poisson}");
}

#[test]
fn a_ramp_follows_its_line_up_and_down() {
    for (from, to) in [(0.0, 80.0), (80.0, 0.0), (10.0, 60.0)] {
        let planned = instants(&open(Law::Poisson, to, Some(from), 200.0), 5, 0, 0);
        let expected = (from + to) / 2.0 * 200.0;
        assert!((planned.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{}", planned.len());
        // Given their number, a Poisson process's instants are a sample from λ(t) ÷ Λ(end).
        let share = |at: f64| (from * at + (to - from) * at * at / 400.0) / expected;
        let far = distance(planned.iter().map(Duration::as_secs_f64).collect(), share);
        assert!(far < KOLMOGOROV_999, "{from} to {to}: {far}");
    }
}

#[test]
fn a_seed_plans_the_same_again_and_steps_plan_apart() {
    let step = open(Law::Poisson, 20.0, None, 10.0);
    assert_eq!(instants(&step, 9, 0, 0), instants(&step, 9, 0, 0));
    assert_ne!(instants(&step, 9, 0, 0), instants(&step, 9, 1, 0));
    assert_ne!(instants(&step, 9, 0, 0), instants(&step, 10, 0, 0));
    let counted = Step { requests: Some(7), duration_seconds: None, ..step.clone() };
    assert_eq!(instants(&counted, 9, 0, 0)[..], instants(&step, 9, 0, 0)[..7]);
    let all = Step { requests: None, duration_seconds: None, ..step };
    assert_eq!(instants(&all, 9, 0, 12).len(), 12, "each prompt once");
}

/// Taken from the first release; a change would silently give every seeded run other instants.
#[test]
fn the_instants_of_a_seed_are_pinned() {
    let nanos = |law| -> Vec<u128> {
        let planned = instants(&open(law, 10.0, None, 60.0), 42, 0, 0);
        planned.iter().take(3).map(Duration::as_nanos).collect()
    };
    assert_eq!(nanos(Law::Poisson), PINNED_POISSON);
    assert_eq!(nanos(Law::Gamma { burstiness: 0.5 }), PINNED_GAMMA);
}

const PINNED_POISSON: [u128; 3] = [76_950_672, 168_691_562, 183_441_165];
const PINNED_GAMMA: [u128; 3] = [56_002_777, 99_444_975, 279_672_574];

#[test]
fn the_bound_of_a_closed_ramp_passes_every_level() {
    let step = Step {
        arrivals: Arrivals::Closed { concurrency: 4, from: Some(1) },
        duration_seconds: Some(8.0),
        ..Step::closed(4)
    };
    let at = Duration::from_secs;
    assert_eq!(bounds(&step), (Some(1), vec![(at(2), 2), (at(4), 3), (at(6), 4)]));
    let down = Step { arrivals: Arrivals::Closed { concurrency: 1, from: Some(3) }, ..step };
    assert_eq!(bounds(&down).1.iter().map(|(_, bound)| *bound).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(bounds(&Step { max_in_flight: Some(5), ..Step::open(1.0) }), (Some(5), vec![]));
    assert_eq!(bounds(&Step::open(1.0)), (None, vec![]));
}

proptest! {
    #[test]
    fn instants_rise_and_stay_within_the_step(
        rate in 0.1f64..200.0, from in proptest::option::of(0.0f64..200.0), seconds in 0.01f64..20.0,
        shape in 0.05f64..20.0, seed: u64,
    ) {
        let planned = instants(&open(Law::Gamma { burstiness: shape }, rate, from, seconds), seed, 0, 0);
        prop_assert!(planned.windows(2).all(|pair| pair[0] <= pair[1]));
        prop_assert!(planned.iter().all(|at| at.as_secs_f64() < seconds + 1e-9));
    }
}
