//! A hub with a cache folder of its own, and short ways to load from it.

use std::path::PathBuf;
use std::time::Duration;

use ai_energy_core::{Fault, LoadedPrompts};
use ai_energy_datasets::{HubEnv, Options, Retry, open_with};

use crate::server::Hub;

pub(crate) struct Bench {
    pub(crate) hub: Hub,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self { hub: Hub::start().await, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn env(&self) -> HubEnv {
        HubEnv {
            endpoint: self.hub.endpoint(),
            token: Some("hf_secret".to_owned()),
            cache: self.folder.path().join("hub"),
            offline: false,
            retry: Retry { attempts: 3, first_wait: Duration::from_millis(1) },
        }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.folder.path().join("hub/datasets--o--n")
    }

    pub(crate) async fn load(&self, limit: usize) -> Result<LoadedPrompts, Fault> {
        load(&options("o/n"), &self.env(), limit).await
    }
}

pub(crate) fn options(name: &str) -> Options {
    Options { dataset_name: name.to_owned(), ..Options::default() }
}

pub(crate) async fn load(options: &Options, env: &HubEnv, limit: usize) -> Result<LoadedPrompts, Fault> {
    open_with(options, env).unwrap().load(limit, &()).await
}

pub(crate) fn texts(loaded: &LoadedPrompts) -> Vec<&str> {
    loaded.prompts.iter().map(|prompt| prompt.messages[0].content.as_str()).collect()
}

pub(crate) fn jsonl(prefix: &str, count: usize) -> Vec<u8> {
    (0..count).map(|n| format!("{{\"text\": \"{prefix} {n}\"}}\n")).collect::<String>().into_bytes()
}
