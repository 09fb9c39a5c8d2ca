//! Datasets on the Hugging Face hub.
//!
//! Asks the hub for the dataset's commit and files, chooses the files of the configuration and split, downloads as
//! many as the prompts asked for need, and reads them as local files are read. Runs no code of a dataset: one that
//! only has a loading script is read from the hub's own parquet conversion.

mod cache;
mod choose;
pub(crate) mod env;
mod error;
mod fetch;
mod glob;
mod http;
mod info;

use std::path::PathBuf;

use ai_energy_core::{Dataset, Fault, LoadProgress, LoadedPrompts};
use async_trait::async_trait;
use reqwest::Method;

use self::cache::Cache;
use self::choose::{Asked, Choice};
use self::env::HubEnv;
use self::error::HubError;
use self::fetch::Wanted;
use self::http::{Follow, Http};
use self::info::RepoInfo;
use crate::files::read_apart;
use crate::options::{DEFAULT_REVISION, Options};
use crate::rows::{self, Origin, Rows, Take, Want};

/// The branch on which the hub keeps its own conversion of a dataset to parquet.
const CONVERTED: &str = "refs/convert/parquet";

/// A dataset on the hub.
#[derive(Debug)]
pub(crate) struct HubDataset {
    id: String,
    options: Options,
    env: HubEnv,
}

/// Where files come from: the hub with its cache, or the cache alone.
struct Source {
    http: Option<Http>,
    cache: Cache,
    warnings: Vec<String>,
}

impl HubDataset {
    /// The dataset that the options name. Asks nothing yet.
    pub(crate) fn new(options: &Options, env: HubEnv) -> Self {
        Self { id: options.dataset_name.trim().to_owned(), options: options.clone(), env }
    }

    fn subject(&self) -> String {
        format!("dataset {}", self.id)
    }

    fn fault(&self, error: HubError) -> Fault {
        error.into_fault(&self.id, &self.options.revision, &self.env.endpoint, self.env.token.is_some())
    }

    /// What the hub, or the cache, says of a revision.
    async fn describe(&self, source: &mut Source, revision: &str) -> Result<RepoInfo, HubError> {
        let Some(http) = &source.http else {
            return self.described_before(&source.cache, revision);
        };
        match self.ask_hub(http, revision).await {
            Ok(info) => {
                source.cache.keep(revision, &info)?;
                Ok(info)
            }
            Err(error) if error.is_outage() => {
                let Ok(info) = self.described_before(&source.cache, revision) else {
                    return Err(error);
                };
                let subject = self.subject();
                source.warnings.push(format!("{subject}: the hub does not answer; the cached copy is used"));
                source.http = None;
                Ok(info)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask_hub(&self, http: &Http, revision: &str) -> Result<RepoInfo, HubError> {
        let mut parts = vec!["api", "datasets"];
        parts.extend(self.id.split('/'));
        parts.extend(["revision", revision]);
        let answer = http.ask(Method::GET, &http.url(&parts), 0, Follow::All).await?;
        let url = answer.url.clone();
        let body = answer.response.bytes().await.map_err(|error| http::unreachable(&url, &error))?;
        serde_json::from_slice(&body).map_err(|error| HubError::Corrupt {
            file: url.to_string(),
            cause: format!("is no description of a dataset: {error}"),
        })
    }

    fn described_before(&self, cache: &Cache, revision: &str) -> Result<RepoInfo, HubError> {
        let known = cache.commit(revision).and_then(|commit| cache.info(&commit));
        known.ok_or_else(|| HubError::Offline { what: format!("its revision `{revision}`") })
    }

    /// The commit and the files to read, with the revision that names them in a record. A default branch without
    /// data is replaced by the hub's conversion where there is one.
    async fn resolve(&self, source: &mut Source) -> Result<(RepoInfo, Choice, String), Fault> {
        let revision = self.options.revision.as_str();
        let mut info = self.describe(source, revision).await.map_err(|error| self.fault(error))?;
        let mut name = info.sha.clone();
        if !choose::has_data(&info) && revision == DEFAULT_REVISION {
            match self.describe(source, CONVERTED).await {
                Ok(converted) => {
                    name = format!("{CONVERTED}@{}", converted.sha);
                    source
                        .warnings
                        .push(format!("{}: read from the hub's conversion to parquet", self.subject()));
                    info = converted;
                }
                Err(error) if error.is_absent() || matches!(error, HubError::Offline { .. }) => {}
                Err(error) => return Err(self.fault(error)),
            }
        }
        let subject = self.subject();
        let asked =
            Asked { subject: &subject, config: self.options.config.as_deref(), split: &self.options.split };
        let choice = choose::choose(&info, &asked)?;
        Ok((info, choice, name))
    }

    /// One file's path on this machine.
    async fn bring(
        &self,
        source: &Source,
        commit: &str,
        file: &str,
        progress: &dyn LoadProgress,
    ) -> Result<PathBuf, HubError> {
        if let Some(http) = &source.http {
            return fetch::fetch(http, &source.cache, Wanted { id: &self.id, commit, file }, progress).await;
        }
        let cached = source.cache.snapshot(commit, file).filter(|path| path.exists());
        cached.ok_or_else(|| HubError::Offline { what: format!("its file {file}") })
    }
}

#[async_trait]
impl Dataset for HubDataset {
    async fn load(&self, limit: usize, progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        let http =
            if self.env.offline { None } else { Some(Http::new(&self.env).map_err(|e| self.fault(e))?) };
        let mut source = Source { http, cache: Cache::new(&self.env.cache, &self.id), warnings: Vec::new() };
        let (info, choice, revision) = self.resolve(&mut source).await?;
        let seed = self.options.shuffle_seed;
        let mut rows = Rows { total: Some(0), ..Rows::default() };
        for file in &choice.files {
            let Some(take) = Take::for_limit(limit, seed).after(rows.found()) else {
                rows.total = None;
                break;
            };
            let path =
                self.bring(&source, &info.sha, file, progress).await.map_err(|error| self.fault(error))?;
            let want = Want {
                subject: format!("{} ({file})", self.subject()),
                column: self.options.text_column_name.clone(),
                take,
                txt_separator: self.options.txt_separator.clone(),
            };
            rows.append(read_apart(choice.format, path, want).await?);
        }
        tracing::debug!(dataset = self.id, config = choice.config, rows = rows.cells.len(), "read");
        let origin = Origin { name: self.id.clone(), kind: "hub", revision: Some(revision) };
        let mut loaded = rows::assemble(origin, rows, limit, seed)?;
        loaded.warnings.append(&mut source.warnings);
        Ok(loaded)
    }
}
