//! Asks a web service for JSON, from a thread that has no asynchronous runtime of its own.
//!
//! Each call is bounded. Credentials come from the environment alone and appear in no message.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A call that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// How a web service is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpOptions {
    /// Environment variable with the user's name, for basic authentication. Unset: none.
    pub username_env: Option<String>,
    /// Environment variable with the password.
    pub password_env: Option<String>,
    /// Environment variable with a bearer token.
    pub bearer_env: Option<String>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Accept any certificate. For controllers in a trusted network only.
    pub tls_insecure: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Nobody answered, or not in time.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It answered with an error; the status and what it said.
    #[error("{0} answered {1}: {2}")]
    Refused(String, u16, String),
    /// Its answer is not what was asked for.
    #[error("{0} answered with something else than JSON")]
    NoJson(String),
}

impl HttpError {
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Settings(_) => "correct the source's http options",
            Self::Unreachable(_, cause) if cause.contains("ertificate") => {
                "name its authority in http.tls_ca_file, or set http.tls_insecure in a trusted network"
            }
            Self::Unreachable(..) => {
                "check the address, and that the service runs and may be reached from here"
            }
            Self::Refused(_, 401 | 403, _) => {
                "set http.username_env and http.password_env, or http.bearer_env, to variables with valid credentials"
            }
            Self::Refused(..) | Self::NoJson(_) => "check the address",
        }
    }
}

/// A client of one service.
pub(super) struct Http {
    /// There until the client is dropped.
    runtime: Option<Runtime>,
    client: Client,
    basic: Option<(String, Option<String>)>,
    bearer: Option<String>,
}

impl Http {
    /// A client with these options.
    pub(super) fn new(options: &HttpOptions) -> Result<Self, HttpError> {
        let wrong = |what: String| HttpError::Settings(what);
        let mut builder = Client::builder()
            .timeout(LIMIT)
            .no_proxy()
            .user_agent(concat!("ai-energy-benchmark/", env!("CARGO_PKG_VERSION")))
            .danger_accept_invalid_certs(options.tls_insecure);
        if let Some(file) = &options.tls_ca_file {
            let shown = file.display();
            let pem =
                std::fs::read(file).map_err(|error| wrong(format!("{shown} cannot be read: {error}")))?;
            let bundle = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| wrong(format!("{shown} holds no certificates")))?;
            builder = bundle.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let value = |variable: &Option<String>| match variable {
            None => Ok(None),
            Some(name) => match std::env::var(name) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(wrong(format!("the environment variable {name} is not set"))),
            },
        };
        let (user, password) = (value(&options.username_env)?, value(&options.password_env)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| wrong(format!("no runtime: {error}")))?;
        let client = builder.build().map_err(|error| wrong(chain(&error)))?;
        Ok(Self {
            runtime: Some(runtime),
            client,
            basic: user.map(|user| (user, password)),
            bearer: value(&options.bearer_env)?,
        })
    }

    /// The JSON at an address with these query parameters. Not to be called from an asynchronous task.
    pub(super) fn json(&self, url: &Url, query: &[(&str, &str)]) -> Result<Value, HttpError> {
        let mut shown = url.clone();
        // A URL may hold credentials; messages do not.
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        let shown = shown.to_string();
        let mut request = self.client.get(url.clone()).query(query);
        if let Some((user, password)) = &self.basic {
            request = request.basic_auth(user, password.as_ref());
        }
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let Some(runtime) = &self.runtime else {
            return Err(HttpError::Settings("the client is closed".to_owned()));
        };
        let asked = runtime.block_on(async {
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        });
        let (status, text) =
            asked.map_err(|error| HttpError::Unreachable(shown.clone(), chain(&error.without_url())))?;
        if !status.is_success() {
            return Err(HttpError::Refused(shown, status.as_u16(), said(status, &text)));
        }
        serde_json::from_str(&text).map_err(|_| HttpError::NoJson(shown))
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Whoever drops it may be within a runtime of its own, where waiting for this one is forbidden.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What an error's answer says, shortened: Prometheus has an `error` field, others plain text.
fn said(status: StatusCode, text: &str) -> String {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let message = json.as_ref().and_then(|json| json.get("error")?.as_str()).unwrap_or_default();
    match message {
        "" => status.canonical_reason().unwrap_or("an error").to_owned(),
        message => message.chars().take(200).collect(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// An address from a setting.
pub(super) fn address(text: &str) -> Result<Url, HttpError> {
    let with_slash = format!("{}/", text.trim_end_matches('/'));
    match Url::parse(&with_slash) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(HttpError::Settings("the address is no http or https URL".to_owned())),
    }
}

/// Runs on a thread without an asynchronous runtime, whoever calls.
pub(super) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| scope.spawn(work).join().ok())
}
