//! What can be written, what cannot, and that draws follow what was written.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Distribution {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_written_forms_are_read() {
    assert_eq!(parse("512"), Distribution::Constant(512));
    assert_eq!(parse(" constant: 512 "), Distribution::Constant(512));
    for range in ["uniform:100..300", "100..300", "100-300", "uniform:100-300", "uniform: 100 ..= 300"] {
        assert_eq!(parse(range), Distribution::Uniform { low: 100, high: 300 }, "{range}");
    }
    assert_eq!(parse("normal:512, 64"), Distribution::Normal { mean: 512.0, sd: 64.0 });
    assert_eq!(parse("lognormal:300,0.8"), Distribution::LogNormal { median: 300.0, sigma: 0.8 });
}

#[test]
fn nonsense_is_refused_with_its_cause() {
    for (text, cause) in [
        ("", "cannot read"),
        ("0", "a count lies"),
        ("-5", "cannot read"),
        ("gamma:1,2", "`gamma` is no distribution"),
        ("uniform:300..100", "ends before it begins"),
        ("uniform:0..100", "a count lies"),
        ("normal:512", "cannot read"),
        ("normal:NaN,1", "a mean lies"),
        ("normal:10,inf", "a mean lies"),
        ("lognormal:10,-1", "a median lies"),
        ("99999999999", "cannot read"),
    ] {
        let error = text.parse::<Distribution>().unwrap_err().to_string();
        assert!(error.contains(cause), "{text}: {error}");
        assert!(error.contains("uniform:100..300"), "no example in: {error}");
    }
}

#[test]
fn numbers_and_strings_deserialize() {
    assert_eq!(serde_json::from_str::<Distribution>("64").unwrap(), Distribution::Constant(64));
    assert_eq!(serde_json::from_str::<Distribution>("\"normal:9,2\"").unwrap(), parse("normal:9,2"));
    assert!(serde_json::from_str::<Distribution>("-1").is_err());
    assert!(serde_json::from_str::<Distribution>("true").is_err());
}

#[test]
fn a_uniform_draw_reaches_both_ends() {
    let mut draw = Draw::new(1, 0);
    let drawn: Vec<u32> = (0..200).map(|_| parse("uniform:3..5").draw(&mut draw)).collect();
    for count in 3..=5 {
        assert!(drawn.contains(&count));
    }
}

#[test]
fn a_lognormal_draw_has_the_stated_median() {
    let mut draw = Draw::new(1, 0);
    let mut drawn: Vec<u32> = (0..4001).map(|_| parse("lognormal:300,0.8").draw(&mut draw)).collect();
    drawn.sort_unstable();
    assert!((270..330).contains(&drawn[2000]), "{}", drawn[2000]);
    assert!(drawn[3900] > 900, "no long tail: {}", drawn[3900]);
}

fn any_distribution() -> impl Strategy<Value = Distribution> {
    prop_oneof![
        (1..=MAX_TOKENS).prop_map(Distribution::Constant),
        (1..=MAX_TOKENS, 1..=MAX_TOKENS)
            .prop_map(|(a, b)| Distribution::Uniform { low: a.min(b), high: a.max(b) }),
        (1.0..1e7, 0.0..1e7).prop_map(|(mean, sd)| Distribution::Normal { mean, sd }),
        (1.0..1e7, 0.0..10.0).prop_map(|(median, sigma)| Distribution::LogNormal { median, sigma }),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(distribution in any_distribution()) {
        prop_assert_eq!(parse(&distribution.to_string()), distribution);
        let json = serde_json::to_string(&distribution).unwrap();
        prop_assert_eq!(serde_json::from_str::<Distribution>(&json).unwrap(), distribution);
    }

    #[test]
    fn draws_stay_in_range(distribution in any_distribution(), seed: u64) {
        let mut draw = Draw::new(seed, 0);
        for _ in 0..20 {
            let count = distribution.draw(&mut draw);
            prop_assert!((1..=MAX_TOKENS).contains(&count));
            if let Distribution::Uniform { low, high } = distribution {
                prop_assert!((low..=high).contains(&count));
            }
        }
    }
}
