//! Requests to one server over kept connections.
//!
//! Connections that ended a response in order wait for the next request. One that the server closed meanwhile is
//! noticed, and the request goes out once more on a fresh one, provided that it broke at once: a server that had time
//! to begin would generate twice, and the energy of the first would count for the second. Refuses to know what the
//! answers mean.

use ai_energy_core::client::Traffic;
use ai_energy_core::record::{ErrorClass, RequestError};
use ai_energy_core::{Fault, FaultKind, Stop};
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use http::{Method, Uri};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dial::Dialer;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::head;
use crate::link::{Broken, Exchange, Link};
use crate::options::{Limits, Options};
use crate::refusal::refusal;
use crate::socket::Moments;
use crate::watch::Watch;

/// Largest answer that is taken whole, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Longest time for a question beside the load (models, version, metrics).
const QUESTION_LIMIT: Duration = Duration::from_secs(30);

/// How soon after the request's last byte a kept connection breaks that the server had closed before it came.
const AT_ONCE: Duration = Duration::from_millis(100);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Talks to one server.
pub(crate) struct Client {
    dialer: Dialer,
    headers: HeaderMap,
    limits: Limits,
    idle: Mutex<Vec<Link>>,
}

impl Client {
    /// A client for the options; reads the API key, connects nowhere.
    ///
    /// # Errors
    /// The endpoint, a header, a time limit, the proxy or the authority file cannot be used.
    pub(crate) fn new(options: &Options) -> Result<Self, Fault> {
        let limits = Limits::of(&options.server)?;
        let endpoint = Endpoint::parse(&options.endpoint)?;
        let headers = headers(options, &endpoint)?;
        let dialer = Dialer::new(endpoint, &options.server, limits.connect)?;
        Ok(Self { dialer, headers, limits, idle: Mutex::new(Vec::new()) })
    }

    /// The host that gets credentials which others on the way can read, where there is such a one.
    pub(crate) fn reads_credentials(&self) -> Option<&str> {
        let endpoint = self.endpoint();
        let readable =
            self.headers.contains_key(AUTHORIZATION) && !endpoint.https && !endpoint.is_this_machine();
        readable.then_some(endpoint.host.as_str())
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.dialer.endpoint
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Builds a request. `id` is sent as `X-Request-Id` where it can stand in a header.
    ///
    /// # Errors
    /// The path cannot stand in a request.
    pub(crate) fn request(
        &self,
        path: &str,
        id: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Vec<u8>, Failure> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let target = self.dialer.target(path);
        // Nothing that could end the line may stand in it.
        let _: Uri = target.parse().map_err(|cause| {
            Failure::new(ErrorClass::BadRequest, format!("no request target `{path}` ({cause})"))
        })?;
        let mut headers = self.headers.clone();
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if let Some(basic) = self.dialer.proxy_authorization() {
            headers.insert(PROXY_AUTHORIZATION, basic.clone());
        }
        Ok(head::request(&method, &target, &headers, body.as_deref().unwrap_or_default()))
    }

    /// Sends a request and waits for the head of its response, within the watch's limits. `moments` holds the
    /// connection's stamps from the moment it is chosen. With `streaming` the first token is waited for from here.
    ///
    /// # Errors
    /// No connection, a limit passed, or the connection broke.
    pub(crate) async fn open(
        &self,
        request: &[u8],
        watch: &mut Watch,
        streaming: bool,
        moments: &mut Option<Arc<Moments>>,
    ) -> Result<Exchange, Failure> {
        let mut kept = self.take_idle().await;
        loop {
            let (reused, asked) = (kept.is_some(), Instant::now());
            let mut link = match kept.take() {
                Some(link) => link,
                None => watch.guard(self.connect()).await??,
            };
            let connected = asked.elapsed();
            let stamps = Arc::clone(&link.moments);
            // Before anything can fail: what a kept connection has noted so far is another request's.
            stamps.arm();
            if reused {
                self.dialer.counts().note_reuse();
            } else {
                stamps.note_connecting(connected);
            }
            *moments = Some(Arc::clone(&stamps));
            if streaming {
                watch.await_first_token(Instant::now());
            }
            match watch.guard(link.send(request)).await? {
                Ok(answer) => return Ok(Exchange::new(link, answer)),
                Err(cause @ (Broken::Closed | Broken::Io(_))) if reused && was_dead(&stamps) => {
                    tracing::info!(?cause, "a kept connection was dead; sending once more on a fresh one");
                }
                Err(cause) => return Err(Failure::before_head(&cause, stamps.first_byte().is_some())),
            }
        }
    }

    async fn connect(&self) -> Result<Link, Failure> {
        Ok(Link::new(self.dialer.dial().await?))
    }

    /// A kept connection that is still open.
    async fn take_idle(&self) -> Option<Link> {
        loop {
            let mut link = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if link.is_usable().await {
                return Some(link);
            }
        }
    }

    /// What the connections have carried.
    pub(crate) fn traffic(&self) -> Traffic {
        self.dialer.counts().take()
    }

    /// Keeps the connection of an exchange whose body has ended, where the server lets it live.
    pub(crate) async fn keep(&self, exchange: Exchange) {
        if let Some(mut link) = exchange.into_kept()
            && link.is_usable().await
        {
            link.rest();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link);
        }
    }

