//! Summaries of records made by hand: figures by arithmetic, missing things with reasons, the same again from JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use ai_energy_core::energy::{Domain, UnavailableSource};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::{SamplerFault, ServerCounters, ServerEnergy};
use ai_energy_core::{ErrorClass, RunRecord, TokenCountSource};
use common::{add, constant, counter, failed, ids, measured, moments, power, record, request, summary};

fn close(figure: &Figure, expected: f64) {
    let value = figure.value.unwrap_or_else(|| panic!("no value: {figure:?}"));
    assert!(
        (value - expected).abs() < 1e-6 * expected.abs().max(1.0),
        "{value} is not {expected}: {figure:?}"
    );
}

#[test]
fn every_energy_figure_by_arithmetic() {
    let found = summary(&measured());
    close(&found.duration, 10.0);
    let energy = &found.energy;
    close(&found.domain(Domain::Gpu).unwrap().energy, 3000.0);
    close(&found.domain(Domain::Gpu).unwrap().mean_power, 300.0);
    close(&found.domain(Domain::Gpu).unwrap().peak_power, 300.0);
    close(&found.domain(Domain::Ram).unwrap().energy, 100.0);
    close(&energy.total, 3600.0);
    close(&energy.gpu_per_request, 1500.0);
    close(&energy.gpu_per_output_token, 37.5);
    close(&energy.per_request, 1800.0);
    close(&energy.per_output_token, 45.0);
    close(&energy.per_token, 36.0);
    close(&energy.output_tokens_per_joule, 80.0 / 3600.0);
    close(&energy.wh_per_1000_requests, 500.0);
    close(&found.throughput.output_tokens_per_second, 8.0);
    close(&found.throughput.total_tokens_per_second, 10.0);
    close(&found.throughput.requests_per_second, 0.2);
    assert_eq!(energy.total.provenance, Provenance::Estimated, "memory is a model");
    assert_eq!(found.domain(Domain::Gpu).unwrap().energy.provenance, Provenance::Measured);
    assert_eq!((energy.total.reason.as_deref(), energy.server_reported.as_ref()), (None, None));
    assert!(energy.total.ci95.unwrap() >= 50.0, "half of the memory's 100 J at least");
}

#[test]
fn a_record_read_back_from_json_gives_the_same_summary() {
    let mut record = measured();
    record.requests.push(failed(2, ErrorClass::Server));
    record.requests[0].generation.server_energy =
        Some(Box::new(ServerEnergy { energy_joules: Some(0.1 + 0.2), ..ServerEnergy::default() }));
    let text = serde_json::to_string(&record).unwrap();
    let again: RunRecord = serde_json::from_str(&text).unwrap();
    let (first, second) = (summary(&record), summary(&again));
    assert_eq!(first, second);
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
}

#[test]
fn errors_of_channels_add_in_quadrature_and_their_gains_linearly() {
    let mut record = record();
    for gpu in ["nvml:gpu0:energy", "nvml:gpu1:energy"] {
        let mut channel = counter(gpu, Domain::Gpu);
        channel.gain_ci95 = Some(0.05);
        add(&mut record, channel, constant(100.0));
    }
    let found = summary(&record);
    let gpu = found.domain(Domain::Gpu).unwrap();
    close(&gpu.energy, 2000.0);
    // Every reading is new, so the tick lies between 0 and two intervals of 0.1 s, 10 J amid these; ages are even: 1/12 of
    // its square at each of two ends, two channels.
    let random = 1.9018 * (4.0 * 10.0_f64.powi(2) / 12.0).sqrt();
    let expected = random.hypot(0.05 * 2000.0);
    assert!((gpu.energy.ci95.unwrap() - expected).abs() < 1e-3, "{:?} is not {expected}", gpu.energy.ci95);
}

#[test]
fn what_was_not_measured_is_null_with_the_sources_reasons() {
    let mut record = measured();
    record.channels.clear();
    record.readings.clear();
    for (source, domain) in [("nvml", Domain::Gpu), ("rapl", Domain::Cpu)] {
        record.unavailable_sources.push(UnavailableSource {
            source: source.to_owned(),
            domain,
            reason: format!("no {source} here"),
            remedy: String::new(),
        });
    }
    let found = summary(&record);
    let gpu = found.domain(Domain::Gpu).unwrap();
    assert_eq!((gpu.energy.value, gpu.energy.reason.as_deref()), (None, Some("nvml: no nvml here")));
    assert_eq!((gpu.mean_power.value, gpu.peak_power.value), (None, None));
    let all = [
        &found.energy.total,
        &found.energy.per_request,
        &found.energy.per_output_token,
        &found.carbon.emissions,
    ];
    for figure in
        all.into_iter().chain([&found.energy.output_tokens_per_joule, &found.energy.wh_per_1000_requests])
    {
        assert_eq!((figure.value, figure.ci95, figure.provenance), (None, None, Provenance::Unavailable));
        assert!(figure.reason.as_deref().unwrap().contains("no rapl here"), "{figure:?}");
    }
    assert!(found.throughput.output_tokens_per_second.value.is_some(), "speed needs no sensor");
}

