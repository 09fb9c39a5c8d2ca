//! Tests of settings and of the choice of tokens.

use ai_energy_backends_pytorch::protocol::{EnginePrompt, Generate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::candidates::Candidates;
use super::*;
use crate::files::GenerationConfig;

fn asked(values: Value) -> Generate {
    let mut fields = json!({"id": "a", "prompt": {"text": ""}});
    fields.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

fn settings(values: Value) -> Settings {
    Settings::resolve(&asked(values), &GenerationConfig::default()).unwrap()
}

fn extra(values: Value) -> Settings {
    settings(json!({"extra": values}))
}

fn how(temperature: f32, top_k: Option<usize>, top_p: f32, min_p: f32) -> Sampling {
    Sampling { temperature, top_k, top_p, min_p, seed: 0 }
}

/// The probabilities that transformers' steps leave, written out plainly over the whole vocabulary.
fn exact(logits: &[f32], how: &Sampling) -> Vec<f64> {
    let mut scores: Vec<f64> =
        logits.iter().map(|logit| f64::from(*logit) / f64::from(how.temperature)).collect();
    let softmax = |scores: &[f64]| -> Vec<f64> {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
        scores.iter().map(|score| (score - most).exp() / total).collect()
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    if let Some(top_k) = how.top_k {
        let least = scores[order[top_k.min(order.len()) - 1]];
        scores.iter_mut().filter(|score| **score < least).for_each(|score| *score = f64::NEG_INFINITY);
    }
    if how.top_p < 1.0 {
        let probabilities = softmax(&scores);
        let mut sum = 0.0;
        for (rank, token) in order.iter().enumerate() {
            // A token goes when those before it have the mass already.
            if rank > 0 && sum >= f64::from(how.top_p) {
                scores[*token] = f64::NEG_INFINITY;
            }
            sum += probabilities[*token];
        }
    }
    let probabilities = softmax(&scores);
    let most = probabilities.iter().copied().fold(0.0, f64::max);
    for (score, probability) in scores.iter_mut().zip(&probabilities) {
        if *probability < f64::from(how.min_p) * most {
            *score = f64::NEG_INFINITY;
        }
    }
    softmax(&scores)
}

#[test]
fn greedy_unless_something_asks_to_draw() {
    let model = |values: Value| GenerationConfig::from_json(values.as_object().unwrap(), &Map::new());
    let draws = |request: Value, config: Value| {
        Settings::resolve(&asked(request), &model(config)).unwrap().sampling.is_some()
    };
    assert!(!draws(json!({}), json!({})));
    assert!(!draws(json!({"top_p": 0.9}), json!({"temperature": 0.6})));
    assert!(draws(json!({"temperature": 0.7}), json!({})));
    assert!(draws(json!({"do_sample": true}), json!({})));
    assert!(draws(json!({}), json!({"do_sample": true, "temperature": 0.6})));
    assert!(!draws(json!({"temperature": 0.0}), json!({"do_sample": true})));
    assert!(!draws(json!({"do_sample": false, "temperature": 0.7}), json!({"do_sample": true})));
    assert!(!draws(json!({"do_sample": true, "temperature": 0.0}), json!({})));
}

#[test]
fn values_come_from_the_request_then_the_model_then_the_defaults() {
    let model = json!({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": [1, 2],
        "repetition_penalty": 1.1, "max_new_tokens": 64});
    let model = GenerationConfig::from_json(model.as_object().unwrap(), &Map::new());
    let read = |request: Value| Settings::resolve(&asked(request), &model).unwrap();
    let own = read(json!({"top_k": 5, "min_new_tokens": 3, "seed": -1, "stop": ["x"]}));
    let sampling = own.sampling.unwrap();
    assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (0.6, Some(5), 0.95));
    assert_eq!((own.max_new_tokens, own.min_new_tokens, own.eos.as_slice()), (64, 3, &[1, 2][..]));
    assert_eq!((own.repetition_penalty, sampling.seed), (1.1, u64::MAX));
    assert_eq!(read(json!({"top_k": 0, "seed": 1})).sampling.unwrap().top_k, None);
    assert_eq!(settings(json!({"do_sample": true})).sampling.unwrap().top_k, Some(50));
    assert_eq!(settings(json!({})).max_new_tokens, 20);
}

#[test]
fn values_that_mean_nothing_are_named() {
    for (request, name) in [
        (json!({"max_new_tokens": 0}), "max_new_tokens"),
        (json!({"max_new_tokens": 5, "min_new_tokens": 6}), "min_new_tokens"),
        (json!({"temperature": -0.1}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"extra": {"min_p": 2}}), "min_p"),
        (json!({"extra": {"repetition_penalty": 0}}), "repetition_penalty"),
        (json!({"extra": {"repetition_penalty": "much"}}), "repetition_penalty"),
        (json!({"extra": {"num_beams": 4}}), "num_beams"),
        (json!({"extra": {"eos_token_id": "end"}}), "eos_token_id"),
    ] {
        let error = Settings::resolve(&asked(request), &GenerationConfig::default()).unwrap_err();
        assert_eq!(error.object, name);
        assert!(!error.remedy.is_empty());
    }
}

#[test]
fn what_is_not_done_is_remarked_on_and_what_changes_nothing_is_not() {
    let quiet =
        extra(json!({"num_beams": 1, "use_cache": true, "length_penalty": 1.0, "x": null, "typical_p": 1.0,
        "repetition_penalty": 1.2, "min_p": 0.1, "eos_token_id": 7, "early_stopping": false}));
    assert_eq!(quiet.remarks, Vec::<String>::new());
    assert_eq!((quiet.eos.as_slice(), quiet.repetition_penalty), (&[7][..], 1.2));
    let told = extra(json!({"no_repeat_ngram_size": 3, "thinking_budget": 100}));
    assert_eq!(told.remarks.len(), 2);
    assert!(told.remarks[0].contains("`no_repeat_ngram_size: 3`"), "{:?}", told.remarks);
}

#[test]
fn greedy_takes_the_largest_and_mostly_needs_no_logits() {
    let mut sampler = Sampler::new(&settings(json!({})), &[1, 2]);
    assert!(sampler.is_greedy());
    assert_eq!(sampler.accept(3), Some(3));
    assert_eq!(sampler.pick(&mut [0.0, 2.0, f32::NAN, 2.0]), 1);
    assert_eq!(sampler.chosen(), 2);
}

#[test]
fn ends_are_forbidden_until_there_are_enough_tokens() {
    let settings =
        settings(json!({"min_new_tokens": 2, "max_new_tokens": 4, "extra": {"eos_token_id": [0, 3]}}));
    let mut sampler = Sampler::new(&settings, &[]);
    assert_eq!(sampler.accept(3), None);
    assert_eq!(sampler.pick(&mut [5.0, 1.0, 2.0, 9.0]), 2);
    assert_eq!(sampler.accept(1), Some(1));
    assert!(!sampler.is_last(1));
    assert_eq!(sampler.accept(3), Some(3));
    assert!(sampler.is_last(3));
    assert_eq!(sampler.accept(1), Some(1));
    assert!(sampler.is_last(1), "four tokens are the most");
    let mut on = settings;
    on.ignore_eos = true;
    assert!(!on.is_end(3));
}

#[test]
fn repetition_is_penalised_as_transformers_does() {
    let settings = extra(json!({"repetition_penalty": 2.0}));
    let mut sampler = Sampler::new(&settings, &[0, 3, 3, 900]);
    assert!(!sampler.is_greedy());
    let mut logits = [3.0, 1.6, -1.0, -0.5, 1.5];
    assert_eq!(sampler.pick(&mut logits), 1);
    assert_eq!(logits, [1.5, 1.6, -1.0, -1.0, 1.5]);
    // Now token 1 has been seen as well.
    assert_eq!(sampler.pick(&mut [3.2, 3.0, -1.0, -0.5, 1.55]), 0);
}

#[test]
fn equal_logits_at_the_edge_of_top_k_all_stay() {
    let mut candidates = Candidates::default();
    candidates.fill(&[1.0, 2.0, 1.0, 0.0, 1.0], &how(1.0, Some(2), 1.0, 0.0));
    let drawn: std::collections::BTreeSet<u32> =
        (0..1000).filter_map(|at| candidates.at(f64::from(at) / 1000.0)).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 4]);
}

