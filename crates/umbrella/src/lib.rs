//! What a token costs in joules, watt-hours, grams of CO2 and milliseconds: the parts of `ai-energy-benchmark` for
//! programs of one's own.
//!
//! Exists so that a library user depends on one crate. Holds no code: each module is one of the project's crates, and
//! each of them can be used alone. [`core`] is where they meet; read it first.
//!
//! | module | what it has |
//! |---|---|
//! | [`core`] | contracts, data types and the runner |
//! | [`config`] | layered configuration with the origin of each value |
//! | [`datasets`] | prompts: built in, made to size, from files, from the hub |
//! | [`hub`] | files of the Hugging Face hub, through the cache that Python shares |
//! | [`formatters`] | how model families want their prompts and reasoning switches |
//! | [`backends`] | what runs the model |
//! | [`metrics`] | energy sources, and the figures that follow from a record |
//! | [`reporters`] | result files and the terminal's summary |
//! | [`simulator`] | an OpenAI-compatible server with known timing |
//!
//! # A run
//!
//! Three of the built-in prompts against a server, here a simulator in the same process, with whatever energy sources
//! the machine has:
//!
//! ```
//! use std::sync::Arc;
//!
//! use ai_energy_benchmarks::backends::vllm::{Options as ServerOptions, VllmBackend};
//! use ai_energy_benchmarks::core::{Backend, Clock, GenerationParams, LoadPlan, Parts, Plan, Stop, Target};
//! use ai_energy_benchmarks::{core, datasets, formatters, metrics, simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = simulator::Simulator::spawn_thread(simulator::Options {
//!     ttft: "5ms".parse()?,
//!     inter_token: "1ms".parse()?,
//!     ..simulator::Options::default()
//! })?;
//!
//! let model = "simulated";
//! let options = datasets::Options { dataset_name: "builtin".into(), ..datasets::Options::default() };
//! let loaded = datasets::open(&options)?.load(3, &()).await?;
//! let formatter = formatters::Registry::builtin().for_model(model).formatter;
//! let format = |prompt| formatter.format(prompt, None, Target::ChatApi).map(Arc::new);
//! let prompts = loaded.prompts.iter().map(format).collect::<Result<Vec<_>, _>>()?;
//!
//! let backend = VllmBackend::new(ServerOptions {
//!     endpoint: server.endpoint(),
//!     model: model.into(),
//!     ..ServerOptions::default()
//! })?;
//! let checks = backend.validate().await?;
//! let plan = Plan {
//!     name: "example".into(),
//!     run_id: "example-1".into(),
//!     load: LoadPlan::default(),
//!     generation: GenerationParams { max_new_tokens: Some(8), min_new_tokens: Some(8), ..Default::default() },
//!     sampling_interval_ms: 50,
//!     idle_seconds: 0.0,
//!     keep_text: false,
//! };
//! let record = core::runner::run(plan, Parts {
//!     backend: Arc::new(backend),
//!     prompts,
//!     script: core::runner::Script::default(),
//!     dataset: loaded.info,
//!     checks,
//!     sources: metrics::discover(&metrics::Options::default(), &metrics::Roots::default()),
//!     observers: Vec::new(),
//!     clock: Clock::start(),
//!     stop: Stop::new(),
//!     tally: Arc::default(),
//!     meter: Some(Arc::new(metrics::ProcessMeter::default())),
//!     calibration: Err("none was made".into()),
//!     started_at: "2025-01-01T00:00:00Z".into(),
//!     grid: None,
//!     environment: Default::default(),
//!     warnings: loaded.warnings,
//! })
//! .await;
//!
//! let summary = metrics::summarize(&record, &metrics::summary::SummaryOptions::default());
//! assert_eq!((summary.counts.successful, summary.tokens.completion), (3, Some(24)));
//! // What cannot be measured here is `None` with a reason, never 0.
//! for domain in &summary.energy.domains {
//!     println!("{}: {:?}", domain.domain.word(), domain.energy.value);
//! }
//! # Ok(())
//! # }
//! ```

pub use ai_energy_config as config;
pub use ai_energy_core as core;
pub use ai_energy_datasets as datasets;
pub use ai_energy_formatters as formatters;
pub use ai_energy_hub as hub;
pub use ai_energy_metrics as metrics;
pub use ai_energy_reporters as reporters;
pub use ai_energy_simulator as simulator;

/// What runs the model, one module a backend; all implement [`core::Backend`].
pub mod backends {
    pub use ai_energy_backends_pytorch as pytorch;
    pub use ai_energy_backends_vllm as vllm;
}