#[test]
fn a_total_names_what_it_lacks() {
    let mut record = record();
    add(&mut record, counter("rapl:package-0", Domain::Cpu), constant(50.0));
    let found = summary(&record);
    close(&found.energy.total, 500.0);
    assert_eq!(found.energy.total.reason.as_deref(), Some("not included: gpu, ram"));
    assert_eq!(found.energy.total.provenance, Provenance::Derived);
    assert!(found.energy.gpu_per_request.value.is_none());
}

#[test]
fn a_device_lost_midway_leaves_no_part_of_its_domain() {
    let mut record = measured();
    add(&mut record, counter("nvml:gpu1:energy", Domain::Gpu), constant(100.0).take(60));
    record.sampler.faults.push(SamplerFault {
        channel: "nvml:gpu0:energy".to_owned(),
        message: "GPU 1: fell off the bus".to_owned(),
        count: 1,
        gone: false,
    });
    let found = summary(&record);
    let reason = found.domain(Domain::Gpu).unwrap().energy.reason.clone().unwrap();
    assert_eq!(reason, "source nvml:gpu1:energy was lost at 5.8 s of 10.0 s: GPU 1: fell off the bus");
    for figure in [
        &found.energy.total,
        &found.energy.per_request,
        &found.energy.per_output_token,
        &found.energy.output_tokens_per_joule,
        &found.energy.wh_per_1000_requests,
        &found.carbon.emissions,
        &found.carbon.emissions_per_request,
    ] {
        assert_eq!(figure.value, None, "CPU and RAM alone are not the run: {figure:?}");
        assert_eq!(figure.reason, Some(format!("GPU energy is not known: {reason}")));
    }
    close(&found.domain(Domain::Cpu).unwrap().energy, 500.0);
    assert!(ids(&found).contains(&"source_lost"), "{:?}", ids(&found));
    assert!(found.energy.channels[0].energy.value.is_some(), "the other GPU's own figure stands");
}

#[test]
fn channels_that_see_the_same_joules_are_not_added() {
    let mut record = measured();
    let mut psys = counter("rapl:psys", Domain::Node);
    psys.counts = false;
    add(&mut record, psys, constant(400.0));
    let mut twin = power("nvml:gpu0:power", Domain::Gpu);
    twin.counts = false;
    add(&mut record, twin, moments().map(|when| (when, 300_000_000)));
    let found = summary(&record);
    close(&found.energy.total, 3600.0);
    assert_eq!(found.energy.domains.len(), 3);
    assert_eq!(found.energy.channels.len(), 5);
    close(&found.energy.channels[3].energy, 4000.0);
    let mut counted = record.clone();
    counted.channels[3].counts = true;
    let node = summary(&counted);
    close(&node.domain(Domain::Node).unwrap().energy, 4000.0);
    close(&node.energy.total, 3600.0);
}

#[test]
fn failures_are_counted_and_do_not_share_the_energy() {
    let mut record = measured();
    record.requests.push(failed(2, ErrorClass::Server));
    record.requests.push(failed(3, ErrorClass::Cancelled));
    let found = summary(&record);
    let counts = &found.counts;
    assert_eq!((counts.total, counts.successful, counts.failed, counts.cancelled), (4, 2, 1, 1));
    close(&found.energy.per_request, 1800.0);
    assert_eq!(found.tokens.completion, Some(80));
    assert!(ids(&found).contains(&"failed_requests"));
    let mut none = measured();
    none.requests = vec![failed(0, ErrorClass::Connect)];
    let nothing = summary(&none);
    assert_eq!(nothing.energy.per_request.value, None, "not infinite, not zero");
    assert!(nothing.energy.total.value.is_some());
}

#[test]
fn the_whole_energy_is_not_shared_among_a_part_of_the_tokens() {
    let mut record = measured();
    record.requests[0].generation.completion_tokens = None;
    let found = summary(&record);
    assert_eq!((found.tokens.completion, found.tokens.uncounted), (Some(40), 1));
    let (energy, gpu) = (&found.energy, found.domain(Domain::Gpu).unwrap());
    for figure in [
        &energy.gpu_per_output_token,
        &energy.per_output_token,
        &energy.per_token,
        &energy.output_tokens_per_joule,
        &gpu.per_output_token,
        &found.carbon.emissions_per_output_token,
        &found.throughput.output_tokens_per_second,
        &found.throughput.total_tokens_per_second,
    ] {
        assert_eq!(figure.value, None, "{figure:?}");
        assert_eq!(figure.reason.as_deref(), Some("1 of 2 requests have no completion token count"));
    }
    close(&energy.per_request, 1800.0);
    close(&gpu.per_request, 1500.0);
    assert!(ids(&found).contains(&"missing_token_counts"));
    for request in &mut record.requests {
        request.generation.completion_tokens = None;
    }
    let none = summary(&record);
    assert_eq!((none.tokens.completion, none.energy.per_output_token.value), (None, None));
    assert_eq!(none.throughput.output_tokens_per_second.value, None);
    let mut prompts = measured();
    prompts.requests[1].generation.prompt_tokens = None;
    let half = summary(&prompts);
    assert_eq!((half.energy.per_token.value, half.throughput.total_tokens_per_second.value), (None, None));
    close(&half.energy.per_output_token, 45.0);
}

