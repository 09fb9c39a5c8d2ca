//! Why an exchange with the server failed, before it is known whether it is a request's error or a fault.
//!
//! Refuses to know error bodies: those are `refusal`'s business.

use ai_energy_core::record::{ErrorClass, RequestError};

use crate::link::Broken;

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
    pub(crate) fn before_head(cause: &Broken, any_byte: bool) -> Self {
        match cause {
            Broken::NoHttp(_) | Broken::Framing(_) => Self::new(
                ErrorClass::Protocol,
                format!("the answer is no HTTP/1.1 response ({})", words(cause)),
            ),
            _ if any_byte => Self::new(
                ErrorClass::Truncated,
                format!("the connection ended within the head of the response ({})", words(cause)),
            ),
            _ => Self::new(
                ErrorClass::Connect,
                format!("the connection broke before a response ({})", words(cause)),
            ),
        }
    }

    /// A failure within the body of a response.
    pub(crate) fn in_body(cause: &Broken) -> Self {
        match cause {
            Broken::NoHttp(_) | Broken::Framing(_) => {
                Self::new(ErrorClass::Protocol, format!("the body's framing is broken ({})", words(cause)))
            }
            _ => Self::new(
                ErrorClass::Truncated,
                format!("the connection ended before the response did ({})", words(cause)),
            ),
        }
    }
}

fn words(cause: &Broken) -> String {
    match cause {
        Broken::NoHttp(what) => what.clone(),
        Broken::Framing(what) => (*what).to_owned(),
        Broken::Closed => "closed by the server".to_owned(),
        Broken::Io(cause) => cause.to_string(),
    }
}
