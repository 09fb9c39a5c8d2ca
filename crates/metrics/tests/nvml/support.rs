//! Loads the fake library with a script, on a clock that the test sets or on the real one, and reads from it.

use std::sync::Arc;
use std::time::Duration;

use ai_energy_core::backend::Tally;
use ai_energy_core::energy::{EnergySource, SourceDiscovery};
use ai_energy_core::fakes::FakeBackend;
use ai_energy_core::prompt::{FormattedPrompt, PromptContent};
use ai_energy_core::{Clock, Parts, ReadFault, RunRecord, Stop, runner};
use ai_energy_fake_nvml::{Device, FakeNvml, Fault, Script};
use ai_energy_metrics::{GpuChoice, Options, Roots, SourceSelection, discover};
use serde_json::Map;

use crate::common;

/// The library with `script`, on a clock that the test sets.
pub(crate) fn library(script: &Script) -> (FakeNvml, Roots) {
    with_roots(FakeNvml::with_clock(script).unwrap())
}

/// The same on the real clock.
pub(crate) fn live(script: &Script) -> (FakeNvml, Roots) {
    with_roots(FakeNvml::new(script).unwrap())
}

pub(crate) fn with_roots(fake: FakeNvml) -> (FakeNvml, Roots) {
    let library = Some(fake.library().into_os_string());
    (fake, Roots { nvml_library: library, visible_gpus: None, ..Roots::default() })
}

/// GPUs of 250 W, 500 W and so on.
pub(crate) fn gpus(count: u32) -> Script {
    Script {
        devices: (0..count).map(|index| Device::new(index, 250.0 * f64::from(index + 1))).collect(),
        ..Script::default()
    }
}

pub(crate) fn changed(mut script: Script, change: impl Fn(&mut Device)) -> Script {
    script.devices.iter_mut().for_each(change);
    script
}

pub(crate) fn faulty(script: Script, fault: Fault) -> Script {
    Script { faults: vec![fault], ..script }
}

pub(crate) fn options() -> Options {
    Options { sources: SourceSelection::Named(vec!["nvml".into()]), ..Options::default() }
}

pub(crate) fn named(choices: &[&str]) -> Options {
    Options {
        gpu_ids: Some(choices.iter().map(|word| GpuChoice::Name((*word).to_owned())).collect()),
        ..options()
    }
}

pub(crate) fn indexed(indices: &[u32]) -> Options {
    Options { gpu_ids: Some(indices.iter().copied().map(GpuChoice::Index).collect()), ..options() }
}

pub(crate) fn names(found: &SourceDiscovery) -> Vec<String> {
    found.sources.iter().flat_map(|source| source.channels().to_vec()).map(|channel| channel.name).collect()
}

/// The source that was found, read once: the burst that looks for ticks is over.
pub(crate) fn source(script: &Script) -> (FakeNvml, Box<dyn EnergySource>) {
    let (fake, roots) = library(script);
    let mut found = discover(&options(), &roots);
    assert_eq!(found.sources.len(), 1, "{:?}", found.unavailable);
    let mut source = found.sources.remove(0);
    let _ = source.read(&mut |_, _| {});
    (fake, source)
}

/// One reading at a moment: each channel's name and value.
pub(crate) fn read_at(
    fake: &FakeNvml,
    source: &mut dyn EnergySource,
    seconds: f64,
) -> (Vec<(String, u64)>, Result<(), ReadFault>) {
    fake.set_time(seconds).unwrap();
    let mut values = Vec::new();
    let result = source.read(&mut |position, value| values.push((position, value)));
    let name = |position: usize| source.channels()[position].name.trim_start_matches("nvml:").to_owned();
    (values.into_iter().map(|(position, value)| (name(position), value)).collect(), result)
}

/// A whole run through core's runner and sampler, with a backend that sleeps.
pub(crate) fn run(found: SourceDiscovery) -> RunRecord {
    let prompts = (0..6)
        .map(|index| {
            Arc::new(FormattedPrompt {
                index,
                content: PromptContent::Text("x".to_owned()),
                params: Map::new(),
                chat_template_kwargs: Map::new(),
                target_output_tokens: Some(20),
            })
        })
        .collect();
    let parts = Parts {
        backend: Arc::new(FakeBackend {
            first_token: Duration::from_millis(20),
            inter_token: Duration::from_millis(5),
        }),
        prompts,
        script: ai_energy_core::runner::Script::default(),
        dataset: common::dataset(),
        checks: Vec::new(),
        sources: found,
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::new(Tally::default()),
        meter: None,
        calibration: Err("a test makes none".to_owned()),
        started_at: String::new(),
        grid: None,
        environment: Map::new(),
        warnings: Vec::new(),
    };
    let plan = ai_energy_core::Plan { sampling_interval_ms: 20, ..common::plan() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runner::run(plan, parts))
}
