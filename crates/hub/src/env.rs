//! Where the hub is, where its cache lies, and who is asking: the variables that Python's `huggingface_hub` knows.
//!
//! Refuses to read the process's environment anywhere but in [`HubEnv::from_env`], so that tests need not change it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The public hub, used unless `HF_ENDPOINT` names another.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How often and how patiently a request is repeated after a failure that may pass (no connection, a connection that
/// breaks, 429, 5xx).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Failures in a row, without a byte of progress between them, after which it gives up; at least 1.
    pub attempts: u32,
    /// Wait after the first failure; doubled after each further one, up to 30 s. A `Retry-After` of the server goes
    /// before it, up to the same limit.
    pub first_wait: Duration,
}

impl Default for Retry {
    /// Five attempts, the first wait half a second.
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500) }
    }
}

/// The surroundings of the hub client.
#[derive(Clone, PartialEq, Eq)]
pub struct HubEnv {
    /// Address of the hub, without a slash at its end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The access token (`HF_TOKEN`, else the file `HF_TOKEN_PATH`, else `HF_HOME/token`).
    pub token: Option<String>,
    /// The cache that Python tools share (`HF_HUB_CACHE`, else `HF_HOME/hub`; `HF_HOME` is
    /// `~/.cache/huggingface` by default).
    pub cache: PathBuf,
    /// Use the cache alone (`HF_HUB_OFFLINE`, or what Python's libraries know beside it: `HF_DATASETS_OFFLINE`,
    /// `TRANSFORMERS_OFFLINE`).
    pub offline: bool,
    /// How failures that may pass are met.
    pub retry: Retry,
}

impl fmt::Debug for HubEnv {
    /// Without the token, which must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubEnv")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("retry", &self.retry)
            .finish()
    }
}

impl HubEnv {
    /// As the process's environment says.
    pub fn from_env() -> Self {
        Self::from_lookup(&|name| std::env::var(name).ok())
    }

    /// As `lookup` says; an empty value counts as unset.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let get =
            |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let user = get("HOME").map(PathBuf::from).or_else(std::env::home_dir).unwrap_or_default();
        let path = |name: &str| {
            let value = get(name)?;
            Some(value.strip_prefix("~/").map_or_else(|| PathBuf::from(&value), |rest| user.join(rest)))
        };
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let text = std::fs::read_to_string(token_file).ok()?;
            Some(text.trim().to_owned()).filter(|token| !token.is_empty())
        });
        let on = |name: &str| {
            get(name)
                .is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on"))
        };
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            offline: ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().any(on),
            retry: Retry::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn env(pairs: &[(&str, &str)]) -> HubEnv {
        let map: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HubEnv::from_lookup(&|name| map.get(name).cloned())
    }

    #[test]
    fn nothing_set_means_the_public_hub_and_the_shared_cache() {
        let env = env(&[("HOME", "/nobody"), ("HF_ENDPOINT", " ")]);
        assert_eq!(env.endpoint, DEFAULT_ENDPOINT);
        assert_eq!(env.cache, PathBuf::from("/nobody/.cache/huggingface/hub"));
        assert_eq!((env.token, env.offline), (None, false));
    }

    #[test]
    fn each_variable_counts_and_the_nearer_one_wins() {
        let base = [("HOME", "/nobody"), ("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/xdg")];
        assert_eq!(env(&base).cache, PathBuf::from("/hf/hub"));
        assert_eq!(env(&base[..1]).cache, PathBuf::from("/nobody/.cache/huggingface/hub"));
        let near = [
            base.as_slice(),
            &[("HF_HUB_CACHE", "~/c"), ("HF_ENDPOINT", "http://h:1/"), ("HF_HUB_OFFLINE", "True")],
        ]
        .concat();
        let env = env(&near);
        assert_eq!(
            (env.cache, env.endpoint.as_str(), env.offline),
            (PathBuf::from("/nobody/c"), "http://h:1", true)
        );
    }

    #[test]
    fn the_token_comes_from_the_variable_or_the_file_and_stays_out_of_logs() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        std::fs::write(home.path().join("token"), "from-file\n").unwrap();
        assert_eq!(env(&[("HF_HOME", home_text)]).token.as_deref(), Some("from-file"));
        let both = env(&[("HF_HOME", home_text), ("HF_TOKEN", "from-variable")]);
        assert_eq!(both.token.as_deref(), Some("from-variable"));
        assert!(!format!("{both:?}").contains("from-variable"));
    }
}
