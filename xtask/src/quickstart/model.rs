//! Which model the first run uses: a real one from wherever it can be had.
//!
//! The hub comes first, then the Python index, then random weights of the same shape. Refuses to download from the hub by
//! itself: the program does that, with the user's token and cache.

use std::ffi::OsString;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use crate::say;
use crate::small_model::{self, HUB_ID};

/// Used unless `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";

/// How long to wait for the hub to take a connection: a first run should not begin with a long silence.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Model {
    /// From the hub, by its id.
    Hub,
    /// The GGUF file of the Python index.
    Gguf(PathBuf),
    /// Random weights of its shape.
    Random,
}

impl Model {
    /// What is said about it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Hub => format!("{HUB_ID} from the hub"),
            Self::Gguf(path) => format!("SmolLM2-135M-Instruct, Q4_1, {}", path.display()),
            Self::Random => {
                format!("random weights of the shape of {HUB_ID}: time and energy are right, texts are not")
            }
        }
    }

    /// As the program is told it.
    pub(super) fn overrides(&self) -> Vec<OsString> {
        match self {
            Self::Hub => vec![format!("backend.model={HUB_ID}").into()],
            Self::Gguf(path) => {
                let mut model = OsString::from("backend.model=");
                model.push(path);
                vec![model]
            }
            Self::Random => vec![format!("backend.model={HUB_ID}").into(), "backend.no_weights=true".into()],
        }
    }
}

/// The model to try first, and after one that could not be had the next.
pub(super) fn next(after: Option<&Model>) -> Option<Model> {
    match after {
        None if hub_is_worth_a_try() => Some(Model::Hub),
        None | Some(Model::Hub) => Some(small_model::gguf().map_or_else(
            |error| {
                say(&format!("the small model cannot be fetched: {error:#}"));
                Model::Random
            },
            Model::Gguf,
        )),
        Some(Model::Gguf(_)) => Some(Model::Random),
        Some(Model::Random) => None,
    }
}

/// Whether the hub takes connections, or the model is here already, or a proxy knows what nobody else does.
fn hub_is_worth_a_try() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    if is_cached(|name| set(name).map(PathBuf::from), std::env::home_dir()) {
        return true;
    }
    if set("HF_HUB_OFFLINE").is_some() {
        return false;
    }
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if proxies.into_iter().any(|name| set(name).is_some()) {
        return true;
    }
    let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let reached = address(&endpoint).is_some_and(|address| takes_connections(address, PATIENCE));
    if !reached {
        say("the hub is out of reach");
    }
    reached
}

/// Whether the cache that Python's tools share has the model.
fn is_cached(path: impl Fn(&str) -> Option<PathBuf>, home: Option<PathBuf>) -> bool {
    let cache = || path("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
    let hub = path("HF_HUB_CACHE")
        .or_else(|| path("HF_HOME").map(|folder| folder.join("hub")))
        .or_else(|| cache().map(|folder| folder.join("huggingface/hub")));
    let folder = format!("models--{}", HUB_ID.replace('/', "--"));
    hub.is_some_and(|hub| hub.join(folder).join("refs/main").is_file())
}

/// `host:port` of a web address.
fn address(endpoint: &str) -> Option<String> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let port = if scheme == "https" { 443 } else { 80 };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
}

/// Looks the name up and connects, on a thread of its own: a name server that is silent would hold up everything.
fn takes_connections(address: String, patience: Duration) -> bool {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut addresses = address.to_socket_addrs().into_iter().flatten();
        let reached = addresses.any(|address| TcpStream::connect_timeout(&address, patience).is_ok());
        let _ = sender.send(reached);
    });
    receiver.recv_timeout(patience).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        assert_eq!(address("https://h.example"), Some("h.example:443".to_owned()));
        assert_eq!(address("http://127.0.0.1:8080/x"), Some("127.0.0.1:8080".to_owned()));
        assert_eq!(address("http://h/x"), Some("h:80".to_owned()));
        assert_eq!(address("nonsense"), None);
    }

    #[test]
    fn a_hub_that_listens_is_reached_and_one_that_is_gone_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(takes_connections(address.clone(), PATIENCE));
        drop(listener);
        assert!(!takes_connections(address, PATIENCE));
    }

    #[test]
    fn a_model_in_the_shared_cache_is_found_where_the_environment_says() {
        let home = tempfile::tempdir().unwrap();
        let at = |hub: &str| home.path().join(hub).join("models--HuggingFaceTB--SmolLM2-135M-Instruct/refs");
        assert!(!is_cached(|_| None, Some(home.path().into())));
        std::fs::create_dir_all(at(".cache/huggingface/hub")).unwrap();
        std::fs::write(at(".cache/huggingface/hub").join("main"), "0").unwrap();
        assert!(is_cached(|_| None, Some(home.path().into())));
        let elsewhere = |name: &str| (name == "HF_HOME").then(|| home.path().join("hf"));
        assert!(!is_cached(elsewhere, Some(home.path().into())));
        std::fs::create_dir_all(at("hf/hub")).unwrap();
        std::fs::write(at("hf/hub").join("main"), "0").unwrap();
        assert!(is_cached(elsewhere, None));
    }

    #[test]
    fn what_fails_is_followed_by_less_and_random_weights_are_said_to_be_random() {
        let file = Model::Gguf("/m/a b.gguf".into());
        assert_eq!(next(Some(&file)), Some(Model::Random));
        assert_eq!(next(Some(&Model::Random)), None);
        assert_eq!(file.overrides(), ["backend.model=/m/a b.gguf"]);
        assert!(Model::Random.overrides().contains(&"backend.no_weights=true".into()));
        assert!(Model::Random.describe().contains("random weights"));
    }
}
