//! The one list of concrete parts: backends, sources, datasets, formats, reporters. `list` prints it, config schemas take
//! their names from it, `assemble` opens parts by it.
//!
//! Adding a part is one file that implements its seam and one line in its crate's list, or here for a backend.

use std::sync::Arc;

use ai_energy_core::fakes::FakeBackend;
use ai_energy_core::{Backend, Fault, LoadProgress, Target};
use async_trait::async_trait;
use serde::Serialize;

use crate::settings::Settings;

/// Values of `metrics.type`.
pub const METRICS_TYPES: [&str; 2] = ["codecarbon", "native"];

/// A part as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name that a config uses.
    pub name: String,
    /// What it is.
    pub description: String,
}

impl Entry {
    fn new(name: &str, description: &str) -> Self {
        Self { name: name.to_owned(), description: description.to_owned() }
    }
}

/// A kind of backend.
pub struct BackendKind {
    /// The value of `backend.type`.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Makes one from settings.
    pub opener: &'static dyn OpenBackend,
}

/// Makes a backend from settings.
#[async_trait]
pub trait OpenBackend: Sync {
    /// Makes the backend; may ask a server which model it serves. `progress` hears how far a download or a load is.
    async fn open(
        &self,
        settings: &Settings,
        progress: Arc<dyn LoadProgress>,
    ) -> Result<Arc<dyn Backend>, Fault>;

    /// How prompts are to be written for it.
    fn target(&self, settings: &Settings) -> Target;
}

/// All backends.
pub const BACKENDS: [BackendKind; 3] = [
    BackendKind {
        name: "vllm",
        description: "any OpenAI-compatible server over HTTP: vLLM, llama.cpp, SGLang, TGI, hosted APIs",
        opener: &crate::assemble::Server,
    },
    BackendKind {
        name: "pytorch",
        description: "PyTorch in a process of its own: the native engine ai-energy-torch, or Hugging Face transformers",
        opener: &crate::assemble::Engine,
    },
    BackendKind {
        name: "fake",
        description: "sleeps instead of generating; every report says synthetic",
        opener: &Fake,
    },
];

struct Fake;

#[async_trait]
impl OpenBackend for Fake {
    async fn open(
        &self,
        _settings: &Settings,
        _progress: Arc<dyn LoadProgress>,
    ) -> Result<Arc<dyn Backend>, Fault> {
        Ok(Arc::new(FakeBackend::default()))
    }

    fn target(&self, _settings: &Settings) -> Target {
        Target::ChatApi
    }
}

/// Names of all backends, for the schema.
pub fn backend_names() -> Vec<&'static str> {
    BACKENDS.iter().map(|kind| kind.name).collect()
}

/// Backends as `list` shows them.
pub fn backends() -> Vec<Entry> {
    BACKENDS.iter().map(|kind| Entry::new(kind.name, kind.description)).collect()
}

/// Energy sources as `list` shows them.
pub fn sources() -> Vec<Entry> {
    ai_energy_metrics::SOURCES.iter().map(|kind| Entry::new(kind.name, kind.description)).collect()
}

/// Kinds of datasets as `list` shows them.
pub fn datasets() -> Vec<Entry> {
    ai_energy_datasets::KINDS.iter().map(|kind| Entry::new(kind.name, kind.description)).collect()
}

/// Reasoning formats as `list` shows them.
pub fn formats() -> Vec<Entry> {
    let registry = ai_energy_formatters::Registry::builtin();
    registry.families().iter().map(|family| Entry::new(&family.name, &family.description)).collect()
}

/// Result formats as `list` shows them.
pub fn reporters() -> Vec<Entry> {
    ai_energy_reporters::all().iter().map(|kind| Entry::new(kind.name, kind.description)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_list_has_unique_plain_names_and_says_what_each_is() {
        for (list, entries) in [
            ("backends", backends()),
            ("sources", sources()),
            ("datasets", datasets()),
            ("formats", formats()),
            ("reporters", reporters()),
        ] {
            assert!(!entries.is_empty(), "{list} is empty");
            let names: BTreeSet<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
            assert_eq!(names.len(), entries.len(), "{list} names something twice");
            for entry in &entries {
                let plain = entry
                    .name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
                assert!(plain && !entry.name.is_empty(), "{list}: `{}`", entry.name);
                assert!(entry.description.len() >= 15, "{list}: `{}` is not described", entry.name);
            }
        }
    }

    #[test]
    fn defaults_name_parts_that_exist() {
        let settings = Settings::default();
        assert!(backend_names().contains(&settings.backend.kind.as_str()));
        assert!(METRICS_TYPES.contains(&settings.metrics.kind.as_str()));
    }
}