    /// Drops all kept connections.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks and takes the whole answer; for questions beside the load.
    ///
    /// # Errors
    /// No answer within half a minute or the total limit, or a status that is no success.
    pub(crate) async fn ask(&self, path: &str) -> Result<Answer, RequestError> {
        self.ask_within(QUESTION_LIMIT, path, None).await
    }

    /// As [`Client::ask`], with a limit and a body of its own.
    pub(crate) async fn ask_within(
        &self,
        limit: Duration,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, RequestError> {
        let limits = Limits { total: self.limits.total.min(limit), ..self.limits };
        let mut watch = Watch::new(limits, &Stop::new());
        let request = self.request(path, None, body).map_err(|failure| failure.with_status(None))?;
        let mut exchange = self
            .open(&request, &mut watch, false, &mut None)
            .await
            .map_err(|failure| failure.with_status(None))?;
        let status = exchange.head.status;
        let headers = std::mem::take(&mut exchange.head.headers);
        let body = read_whole(&mut exchange, &mut watch, &mut 0)
            .await
            .map_err(|failure| failure.with_status(Some(status.as_u16())))?;
        self.keep(exchange).await;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body, &[]));
        }
        Ok(Answer { headers, body: body.into() })
    }
}

/// Whether a connection that broke before any byte of an answer had been dead when the request went out.
fn was_dead(stamps: &Moments) -> bool {
    stamps.first_byte().is_none() && stamps.sent().is_none_or(|sent| sent.elapsed() <= AT_ONCE)
}

/// Reads a body to its end; its bytes are added to `received` as they come.
///
/// # Errors
/// The connection broke, a limit passed, the run was stopped, or the body is too large.
pub(crate) async fn read_whole(
    exchange: &mut Exchange,
    watch: &mut Watch,
    received: &mut u64,
) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let read = exchange.read(|bytes, _| {
            *received += bytes.len() as u64;
            // One byte more tells that it is too large.
            body.extend_from_slice(&bytes[..bytes.len().min(LARGEST_ANSWER + 1 - body.len())]);
        });
        let more = watch.guard(read).await?.map_err(|cause| Failure::in_body(&cause))?;
        if body.len() > LARGEST_ANSWER {
            let message = format!("the answer is larger than {LARGEST_ANSWER} bytes");
            return Err(Failure::new(ErrorClass::Protocol, message));
        }
        if !more {
            return Ok(body);
        }
    }
}

/// The headers of every request. Credentials of the URL win over the API key, being the nearer word.
fn headers(options: &Options, endpoint: &Endpoint) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&endpoint.authority).map_err(|cause| {
        Fault::new(FaultKind::Usage, "endpoint", format!("its host cannot be sent ({cause})"))
    })?;
    headers.insert(HOST, host);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("ai-energy-benchmark/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(key) = api_key(&options.server.api_key_env)? {
        headers.insert(AUTHORIZATION, key);
    }
    if let Some(basic) = &endpoint.basic {
        headers.insert(AUTHORIZATION, basic.clone());
    }
    for (name, value) in &options.server.headers {
        let fault = |cause: String| {
            Fault::new(FaultKind::Usage, format!("backend.server.headers `{name}`"), cause)
                .remedy("names are letters, digits and hyphens; values are one line of text")
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|cause| fault(cause.to_string()))?;
        let mut value = HeaderValue::from_str(value).map_err(|cause| fault(cause.to_string()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn api_key(variable: &str) -> Result<Option<HeaderValue>, Fault> {
    if variable.is_empty() {
        return Ok(None);
    }
    let Some(key) = std::env::var(variable).ok().filter(|key| !key.trim().is_empty()) else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).map_err(|_| {
        Fault::new(
            FaultKind::Usage,
            format!("environment variable {variable}"),
            "holds a key that cannot be sent",
        )
        .remedy("set it to the key alone, one line of visible characters")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}
