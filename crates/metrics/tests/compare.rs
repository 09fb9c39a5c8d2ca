//! Differences against generated runs whose truth is known: intervals hold it in 19 of 20 cases, equal runs are rarely
//! called different, and what two runs have in common is no doubt about their difference.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use ai_energy_core::comparison::{
    Basis, ComparedRun, ComparedSide, Comparison, Difference, RequestPoint, RequestPoints, RunIdentity,
};
use ai_energy_core::draw::Draw;
use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_metrics::compare::{CompareOptions, compare, compared_run};
use ai_energy_metrics::stats::quantile;
use common::{add, moments, power, record, request, summary};

fn side(name: &str, runs: Vec<ComparedRun>) -> ComparedSide {
    ComparedSide { name: name.to_owned(), runs }
}

fn against(base: Vec<ComparedRun>, other: Vec<ComparedRun>) -> Comparison {
    compare(&[side("a", base), side("b", other)], &CompareOptions::default())
}

fn difference(comparison: &Comparison, key: &str) -> Difference {
    let figure = comparison.figures.iter().find(|figure| figure.key == key).unwrap();
    figure.differences[1].clone().unwrap()
}

fn holds(interval: Option<[f64; 2]>, truth: f64) -> usize {
    interval.map_or(0, |[low, high]| usize::from(low <= truth && truth <= high))
}

/// A run of requests with these times to first token.
fn of_times(times: &[f64], hash: &str) -> ComparedRun {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let figure = |value: f64| Figure::new(value, "s", Provenance::Measured, "");
    let figures =
        [("ttft_mean", mean), ("ttft_p50", quantile(&sorted, 0.5)), ("ttft_p95", quantile(&sorted, 0.95))];
    let points = times.iter().enumerate().map(|(prompt_index, ttft)| RequestPoint {
        prompt_index,
        ttft: Some(*ttft),
        ..RequestPoint::default()
    });
    ComparedRun {
        figures: figures
            .into_iter()
            .map(|(key, value)| (key.to_owned(), figure(value)))
            .collect::<BTreeMap<_, _>>(),
        requests: Some(RequestPoints { points: points.collect(), of: times.len() }),
        identity: RunIdentity { dataset_sha256: Some(hash.to_owned()), ..RunIdentity::default() },
        ..ComparedRun::default()
    }
}

#[test]
fn intervals_over_requests_hold_the_truth_in_19_of_20_cases() {
    const CASES: usize = 120;
    let mut draw = Draw::new(11, 0);
    let mut held = [0; 3];
    for _ in 0..CASES {
        // Lognormal of deviation 0.5 around medians of 100 and 120 ms, as server latencies are.
        let mut times =
            |median: f64| -> Vec<f64> { (0..120).map(|_| median * (0.5 * draw.normal()).exp()).collect() };
        let (a, b) = (times(0.1), times(0.12));
        let found = against(vec![of_times(&a, "x")], vec![of_times(&b, "y")]);
        let of = |key: &str| difference(&found, key);
        let grown = (0.5_f64 * 0.5 / 2.0).exp();
        held[0] += holds(of("ttft_mean").absolute_ci95, 0.02 * grown);
        held[1] += holds(of("ttft_p50").absolute_ci95, 0.02);
        held[2] += holds(of("ttft_p95").relative_ci95, 0.2);
        assert_eq!(of("ttft_p95").basis, Basis::Requests);
    }
    // Three standard deviations of 120 cases at 95 % are 6 %.
    for (held, what) in held.into_iter().zip(["mean", "median", "95th percentile"]) {
        let share = held as f64 / CASES as f64;
        assert!((0.89..=0.995).contains(&share), "{what}: {share}");
    }
}

#[test]
fn equal_servers_are_called_different_about_once_in_twenty_and_unequal_ones_nearly_always() {
    const CASES: usize = 120;
    let mut draw = Draw::new(12, 0);
    let (mut wrong, mut right) = (0, 0);
    for _ in 0..CASES {
        let mut times =
            |median: f64| -> Vec<f64> { (0..60).map(|_| median * (0.3 * draw.normal()).exp()).collect() };
        let significant = |a: Vec<f64>, b: Vec<f64>| {
            let found = against(vec![of_times(&a, "x")], vec![of_times(&b, "y")]);
            usize::from(difference(&found, "ttft_mean").significant.unwrap())
        };
        wrong += significant(times(0.1), times(0.1));
        right += significant(times(0.1), times(0.13));
    }
    assert!((1..=13).contains(&wrong), "{wrong} of {CASES} without a difference");
    assert!(right >= 113, "{right} of {CASES} with one");
}

