//! Why an exchange with the server failed, before it is known whether it is a request's error or a fault.
//!
//! Also reads hyper's errors, which no other module needs to understand. Refuses to know error bodies: those are
//! `refusal`'s business.

use ai_energy_core::record::{ErrorClass, RequestError};
use std::error::Error;
use std::io;

/// A failed exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// The same as an error of a request, with the status where an answer had begun.
    pub(crate) fn with_status(self, status: Option<u16>) -> RequestError {
        RequestError { class: self.class, message: self.message, status }
    }

    /// A failure before the head of a response was complete.
    pub(crate) fn before_head(cause: &hyper::Error, any_byte: bool) -> Self {
        if cause.is_parse() {
            return Self::new(
                ErrorClass::Protocol,
                format!("the answer is no HTTP/1.1 response ({})", chain(cause)),
            );
        }
        if any_byte {
            let message = format!("the connection ended within the head of the response ({})", chain(cause));
            return Self::new(ErrorClass::Truncated, message);
        }
        Self::new(ErrorClass::Connect, format!("the connection broke before a response ({})", chain(cause)))
    }

    /// A failure within the body of a response.
    pub(crate) fn in_body(cause: &hyper::Error) -> Self {
        let framing = source_io(cause)
            .is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
        if framing {
            return Self::new(
                ErrorClass::Protocol,
                format!("the body's framing is broken ({})", chain(cause)),
            );
        }
        Self::new(
            ErrorClass::Truncated,
            format!("the connection ended before the response did ({})", chain(cause)),
        )
    }
}

fn source_io(error: &hyper::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = cause.source();
    }
    None
}

/// An error and its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
