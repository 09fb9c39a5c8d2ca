//! A panic in one generation becomes an error of that generation, not the end of the engine.
//!
//! Refuses to know what panicked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ai_energy_backends_pytorch::protocol::EngineErrorKind;

use crate::EngineError;

/// Runs `work`; a panic in it is an error. What `work` was changing is to be thrown away then.
///
/// # Errors
/// Those of `work`, and its panic.
pub(super) fn guard<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let cause = format!("panicked: {}", said(&*panic));
        Err(EngineError::new(EngineErrorKind::Internal, "engine", cause)
            .remedy("this is a fault of the engine; its log shows with -vv"))
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