#[test]
fn assumed_token_counts_make_estimates_of_what_rests_on_them() {
    let mut chunks = measured();
    if let Some(count) = &mut chunks.requests[0].generation.completion_tokens {
        count.source = TokenCountSource::Chunks;
    }
    let found = summary(&chunks);
    assert!(ids(&found).contains(&"assumed_token_counts"));
    let speed = &found.throughput.output_tokens_per_second;
    assert_eq!(speed.provenance, Provenance::Estimated);
    assert!(speed.reason.as_deref().unwrap().contains("1 of 2 requests count one token a chunk"));
    assert_eq!(found.energy.output_tokens_per_joule.provenance, Provenance::Estimated);
}

#[test]
fn every_domain_and_the_emissions_have_their_shares() {
    let found = summary(&measured());
    for (domain, joules) in [(Domain::Gpu, 3000.0), (Domain::Cpu, 500.0), (Domain::Ram, 100.0)] {
        let entry = found.domain(domain).unwrap();
        close(&entry.per_request, joules / 2.0);
        close(&entry.per_output_token, joules / 80.0);
    }
    let grams = found.carbon.emissions.value.unwrap();
    close(&found.carbon.emissions_per_request, grams / 2.0);
    close(&found.carbon.emissions_per_output_token, grams / 80.0);
}

#[test]
fn the_servers_counters_are_differences_and_nothing_where_they_fell() {
    let counters = |prompt_tokens, generation_tokens| ServerCounters { prompt_tokens, generation_tokens };
    let mut record = measured();
    assert_eq!(
        (summary(&record).tokens.server_prompt, summary(&record).tokens.server_completion),
        (None, None)
    );
    record.server_counters = Some([counters(1000, 7), counters(1020, 87)]);
    let found = summary(&record).tokens;
    assert_eq!((found.server_prompt, found.server_completion), (Some(20), Some(80)));
    record.server_counters = Some([counters(1000, 700), counters(1020, 80)]);
    let restarted = summary(&record).tokens;
    assert_eq!((restarted.server_prompt, restarted.server_completion), (Some(20), None));
}

#[test]
fn no_request_means_no_window_and_no_figure() {
    let mut record = measured();
    record.phases.clear();
    record.requests.clear();
    let found = summary(&record);
    assert_eq!((found.duration.value, found.energy.total.value), (None, None));
    assert_eq!(found.throughput.requests_per_second.value, None);
    assert_eq!(found.latency.end_to_end, None);
}

#[test]
fn what_servers_report_is_summed_apart() {
    let mut record = measured();
    record.requests.push(request(2, 8.0, 9.0));
    for request in &mut record.requests[..2] {
        request.generation.server_energy =
            Some(Box::new(ServerEnergy { energy_joules: Some(2.5), ..ServerEnergy::default() }));
    }
    let found = summary(&record);
    let reported = found.energy.server_reported.unwrap();
    close(&reported, 5.0);
    assert_eq!(reported.reason.as_deref(), Some("2 of 3 requests carry one"));
    close(&found.energy.total, 3600.0);
}

#[test]
fn peak_power_is_a_mean_over_ten_ticks_within_the_window() {
    let mut record = record();
    // 100 W, but 400 W from 5 s to 8 s; and a spike before the window that is not its business.
    let joules = |when: f64| {
        100.0 * when + 300.0 * (when - 5.0).clamp(0.0, 3.0) + if when >= 0.95 { 5000.0 } else { 0.0 }
    };
    add(
        &mut record,
        counter("c", Domain::Gpu),
        moments().map(|when| (when, (joules(when) * 1e6).round() as u64)),
    );
    let found = summary(&record);
    close(&found.domain(Domain::Gpu).unwrap().peak_power, 400.0);
}

#[test]
fn peak_power_is_not_a_tick_more_or_less_in_a_reading() {
    let mut record = record();
    let ticked = |when: f64| ((when / 0.07).floor() * 0.07 * 200.0 * 1e6) as u64;
    add(&mut record, counter("c", Domain::Gpu), moments().map(|when| (when, ticked(when))));
    let peak = summary(&record).domain(Domain::Gpu).unwrap().peak_power.clone();
    let (watts, ci95) = (peak.value.unwrap(), peak.ci95.unwrap());
    assert!((watts - 200.0).abs() < 20.0, "neighbouring readings would give up to 280 W: {peak:?}");
    assert!((watts - 200.0).abs() <= ci95, "{peak:?}");
}

#[test]
fn one_cause_that_takes_every_domain_is_said_once_in_the_total() {
    let mut record = record();
    record.unavailable_sources = [Domain::Gpu, Domain::Cpu, Domain::Ram]
        .map(|domain| UnavailableSource {
            source: "any".to_owned(),
            domain,
            reason: "switched off".to_owned(),
            remedy: String::new(),
        })
        .to_vec();
    let total = summary(&record).energy.total;
    assert_eq!(total.reason.as_deref(), Some("no domain is known: any: switched off"));
}
