//! Records made by hand, for tests of what follows from a record.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail the test")]
#![allow(dead_code, reason = "each test file uses its own part")]

use ai_energy_core::energy::{Channel, ChannelKind, Domain, EnergyReading, Instrument};
use ai_energy_core::figure::Provenance;
use ai_energy_core::plan::{LoadPlan, Plan};
use ai_energy_core::prompt::GenerationParams;
use ai_energy_core::record::{
    Chunk, ClientUsage, Ending, ErrorClass, Generation, OutputChannel, Phase, PhaseKind, RequestError,
    SamplerStats, TokenCount, TokenCountSource,
};
use ai_energy_core::{BackendInfo, DatasetInfo, RequestRecord, RunRecord, Stamp, Summary};
use ai_energy_metrics::{SummaryOptions, summarize};
use serde_json::Map;

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn at(seconds: f64) -> Stamp {
    Stamp((seconds * SECOND as f64).round() as u64)
}

pub(crate) fn channel(name: &str, domain: Domain, kind: ChannelKind) -> Channel {
    Channel {
        name: name.to_owned(),
        domain,
        device: "device".to_owned(),
        device_id: format!("id of {name}"),
        kind,
        provenance: Provenance::Measured,
        source: format!("{name} instrument"),
        gain_ci95: Some(0.0),
        counts: true,
        instrument: Instrument::default(),
    }
}

pub(crate) fn counter(name: &str, domain: Domain) -> Channel {
    channel(name, domain, ChannelKind::Counter { wrap_microjoules: None })
}

pub(crate) fn power(name: &str, domain: Domain) -> Channel {
    channel(name, domain, ChannelKind::Power { averaging_ms: None })
}

pub(crate) fn plan() -> Plan {
    Plan {
        name: "test".to_owned(),
        run_id: "test-1".to_owned(),
        load: LoadPlan::default(),
        generation: GenerationParams::default(),
        sampling_interval_ms: 100,
        idle_seconds: 0.0,
        keep_text: false,
    }
}

pub(crate) fn dataset() -> DatasetInfo {
    DatasetInfo {
        name: "d".into(),
        kind: "text".into(),
        revision: None,
        sha256: String::new(),
        rows: Some(2),
    }
}

/// Two successful requests of 10 prompt and 40 generated tokens each within a load of 10 s that begins at 1 s.
pub(crate) fn record() -> RunRecord {
    RunRecord {
        plan: plan(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        backend: BackendInfo {
            backend: "vllm".to_owned(),
            model: "m".to_owned(),
            endpoint: None,
            device: None,
            server: None,
            synthetic: false,
            details: Map::new(),
        },
        dataset: dataset(),
        checks: Vec::new(),
        phases: vec![Phase { kind: PhaseKind::Load, start: at(1.0), end: at(11.0) }],
        unmeasured: Vec::new(),
        server_samples: Vec::new(),
        requests: vec![request(0, 1.0, 6.0), request(1, 6.0, 11.0)],
        channels: Vec::new(),
        readings: Vec::new(),
        unavailable_sources: Vec::new(),
        server_counters: None,
        gpu_states: Vec::new(),
        gpu_samples: Vec::new(),
        sampler: SamplerStats::default(),
        client: ClientUsage::default(),
        grid: None,
        segments: Vec::new(),
        ending: Ending::Complete,
        synthetic: false,
        warnings: Vec::new(),
        environment: Map::new(),
    }
}

pub(crate) fn request(index: usize, sent: f64, end: f64) -> RequestRecord {
    let chunk = |seconds: f64| Chunk { at: at(seconds), channel: OutputChannel::Content, tokens: None };
    let generation = Generation {
        sent: Some(at(sent)),
        first_token: Some(at(sent + 0.5)),
        first_content: Some(at(sent + 0.5)),
        end: at(end),
        chunks: vec![chunk(sent + 0.5), chunk(end)].into(),
        prompt_tokens: Some(TokenCount { tokens: 10, source: TokenCountSource::Server }),
        completion_tokens: Some(TokenCount { tokens: 40, source: TokenCountSource::Server }),
        ..Generation::default()
    };
    RequestRecord {
        id: format!("test-1-{index}"),
        prompt_index: index,
        scheduled: at(sent),
        offer: ai_energy_core::record::Offer::default(),
        generation,
    }
}

pub(crate) fn failed(index: usize, class: ErrorClass) -> RequestRecord {
    let mut request = request(index, 2.0, 3.0);
    request.generation.error = Some(RequestError { class, message: "no".to_owned(), status: None });
    request
}

/// Adds a channel with readings `(seconds, microjoules or microwatts)`.
pub(crate) fn add(record: &mut RunRecord, channel: Channel, readings: impl IntoIterator<Item = (f64, u64)>) {
    let index = u16::try_from(record.channels.len()).unwrap();
    record.channels.push(channel);
    let readings = readings.into_iter();
    record.readings.extend(readings.map(|(when, value)| EnergyReading {
        channel: index,
        at: at(when),
        value,
    }));
    record.readings.sort_by_key(|reading| reading.at);
}

/// Moments from 0.9 s to 11.1 s, ten a second: they span [`record`]'s load.
pub(crate) fn moments() -> impl Iterator<Item = f64> {
    (0..=102).map(|tenth| 0.9 + f64::from(tenth) / 10.0)
}

/// A counter of constant `watts` that has run since 0 s.
pub(crate) fn constant(watts: f64) -> impl Iterator<Item = (f64, u64)> {
    moments().map(move |when| (when, (watts * when * 1e6).round() as u64))
}

/// GPU 300 W and CPU 50 W by counters, RAM 10 W by a model.
pub(crate) fn measured() -> RunRecord {
    let mut record = record();
    add(&mut record, counter("nvml:gpu0:energy", Domain::Gpu), constant(300.0));
    add(&mut record, counter("rapl:package-0", Domain::Cpu), constant(50.0));
    let mut ram = power("ram_model:modules", Domain::Ram);
    ram.provenance = Provenance::Estimated;
    ram.gain_ci95 = Some(0.5);
    add(&mut record, ram, moments().map(|when| (when, 10_000_000)));
    record
}

/// The summary of a run in the USA.
pub(crate) fn summary(record: &RunRecord) -> Summary {
    summarize(
        record,
        &SummaryOptions { country_iso_code: Some("USA".to_owned()), ..SummaryOptions::default() },
    )
}

pub(crate) fn ids(summary: &Summary) -> Vec<&str> {
    summary.warnings.iter().map(|warning| warning.id.as_str()).collect()
}
