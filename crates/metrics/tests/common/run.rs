//! A short run of the fake backend with real sources: the shipped path from discovery to the record.

use std::sync::Arc;
use std::time::Duration;

use ai_energy_core::backend::Tally;
use ai_energy_core::energy::SourceDiscovery;
use ai_energy_core::fakes::FakeBackend;
use ai_energy_core::prompt::{FormattedPrompt, PromptContent};
use ai_energy_core::{Clock, Parts, RunRecord, Stop, runner};
use serde_json::Map;

/// A load of about `count` × 0.12 s, sampled every 20 ms.
pub(crate) fn run(found: SourceDiscovery, count: usize) -> RunRecord {
    let prompt = |index| {
        Arc::new(FormattedPrompt {
            index,
            content: PromptContent::Text("x".to_owned()),
            params: Map::new(),
            chat_template_kwargs: Map::new(),
            target_output_tokens: Some(20),
        })
    };
    let parts = Parts {
        backend: Arc::new(FakeBackend {
            first_token: Duration::from_millis(20),
            inter_token: Duration::from_millis(5),
        }),
        prompts: (0..count).map(prompt).collect(),
        script: ai_energy_core::runner::Script::default(),
        dataset: crate::common::dataset(),
        checks: Vec::new(),
        sources: found,
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::new(Tally::default()),
        meter: None,
        calibration: Err("a test makes none".to_owned()),
        started_at: String::new(),
        environment: Map::new(),
        warnings: Vec::new(),
        grid: None,
    };
    let plan = ai_energy_core::Plan { sampling_interval_ms: 20, ..crate::common::plan() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runner::run(plan, parts))
}
