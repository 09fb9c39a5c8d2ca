//! Warnings: each appears exactly where it holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::energy::{Domain, UnavailableSource};
use ai_energy_core::figure::Provenance;
use ai_energy_core::record::{Chunk, Ending, ErrorClass, SamplerFault, ServerCounters, Suspension};
use ai_energy_metrics::{SummaryOptions, summarize};
use common::{add, at, constant, counter, failed, ids, measured, moments, power, record, summary};

#[test]
fn counter_and_power_that_disagree_are_a_warning() {
    let build = |watts: f64| {
        let mut record = record();
        add(&mut record, counter("nvml:gpu0:energy", Domain::Gpu), constant(300.0));
        let mut other = power("nvml:gpu0:power", Domain::Gpu);
        (other.counts, other.gain_ci95) = (false, Some(0.05));
        other.device_id = record.channels[0].device_id.clone();
        add(&mut record, other, moments().map(|when| (when, (watts * 1e6) as u64)));
        summary(&record)
    };
    assert!(!ids(&build(305.0)).contains(&"cross_check"));
    assert!(ids(&build(400.0)).contains(&"cross_check"));
}

#[test]
fn warnings_say_what_holds_and_nothing_else() {
    let quiet = measured();
    let expected = ["window_short", "ram_estimated"];
    assert_eq!(ids(&summary(&quiet)), expected, "10 s are fewer than 100 spans of 0.2 s");
    let mut noisy = measured();
    noisy.synthetic = true;
    noisy.ending = Ending::Interrupted;
    noisy.sampler.longest_gap_seconds = Some(3.0);
    noisy.backend.details.extend([
        ("truncated_prompts".to_owned(), 2.into()),
        ("truncated_prompt_tokens".to_owned(), 70.into()),
        ("engine_remarks".to_owned(), vec!["`x` has no effect"].into()),
    ]);
    noisy.requests[0].generation.cached_prompt_tokens = Some(8);
    let found = summarize(&noisy, &SummaryOptions::default());
    for id in [
        "synthetic",
        "ended_early",
        "sampling_gap",
        "prompt_cache",
        "prompts_truncated",
        "arguments_ignored",
        "location_default",
    ] {
        assert!(ids(&found).contains(&id), "{id} is not in {:?}", ids(&found));
    }
    assert_eq!(found.carbon.country_iso_code.as_deref(), Some("USA"));
    let unknown = SummaryOptions { country_iso_code: Some("QQQ".to_owned()), ..SummaryOptions::default() };
    let lost = summarize(&noisy, &unknown);
    assert!(ids(&lost).contains(&"location_unknown"));
    assert_eq!((lost.carbon.country_iso_code, lost.carbon.intensity.value), (None, Some(475.0)));
}

#[test]
fn a_modelled_processor_is_said_with_what_would_measure_it() {
    let mut record = record();
    let mut model = counter("cpu_model:load", Domain::Cpu);
    model.provenance = Provenance::Estimated;
    model.source = "load × 8 W (2 threads × 4 W)".to_owned();
    add(&mut record, model, constant(50.0));
    record.unavailable_sources.push(UnavailableSource {
        source: "rapl".to_owned(),
        domain: Domain::Cpu,
        reason: "RAPL gives no permission".to_owned(),
        remedy: "chmod it".to_owned(),
    });
    let found = summary(&record);
    let warning = found.warnings.iter().find(|warning| warning.id == "cpu_estimated").unwrap();
    assert_eq!(warning.message, "CPU energy is a model (load × 8 W): RAPL gives no permission");
    assert_eq!(warning.remedy, "chmod it");
    assert!(!ids(&found).contains(&"window_short"), "a model has no tick to be short for");
}

#[test]
fn a_window_long_enough_for_its_ticks_is_not_short() {
    let mut record = record();
    let burst = (0..100).map(|step| (0.5 + f64::from(step) * 0.001, u64::try_from(step).unwrap() * 50_000));
    let steady = constant(50.0).map(|(when, value)| (when, value - 20_000_000));
    add(&mut record, counter("rapl:package-0", Domain::Cpu), burst.chain(steady));
    assert!(!ids(&summary(&record)).contains(&"window_short"), "10 s hold 5000 ticks of 2 ms");
}

#[test]
fn a_window_of_few_readings_is_short_for_models_too() {
    let model = |end: f64| {
        let mut record = record();
        record.phases[0].end = at(end);
        let mut ram = power("ram_model:modules", Domain::Ram);
        (ram.provenance, ram.gain_ci95) = (Provenance::Estimated, Some(0.0));
        add(&mut record, ram, moments().map(|when| (when, 10_000_000)));
        summary(&record)
    };
    let short = model(1.001);
    assert!(short.energy.total.value.is_some(), "{:?}", short.energy.total);
    let warning = short.warnings.iter().find(|warning| warning.id == "window_short").unwrap();
    assert!(warning.message.contains("10 sampling intervals of 0.1 s"), "{warning:?}");
    assert!(warning.remedy.contains("10 s or longer"), "{warning:?}");
    assert!(ids(&model(1.9)).contains(&"window_short"));
    assert!(!ids(&model(2.1)).contains(&"window_short"));
}