#[test]
fn the_same_prompts_are_drawn_for_both_sides_and_what_they_share_is_no_difference() {
    let mut draw = Draw::new(13, 0);
    // Prompts differ tenfold; the second server takes 2 % longer for each, with noise of 1 %.
    let prompts: Vec<f64> = (0..100).map(|_| 0.05 * (1.0 + 9.0 * draw.fraction())).collect();
    let mut noisy = |factor: f64| -> Vec<f64> {
        prompts.iter().map(|time| time * factor * (1.0 + 0.01 * draw.normal())).collect()
    };
    let (a, b) = (noisy(1.0), noisy(1.02));
    let paired = difference(&against(vec![of_times(&a, "x")], vec![of_times(&b, "x")]), "ttft_mean");
    let apart = difference(&against(vec![of_times(&a, "x")], vec![of_times(&b, "y")]), "ttft_mean");
    assert_eq!((paired.significant, apart.significant), (Some(true), Some(false)));
    assert_eq!(holds(paired.relative_ci95, 0.02), 1, "{paired:?}");
    assert!(paired.method.contains("same prompts") && !apart.method.contains("same prompts"));
}

#[test]
fn repeats_are_judged_by_their_spread_and_not_by_their_requests() {
    let mut draw = Draw::new(14, 0);
    // Within a run requests are nearly equal; runs differ by 10 %. Requests alone would call any two runs different.
    let mut run = || {
        let level = 0.1 * (1.0 + 0.1 * draw.normal());
        let times: Vec<f64> = (0..50).map(|_| level * (1.0 + 0.001 * draw.normal())).collect();
        of_times(&times, "x")
    };
    let single = difference(&against(vec![run()], vec![run()]), "ttft_mean");
    assert_eq!((single.basis, single.significant), (Basis::Requests, Some(true)));
    let mut repeats = || -> Vec<ComparedRun> { (0..5).map(|_| run()).collect() };
    let several = difference(&against(repeats(), repeats()), "ttft_mean");
    assert_eq!((several.basis, several.significant), (Basis::Repeats, Some(false)), "{several:?}");
    assert!(several.method.contains("5 + 5 repeats"));
}

/// A run with a GPU and a processor whose instruments show these powers, with gains known to 5 % and 3 %.
fn energies(gpu_watts: f64, cpu_watts: f64, device: &str, host: &str) -> ComparedRun {
    let mut record = record();
    record.environment.insert("hostname".to_owned(), host.into());
    for (name, domain, watts, gain) in
        [("nvml:gpu0:energy", Domain::Gpu, gpu_watts, 0.05), ("rapl:package-0", Domain::Cpu, cpu_watts, 0.03)]
    {
        let mut channel = power(name, domain);
        channel.gain_ci95 = Some(gain);
        channel.device_id = format!("{device} {name}");
        // Powers without ticks: the gain is all that is in doubt.
        let microwatts = (watts * 1e6).round() as u64;
        add(&mut record, channel, moments().map(|when| (when, microwatts)));
    }
    let summary = summary(&record);
    compared_run("run".to_owned(), &record, summary)
}

fn width(interval: Option<[f64; 2]>) -> f64 {
    let [low, high] = interval.unwrap();
    (high - low) / 2.0
}

#[test]
fn the_gain_of_one_device_cancels_between_its_runs_and_that_of_two_devices_does_not() {
    let found = |device: &str, host: &str| {
        let base = energies(300.0, 0.0, "one", "h");
        difference(&against(vec![base], vec![energies(330.0, 0.0, device, host)]), "gpu_energy_per_request")
    };
    let same = found("one", "h");
    assert_eq!(same.basis, Basis::Budget, "two requests are too few to be drawn from");
    assert!((same.relative.unwrap() - 0.1).abs() < 1e-6 && same.significant == Some(true));
    assert!(width(same.relative_ci95) < 1e-3, "the ratio does not have the gain: {same:?}");
    // Of the difference of 30 W × 10 s over 2 requests the gain is 5 %.
    assert!((width(same.absolute_ci95) - 7.5).abs() < 0.1, "{same:?}");
    for other in [found("two", "h"), found("one", "elsewhere")] {
        // √(5 %² + 5 %²) × 1.1.
        assert!((width(other.relative_ci95) - 0.0778).abs() < 2e-3, "{other:?}");
        assert!(other.method.contains("count in full") && same.method.contains("cancels"));
    }
}

