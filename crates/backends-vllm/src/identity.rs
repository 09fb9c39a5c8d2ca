//! Which program serves, and which models.
//!
//! Reads what servers say about themselves in headers, in the model list and in their version routes. Refuses to
//! fail: a server that says nothing is simply not known.

use http::header::{HeaderMap, SERVER};
use serde::Deserialize;

/// The `Server` header of the project's own simulator.
const SIMULATOR: &str = "ai-energy-simulator";

/// What is known of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Name and version as it presents itself.
    pub(crate) server: Option<String>,
    /// It is llama.cpp, which has a prompt cache to switch off.
    pub(crate) llama_cpp: bool,
    /// It is a simulator.
    pub(crate) synthetic: bool,
    /// Longest context of the model, tokens.
    pub(crate) context: Option<u64>,
}

impl Identity {
    /// Learns from the headers of a response.
    pub(crate) fn learn_headers(&mut self, headers: &HeaderMap) {
        let Some(server) = headers.get(SERVER).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let program = server.split(['/', ' ']).next().unwrap_or_default();
        if program.eq_ignore_ascii_case(SIMULATOR) {
            self.synthetic = true;
            self.server = Some(server.to_owned());
        } else if program.eq_ignore_ascii_case("llama.cpp") {
            self.llama_cpp = true;
            self.server.get_or_insert_with(|| server.to_owned());
        }
    }

    /// Learns from the entry of the model in use.
    pub(crate) fn learn_model(&mut self, model: &Model) {
        self.context = model.max_model_len.or(model.meta.as_ref().and_then(|meta| meta.n_ctx));
        let name = match model.owned_by.as_deref() {
            Some("vllm") => "vLLM",
            Some("llamacpp") => "llama.cpp",
            Some("sglang") => "SGLang",
            _ => return,
        };
        self.llama_cpp |= name == "llama.cpp";
        if !self.synthetic {
            self.server.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Learns a version, from the route that the program has for it.
    pub(crate) fn learn_version(&mut self, version: &str) {
        if self.synthetic {
            return;
        }
        let name = self.server.take().unwrap_or_else(|| "server".to_owned());
        self.server = Some(format!("{name} {version}"));
    }
}

/// The answer of `/v1/models`.
#[derive(Debug, Deserialize)]
pub(crate) struct Models {
    /// The models.
    pub(crate) data: Vec<Model>,
}

/// One model as a server lists it.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) id: String,
    /// Other names it answers to, as llama.cpp tells.
    #[serde(default)]
    pub(crate) aliases: Option<Vec<String>>,
    /// The program, where it tells so.
    #[serde(default)]
    pub(crate) owned_by: Option<String>,
    /// Context length as vLLM gives it.
    #[serde(default)]
    pub(crate) max_model_len: Option<u64>,
    /// Details as llama.cpp gives them.
    #[serde(default)]
    pub(crate) meta: Option<Meta>,
}

/// llama.cpp's details of a model.
#[derive(Debug, Deserialize)]
pub(crate) struct Meta {
    /// Context length of one slot.
    #[serde(default)]
    pub(crate) n_ctx: Option<u64>,
}

impl Model {
    /// Whether it answers to a name.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().flatten().any(|alias| alias == name)
    }
}

/// The name most like `wanted`, where one is like it at all.
pub(crate) fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_ascii_lowercase()), name.as_str()))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_own_words() {
        let learn = |server: &'static str| {
            let mut identity = Identity::default();
            identity.learn_headers(&HeaderMap::from_iter([(SERVER, server.parse().unwrap())]));
            identity
        };
        assert!(learn("ai-energy-simulator/0.1.0").synthetic);
        assert!(learn("llama.cpp").llama_cpp);
        assert_eq!(learn("uvicorn"), Identity::default());
    }

    #[test]
    fn the_nearest_name_is_like_the_wanted_one_or_absent() {
        let names = ["SmolLM2-135M-Instruct".to_owned(), "gpt-oss-20b".to_owned()];
        assert_eq!(nearest("smollm2-135m-instruct", &names), Some("SmolLM2-135M-Instruct"));
        assert_eq!(nearest("zzz", &names), None);
    }
}
