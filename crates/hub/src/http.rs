//! Requests to the hub: the token only to the hub itself, redirects by hand, failures that may pass repeated.
//!
//! Redirects are followed here rather than by the HTTP library, since the first answer carries the headers that
//! matter (commit, checksum, size), and since the token must not follow to another host. Refuses to know what is
//! asked for.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};

use crate::env::{HubEnv, Retry};
use crate::error::HubError;

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Redirects followed before it is called a loop.
const MOST_REDIRECTS: usize = 10;
/// Time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence while an answer comes.
const SILENCE: Duration = Duration::from_secs(30);

/// A client of one hub.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    endpoint: Url,
    token: Option<String>,
    retry: Retry,
}

/// How far redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// To the end.
    All,
    /// On the hub itself only; an answer that points elsewhere is handed back.
    SameHost,
}

/// An answer, and where it came from.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) url: Url,
}

impl Http {
    /// A client for the hub of `env`.
    ///
    /// # Errors
    /// The endpoint is no web address.
    pub(crate) fn new(env: &HubEnv) -> Result<Self, HubError> {
        let unusable = |cause: String| HubError::Unreachable { url: env.endpoint.clone(), cause };
        let endpoint = Url::parse(&env.endpoint).map_err(|error| unusable(error.to_string()))?;
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("ai-energy-benchmark/", env!("CARGO_PKG_VERSION")));
        // A hub on this machine is never behind a proxy.
        if endpoint
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
        {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| unusable(chain(&error)))?;
        Ok(Self { client, endpoint, token: env.token.clone(), retry: env.retry })
    }

    /// The address of a path on the hub, each part of it escaped.
    pub(crate) fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    /// Asks until there is an answer of success, or of a redirect that is not followed.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &Url,
        from: u64,
        follow: Follow,
    ) -> Result<Answer, HubError> {
        let mut attempt = 1;
        loop {
            let (error, asked) = match self.once(&method, url, from, follow).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if attempt >= self.retry.attempts || !may_pass(&error) {
                return Err(error);
            }
            tracing::debug!(?error, attempt, "the hub did not answer well; trying again");
            self.wait(attempt, asked).await;
            attempt += 1;
        }
    }

    /// Asks once. A failure comes with the wait that the server asks for, if it does.
    pub(crate) async fn once(
        &self,
        method: &Method,
        url: &Url,
        from: u64,
        follow: Follow,
    ) -> Result<Answer, (HubError, Option<Duration>)> {
        let answer = self.follow(method, url, from, follow).await.map_err(|error| (error, None))?;
        refuse(answer)
    }

    /// Waits before attempt `attempt + 1`.
    pub(crate) async fn wait(&self, attempt: u32, asked: Option<Duration>) {
        let doubled = self.retry.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        tokio::time::sleep(asked.unwrap_or(doubled).min(LONGEST_WAIT)).await;
    }

    /// Failures in a row after which a download gives up.
    pub(crate) fn attempts(&self) -> u32 {
        self.retry.attempts
    }

    async fn follow(
        &self,
        method: &Method,
        url: &Url,
        from: u64,
        follow: Follow,
    ) -> Result<Answer, HubError> {
        let mut url = url.clone();
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(method, &url, from).await?;
            let Some(next) = target(&response, &url) else {
                return Ok(Answer { response, url });
            };
            if follow == Follow::SameHost && !self.is_hub(&next) {
                return Ok(Answer { response, url });
            }
            url = next;
        }
        Err(HubError::Unreachable { url: url.to_string(), cause: "redirects without end".to_owned() })
    }

    async fn send(&self, method: &Method, url: &Url, from: u64) -> Result<Response, HubError> {
        let mut request =
            self.client.request(method.clone(), url.clone()).header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_hub(url)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.send().await.map_err(|error| unreachable(url, &error))
    }

    /// Whether an address is on the hub itself: same scheme, host and port.
    fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }
}

/// Where an answer points to, if it does.
fn target(response: &Response, from: &Url) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    from.join(location).ok()
}

/// The error of an answer that is neither success nor a redirect, and how long the server asks to wait.
fn refuse(answer: Answer) -> Result<Answer, (HubError, Option<Duration>)> {
    let status = answer.response.status();
    if status.is_success() || status.is_redirection() {
        return Ok(answer);
    }
    let headers = answer.response.headers();
    let code = text(headers, "x-error-code");
    let message = text(headers, "x-error-message");
    let wait =
        text(headers, RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    // A private address may carry a signature in its query; only the path is for the reader.
    Err((HubError::Status { url: shown(&answer.url), status: status.as_u16(), code, message }, wait))
}

/// Whether asking again may help.
pub(crate) fn may_pass(error: &HubError) -> bool {
    match error {
        HubError::Unreachable { .. } => true,
        HubError::Status { status, .. } => {
            *status == StatusCode::TOO_MANY_REQUESTS.as_u16() || (500..600).contains(status) || *status == 408
        }
        _ => false,
    }
}

/// A header as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The fault of a request that got no answer.
pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> HubError {
    HubError::Unreachable { url: shown(url), cause: chain(error) }
}

/// The address without its query, which may hold a signature.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// The innermost causes of an error: the outer ones repeat the address.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}
