//! The distributions: their text both ways, and their moments.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use ai_energy_simulator::{Count, Delay};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Draws of a delay in milliseconds, ascending.
fn draws(text: &str, seed: u64) -> Vec<f64> {
    let delay: Delay = text.parse().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..20_000).map(|_| delay.sample(&mut rng).as_secs_f64() * 1e3).collect();
    drawn.sort_by(f64::total_cmp);
    drawn
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    mean(&values.iter().map(|value| (value - centre).powi(2)).collect::<Vec<_>>()).sqrt()
}

#[track_caller]
fn near(got: f64, wanted: f64) {
    assert!((got - wanted).abs() <= 0.05 * wanted, "got {got}, wanted {wanted}");
}

#[test]
fn moments_are_those_asked_for() {
    for seed in [1, 2, 3] {
        let constant = draws("constant:20ms", seed);
        assert!(constant.iter().all(|value| (value - 20.0).abs() < 1e-9));
        let uniform = draws("uniform:10ms..50ms", seed);
        near(mean(&uniform), 30.0);
        near(deviation(&uniform), 40.0 / 12_f64.sqrt());
        assert!(uniform[0] >= 10.0 && uniform[uniform.len() - 1] <= 50.0);
        let normal = draws("normal:20ms,4ms", seed);
        near(mean(&normal), 20.0);
        near(deviation(&normal), 4.0);
        let lognormal = draws("lognormal:20ms,0.5", seed);
        near(lognormal[lognormal.len() / 2], 20.0);
        near(mean(&lognormal), 20.0 * (0.125_f64).exp());
        let exponential = draws("exponential:20ms", seed);
        near(mean(&exponential), 20.0);
        near(exponential[exponential.len() / 2], 20.0 * 2_f64.ln());
        let gamma = draws("gamma:20ms,4", seed);
        near(mean(&gamma), 20.0);
        near(deviation(&gamma), 10.0);
    }
}

#[test]
fn a_seed_gives_the_same_draws_and_another_seed_others() {
    assert_eq!(draws("exponential:5ms", 7), draws("exponential:5ms", 7));
    assert_ne!(draws("exponential:5ms", 7), draws("exponential:5ms", 8));
}

#[test]
fn draws_below_zero_are_zero() {
    let wide = draws("normal:1ms,10ms", 1);
    assert!(wide.iter().all(|value| *value >= 0.0));
    assert!(wide.iter().filter(|value| **value == 0.0).count() > 5_000);
}

#[test]
fn counts_include_both_ends_alike() {
    let count: Count = "uniform:1..4".parse().unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let mut seen = [0_u32; 6];
    for _ in 0..8_000 {
        seen[count.sample(&mut rng) as usize] += 1;
    }
    assert_eq!((seen[0], seen[5]), (0, 0));
    assert!(seen[1..5].iter().all(|times| (1_800..2_200).contains(times)), "{seen:?}");
}

#[test]
fn texts_read_back_and_bare_values_are_constant() {
    for text in [
        "20ms",
        "uniform:10ms..50ms",
        "normal:20ms,5ms",
        "lognormal:20ms,0.5",
        "exponential:1500us",
        "gamma:2s,2.5",
        "0ns",
    ] {
        let delay: Delay = text.parse().unwrap();
        assert_eq!(delay.to_string(), text);
        let json = serde_json::to_string(&delay).unwrap();
        assert_eq!(serde_json::from_str::<Delay>(&json).unwrap(), delay);
    }
    assert_eq!("constant:20ms".parse::<Delay>().unwrap(), "20ms".parse().unwrap());
    assert_eq!(serde_json::from_str::<Count>("4").unwrap(), Count::constant(4));
    assert_eq!(serde_json::from_str::<Delay>("0").unwrap(), "0ms".parse().unwrap());
}

#[test]
fn a_wrong_text_gets_object_cause_and_remedy() {
    for (text, cause) in [
        ("20", "has no unit"),
        ("triangle:1ms", "no distribution is called `triangle`"),
        ("uniform:10ms", "two values"),
        ("uniform:50ms..10ms", "lower end lies above"),
        ("normal:20ms", "a mean and a standard deviation"),
        ("lognormal:20ms,x", "sigma `x` is no number"),
        ("lognormal:20ms,NaN", "sigma must lie in"),
        ("gamma:20ms,0", "the shape must lie in"),
        ("", "no number"),
    ] {
        let fault = text.parse::<Delay>().unwrap_err();
        assert!(fault.object.contains(&format!("`{text}`")), "{fault}");
        assert!(fault.cause.contains(cause), "{fault}");
        assert!(fault.remedy.contains("uniform:10ms..50ms"), "{fault}");
    }
    let error = serde_json::from_str::<Delay>("20").unwrap_err().to_string();
    assert!(error.contains("has no unit"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(constant|uniform|normal|lognormal|gamma|exponential)?:?\\PC{0,20}") {
        if let Ok(delay) = text.parse::<Delay>() {
            let again: Delay = delay.to_string().parse().unwrap();
            prop_assert_eq!(again, delay);
            delay.sample(&mut StdRng::seed_from_u64(1));
        }
    }
}
