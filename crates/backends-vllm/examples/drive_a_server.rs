//! Sends a load to an OpenAI-compatible server and prints what was seen of each request. No energy, no report: the client and
//! the runner alone.
//!
//! ```text
//! cargo run -p ai-energy-backends-vllm --example drive_a_server -- http://127.0.0.1:8000/v1
//! ```

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use ai_energy_backends_vllm::{Options, VllmBackend};
use ai_energy_core::runner::{self, Parts, Script};
use ai_energy_core::{
    Backend, Clock, DatasetInfo, FormattedPrompt, GenerationParams, LoadPlan, Plan, PromptContent,
    SourceDiscovery, Stop,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8000/v1".to_owned());
    let backend = VllmBackend::new(Options { endpoint, model: "auto".to_owned(), ..Options::default() })?;
    let checks = backend.validate().await?;
    let prompts = ["Name three rivers.", "What is a joule?"];
    let prompt = |(index, text): (usize, &str)| FormattedPrompt {
        index,
        content: PromptContent::Text(text.to_owned()),
        params: serde_json::Map::new(),
        chat_template_kwargs: serde_json::Map::new(),
        target_output_tokens: None,
    };
    let plan = Plan {
        name: "example".to_owned(),
        run_id: "example-1".to_owned(),
        load: LoadPlan::default(),
        generation: GenerationParams { max_new_tokens: Some(16), ..GenerationParams::default() },
        sampling_interval_ms: 100,
        idle_seconds: 0.0,
        keep_text: false,
    };
    let parts = Parts {
        backend: Arc::new(backend),
        prompts: prompts.into_iter().enumerate().map(|prompted| Arc::new(prompt(prompted))).collect(),
        script: Script::default(),
        dataset: DatasetInfo {
            name: "example".to_owned(),
            kind: "array".to_owned(),
            revision: None,
            sha256: String::new(),
            rows: None,
        },
        checks,
        sources: SourceDiscovery::default(),
        observers: Vec::new(),
        clock: Clock::start(),
        stop: Stop::new(),
        tally: Arc::default(),
        meter: None,
        calibration: Err("none was made".to_owned()),
        started_at: "1970-01-01T00:00:00Z".to_owned(),
        grid: None,
        environment: serde_json::Map::new(),
        warnings: Vec::new(),
    };
    let record = runner::run(plan, parts).await;
    for request in &record.requests {
        let seen = &request.generation;
        let since = |at: Option<ai_energy_core::Stamp>| at.zip(seen.sent).map(|(at, sent)| at.since(sent));
        let tokens = seen.completion_tokens.map(|count| count.tokens);
        println!(
            "{}: first token after {:?}, end after {:?}, {tokens:?} tokens, error {:?}",
            request.id,
            since(seen.first_token),
            since(Some(seen.end)),
            seen.error
        );
    }
    Ok(())
}
