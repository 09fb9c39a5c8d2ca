//! [`Backend`] over an engine process: starts it, loads the model once, and runs generations until it is closed.
//!
//! An engine that has died is not started again: a second load would be measured as if it were generation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ai_energy_core::Stop;
use ai_energy_core::backend::{Request, Tally};
use ai_energy_core::record::{Generation, RequestError};
use ai_energy_core::{
    Backend, BackendInfo, Check, CheckOutcome, Clock, ErrorClass, Fault, FaultKind, FormattedPrompt,
    GenerationParams, LoadProgress, PromptContent,
};
use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::engine::{Listening, Trouble};
use crate::options::Options;
use crate::places::Places;
use crate::protocol::{EngineErrorKind, EnginePrompt, Generate};
use crate::receive::Receiving;
use crate::start::{Ready, Start};

/// What is said of a generation that a stop ended.
const STOPPED: &str = "ended before it was complete because the run was stopped";

/// The PyTorch engine as a backend.
pub struct PytorchBackend {
    model: String,
    options: Options,
    places: Option<Places>,
    progress: Arc<dyn LoadProgress>,
    ready: tokio::sync::Mutex<Option<Arc<Ready>>>,
    info: Mutex<BackendInfo>,
}

impl PytorchBackend {
    /// A backend for `model` (hub id or local folder). Starts nothing yet.
    ///
    /// # Errors
    /// An option contradicts another or means nothing.
    pub fn new(model: &str, options: Options) -> Result<Self, Fault> {
        if model.trim().is_empty() {
            return Err(Fault::new(FaultKind::Usage, "backend.model", "names no model")
                .remedy("set it to a hub id or a local folder"));
        }
        options.check()?;
        let mut details = Map::new();
        details.insert("device_ids".to_owned(), Value::from(options.device_ids.0.clone()));
        let info = BackendInfo {
            backend: "pytorch".to_owned(),
            model: model.to_owned(),
            endpoint: None,
            device: Some(options.device.clone()),
            server: None,
            synthetic: false,
            details,
        };
        let (ready, info) = (tokio::sync::Mutex::new(None), Mutex::new(info));
        Ok(Self { model: model.to_owned(), options, places: None, progress: Arc::new(()), ready, info })
    }

    /// The same backend that looks for its engine in `places` instead of this process's own.
    #[must_use]
    pub fn with_places(mut self, places: Places) -> Self {
        self.places = Some(places);
        self
    }

    /// The same backend that says how far downloading and loading are.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn LoadProgress>) -> Self {
        self.progress = progress;
        self
    }

    /// The engine, started and loaded on the first call.
    async fn ready(&self) -> Result<Arc<Ready>, Fault> {
        let mut ready = self.ready.lock().await;
        if let Some(ready) = &*ready {
            return Ok(Arc::clone(ready));
        }
        let places = self.places.clone().unwrap_or_else(Places::of_this_process);
        let (model, options, progress) = (self.model.as_str(), &self.options, &self.progress);
        let started = Start { model, options, places: &places, progress }.run().await?;
        let mut info = self.known();
        info.device = Some(started.device.clone());
        info.server = Some(started.engine.greeting.program.clone());
        info.synthetic = started.engine.greeting.synthetic;
        info.details.extend(started.details.clone());
        drop(info);
        let started = Arc::new(started);
        *ready = Some(Arc::clone(&started));
        Ok(started)
    }

    fn known(&self) -> MutexGuard<'_, BackendInfo> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silence(&self) -> Duration {
        Duration::from_secs_f64(self.options.engine_options.silence_timeout_seconds)
    }
}

#[async_trait]
impl Backend for PytorchBackend {
    fn info(&self) -> BackendInfo {
        self.known().clone()
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        let ready = self.ready().await?;
        let params = GenerationParams {
            max_new_tokens: Some(1),
            min_new_tokens: Some(1),
            ..GenerationParams::default()
        };
        let prompt = FormattedPrompt::plain(PromptContent::Text("Hello".to_owned()));
        let request = Request {
            id: "validate".to_owned(),
            prompt: Arc::new(prompt),
            params: Arc::new(params),
            stop: Stop::new(),
        };
        let asked = Instant::now();
        let generation = ready.generate(&request, &Clock::start(), &Tally::default(), self.silence()).await;
        if let Some(error) = generation.error {
            let object = format!("model {}", self.model);
            let cause = format!("one token was asked for and failed: {}", error.message);
            return Err(
                Fault::new(FaultKind::Backend, object, cause).remedy("see what the engine says with -vv")
            );
        }
        let mut checks = ready.checks.clone();
        checks.push(ok("one token generated", format!("{} ms", asked.elapsed().as_millis())));
        if ready.engine.greeting.synthetic {
            let detail = "the engine says that it computes nothing".to_owned();
            checks.push(Check { name: "engine".to_owned(), outcome: CheckOutcome::Warning, detail });
        }
        Ok(checks)
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let ready = tokio::select! {
            biased;
            () = request.stop.cancelled() => return failed(ErrorClass::Cancelled, STOPPED.to_owned(), clock),
            ready = self.ready() => ready,
        };
        match ready {
            Ok(ready) => ready.generate(request, clock, tally, self.silence()).await,
            Err(fault) => failed(ErrorClass::Engine, format!("{}: {}", fault.object, fault.cause), clock),
        }
    }

