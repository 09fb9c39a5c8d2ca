//! Records and summaries with fixed values. They are invented and consistent with each other.

use std::collections::BTreeMap;
use std::path::Path;

use ai_energy_core::backend::{BackendInfo, Check, CheckOutcome};
use ai_energy_core::clock::Stamp;
use ai_energy_core::dataset::DatasetInfo;
use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergyReading, GpuState, Instrument, UnavailableSource,
};
use ai_energy_core::plan::{LoadPlan, Plan};
use ai_energy_core::prompt::GenerationParams;
use ai_energy_core::record::{
    Chunk, ClientUsage, Ending, ErrorClass, Generation, OutputChannel, Phase, PhaseKind, RequestError,
    RequestRecord, RunRecord, SamplerStats, TokenCount, TokenCountSource,
};
use ai_energy_core::summary::{Counts, Energy, Latency, Summary, Throughput, Tokens, Warning};
use ai_energy_core::{Figure, Place, Provenance, Report};
use serde_json::{Map, Value, json};

use crate::figures::{domain, energy, summary, unavailable};

/// What a report is made of, owned.
pub(crate) struct Run {
    pub(crate) record: RunRecord,
    pub(crate) summary: Summary,
    pub(crate) config: Map<String, Value>,
}

impl Run {
    pub(crate) fn report(&self) -> Report<'_> {
        Report { record: &self.record, summary: &self.summary, config: &self.config }
    }
}

/// A place within one folder, without collecting files.
pub(crate) fn place(folder: &Path) -> Place {
    Place { run_dir: folder.to_owned(), collected_file: None, emissions_dir: None }
}

pub(crate) fn request(number: usize) -> RequestRecord {
    let start = 1_000_000_000 + number as u64 * 760_000_000;
    RequestRecord {
        id: format!("request-{number}"),
        prompt_index: number,
        scheduled: Stamp(start),
        offer: ai_energy_core::record::Offer::default(),
        generation: Generation {
            sent: Some(Stamp(start + 200_000)),
            first_token: Some(Stamp(start + 60_000_000)),
            end: Stamp(start + 760_000_000),
            chunks: vec![Chunk {
                at: Stamp(start + 60_000_000),
                channel: OutputChannel::Content,
                tokens: Some(1),
            }]
            .into(),
            completion_tokens: Some(TokenCount { tokens: 64, source: TokenCountSource::Server }),
            text: Some("zwölf Eier\nund \u{1f95a}".to_owned()),
            ..Generation::default()
        },
    }
}

pub(crate) fn failed_request(number: usize, class: ErrorClass, message: &str) -> RequestRecord {
    let mut record = request(number);
    record.generation.error = Some(RequestError { class, message: message.to_owned(), status: None });
    record
}

pub(crate) fn channel(name: &str, domain: Domain, kind: ChannelKind, counts: bool) -> Channel {
    Channel {
        name: name.to_owned(),
        domain,
        device: "NVIDIA H200".to_owned(),
        device_id: format!("{name}-id"),
        kind,
        provenance: Provenance::Measured,
        source: "NVML total-energy counter".to_owned(),
        gain_ci95: Some(0.05),
        counts,
        instrument: Instrument::default(),
    }
}

pub(crate) fn reading(channel: u16, at: u64, value: u64) -> EnergyReading {
    EnergyReading { channel, at: Stamp(at), value }
}

