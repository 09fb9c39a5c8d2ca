//! The energy of any piece of work: a meter around it, with the same sources, error budget and carbon as a run's.
//!
//! Exists for work that is no benchmark: a closure, a training step, a program. Refuses to run anything itself and to know
//! requests and tokens: figures that are shares of those are unavailable.

use std::sync::Arc;

use ai_energy_core::energy::UnavailableSource;
use ai_energy_core::record::Ending;
use ai_energy_core::runner::{Sampled, Sampler};
use ai_energy_core::{
    BackendInfo, Clock, DatasetInfo, Domain, Figure, GenerationParams, LoadPlan, Phase, PhaseKind, Plan,
    RunRecord, Stamp, Summary,
};
use serde_json::Map;

use crate::options::{Options, Roots};
use crate::summary::{SummaryOptions, summarize};

/// A meter that runs, from [`Meter::start`] to [`Meter::finish`].
pub struct Meter {
    sampler: Sampler,
    clock: Clock,
    start: Stamp,
    interval_ms: u32,
    unavailable: Vec<UnavailableSource>,
    warnings: Vec<String>,
    options: SummaryOptions,
    environment: Map<String, serde_json::Value>,
}

/// What a meter saw: the readings, and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The readings as a record without requests.
    pub record: RunRecord,
    /// Every figure, of which energy, carbon and duration are the ones that mean something here.
    pub summary: Summary,
}

impl Meter {
    /// Finds the sources that the options name and starts to read them; returns when each was read once.
    ///
    /// Must be called within a tokio runtime.
    pub async fn start(options: &Options, roots: &Roots) -> Self {
        let found = crate::discover(options, roots);
        let clock = Clock::start();
        let sampler = Sampler::start(found.sources, clock, options.interval_ms, Arc::new([])).await;
        Self {
            sampler,
            clock,
            start: clock.now(),
            interval_ms: options.interval_ms,
            unavailable: found.unavailable,
            warnings: found.warnings,
            options: options.summary(),
            environment: crate::environment(roots),
        }
    }

    /// Reads once more and computes. `name` names the work.
    pub async fn finish(self, name: &str) -> Measurement {
        let (start, end) = (self.start, self.clock.now());
        let sampled = self.sampler.finish(start, end, end).await;
        let plan = Plan {
            name: name.to_owned(),
            run_id: name.to_owned(),
            load: LoadPlan::default(),
            generation: GenerationParams::default(),
            sampling_interval_ms: self.interval_ms,
            idle_seconds: 0.0,
            keep_text: false,
        };
        let mut record = record(plan, sampled, Phase { kind: PhaseKind::Load, start, end });
        record.unavailable_sources = self.unavailable;
        record.warnings = self.warnings;
        record.environment = self.environment;
        let summary = summarize(&record, &self.options);
        Measurement { record, summary }
    }
}

impl Measurement {
    /// How long the work took, s.
    pub fn duration(&self) -> &Figure {
        &self.summary.duration
    }

    /// The energy of GPU, CPU and memory together, J. Its reason names what is not in it.
    pub fn total(&self) -> &Figure {
        &self.summary.energy.total
    }

    /// The energy of one domain, J; `None` for a domain that no report has.
    pub fn domain(&self, domain: Domain) -> Option<&Figure> {
        self.summary.energy.domains.iter().find(|entry| entry.domain == domain).map(|entry| &entry.energy)
    }
}

/// The record of work that sends nothing.
fn record(plan: Plan, sampled: Sampled, work: Phase) -> RunRecord {
    RunRecord {
        plan,
        started_at: String::new(),
        backend: BackendInfo {
            backend: "none".to_owned(),
            model: String::new(),
            endpoint: None,
            device: None,
            server: None,
            synthetic: false,
            details: Map::new(),
        },
        dataset: DatasetInfo {
            name: String::new(),
            kind: "none".to_owned(),
            revision: None,
            sha256: String::new(),
            rows: None,
        },
        checks: Vec::new(),
        server_counters: None,
        server_samples: Vec::new(),
        phases: vec![work],
        requests: Vec::new(),
        unmeasured: Vec::new(),
        channels: sampled.channels,
        readings: sampled.readings,
        unavailable_sources: Vec::new(),
        gpu_states: sampled.gpu_states,
        gpu_samples: sampled.gpu_samples,
        sampler: sampled.stats,
        client: ai_energy_core::record::ClientUsage::default(),
        grid: None,
        segments: Vec::new(),
        ending: Ending::Complete,
        synthetic: false,
        warnings: Vec::new(),
        environment: Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::options::SourceSelection;

    use ai_energy_fake_nvml::{Device, FakeNvml, Script};

    /// A GPU that draws a known power gives known joules, with the time's and the counter's own doubt.
    #[tokio::test]
    async fn a_gpu_of_known_power_gives_its_joules_and_no_shares() {
        let script = Script { devices: vec![Device::new(0, 200.0)], ..Script::default() };
        let fake = FakeNvml::new(&script).unwrap();
        let roots = Roots { nvml_library: Some(fake.library().into()), ..Roots::default() };
        let sources = SourceSelection::Named(vec!["nvml".into()]);
        let options = Options { sources, ..Options::default() };
        let meter = Meter::start(&options, &roots).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let measured = meter.finish("work").await;
        let seconds = measured.duration().value.unwrap();
        let gpu = measured.domain(Domain::Gpu).unwrap();
        let (joules, ci95) = (gpu.value.unwrap(), gpu.ci95.unwrap());
        assert!((joules - 200.0 * seconds).abs() <= ci95.max(1e-6), "{joules} ± {ci95} J in {seconds} s");
        assert!(measured.total().value.is_some());
        assert!(measured.summary.energy.per_request.value.is_none(), "there is no request to share it");
        assert!(measured.domain(Domain::Node).is_none());
    }
}