#[test]
fn energy_that_is_lost_in_its_error_is_said_and_each_window_is_short_once() {
    let build = |gain: f64| {
        let mut record = record();
        let mut model = power("ram_model:modules", Domain::Ram);
        (model.provenance, model.gain_ci95) = (Provenance::Estimated, Some(gain));
        add(&mut record, model, moments().map(|when| (when, 10_000_000)));
        summary(&record)
    };
    let lost = build(1.0);
    let said: Vec<_> = lost.warnings.iter().filter(|warning| warning.id == "window_short").collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].message.contains("no larger than its own 95 % interval"), "{said:?}");
    assert!(!ids(&build(0.5)).contains(&"window_short"));
}

#[test]
fn nothing_measured_is_no_short_window() {
    let mut record = record();
    record.phases[0].end = at(1.001);
    assert!(!ids(&summary(&record)).contains(&"window_short"), "there is no energy to be coarse");
}

#[test]
fn readings_that_failed_now_and_then_are_said_and_cost_nothing() {
    let mut record = measured();
    record.sampler.faults.push(SamplerFault {
        channel: "nvml:gpu0:energy".to_owned(),
        message: "timed out".to_owned(),
        count: 3,
        gone: false,
    });
    let found = summary(&record);
    assert!(ids(&found).contains(&"reading_faults") && !ids(&found).contains(&"source_lost"));
    assert!(found.domain(Domain::Gpu).unwrap().energy.value.is_some());
}

#[test]
fn a_fake_source_makes_a_run_synthetic_whatever_the_backend() {
    let mut record = record();
    add(&mut record, power("fake:gpu", Domain::Gpu), moments().map(|when| (when, 1_000_000)));
    assert_eq!(ids(&summary(&record)), ["synthetic"]);
}

#[test]
fn cancelled_requests_are_told_with_the_tokens_they_had_received() {
    assert!(!ids(&summary(&measured())).contains(&"cancelled_requests"));
    let mut record = measured();
    record.requests.push(failed(2, ErrorClass::Cancelled));
    record.requests.push(failed(3, ErrorClass::Cancelled));
    record.requests.push(failed(4, ErrorClass::Server));
    let chunks = &mut record.requests[2].generation.chunks;
    let second = Chunk { tokens: Some(5), ..chunks.last().unwrap() };
    *chunks = chunks.iter().take(1).chain([second]).collect();
    let found = summary(&record);
    let warning = found.warnings.iter().find(|warning| warning.id == "cancelled_requests").unwrap();
    assert!(warning.message.starts_with("2 of 5 requests were cancelled after 8 tokens"), "{warning:?}");
    assert!(!warning.remedy.is_empty());
}

#[test]
fn counters_of_the_server_that_tell_another_number_are_a_warning() {
    let counters = |generation_tokens| ServerCounters { prompt_tokens: 0, generation_tokens };
    let build = |rise: u64, ended: Option<ErrorClass>| {
        let mut record = measured();
        record.server_counters = Some([counters(1000), counters(1000 + rise)]);
        record.requests.extend(ended.map(|class| failed(2, class)));
        summary(&record)
    };
    let differs = build(95, None);
    let warning = differs.warnings.iter().find(|warning| warning.id == "server_counters").unwrap();
    assert!(warning.message.contains("95") && warning.message.contains("80"), "{warning:?}");
    assert!(!ids(&build(80, None)).contains(&"server_counters"), "equal");
    for class in [ErrorClass::Server, ErrorClass::Cancelled] {
        assert!(!ids(&build(95, Some(class))).contains(&"server_counters"), "{class:?}");
    }
}

#[test]
fn places_without_a_table_are_said() {
    let at = |country: &str, region: Option<&str>| {
        let options = SummaryOptions {
            country_iso_code: Some(country.to_owned()),
            region: region.map(str::to_owned),
            ..SummaryOptions::default()
        };
        summarize(&measured(), &options)
    };
    assert!(ids(&at("MCO", None)).contains(&"location_world"));
    assert!(ids(&at("CAN", Some("quebec"))).contains(&"region_unused"));
    let ids_of_california = at("USA", Some("california"));
    assert_eq!(ids(&ids_of_california), ids(&at("USA", None)));
    assert_ne!(ids_of_california.carbon.emissions.value, at("USA", None).carbon.emissions.value);
}

#[test]
fn a_machine_that_slept_within_the_window_is_said_and_one_that_slept_before_is_not() {
    let mut record = measured();
    let pause = |after: f64| Suspension { after: at(after), before: at(after + 0.1), seconds: 60.0 };
    record.sampler.suspensions = vec![pause(0.2)];
    assert!(!ids(&summary(&record)).contains(&"suspended"));
    record.sampler.suspensions.push(pause(5.0));
    let found = summary(&record);
    let warning = found.warnings.iter().find(|warning| warning.id == "suspended").unwrap();
    assert!(warning.message.contains("60.0 s"), "only the one within: {warning:?}");
}
