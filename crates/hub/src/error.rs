//! What can go wrong with the hub, and how it is told.

use ai_energy_core::{Fault, FaultKind};

use crate::repo::{Kind, Repo};

/// A failure of one request or file.
#[derive(Debug, Clone)]
pub enum HubError {
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
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether the hub knows no repository of this name, or does not say so: not merely a file or revision of it.
    pub fn is_unknown_repo(&self) -> bool {
        let inner = ["GatedRepo", "RevisionNotFound", "EntryNotFound"];
        let is_inner = |code: &String| inner.contains(&code.as_str());
        matches!(self, Self::Status { status: 404, code, .. } if !code.as_ref().is_some_and(is_inner))
    }

    /// The fault for the user. `has_token` says whether a token was sent.
    pub(crate) fn into_fault(self, repo: &Repo, endpoint: &str, has_token: bool) -> Fault {
        let subject = repo.subject();
        match self {
            Self::Unreachable { url, cause } => Fault::new(
                FaultKind::Internal,
                subject,
                format!("no answer from {url}: {cause}"),
            )
            .remedy(format!(
                "check the network and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is cached, and {} needs no network",
                without_network(repo.kind)
            )),
            Self::Status { url, status, code, message } => {
                let said = message.map(|text| format!(" ({text})")).unwrap_or_default();
                let refused = refusal(status, code.as_deref(), repo, endpoint, has_token);
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
    repo: &Repo,
    endpoint: &str,
    has_token: bool,
) -> Option<(String, String)> {
    let (page, revision) = (format!("{endpoint}/{}", repo.page().join("/")), &repo.revision);
    let set_token = if has_token {
        format!("check that HF_TOKEN is valid and may read this {}", repo.kind.name())
    } else {
        "set HF_TOKEN to a token of an account that has access".to_owned()
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
        (404, _) => ("is not on the hub".to_owned(), advice(repo)),
        _ => return None,
    };
    Some(known)
}

/// How else the thing may be written.
fn advice(repo: &Repo) -> String {
    let local = match repo.kind {
        Kind::Dataset => "a local file is named with its extension",
        Kind::Model => "a local folder is named by its path",
    };
    let name = if repo.id.contains('/') { "check owner and name" } else { "write it as owner/name" };
    format!("{name}; {local}")
}

/// What serves without any network.
fn without_network(kind: Kind) -> &'static str {
    match kind {
        Kind::Dataset => "the dataset `builtin`",
        Kind::Model => "a model's local folder",
    }
}
