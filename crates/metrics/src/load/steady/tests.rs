//! The rule of open loops on courses whose steady part is known.

#![allow(clippy::unwrap_used)]

use super::*;
use rand::{Rng, SeedableRng};

fn noisy(level: impl Fn(usize) -> f64, seed: u64) -> Vec<f64> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..BATCHES).map(|number| level(number) + rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn a_rise_to_a_level_is_cut_where_it_ends() {
    for seed in 0..50 {
        let cut = cut(&noisy(|number| 20.0 * (number as f64 / 12.0).min(1.0), seed));
        assert!((9..=20).contains(&cut), "seed {seed}: {cut}");
    }
}

#[test]
fn a_level_from_the_begin_on_loses_little_and_a_steady_rise_is_never_called_steady() {
    let lost: usize = (0..50).map(|seed| cut(&noisy(|_| 10.0, seed))).sum();
    assert!(lost / 50 < BATCHES / 4, "{} of {BATCHES} on average", lost / 50);
    for seed in 0..50 {
        let rising = cut(&noisy(|number| number as f64, seed));
        assert!(rising > BATCHES / 2, "seed {seed}: {rising}");
    }
}
