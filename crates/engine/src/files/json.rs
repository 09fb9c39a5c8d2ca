//! JSON files of a model folder, with errors that name the file and the line.
//!
//! Refuses to know what is in them.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use crate::EngineError;

/// A whole file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

/// A JSON object; `None` where there is no such file.
///
/// # Errors
/// The file is there and cannot be read, or is no JSON object.
pub(crate) fn object_if_there(path: &Path) -> Result<Option<Map<String, Value>>, EngineError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| unreadable(path, &error))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        EngineError::model(path.display().to_string(), format!("it is no JSON object: {error}"))
            .remedy("fetch the model again: the file is cut short or damaged")
    })
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> EngineError {
    let fault = EngineError::model(path.display().to_string(), format!("it cannot be read: {error}"));
    match error.kind() {
        ErrorKind::NotFound => fault.remedy("fetch the model again: a file is missing"),
        _ => fault.remedy("look at the file's permissions and at the disk"),
    }
}