#[test]
fn a_models_error_changes_with_the_load_and_does_not_cancel_but_a_constants_does() {
    let run = |cpu: u64| {
        let mut record = record();
        record.environment.insert("hostname".to_owned(), "h".into());
        for (name, domain, microwatts) in
            [("cpu_model", Domain::Cpu, cpu), ("ram_model", Domain::Ram, 20_000_000)]
        {
            let mut channel = power(name, domain);
            (channel.provenance, channel.gain_ci95) = (Provenance::Estimated, Some(0.5));
            add(&mut record, channel, moments().map(|when| (when, microwatts)));
        }
        let summary = summary(&record);
        compared_run("run".to_owned(), &record, summary)
    };
    let of = |cpu| difference(&against(vec![run(10_000_000)], vec![run(cpu)]), "energy_per_request");
    // A third of the energy is the model's: 0.5 × 1/3 on either side; memory's part is the same on both.
    let equal = of(10_000_000);
    assert!((width(equal.relative_ci95) - 0.5 / 3.0 * 2_f64.sqrt()).abs() < 1e-3, "{equal:?}");
    assert_eq!(equal.significant, Some(false));
}

#[test]
fn budgets_hold_the_truth_in_19_of_20_cases_on_other_devices_and_always_on_the_same() {
    const CASES: usize = 300;
    let mut draw = Draw::new(15, 0);
    let (mut other, mut same) = (0, 0);
    for _ in 0..CASES {
        let mut gains = || [1.0 + 0.05 / 1.96 * draw.normal(), 1.0 + 0.03 / 1.96 * draw.normal()];
        let (one, two) = (gains(), gains());
        // 300 and 60 W against 240 and 90 W: the parts weigh differently, so the ratio keeps some of the gains.
        let seen = |watts: [f64; 2], gains: [f64; 2], device: &str| {
            energies(watts[0] * gains[0], watts[1] * gains[1], device, "h")
        };
        let truth = 330.0 / 360.0 - 1.0;
        let base = seen([300.0, 60.0], one, "one");
        let apart = against(vec![base.clone()], vec![seen([240.0, 90.0], two, "two")]);
        let alike = against(vec![base], vec![seen([240.0, 90.0], one, "one")]);
        other += holds(difference(&apart, "energy").relative_ci95, truth);
        same += holds(difference(&alike, "energy").relative_ci95, truth);
    }
    for held in [other, same] {
        let share = held as f64 / CASES as f64;
        assert!((0.91..=0.995).contains(&share), "{share}");
    }
}

#[test]
fn what_makes_runs_unlike_is_said() {
    let base = || energies(300.0, 50.0, "one", "h");
    let mut other = energies(300.0, 50.0, "one", "elsewhere");
    other.identity.backend = Some("pytorch".to_owned());
    other.identity.synthetic = true;
    other.identity.ending = Some("interrupted".to_owned());
    let mut summary = other.summary.take().unwrap();
    summary.tokens.completion = Some(160);
    summary.counts.failed = 1;
    other.summary = Some(summary);
    let ids = |comparison: &Comparison| -> Vec<String> {
        comparison.warnings.iter().map(|warning| warning.id.clone()).collect()
    };
    let found = ids(&against(vec![base()], vec![other]));
    for id in ["backend", "host", "synthetic", "not_complete", "token_counts", "failed_requests"] {
        assert!(found.iter().any(|other| other == id), "{id} is not among {found:?}");
    }
    let quiet = ids(&against(vec![base()], vec![base()]));
    // These runs of 10 s have no idling, so that validity itself may have something to say.
    assert!(quiet.iter().all(|id| id == "invalid"), "{quiet:?}");
    let mut lengths = record();
    lengths.requests.push(request(2, 2.0, 4.0));
    let longer = compared_run("r".to_owned(), &lengths, common::summary(&lengths));
    assert!(ids(&against(vec![base()], vec![longer])).iter().any(|id| id == "requests"));
}
