//! The backend itself: one generation from request to account.
//!
//! Joins the parts of this crate. Refuses to retry what a server answered: an error is a result.

use ai_energy_core::backend::{Backend, BackendInfo, Check, Request, Tally};
use ai_energy_core::client::Traffic;
use ai_energy_core::record::{ErrorClass, Generation, RequestError, ServerCounters};
use ai_energy_core::server::ServerSample;
use ai_energy_core::{Clock, Fault, Stamp};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::account::Account;
use crate::body::body;
use crate::client::{Client, read_whole};
use crate::counters;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::link::Exchange;
use crate::options::{Api, Options, ServerOptions};
use crate::refusal::{excerpt, refusal};
use crate::socket::Moments;
use crate::sse::SseParser;
use crate::watch::Watch;

/// Longest time for counting the tokens of one text.
const COUNT_LIMIT: Duration = Duration::from_secs(5);

/// An OpenAI-compatible server.
pub struct VllmBackend {
    pub(crate) client: Client,
    pub(crate) model: String,
    pub(crate) options: ServerOptions,
    identity: Mutex<Identity>,
    /// The server has no `/tokenize`, or one that fails: it is not asked again, since the questions, one for each
    /// request of a run, could take hours.
    no_tokenizer: AtomicBool,
}

impl std::fmt::Debug for VllmBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VllmBackend")
            .field("endpoint", &self.client.endpoint().shown())
            .field("model", &self.model)
            .finish()
    }
}

/// What a request has seen so far; outlives whatever went wrong.
#[derive(Default)]
struct Course {
    account: Account,
    moments: Option<Arc<Moments>>,
    streamed: bool,
    /// The last byte of an answer that was read to its end.
    last_byte: Option<Stamp>,
}

impl Course {
    /// Takes the connection's stamps. Must come before the connection is kept: from then on they are another
    /// request's.
    fn take_stamps(&mut self, clock: &Clock) {
        if let Some(moments) = self.moments.take() {
            self.account.generation.connecting = moments.connecting();
            self.account.generation.sent = moments.sent().map(|at| clock.at(at));
            self.account.generation.first_byte = moments.first_byte().map(|at| clock.at(at));
            self.last_byte = moments.last_read().map(|at| clock.at(at));
        }
    }
}

/// How a successful answer is written.
enum Form {
    Events,
    Whole,
}

impl VllmBackend {
    /// A backend for the options. Reads the API key from the environment; connects nowhere.
    ///
    /// # Errors
    /// The endpoint, a header, a time limit, the proxy or the authority file cannot be used.
    pub fn new(options: Options) -> Result<Self, Fault> {
        let client = Client::new(&options)?;
        Ok(Self {
            client,
            model: options.model,
            options: options.server,
            identity: Mutex::default(),
            no_tokenizer: AtomicBool::new(false),
        })
    }

