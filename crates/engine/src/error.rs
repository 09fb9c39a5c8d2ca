//! What goes wrong in the engine, in the words that travel over the protocol: object, cause and remedy.
//!
//! Refuses to know where it is shown.

use ai_energy_backends_pytorch::protocol::{EngineErrorKind, FromEngine};

/// Something that went wrong, with what it is about and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {cause}")]
pub struct EngineError {
    /// What kind it is.
    pub kind: EngineErrorKind,
    /// What it is about: a file, a tensor, an option, a device.
    pub object: String,
    /// Why it is wrong.
    pub cause: String,
    /// What to do about it; empty where nothing is known.
    pub remedy: String,
}

impl EngineError {
    /// An error of a kind, without a remedy.
    pub fn new(kind: EngineErrorKind, object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind, object: object.into(), cause: cause.into(), remedy: String::new() }
    }

    /// The model's files are not there or not what they should be.
    pub fn model(object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(EngineErrorKind::Model, object, cause)
    }

    /// This engine does not know how; another may.
    pub fn unsupported(object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(EngineErrorKind::Unsupported, object, cause)
    }

    /// The request cannot be done as it is.
    pub fn bad_request(object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(EngineErrorKind::BadRequest, object, cause)
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The line that tells the host; `id` names the generation, `None` the last thing asked.
    pub fn into_message(self, id: Option<String>) -> FromEngine {
        FromEngine::Error {
            id,
            kind: self.kind,
            object: self.object,
            message: self.cause,
            remedy: self.remedy,
        }
    }
}
