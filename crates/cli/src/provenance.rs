//! What a record says of the programs and the work beside the machine: this program's version and revision, the server, the
//! model's revision, the prompts as they are sent. What is not known is null, with its reason under `unknown`.
//!
//! Refuses to ask anyone: it tells what validation has seen.

use std::sync::Arc;

use ai_energy_core::prompt::PromptContent;
use ai_energy_core::{BackendInfo, DatasetInfo, FormattedPrompt};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The git revision that this program was built from, where its build tells.
pub const REVISION: Option<&str> = option_env!("AI_ENERGY_REVISION");

/// Adds what is known to a description of the machine.
pub fn describe(
    environment: &mut Map<String, Value>,
    backend: &BackendInfo,
    dataset: &DatasetInfo,
    prompts: &[Arc<FormattedPrompt>],
) {
    let mut unknown = match environment.remove("unknown") {
        Some(Value::Object(unknown)) => unknown,
        _ => Map::new(),
    };
    let mut put = |key: &str, value: Option<Value>, reason: &str| {
        if value.is_none() {
            unknown.insert(key.to_owned(), json!(reason));
        }
        environment.insert(key.to_owned(), value.unwrap_or(Value::Null));
    };
    put("program", Some(json!("ai-energy-benchmark")), "");
    put("program_version", Some(json!(env!("CARGO_PKG_VERSION"))), "");
    put(
        "program_revision",
        REVISION.map(|it| json!(it)),
        "a debug build, or one without git, records no revision",
    );
    put("server", backend.server.as_ref().map(|it| json!(it)), "the server does not say what it is");
    let commit = backend.details.get("model_commit").filter(|commit| !commit.is_null()).cloned();
    let served = "a server does not say which revision of the model's files it loaded";
    let local = "the model's files did not come from the hub";
    put("model_revision", commit, if backend.endpoint.is_some() { served } else { local });
    let revision = dataset.revision.as_ref().map(|it| json!(it));
    put(
        "dataset_revision",
        revision,
        "prompts of this kind have no revision; dataset.sha256 tells them apart",
    );
    put("prompts_sha256", Some(json!(fingerprint(prompts))), "");
    environment.insert("unknown".to_owned(), Value::Object(unknown));
}

/// SHA-256 over the prompts as they are sent, in their order: for each message its role, a zero byte, its content and a zero
/// byte (for a plain text the content and a zero byte), then the parameters that go with it as JSON and a zero byte.
fn fingerprint(prompts: &[Arc<FormattedPrompt>]) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update(text.as_bytes());
        hash.update([0]);
    };
    for prompt in prompts {
        match &prompt.content {
            PromptContent::Text(text) => part(text),
            PromptContent::Chat(messages) => {
                for message in messages {
                    part(message.role.word());
                    part(&message.content);
                }
            }
        }
        part(&json!([prompt.params, prompt.chat_template_kwargs, prompt.target_output_tokens]).to_string());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str) -> Arc<FormattedPrompt> {
        Arc::new(FormattedPrompt::plain(PromptContent::Text(text.to_owned())))
    }

    #[test]
    fn the_fingerprint_follows_text_order_and_parameters() {
        let of = |prompts: &[Arc<FormattedPrompt>]| fingerprint(prompts);
        let (a, b) = (prompt("a"), prompt("b"));
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[prompt("a"), prompt("b")]));
        assert_ne!(of(&[a.clone(), b.clone()]), of(&[b.clone(), a.clone()]));
        assert_ne!(of(&[a.clone(), b]), of(&[prompt("ab")]));
        let mut asked = (*a).clone();
        asked.params.insert("reasoning_effort".to_owned(), json!("high"));
        assert_ne!(of(&[Arc::new(asked)]), of(&[a]));
    }

    #[test]
    fn what_is_not_known_is_null_with_a_reason() {
        let backend = BackendInfo {
            backend: "vllm".to_owned(),
            model: "m".to_owned(),
            endpoint: Some("http://h/v1".to_owned()),
            device: None,
            server: None,
            synthetic: false,
            details: Map::new(),
        };
        let dataset = DatasetInfo {
            name: "d".to_owned(),
            kind: "csv".to_owned(),
            revision: None,
            sha256: String::new(),
            rows: None,
        };
        let mut found = Map::new();
        found.insert("unknown".to_owned(), json!({"cpu_governor": "x"}));
        describe(&mut found, &backend, &dataset, &[]);
        for key in ["server", "model_revision", "dataset_revision"] {
            assert!(
                found[key].is_null() && found["unknown"][key].as_str().is_some_and(|why| why.len() > 10),
                "{key}"
            );
        }
        assert_eq!(found["unknown"]["cpu_governor"], "x", "what the machine did not tell stays");
    }
}
