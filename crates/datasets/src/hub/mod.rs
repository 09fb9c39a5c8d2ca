//! Datasets on the Hugging Face hub.
//!
//! Asks the hub for the dataset's commit and files, chooses the files of the configuration and split, downloads as
//! many as the prompts asked for need, and reads them as local files are read. Runs no code of a dataset: one that
//! only has a loading script is read from the hub's own parquet conversion.

mod card;
mod choose;
mod glob;

use ai_energy_core::{Dataset, Fault, LoadProgress, LoadedPrompts};
use ai_energy_hub::{DEFAULT_REVISION, Hub, HubEnv, HubError, Kind, Repo, RepoInfo};
use async_trait::async_trait;

use self::choose::{Asked, Choice};
use crate::files::read_apart;
use crate::kinds::KINDS;
use crate::nearest::nearest;
use crate::options::Options;
use crate::rows::{self, Origin, Rows, Take, Want};

/// The branch on which the hub keeps its own conversion of a dataset to parquet.
const CONVERTED: &str = "refs/convert/parquet";

/// A dataset on the hub.
#[derive(Debug)]
pub(crate) struct HubDataset {
    options: Options,
    env: HubEnv,
    repo: Repo,
}

impl HubDataset {
    /// The dataset that the options name. Asks nothing yet.
    pub(crate) fn new(options: &Options, env: HubEnv) -> Self {
        let id = options.dataset_name.trim().to_owned();
        let repo = Repo { kind: Kind::Dataset, id, revision: options.revision.clone() };
        Self { options: options.clone(), env, repo }
    }

    /// The error as a user is told it: a name that the hub does not know may be meant for another kind of dataset.
    fn fault(&self, hub: &Hub, error: HubError) -> Fault {
        let unknown = error.is_unknown_repo();
        let fault = hub.fault(error);
        let kinds = KINDS.iter().map(|kind| kind.name).filter(|name| *name != "hub");
        match nearest(&self.repo.id, kinds).filter(|_| unknown) {
            Some(kind) => fault.remedy(format!("did you mean `{kind}`?")),
            None => fault,
        }
    }

    /// The commit and the files to read, with the revision that names them in a record, and what to warn of. A default
    /// branch without data is replaced by the hub's conversion where there is one.
    async fn resolve(&self, hub: &mut Hub) -> Result<(RepoInfo, Choice, String, Vec<String>), Fault> {
        let revision = self.options.revision.as_str();
        let mut info = hub.describe(revision).await.map_err(|error| self.fault(hub, error))?;
        let mut warnings = hub.take_warnings();
        let mut name = info.sha.clone();
        if !choose::has_data(&info) && revision == DEFAULT_REVISION {
            match hub.describe(CONVERTED).await {
                Ok(converted) => {
                    name = format!("{CONVERTED}@{}", converted.sha);
                    warnings.append(&mut hub.take_warnings());
                    warnings
                        .push(format!("{}: read from the hub's conversion to parquet", self.repo.subject()));
                    info = converted;
                }
                Err(error) if error.is_absent() || matches!(error, HubError::Offline { .. }) => {}
                Err(error) => return Err(self.fault(hub, error)),
            }
        }
        let subject = self.repo.subject();
        let asked =
            Asked { subject: &subject, config: self.options.config.as_deref(), split: &self.options.split };
        let choice = choose::choose(&info, &asked)?;
        Ok((info, choice, name, warnings))
    }
}

#[async_trait]
impl Dataset for HubDataset {
    async fn load(&self, limit: usize, progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        let mut hub = Hub::new(self.repo.clone(), &self.env)?;
        let (info, choice, revision, mut warnings) = self.resolve(&mut hub).await?;
        let seed = self.options.shuffle_seed;
        let mut rows = Rows { total: Some(0), ..Rows::default() };
        for file in &choice.files {
            let Some(take) = Take::for_limit(limit, seed).after(rows.found()) else {
                rows.total = None;
                break;
            };
            let path = hub.fetch(&info.sha, file, progress).await.map_err(|error| self.fault(&hub, error))?;
            let want = Want {
                subject: format!("{} ({file})", self.repo.subject()),
                column: self.options.text_column_name.clone(),
                take,
                txt_separator: self.options.txt_separator.clone(),
            };
            rows.append(read_apart(choice.format, path, want).await?);
        }
        tracing::debug!(dataset = self.repo.id, config = choice.config, rows = rows.cells.len(), "read");
        let origin = Origin { name: self.repo.id.clone(), kind: "hub", revision: Some(revision) };
        let mut loaded = rows::assemble(origin, rows, limit, seed)?;
        loaded.warnings.append(&mut warnings);
        Ok(loaded)
    }
}
