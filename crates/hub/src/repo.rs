//! A repository on the hub, and the way to its files: the hub with its cache, or the cache alone.
//!
//! Refuses to know what the files hold.

use std::path::PathBuf;

use ai_energy_core::{Fault, FaultKind, LoadProgress};
use reqwest::Method;

use crate::cache::Cache;
use crate::env::HubEnv;
use crate::error::HubError;
use crate::fetch::{self, Wanted};
use crate::http::{self, Follow, Http};
use crate::info::RepoInfo;

/// The branch read unless another revision is named.
pub const DEFAULT_REVISION: &str = "main";

/// What a repository is for; the hub and the cache keep each kind in a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Rows to read prompts from.
    Dataset,
    /// Weights, configuration and tokenizer.
    Model,
}

impl Kind {
    /// The kind as messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
        }
    }

    /// The kind as the hub's addresses and the cache's folders spell it.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
    }
}

/// A repository and the revision meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// What it is for.
    pub kind: Kind,
    /// `owner/name`, or `name` for the few that have no owner.
    pub id: String,
    /// Branch, tag or commit; [`DEFAULT_REVISION`] unless the user says otherwise.
    pub revision: String,
}

impl Repo {
    /// The model of this name, at its default branch.
    pub fn model(id: impl Into<String>) -> Self {
        Self { kind: Kind::Model, id: id.into(), revision: DEFAULT_REVISION.to_owned() }
    }

    /// How messages call it.
    pub fn subject(&self) -> String {
        format!("{} {}", self.kind.name(), self.id)
    }

    /// Path of its page on the hub, part by part: models live at the root.
    pub(crate) fn page(&self) -> Vec<&str> {
        let root = (self.kind != Kind::Model).then_some(self.kind.plural());
        root.into_iter().chain(self.id.split('/')).collect()
    }
}

/// Whether a text can be the name of a repository: `owner/name` or `name` of letters, digits, `-`, `_` and `.`.
pub fn is_hub_id(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let fits = |part: &&str| {
        let plain = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        plain && (1..=96).contains(&part.len()) && !part.starts_with(['-', '.']) && !part.contains("..")
    };
    parts.len() <= 2 && parts.iter().all(fits)
}

/// Files of one commit, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder; files lie in it under their paths in the repository.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
    /// The chosen files' paths in the repository.
    pub files: Vec<String>,
    /// Things the user should know, for example that the cache stood in for the hub.
    pub warnings: Vec<String>,
}

/// How files are come by.
#[derive(Debug)]
enum Way {
    /// From the hub, where the cache does not have them.
    Hub(Http),
    /// From the cache alone, as the user wants it.
    Cache,
    /// From the cache alone, since the hub is out of reach for this reason.
    Outage(HubError),
}

/// One repository, opened.
#[derive(Debug)]
pub struct Hub {
    repo: Repo,
    endpoint: String,
    has_token: bool,
    way: Way,
    cache: Cache,
    warnings: Vec<String>,
}

impl Hub {
    /// Opens a repository. Asks nothing yet.
    ///
    /// # Errors
    /// The hub's address is no web address.
    pub fn new(repo: Repo, env: &HubEnv) -> Result<Self, Fault> {
        let has_token = env.token.is_some();
        let way = if env.offline {
            Way::Cache
        } else {
            Way::Hub(Http::new(env).map_err(|error| error.into_fault(&repo, &env.endpoint, has_token))?)
        };
        let cache = Cache::new(&env.cache, repo.kind, &repo.id);
        Ok(Self { repo, endpoint: env.endpoint.clone(), has_token, way, cache, warnings: Vec::new() })
    }

    /// The repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The error as a user is told it.
    pub fn fault(&self, error: HubError) -> Fault {
        error.into_fault(&self.repo, &self.endpoint, self.has_token)
    }