fn record() -> RunRecord {
    let environment = json!({
        "hostname": "bench-1", "os": "linux", "kernel": "6.12.0", "architecture": "x86_64",
        "cpu_model": "AMD EPYC 9654", "cpu_count": 16, "ram_total_gib": 125.6, "gpu_count": null, "gpus": [],
    });
    RunRecord {
        plan: Plan {
            name: "chat".to_owned(),
            run_id: "chat-20261123-142233-7f3a".to_owned(),
            load: LoadPlan { concurrency: 8, ..LoadPlan::default() },
            generation: GenerationParams::default(),
            sampling_interval_ms: 100,
            idle_seconds: 0.0,
            keep_text: true,
        },
        started_at: "2026-11-23T14:22:33Z".to_owned(),
        backend: BackendInfo {
            backend: "vllm".to_owned(),
            model: "smollm2-135m-instruct".to_owned(),
            endpoint: Some("http://127.0.0.1:8000/v1".to_owned()),
            device: None,
            server: Some("vLLM 0.32.0".to_owned()),
            synthetic: false,
            details: Map::new(),
        },
        dataset: DatasetInfo {
            name: "built-in".to_owned(),
            kind: "builtin".to_owned(),
            revision: None,
            sha256: "00".repeat(32),
            rows: Some(200),
        },
        checks: vec![check("server ready", ""), check("model served", ""), check("1-token probe", "52 ms")],
        phases: vec![Phase {
            kind: PhaseKind::Load,
            start: Stamp(1_000_000_000),
            end: Stamp(75_250_000_000),
        }],
        unmeasured: Vec::new(),
        server_samples: Vec::new(),
        requests: (0..200).map(request).collect(),
        channels: vec![channel(
            "nvml:gpu0:energy",
            Domain::Gpu,
            ChannelKind::Counter { wrap_microjoules: None },
            true,
        )],
        readings: Vec::new(),
        unavailable_sources: Vec::new(),
        server_counters: None,
        gpu_states: vec![GpuState {
            index: 0,
            utilization_percent: Some(87.0),
            memory_used_mib: Some(70_000.0),
            memory_total_mib: Some(140_000.0),
            temperature_c: Some(54.0),
            power_draw_w: None,
            ..GpuState::default()
        }],
        gpu_samples: Vec::new(),
        sampler: SamplerStats {
            rounds: 740,
            cpu_seconds: Some(0.31),
            longest_gap_seconds: Some(0.11),
            faults: Vec::new(),
            ..SamplerStats::default()
        },
        client: ClientUsage { load_cpu_seconds: Some(1.9), ..ClientUsage::default() },
        grid: None,
        segments: Vec::new(),
        ending: Ending::Complete,
        synthetic: false,
        warnings: Vec::new(),
        environment: environment.as_object().unwrap().clone(),
    }
}

fn check(name: &str, detail: &str) -> Check {
    Check { name: name.to_owned(), outcome: CheckOutcome::Ok, detail: detail.to_owned() }
}

fn config() -> Map<String, Value> {
    let config = json!({
        "backend": {"type": "vllm", "device_ids": [0, 1]},
        "scenario": {"num_samples": 200},
        "metrics": {"project_name": "ai_energy_benchmarks"},
    });
    config.as_object().unwrap().clone()
}

/// GPU and CPU measured, RAM estimated, all requests well.
pub(crate) fn complete() -> Run {
    let domains = vec![
        domain(Domain::Gpu, 2560.0, 0.031, Provenance::Measured, "NVML total-energy counter, tick 98 ms"),
        domain(Domain::Cpu, 1220.0, 0.055, Provenance::Measured, "RAPL package-0"),
        domain(Domain::Ram, 120.0, 0.5, Provenance::Estimated, "2 DIMMs × 5 W"),
    ];
    let mut summary = summary(energy(domains, 200.0, 12_742.0, None), 200, 200);
    summary.warnings.push(Warning {
        id: "ram_estimated".to_owned(),
        message: "RAM energy is a model, not a measurement".to_owned(),
        remedy: String::new(),
    });
    Run { record: record(), summary, config: config() }
}

/// The GPU fell off the bus midway, and validation had doubts before.
pub(crate) fn gpu_lost() -> Run {
    let reason = "source nvml:gpu0:energy was lost at 5.8 s of 74.2 s: GPU 0: device fell off the bus";
    let mut run = complete();
    run.summary.load.inter_token_basis = ai_energy_core::summary::InterTokenBasis::OneAChunk;
    let mut domains = run.summary.energy.domains;
    domains[0] = unavailable(Domain::Gpu, reason);
    let total = Figure::unavailable("J", format!("GPU energy is not known: {reason}"));
    run.summary.energy = Energy {
        output_tokens_per_joule: total.scaled(1.0, "token/J"),
        per_request: total.scaled(1.0, "J/request"),
        per_output_token: total.scaled(1.0, "J/token"),
        per_token: total.scaled(1.0, "J/token"),
        wh_per_1000_requests: total.scaled(1.0, "Wh"),
        total: total.clone(),
        ..energy(domains, 200.0, 12_742.0, None)
    };
    let carbon = &mut run.summary.carbon;
    carbon.emissions = total.scaled(1.0, "g");
    carbon.emissions_per_request = total.scaled(1.0, "g/request");
    carbon.emissions_per_output_token = total.scaled(1.0, "g/token");
    for request in &mut run.record.requests {
        request.generation.chunks = std::mem::take(&mut request.generation.chunks).uncounted();
    }
    run.record.checks[1] = Check {
        name: "model served".to_owned(),
        outcome: CheckOutcome::Warning,
        detail: "the server lists no models".to_owned(),
    };
    run
}