    async fn close(&self) {
        let Some(ready) = self.ready.lock().await.take() else {
            return;
        };
        let wait = Duration::from_secs_f64(self.options.engine_options.close_timeout_seconds);
        match ready.engine.stats(wait).await {
            Ok(figures) => self.known().details.extend(figures),
            Err(trouble) => tracing::debug!("no statistics from the engine: {}", trouble.message()),
        }
        let (prompts, tokens) = *ready.truncated.lock().unwrap_or_else(PoisonError::into_inner);
        if prompts > 0 {
            let details = &mut self.known().details;
            details.insert("truncated_prompts".to_owned(), Value::from(prompts));
            details.insert("truncated_prompt_tokens".to_owned(), Value::from(tokens));
        }
        // Where a generation still holds it, the engine ends with that: the last one dropped kills it.
        if let Some(ready) = Arc::into_inner(ready) {
            ready.engine.close(wait).await;
        }
    }
}

impl Ready {
    async fn generate(
        &self,
        request: &Request,
        clock: &Clock,
        tally: &Tally,
        silence: Duration,
    ) -> Generation {
        // An engine that has stopped reading would keep a long prompt waiting for ever.
        let taken = tokio::select! {
            biased;
            () = request.stop.cancelled() => return failed(ErrorClass::Cancelled, STOPPED.to_owned(), clock),
            taken = timeout(silence, self.engine.generate(on_the_wire(request))) => taken,
        };
        match taken {
            Ok(Ok((sent, listening))) => {
                let receiving = Receiving::new(clock, tally, self.clock, sent);
                self.receive(receiving, listening, silence, &request.stop).await
            }
            Ok(Err(trouble)) => failed(class_of(&trouble), trouble.message(), clock),
            Err(_) => {
                let message =
                    format!("the engine did not take the request within {} s", silence.as_secs_f64());
                failed(ErrorClass::FirstTokenTimeout, message, clock)
            }
        }
    }

    async fn receive(
        &self,
        mut receiving: Receiving<'_>,
        mut listening: Listening,
        silence: Duration,
        stop: &Stop,
    ) -> Generation {
        loop {
            let next = tokio::select! {
                biased;
                // What the engine has said by then counts.
                next = timeout(silence, listening.next()) => next,
                () = stop.cancelled() => {
                    // Not heard to its end, so the engine is told to cancel it.
                    receiving.fail(ErrorClass::Cancelled, STOPPED.to_owned(), Instant::now());
                    return receiving.finish();
                }
            };
            let last = match next {
                Ok(Some(heard)) => receiving.hear(heard),
                Ok(None) => {
                    let trouble = self.engine.end().await;
                    receiving.fail(class_of(&trouble), trouble.message(), Instant::now())
                }
                Err(_) => {
                    let begun = receiving.begun();
                    let class = if begun { ErrorClass::StallTimeout } else { ErrorClass::FirstTokenTimeout };
                    let what = if begun { "no further token" } else { "no first token" };
                    let message = format!("{what} within {} s", silence.as_secs_f64());
                    receiving.fail(class, message, Instant::now())
                }
            };
            if last {
                if receiving.truncated > 0 {
                    let mut truncated = self.truncated.lock().unwrap_or_else(PoisonError::into_inner);
                    truncated.0 += 1;
                    truncated.1 += u64::from(receiving.truncated);
                }
                return receiving.finish();
            }
        }
    }
}

/// A request as the protocol writes it. A prompt that says how many tokens it wants gets that many.
fn on_the_wire(request: &Request) -> Generate {
    let (prompt, params) = (&*request.prompt, &*request.params);
    let mut extra = params.extra.clone();
    extra.extend(prompt.params.clone());
    Generate {
        id: request.id.clone(),
        prompt: match &prompt.content {
            PromptContent::Text(text) => EnginePrompt::Text(text.clone()),
            PromptContent::Chat(messages) => EnginePrompt::Chat {
                messages: messages.clone(),
                template: prompt.chat_template_kwargs.clone(),
            },
        },
        max_new_tokens: prompt.target_output_tokens.or(params.max_new_tokens),
        min_new_tokens: prompt.target_output_tokens.or(params.min_new_tokens),
        temperature: params.temperature,
        top_p: params.top_p,
        top_k: params.top_k,
        do_sample: params.do_sample,
        seed: params.seed,
        stop: params.stop.clone(),
        ignore_eos: params.ignore_eos,
        extra,
    }
}

fn class_of(trouble: &Trouble) -> ErrorClass {
    match trouble {
        Trouble::Dead(death) => death.class,
        Trouble::Said(complaint) if complaint.kind == EngineErrorKind::BadRequest => ErrorClass::BadRequest,
        Trouble::Unexpected(_) => ErrorClass::Protocol,
        Trouble::Silent(_) | Trouble::Said(..) => ErrorClass::Engine,
    }
}

/// A generation that failed before anything was sent.
fn failed(class: ErrorClass, message: String, clock: &Clock) -> Generation {
    let error = Some(RequestError { class, message, status: None });
    Generation { end: clock.now(), error, ..Generation::default() }
}

fn ok(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), outcome: CheckOutcome::Ok, detail }
}
