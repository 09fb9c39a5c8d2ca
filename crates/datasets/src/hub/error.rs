//! What can go wrong with the hub, and how it is told.

use ai_energy_core::{Fault, FaultKind};

use crate::kinds::KINDS;
use crate::nearest::nearest;

/// A failure of one request or file.
#[derive(Debug)]
pub(crate) enum HubError {
    /// No answer: no connection, no name, a time-out, a connection that keeps breaking.
    Unreachable {
        /// What was asked.
        url: String,
        /// Why there was no answer.
        cause: String,
    },
    /// An answer other than success.
    Status {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The hub's own word for it (`X-Error-Code`).
        code: Option<String>,
        /// The hub's own sentence.
        message: Option<String>,
    },
    /// What came is not what was announced.
    Corrupt {
        /// Which file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The cache could not be written or read.
    Cache {
        /// Which path.
        path: String,
        /// Why.
        cause: String,
    },
    /// The client works offline and the cache does not have it.
    Offline {
        /// What is missing.
        what: String,
    },
}

impl HubError {
    /// Whether a cached copy may stand in: the hub did not answer, or not sensibly.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// Whether the thing asked for does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// The fault for the user. `has_token` says whether a token was sent.
    pub(crate) fn into_fault(self, id: &str, revision: &str, endpoint: &str, has_token: bool) -> Fault {
        let subject = format!("dataset {id}");
        match self {
            Self::Unreachable { url, cause } => Fault::new(
                FaultKind::Internal,
                subject,
                format!("no answer from {url}: {cause}"),
            )
            .remedy(
                "check the network and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is cached, and the dataset \
                     `builtin` needs no network",
            ),
            Self::Status { url, status, code, message } => {
                let said = message.map(|text| format!(" ({text})")).unwrap_or_default();
                let refused = refusal(status, code.as_deref(), id, revision, endpoint, has_token);
                let (cause, remedy) = refused.unwrap_or_else(|| {
                    (format!("the hub answered {status} for {url}"), "try again later".to_owned())
                });
                let kind =
                    if status >= 500 || status == 429 { FaultKind::Internal } else { FaultKind::Usage };
                Fault::new(kind, subject, format!("{cause}{said}")).remedy(remedy)
            }
            Self::Corrupt { file, cause } => {
                Fault::new(FaultKind::Internal, subject, format!("{file}: {cause}"))
                    .remedy("try again; if it stays, the file on the hub or a proxy on the way is broken")
            }
            Self::Cache { path, cause } => {
                Fault::new(FaultKind::Output, subject, format!("cannot use the cache at {path}: {cause}"))
                    .remedy("free space or permissions there, or set HF_HOME to another folder")
            }
            Self::Offline { what } => {
                Fault::new(FaultKind::Usage, subject, format!("{what} is not in the cache"))
                    .remedy("load it once without HF_HUB_OFFLINE, or set HF_HOME to the cache that has it")
            }
        }
    }
}

/// Cause and remedy of a refusal that has a known reason.
fn refusal(
    status: u16,
    code: Option<&str>,
    id: &str,
    revision: &str,
    endpoint: &str,
    has_token: bool,
) -> Option<(String, String)> {
    let page = format!("{endpoint}/datasets/{id}");
    let set_token = if has_token {
        "check that HF_TOKEN is valid and may read this dataset"
    } else {
        "set HF_TOKEN to a token of an account that has access"
    };
    let known = match (status, code) {
        (_, Some("GatedRepo")) => {
            ("is gated".to_owned(), format!("accept its terms at {page}, and {set_token}"))
        }
        (_, Some("RevisionNotFound")) => (
            format!("has no revision `{revision}`"),
            format!("choose a branch, tag or commit listed at {page}"),
        ),
        (_, Some("EntryNotFound")) => {
            ("lists a file that the hub does not have".to_owned(), format!("look at {page}/tree/{revision}"))
        }
        (401, _) => {
            ("is not there, or not public".to_owned(), format!("check the name; if it is right, {set_token}"))
        }
        (403, _) => (
            "may not be read with this account".to_owned(),
            format!("ask for access at {page}, and {set_token}"),
        ),
        (404, _) => ("is not on the hub".to_owned(), advice(id)),
        _ => return None,
    };
    Some(known)
}

/// What else the name could have meant.
fn advice(id: &str) -> String {
    let near = nearest(id, KINDS.iter().map(|kind| kind.name).filter(|name| *name != "hub"));
    match near {
        Some(kind) => format!("did you mean `{kind}`?"),
        None if id.contains('/') => {
            "check owner and name; a local file is named with its extension".to_owned()
        }
        None => "write it as owner/name; a local file is named with its extension".to_owned(),
    }
}
