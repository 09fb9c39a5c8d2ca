//! Short ways to write a file and load from it.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, LoadedPrompts};
use ai_energy_datasets::{HubEnv, Options, open_with};

/// Surroundings without a network, so that a wrong turn to the hub shows at once.
pub(crate) fn env() -> HubEnv {
    HubEnv::from_lookup(&|name| match name {
        "HF_HUB_OFFLINE" => Some("1".to_owned()),
        "HF_HOME" => Some("/nonexistent".to_owned()),
        _ => None,
    })
}

pub(crate) async fn load(options: &Options, limit: usize) -> Result<LoadedPrompts, Fault> {
    open_with(options, &env())?.load(limit, &()).await
}

pub(crate) fn options(path: &Path) -> Options {
    Options { dataset_name: path.to_str().unwrap().to_owned(), ..Options::default() }
}

pub(crate) fn column(path: &Path, column: &str) -> Options {
    Options { text_column_name: column.to_owned(), ..options(path) }
}

pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) async fn texts_of(name: &str, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    texts(&load(&options(&path), 100).await.unwrap_or_else(|fault| panic!("{name}: {fault}")))
}

pub(crate) fn texts(loaded: &LoadedPrompts) -> Vec<String> {
    loaded.prompts.iter().map(|prompt| prompt.messages[0].content.clone()).collect()
}

pub(crate) async fn fault_of(name: &str, bytes: impl AsRef<[u8]>) -> Fault {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    let fault = load(&options(&path), 100).await.unwrap_err();
    assert_eq!(fault.object, format!("dataset {}", path.display()));
    fault
}
