//! What a user can set about a server, with its defaults.
//!
//! Exists so that `cli` can embed the section in its config schema. Refuses to know where values come from; secrets
//! are never options: the API key is read from the environment variable that [`ServerOptions::api_key_env`] names.

use ai_energy_core::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::endpoint::without_credentials;

/// Which generation route is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `/v1/chat/completions`: messages, the server applies the model's chat template.
    #[default]
    Chat,
    /// `/v1/completions`: text that goes to the model as it is.
    Completions,
}

/// The name under which the token limit is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which every known server takes.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which some hosted chat APIs insist on.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The field's name in a request body.
    pub fn word(self) -> &'static str {
        match self {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How to talk to the server: the config section `backend.server`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Route: `chat` (default) or `completions`.
    pub api: Api,
    /// Stream the answer (default true). Without streaming no first token can be seen, so TTFT is null.
    pub stream: bool,
    /// Longest time to make a connection, TLS included, in seconds (default 10).
    pub connect_timeout_seconds: f64,
    /// Longest time from sending to the first token of a stream, in seconds (default 300). A total limit that strikes
    /// a stream without a token counts as this one where 99 % of it had passed.
    pub first_token_timeout_seconds: f64,
    /// Longest silence of a stream after that, in seconds (default 120). Keep-alive comments do not end a silence.
    pub stall_timeout_seconds: f64,
    /// Longest time for a whole request, connecting included, in seconds (default 300).
    pub total_timeout_seconds: f64,
    /// Environment variable that holds the API key (default `OPENAI_API_KEY`); sent as a bearer token where it is set,
    /// whatever the endpoint. Empty sends none.
    pub api_key_env: String,
    /// Further request headers, by name.
    pub headers: BTreeMap<String, String>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Accept any certificate (default false). For tests in a trusted network only.
    pub tls_insecure: bool,
    /// HTTP proxy as a URL, or `env` to read HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Unset means no proxy, whatever
    /// the environment says, since a proxy would be measured along with the server.
    pub proxy: Option<String>,
    /// Body fields to leave out, for servers that refuse them, for example `[min_tokens, ignore_eos]`.
    pub omit: Vec<String>,
    /// Ask for usage in every chunk (default false): exact tokens a chunk, for longer chunks.
    pub continuous_usage: bool,
    /// Name of the token limit: `max_tokens` (default) or `max_completion_tokens`.
    pub max_tokens_field: MaxTokensField,
    /// Keep generated texts in the record (default false). For users of the library: no config key, since what a run
    /// keeps is the scenario's to say.
    #[serde(skip)]
    pub keep_text: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            api: Api::Chat,
            stream: true,
            connect_timeout_seconds: 10.0,
            first_token_timeout_seconds: 300.0,
            stall_timeout_seconds: 120.0,
            total_timeout_seconds: 300.0,
            api_key_env: "OPENAI_API_KEY".to_owned(),
            headers: BTreeMap::new(),
            tls_ca_file: None,
            tls_insecure: false,
            proxy: None,
            omit: Vec::new(),
            continuous_usage: false,
            max_tokens_field: MaxTokensField::MaxTokens,
            keep_text: false,
        }
    }
}

impl fmt::Debug for ServerOptions {
    /// Header values and the credentials of a proxy may be secrets, so they are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("api", &self.api)
            .field("stream", &self.stream)
            .field("connect_timeout_seconds", &self.connect_timeout_seconds)
            .field("first_token_timeout_seconds", &self.first_token_timeout_seconds)
            .field("stall_timeout_seconds", &self.stall_timeout_seconds)
            .field("total_timeout_seconds", &self.total_timeout_seconds)
            .field("api_key_env", &self.api_key_env)
            .field("headers", &self.headers.keys())
            .field("tls_ca_file", &self.tls_ca_file)
            .field("tls_insecure", &self.tls_insecure)
            .field("proxy", &self.proxy.as_deref().map(without_credentials))
            .field("omit", &self.omit)
            .field("continuous_usage", &self.continuous_usage)
            .field("max_tokens_field", &self.max_tokens_field)
            .field("keep_text", &self.keep_text)
            .finish()
    }
}

/// A server and how to talk to it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where the server is, with or without `/v1`, for example `http://localhost:8000/v1` (the default).
    pub endpoint: String,
    /// The model's name as the server lists it (default `openai/gpt-oss-120b`).
    pub model: String,
    /// How to talk to it.
    pub server: ServerOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoint: "http://localhost:8000/v1".to_owned(),
            model: "openai/gpt-oss-120b".to_owned(),
            server: ServerOptions::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoint", &without_credentials(&self.endpoint))
            .field("model", &self.model)
            .field("server", &self.server)
            .finish()
    }
}

/// The time limits as durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) first_token: Duration,
    pub(crate) stall: Duration,
    pub(crate) total: Duration,
}

impl Limits {
    /// Longest limit that is taken, one year: beyond it a deadline could not be represented everywhere.
    const LONGEST: f64 = 31_536_000.0;

    pub(crate) fn of(options: &ServerOptions) -> Result<Self, Fault> {
        Ok(Self {
            connect: duration("connect_timeout_seconds", options.connect_timeout_seconds)?,
            first_token: duration("first_token_timeout_seconds", options.first_token_timeout_seconds)?,
            stall: duration("stall_timeout_seconds", options.stall_timeout_seconds)?,
            total: duration("total_timeout_seconds", options.total_timeout_seconds)?,
        })
    }
}

fn duration(name: &str, seconds: f64) -> Result<Duration, Fault> {
    if seconds > 0.0 && seconds <= Limits::LONGEST {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Fault::new(
        FaultKind::Usage,
        format!("backend.server.{name}"),
        format!("{seconds} is no usable time limit"),
    )
    .remedy("give a number of seconds above 0, at most one year"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_defaults_and_a_wrong_key_is_refused() {
        let empty: ServerOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, ServerOptions::default());
        let wrong = serde_json::from_str::<ServerOptions>(r#"{"steam": true}"#).unwrap_err();
        assert!(wrong.to_string().contains("steam"), "{wrong}");
    }

    #[test]
    fn keeping_text_is_no_key_of_this_section() {
        let wrong = serde_json::from_str::<ServerOptions>(r#"{"keep_text": true}"#).unwrap_err();
        assert!(wrong.to_string().contains("unknown field `keep_text`"), "{wrong}");
        let schema = serde_json::Value::from(schemars::schema_for!(ServerOptions));
        let keys = schema["properties"].as_object().unwrap();
        assert!(keys.contains_key("stream") && !keys.contains_key("keep_text"), "{keys:?}");
        assert!(serde_json::to_value(ServerOptions::default()).unwrap().get("keep_text").is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut options = Options { endpoint: "http://me:hunter2@host/v1".to_owned(), ..Options::default() };
        options.server.headers.insert("X-Token".to_owned(), "hunter2".to_owned());
        options.server.proxy = Some("http://me:hunter2@proxy:3128".to_owned());
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("X-Token") && shown.contains("proxy:3128"), "{shown}");
    }

    #[test]
    fn a_limit_that_is_not_positive_is_refused_by_name() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            let options = ServerOptions { stall_timeout_seconds: bad, ..ServerOptions::default() };
            let fault = Limits::of(&options).unwrap_err();
            assert!(fault.object.contains("stall_timeout_seconds"), "{fault}");
        }
    }
}