    pub(crate) fn identity<T>(&self, with: impl FnOnce(&mut Identity) -> T) -> T {
        with(&mut self.identity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn run(
        &self,
        request: &Request,
        clock: &Clock,
        tally: &Tally,
        course: &mut Course,
    ) -> Result<(), RequestError> {
        let no_cache = self.identity(|identity| identity.llama_cpp);
        let fields = body(request, &self.model, &self.options, no_cache);
        let bytes = serde_json::to_vec(&fields)
            .map_err(|cause| Failure::new(ErrorClass::BadRequest, cause.to_string()).with_status(None))?;
        let route = match self.options.api {
            Api::Chat => "/chat/completions",
            Api::Completions => "/completions",
        };
        let path = self.client.endpoint().api(route);
        let outgoing = self
            .client
            .request(&path, Some(&request.id), Some(Bytes::from(bytes)))
            .map_err(|failure| failure.with_status(None))?;
        // A prompt stays in memory no longer than it is sent: many streams wait for their answers at a time.
        let names: Vec<String> = fields.into_iter().map(|(name, _)| name).collect();
        let mut watch = Watch::new(self.client.limits(), &request.stop);
        let mut exchange = self
            .client
            .open(&outgoing, &mut watch, self.options.stream, &mut course.moments)
            .await
            .map_err(|failure| failure.with_status(None))?;
        drop(outgoing);
        self.identity(|identity| identity.learn_headers(&exchange.head.headers));
        let status = exchange.head.status;
        course.account = Account::new(status.as_u16());
        if status.is_success() {
            return self.answer(exchange, &mut watch, clock, tally, course).await;
        }
        let said = read_whole(&mut exchange, &mut watch, &mut course.account.generation.bytes_received)
            .await
            .map_err(|failure| failure.with_status(Some(status.as_u16())))?;
        course.take_stamps(clock);
        self.client.keep(exchange).await;
        Err(refusal(status.as_u16(), &said, &names))
    }

    async fn answer(
        &self,
        mut exchange: Exchange,
        watch: &mut Watch,
        clock: &Clock,
        tally: &Tally,
        course: &mut Course,
    ) -> Result<(), RequestError> {
        let status = Some(exchange.head.status.as_u16());
        let in_order = match form(&exchange.head.headers, self.options.stream) {
            Form::Events => {
                course.streamed = true;
                read_stream(&mut exchange, watch, clock, tally, &mut course.account).await?
            }
            Form::Whole => {
                watch.await_whole();
                let answer = read_whole(&mut exchange, watch, &mut course.account.generation.bytes_received)
                    .await
                    .map_err(|failure| failure.with_status(status))?;
                course.account.whole(&answer, tally)?;
                course.account.complete(false, None)?;
                true
            }
        };
        course.take_stamps(clock);
        if in_order {
            self.client.keep(exchange).await;
        }
        Ok(())
    }
}

/// How an answer is written: what its content type says, else what was asked for.
fn form(headers: &HeaderMap, asked_for_stream: bool) -> Form {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/event-stream" => Form::Events,
        "application/json" | "text/html" => Form::Whole,
        _ if asked_for_stream => Form::Events,
        _ => Form::Whole,
    }
}

/// The number of tokens in an answer of `/tokenize`: vLLM counts, llama.cpp lists them.
fn counted(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Counted {
        count: Option<u32>,
        tokens: Option<Vec<Value>>,
    }
    let counted: Counted = serde_json::from_slice(body).ok()?;
    counted.count.or_else(|| u32::try_from(counted.tokens?.len()).ok())
}

/// Reads a stream to its end; `true` where its body ended in order, so that the connection can be used again.
async fn read_stream(
    exchange: &mut Exchange,
    watch: &mut Watch,
    clock: &Clock,
    tally: &Tally,
    account: &mut Account,
) -> Result<bool, RequestError> {
    let status = Some(exchange.head.status.as_u16());
    let mut parser = SseParser::default();
    loop {
        let (mut life, mut outcome) = (None, Ok(()));
        let read = exchange.read(|bytes, at| {
            if outcome.is_err() {
                return;
            }
            account.generation.bytes_received += bytes.len() as u64;
            if !account.done {
                match take_piece(&mut parser, bytes, clock.at(at), tally, account) {
                    Ok(true) => life = Some(at),
                    Ok(false) => {}
                    Err(error) => outcome = Err(error),
                }
            }
        });
        let read = watch.guard(read).await;
        outcome?;
        let more = match read {
            Ok(Ok(more)) => more,
            // The answer is complete: what happens to the connection after it is not the request's error.
            Ok(Err(_)) | Err(_) if account.done => {
                account.complete(true, None)?;
                return Ok(false);
            }
            Ok(Err(cause)) => return Err(Failure::in_body(&cause).with_status(status)),
            Err(failure) => return Err(failure.with_status(status)),
        };
        if let Some(at) = life.filter(|_| account.generation.first_token.is_some()) {
            watch.saw_life(at);
        }
        if account.done {
            account.complete(true, None)?;
            watch.await_tail();
        }
        if !more {
            account.complete(true, parser.remainder().as_deref())?;
            return Ok(true);
        }
    }
}

/// Gives a piece's events to the account; `true` where there were any.
fn take_piece(
    parser: &mut SseParser,
    bytes: &[u8],
    at: Stamp,
    tally: &Tally,
    account: &mut Account,
) -> Result<bool, RequestError> {
    let (mut any, mut outcome) = (false, Ok(()));
    let taken = parser.push(bytes, |data| {
        any = true;
        outcome = account.event(data, at, tally);
        outcome.is_ok() && !account.done
    });
    outcome?;
    if taken.is_err() {
        let message = format!("an event of the stream is endless: {}", excerpt(bytes));
        return Err(Failure::new(ErrorClass::Protocol, message).with_status(None));
    }
    Ok(any)
}

#[async_trait]
impl Backend for VllmBackend {
    fn info(&self) -> BackendInfo {
        let identity = self.identity(|identity| identity.clone());
        let mut details = Map::new();
        details.insert("api".to_owned(), json!(self.options.api));
        details.insert("stream".to_owned(), json!(self.options.stream));
        if let Some(context) = identity.context {
            details.insert("max_model_len".to_owned(), json!(context));
        }
        if self.options.tls_insecure {
            details.insert("tls_insecure".to_owned(), Value::Bool(true));
        }
        BackendInfo {
            backend: "vllm".to_owned(),
            model: self.model.clone(),
            endpoint: Some(self.client.endpoint().shown()),
            device: None,
            server: identity.server,
            synthetic: identity.synthetic,
            details,
        }
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        crate::validate::validate(self).await
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let mut course = Course::default();
        let error = self.run(request, clock, tally, &mut course).await.err();
        course.take_stamps(clock);
        let Course { account, streamed, last_byte, .. } = course;
        let end = last_byte.filter(|_| error.is_none()).unwrap_or_else(|| clock.now());
        tracing::debug!(id = %request.id, streamed, failed = error.is_some(), "generation ended");
        account.close(end, self.options.keep_text, error)
    }

    async fn token_counters(&self) -> Option<ServerCounters> {
        let answer = self.client.ask(&self.client.endpoint().beside("/metrics")).await.ok()?;
        counters::read(&String::from_utf8_lossy(&answer.body))
    }

    async fn server_sample(&self, clock: &Clock) -> Option<ServerSample> {
        let answer = self.client.ask(&self.client.endpoint().beside("/metrics")).await.ok()?;
        counters::sample(&String::from_utf8_lossy(&answer.body), clock.now())
    }

    async fn count_tokens(&self, text: &str) -> Option<u32> {
        if self.no_tokenizer.load(Ordering::Relaxed) {
            return None;
        }
        let question = if self.identity(|identity| identity.llama_cpp) {
            json!({"content": text, "add_special": false})
        } else {
            json!({"model": self.model, "prompt": text, "add_special_tokens": false})
        };
        let path = self.client.endpoint().beside("/tokenize");
        let asked = self.client.ask_within(COUNT_LIMIT, &path, Some(question.to_string().into())).await;
        let counted = asked
            .map_err(|error| error.message)
            .and_then(|answer| counted(&answer.body).ok_or_else(|| "its answer holds no count".to_owned()));
        match counted {
            Ok(count) => Some(count),
            Err(cause) => {
                tracing::debug!(cause, "the server's tokenizer counts nothing; it is not asked again");
                self.no_tokenizer.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.client.traffic())
    }

    async fn close(&self) {
        self.client.close();
    }
}
