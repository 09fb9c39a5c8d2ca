//! The `backend` section: which backend, and the options of each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::registry;

/// What runs the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BackendSettings {
    /// `vllm`: any OpenAI-compatible server. `pytorch`: in a process of our own. `fake`: sleeps instead of generating.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = registry::backend_names()))]
    pub kind: String,
    /// Hub id, local folder, or the name that the server serves; `auto` asks a server that serves one model for it.
    #[schemars(length(min = 1))]
    pub model: String,
    /// The server's address, with or without `/v1`.
    pub endpoint: String,
    /// Further servers of the same model: requests go to `endpoint` and these in turn.
    pub more_endpoints: Vec<String>,
    /// How the server is talked to.
    pub server: ai_energy_backends_vllm::ServerOptions,
    /// Keys of the PyTorch engine.
    #[serde(flatten)]
    pub pytorch: ai_energy_backends_pytorch::Options,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            kind: "vllm".to_owned(),
            model: "openai/gpt-oss-120b".to_owned(),
            endpoint: "http://localhost:8000/v1".to_owned(),
            more_endpoints: Vec::new(),
            server: ai_energy_backends_vllm::ServerOptions::default(),
            pytorch: ai_energy_backends_pytorch::Options::default(),
        }
    }
}