#[test]
fn a_seed_gives_the_same_tokens_whatever_else_is_generated() {
    let logits: Vec<f32> = (0..500).map(|token| ((token * 37) % 101) as f32 / 20.0).collect();
    let with = |seed: i64| settings(json!({"temperature": 1.0, "seed": seed, "max_new_tokens": 50}));
    let draw = |sampler: &mut Sampler| sampler.pick(&mut logits.clone());
    let alone: Vec<u32> = {
        let mut one = Sampler::new(&with(7), &[]);
        (0..50).map(|_| draw(&mut one)).collect()
    };
    let (mut same, mut other) = (Sampler::new(&with(7), &[]), Sampler::new(&with(8), &[]));
    let beside: Vec<(u32, u32)> = (0..50).map(|_| (draw(&mut same), draw(&mut other))).collect();
    assert_eq!(beside.iter().map(|pair| pair.0).collect::<Vec<_>>(), alone);
    assert_ne!(beside.iter().map(|pair| pair.1).collect::<Vec<_>>(), alone);
}

/// Draws follow the exact probabilities: Pearson's chi-square below what one run in a million exceeds (the seed is fixed).
#[test]
fn draws_follow_the_exact_distribution() {
    let logits: Vec<f32> = (0..40).map(|token| ((token * 7) % 40) as f32 / 8.0).collect();
    for how in [
        how(1.0, None, 1.0, 0.0),
        how(0.6, Some(12), 1.0, 0.0),
        how(1.3, None, 0.8, 0.0),
        how(0.9, Some(20), 0.9, 0.05),
        how(1.0, None, 1.0, 0.2),
    ] {
        let wanted = exact(&logits, &how);
        let mut settings = settings(json!({"max_new_tokens": 1}));
        settings.sampling = Some(Sampling { seed: 11, ..how });
        let mut sampler = Sampler::new(&settings, &[]);
        let draws = 20_000;
        let mut counts = vec![0_u32; logits.len()];
        for _ in 0..draws {
            counts[sampler.pick(&mut logits.clone()) as usize] += 1;
        }
        let mut chi_square = 0.0;
        let mut possible = 0.0;
        for (count, probability) in counts.iter().zip(&wanted) {
            let expected = probability * f64::from(draws);
            if expected == 0.0 {
                assert_eq!(*count, 0, "an impossible token was drawn: {how:?}");
                continue;
            }
            chi_square += (f64::from(*count) - expected).powi(2) / expected;
            possible += 1.0;
        }
        // Wilson and Hilferty's approximation of the chi-square quantile, 4.75 deviations out.
        let freedom: f64 = possible - 1.0;
        let limit = freedom * (1.0 - 2.0 / (9.0 * freedom) + 4.75 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
        assert!(chi_square < limit, "{chi_square} above {limit} for {how:?}");
        assert!(possible > 1.0);
    }
}

#[test]
fn logits_without_any_number_still_give_a_token_that_exists() {
    let mut sampler = Sampler::new(&settings(json!({"temperature": 1.0, "seed": 1})), &[]);
    assert_eq!(sampler.pick(&mut [f32::NAN; 4]), 0);
    assert_eq!(sampler.pick(&mut [f32::NEG_INFINITY; 4]), 0);
    let infinite = sampler.pick(&mut [0.0, f32::INFINITY, 0.0]);
    assert_eq!(infinite, 1);
}

#[test]
fn a_request_is_read_as_the_protocol_has_it() {
    assert_eq!(asked(json!({})).prompt, EnginePrompt::Text(String::new()));
}

proptest! {
    /// Whatever the steps and the logits, the candidates and their weights are those of the plain way.
    #[test]
    fn candidates_are_those_of_the_plain_way(
        logits in prop::collection::vec(-80i32..80, 1..600),
        temperature in 0.2f32..2.0,
        top_k in prop::option::of(1usize..700),
        top_p in prop::sample::select(vec![0.05f32, 0.5, 0.9, 0.99, 1.0]),
        min_p in prop::sample::select(vec![0.0f32, 0.03, 0.5]),
    ) {
        // Distinct logits: which of two equal ones falls to top-p is nobody's business.
        let logits: Vec<f32> =
            logits.iter().enumerate().map(|(at, logit)| *logit as f32 / 10.0 + at as f32 * 1e-5).collect();
        let how = how(temperature, top_k, top_p, min_p);
        let wanted = exact(&logits, &how);
        let mut candidates = Candidates::default();
        candidates.fill(&logits, &how);
        for (token, found) in candidates.probabilities() {
            let wanted = wanted[token as usize];
            prop_assert!((found - wanted).abs() < 1e-4, "token {}: {} and not {}", token, found, wanted);
        }
        let kept = wanted.iter().filter(|probability| **probability > 0.0).count();
        let found = candidates.probabilities().filter(|(_, probability)| *probability > 0.0).count();
        // Single precision may put a candidate on the other side of an edge.
        prop_assert!(kept.abs_diff(found) <= 1, "{} candidates and not {}", found, kept);
    }
}