    /// What the user should know of what has been done so far; taken out.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// What the hub says of a revision; where it does not answer, what the cache knows of it, with a warning.
    ///
    /// # Errors
    /// The hub refuses, or nobody knows the revision.
    pub async fn describe(&mut self, revision: &str) -> Result<RepoInfo, HubError> {
        let Way::Hub(http) = &self.way else {
            return self.described_before(revision);
        };
        match self.ask(http, revision).await {
            Ok(info) => {
                self.cache.keep(revision, &info)?;
                Ok(info)
            }
            Err(error) if error.is_outage() => {
                let Ok(info) = self.described_before(revision) else {
                    return Err(error);
                };
                let subject = self.repo.subject();
                self.warnings.push(format!("{subject}: the hub does not answer; the cached copy is used"));
                self.way = Way::Outage(error);
                Ok(info)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, http: &Http, revision: &str) -> Result<RepoInfo, HubError> {
        let mut parts = vec!["api", self.repo.kind.plural()];
        parts.extend(self.repo.id.split('/'));
        parts.extend(["revision", revision]);
        let answer = http.ask(Method::GET, &http.url(&parts), 0, Follow::All).await?;
        let url = answer.url.clone();
        let body = answer.response.bytes().await.map_err(|error| http::unreachable(&url, &error))?;
        serde_json::from_slice(&body).map_err(|error| HubError::Corrupt {
            file: url.to_string(),
            cause: format!("is no description of a {}: {error}", self.repo.kind.name()),
        })
    }

    fn described_before(&self, revision: &str) -> Result<RepoInfo, HubError> {
        let known = self.cache.commit(revision).and_then(|commit| self.cache.info(&commit));
        known.ok_or_else(|| HubError::Offline { what: format!("its revision `{revision}`") })
    }

    /// One file's path on this machine, downloaded where it is not there yet.
    ///
    /// # Errors
    /// It is neither in the cache nor to be had, or what came is not what was announced.
    pub async fn fetch(
        &self,
        commit: &str,
        file: &str,
        progress: &dyn LoadProgress,
    ) -> Result<PathBuf, HubError> {
        if let Way::Hub(http) = &self.way {
            return fetch::fetch(http, &self.cache, Wanted { repo: &self.repo, commit, file }, progress)
                .await;
        }
        let cached = self.cache.snapshot(commit, file).filter(|path| path.exists());
        cached.ok_or_else(|| match &self.way {
            Way::Outage(error) => error.clone(),
            _ => HubError::Offline { what: format!("its file {file}") },
        })
    }

    /// Brings the files whose paths `choose` accepts, and says where they are.
    ///
    /// # Errors
    /// As [`Hub::describe`] and [`Hub::fetch`]; or no file is accepted.
    pub async fn snapshot(
        &mut self,
        choose: impl Fn(&str) -> bool,
        progress: &dyn LoadProgress,
    ) -> Result<Snapshot, Fault> {
        let revision = self.repo.revision.clone();
        let info = self.describe(&revision).await.map_err(|error| self.fault(error))?;
        let files: Vec<String> =
            info.files().into_iter().filter(|file| choose(file)).map(str::to_owned).collect();
        if files.is_empty() {
            let cause = format!("holds none of the files that are needed, among {}", info.siblings.len());
            return Err(Fault::new(FaultKind::Usage, self.repo.subject(), cause)
                .remedy("check the name and the revision"));
        }
        for file in &files {
            self.fetch(&info.sha, file, progress).await.map_err(|error| self.fault(error))?;
        }
        let warnings = self.take_warnings();
        Ok(Snapshot { folder: self.cache.folder(&info.sha), commit: info.sha, files, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::is_hub_id;

    #[test]
    fn names_are_as_the_hub_allows_them() {
        for name in ["squad", "owner/name", "openai/gsm8k", "owner/name.v1"] {
            assert!(is_hub_id(name), "{name}");
        }
        for name in ["a b", "owner/", "/name", "a/b/c", "-x", "naïve", "a..b", ""] {
            assert!(!is_hub_id(name), "{name}");
        }
    }
}
