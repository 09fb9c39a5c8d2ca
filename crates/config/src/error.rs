//! Errors of a configuration: all of them at once, each with its place, key, cause and remedy.
//!
//! Refuses to know exit codes and colours; `cli` maps and draws them.

use std::fmt;

use crate::origin::Origin;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place that set the value; none where the fault is a whole file or argument.
    pub origin: Option<Box<Origin>>,
    /// The full key path, for example `backend.model`.
    pub key: Option<String>,
    /// What is wrong, in lower case and without a full stop.
    pub cause: String,
    /// What to do, where there is honest advice.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error about something that is neither a key nor a place, for example a file that does not exist.
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self { origin: None, key: None, cause: cause.into(), hint: None }
    }

    /// The same error with the place that set the value.
    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(Box::new(origin.clone()));
        self
    }

    /// The same error with the key it is about.
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same error with a remedy.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    /// ``file:line: key `a.b`: cause``, and the remedy on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "key `{key}`: ")?;
        }
        f.write_str(&self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration; never empty where a load failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    /// All of them, one after the other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