/// Nothing but a CPU model.
pub(crate) fn cpu_estimate_only() -> Run {
    let no_gpu = "no NVIDIA driver library (libnvidia-ml.so.1) on this machine";
    let domains = vec![
        unavailable(Domain::Gpu, no_gpu),
        domain(
            Domain::Cpu,
            1220.0,
            0.4,
            Provenance::Estimated,
            "load × 65 W (model; no counter is readable)",
        ),
        unavailable(Domain::Ram, "no memory information"),
    ];
    let remark = Some("not included: gpu, ram");
    let mut run = Run {
        record: record(),
        summary: summary(energy(domains, 200.0, 12_742.0, remark), 200, 200),
        config: config(),
    };
    run.record.gpu_states.clear();
    run.record.channels.clear();
    run.record.unavailable_sources = vec![UnavailableSource {
        source: "nvml".to_owned(),
        domain: Domain::Gpu,
        reason: no_gpu.to_owned(),
        remedy: "install the NVIDIA driver, or run on a machine with a GPU".to_owned(),
    }];
    run.summary.warnings = vec![Warning {
        id: "cpu_estimated".to_owned(),
        message: "CPU energy is a model with an error of tens of percent".to_owned(),
        remedy: "grant read access to /sys/class/powercap/*/energy_uj and it will be measured".to_owned(),
    }];
    run
}

/// No source at all.
pub(crate) fn nothing_measurable() -> Run {
    let domains =
        [Domain::Gpu, Domain::Cpu, Domain::Ram].map(|domain| unavailable(domain, "metrics.enabled is false"));
    let summary = summary(energy(domains.into(), 200.0, 12_742.0, None), 200, 200);
    let mut run = Run { record: record(), summary, config: config() };
    run.record.gpu_states.clear();
    run.record.channels.clear();
    run
}

/// Twelve of 24 requests failed in two ways, one message hostile to terminals.
pub(crate) fn failures() -> Run {
    let mut run = complete();
    run.summary = summary(energy(run.summary.energy.domains, 12.0, 764.0, None), 12, 24);
    run.summary.tokens.completion = Some(764);
    run.summary.tokens.prompt = Some(511);
    run.summary.counts.failed = 12;
    run.summary.counts.errors =
        BTreeMap::from([(ErrorClass::FirstTokenTimeout, 10), (ErrorClass::Server, 2)]);
    run.record.requests = (0..12).map(request).collect();
    for number in 12..22 {
        run.record.requests.push(failed_request(
            number,
            ErrorClass::FirstTokenTimeout,
            "no token within 30 s",
        ));
    }
    let hostile = "CUDA out of memory\u{1b}[2J\nTried to allocate 2 GiB";
    run.record.requests.extend((22..24).map(|number| failed_request(number, ErrorClass::Server, hostile)));
    run.record.ending = Ending::TooManyFailures { in_a_row: 3 };
    run
}

/// Ended by a signal after 87 of 200.
pub(crate) fn interrupted() -> Run {
    let mut run = complete();
    run.summary = summary(energy(run.summary.energy.domains, 87.0, 5543.0, None), 87, 95);
    run.summary.tokens.completion = Some(5543);
    run.summary.tokens.prompt = Some(3702);
    run.summary.counts.cancelled = 8;
    run.summary.counts.errors = BTreeMap::from([(ErrorClass::Cancelled, 8)]);
    run.summary.warnings.push(Warning {
        id: "cancelled_requests".to_owned(),
        message: "8 of 95 requests were cancelled after 210 tokens (by their chunks)".to_owned(),
        remedy: "let the run finish for exact shares".to_owned(),
    });
    run.record.ending = Ending::Interrupted;
    run
}

/// Against a simulator.
pub(crate) fn synthetic() -> Run {
    let mut run = complete();
    run.record.synthetic = true;
    run.record.backend.synthetic = true;
    run.record.backend.server = Some("ai-energy-benchmark simulator".to_owned());
    run
}

/// Not one request succeeded.
pub(crate) fn all_failed() -> Run {
    let mut run = failures();
    run.summary.counts = Counts {
        total: 3,
        failed: 3,
        errors: BTreeMap::from([(ErrorClass::Connect, 3)]),
        ..Counts::default()
    };
    run.summary.tokens = Tokens::default();
    run.summary.latency = Latency::default();
    run.summary.throughput = Throughput {
        output_tokens_per_second: Figure::unavailable("token/s", "no request succeeded"),
        total_tokens_per_second: Figure::unavailable("token/s", "no request succeeded"),
        requests_per_second: Figure::unavailable("request/s", "no request succeeded"),
    };
    run.summary.energy = energy(run.summary.energy.domains, 0.0, 0.0, None);
    let carbon = &mut run.summary.carbon;
    carbon.emissions_per_request = carbon.emissions.per(0.0, "g/request");
    carbon.emissions_per_output_token = carbon.emissions.per(0.0, "g/token");
    run.record.requests =
        (0..3).map(|number| failed_request(number, ErrorClass::Connect, "connection refused")).collect();
    run
}
