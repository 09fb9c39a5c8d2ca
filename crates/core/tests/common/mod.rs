//! A plan, its parts and a backend that ends requests as a test wants, for the tests of the runner.

#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ai_energy_core::backend::{Request, Tally};
use ai_energy_core::fakes::{FakeBackend, FakeSource};
use ai_energy_core::record::Generation;
use ai_energy_core::runner::{Parts, Script, Stop};
use ai_energy_core::{
    Backend, BackendInfo, Check, Clock, DatasetInfo, Domain, Fault, FormattedPrompt, GenerationParams,
    LoadPlan, Plan, PromptContent, SourceDiscovery,
};
use async_trait::async_trait;
use serde_json::Map;

pub(crate) fn plan(concurrency: usize) -> Plan {
    Plan {
        name: "test".to_owned(),
        run_id: "test-1".to_owned(),
        load: LoadPlan { concurrency, ..LoadPlan::default() },
        generation: GenerationParams { max_new_tokens: Some(4), ..GenerationParams::default() },
        sampling_interval_ms: 5,
        idle_seconds: 0.0,
        keep_text: false,
    }
}

pub(crate) fn parts(backend: impl Backend + 'static, prompts: usize) -> Parts {
    let prompt = |index| FormattedPrompt {
        index,
        content: PromptContent::Text("x".to_owned()),
        params: Map::new(),
        chat_template_kwargs: Map::new(),
        target_output_tokens: None,
    };
    Parts {
        backend: Arc::new(backend),
        prompts: (0..prompts).map(|index| Arc::new(prompt(index))).collect(),
        script: Script::default(),
        dataset: DatasetInfo {
            name: "t".to_owned(),
            kind: "t".to_owned(),
            revision: None,
            sha256: String::new(),
            rows: Some(prompts),
        },
        checks: Vec::new(),
        sources: SourceDiscovery {
            sources: vec![Box::new(FakeSource::new(Domain::Gpu, 50.0))],
            ..SourceDiscovery::default()
        },
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::new(Tally::default()),
        meter: None,
        calibration: Err("a test makes none".to_owned()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        grid: None,
        environment: Map::new(),
        warnings: Vec::new(),
    }
}

pub(crate) fn quick() -> FakeBackend {
    FakeBackend { first_token: Duration::from_millis(2), inter_token: Duration::from_millis(1) }
}

/// Delegates to a fake and lets a test decide how a request ends.
pub(crate) struct Scripted<F> {
    fake: FakeBackend,
    in_flight: AtomicUsize,
    most_in_flight: Arc<AtomicUsize>,
    end: F,
}

impl<F> Scripted<F> {
    pub(crate) fn new(end: F) -> (Self, Arc<AtomicUsize>) {
        let most = Arc::new(AtomicUsize::new(0));
        (Self { fake: quick(), in_flight: AtomicUsize::new(0), most_in_flight: Arc::clone(&most), end }, most)
    }
}

#[async_trait]
impl<F: Fn(usize, Generation) -> Generation + Send + Sync> Backend for Scripted<F> {
    fn info(&self) -> BackendInfo {
        self.fake.info()
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        self.fake.validate().await
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let generation = self.fake.generate(request, clock, tally).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        (self.end)(request.prompt.index, generation)
    }

    async fn count_tokens(&self, text: &str) -> Option<u32> {
        u32::try_from(text.split_whitespace().count()).ok()
    }
}
