//! Where a model's files are: on this machine, or on the hub, from which they are brought into the cache that Python's
//! tools share.
//!
//! Refuses to know what is in the files, but for the list of shards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, LoadProgress};
use ai_energy_hub::{Hub, HubEnv, Repo, RepoInfo, is_hub_id};

/// The list of shards.
const INDEX: &str = "model.safetensors.index.json";
/// The weights where they are one file.
const SINGLE: &str = "model.safetensors";

/// What a model's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// A folder or file of this machine.
    Here,
    /// A model on the hub.
    Hub(String),
    /// One GGUF file of a repository on the hub.
    Gguf {
        /// The repository.
        repo: String,
        /// The file's path in it.
        file: String,
    },
}

/// What is wanted of a model on the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its weights too, not only what describes it.
    pub(crate) weights: bool,
    /// The code that comes with it.
    pub(crate) code: bool,
}

/// A model's files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// The folder, or the GGUF file.
    pub(crate) path: PathBuf,
    /// What was brought, for people; `None` where the files were here.
    pub(crate) brought: Option<String>,
    /// The commit on the hub.
    pub(crate) commit: Option<String>,
    /// Whether the weights are there in a format that is safe to read; `false` where the hub has them in another one.
    pub(crate) has_weights: bool,
    /// Things the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Named {
    /// What `model` means on this machine.
    ///
    /// # Errors
    /// It can be neither a path nor a model of the hub.
    pub(crate) fn new(model: &str) -> Result<Self, Fault> {
        let fault = |cause: &str| {
            Err(Fault::new(FaultKind::Usage, "backend.model", format!("`{model}` {cause}"))
                .remedy("name a folder, a .gguf file, owner/name on the hub, or owner/name/file.gguf"))
        };
        if Path::new(model).exists() {
            return Ok(Self::Here);
        }
        if model.starts_with(['/', '.', '~']) || model.contains('\\') {
            return fault("is not there");
        }
        let parts: Vec<&str> = model.splitn(3, '/').collect();
        match parts.as_slice() {
            [owner, name, file] if has_ending(file, "gguf") && is_hub_id(&format!("{owner}/{name}")) => {
                Ok(Self::Gguf { repo: format!("{owner}/{name}"), file: (*file).to_owned() })
            }
            [file] if has_ending(file, "gguf") => fault("is not there"),
            _ if is_hub_id(model) => Ok(Self::Hub(model.to_owned())),
            _ => fault("is neither a path that is there nor a possible name on the hub"),
        }
    }
}

/// Brings a model's files to this machine.
///
/// # Errors
/// The hub has no such model or does not answer, or what it has cannot be used.
pub(crate) async fn bring(
    model: &str,
    named: &Named,
    wanted: Wanted,
    hub: Option<&HubEnv>,
    progress: &dyn LoadProgress,
) -> Result<Files, Fault> {
    let (repo, file) = match named {
        Named::Here => {
            let path = PathBuf::from(model);
            return Ok(Files { path, brought: None, commit: None, has_weights: true, warnings: Vec::new() });
        }
        Named::Hub(repo) => (repo, None),
        Named::Gguf { repo, file } => (repo, Some(file)),
    };
    let env = hub.ok_or_else(|| {
        Fault::new(FaultKind::Usage, "backend.model", format!("`{model}` is not on this machine"))
            .remedy("name a folder or a .gguf file")
    })?;
    let mut hub = Hub::new(Repo::model(repo.as_str()), env)?;
    let revision = hub.repo().revision.clone();
    let info = hub.describe(&revision).await.map_err(|error| hub.fault(error))?;
    let mut bringing = Bringing { hub: &hub, info: &info, progress, brought: 0 };
    let (path, has_weights) = match file {
        Some(file) => (bringing.one(file).await?, true),
        None => bringing.model(wanted).await?,
    };
    let brought = format!("{} of {repo} at {}", count(bringing.brought), &info.sha[..info.sha.len().min(8)]);
    let warnings = hub.take_warnings();
    Ok(Files { path, brought: Some(brought), commit: Some(info.sha), has_weights, warnings })
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// One repository whose files are brought.
struct Bringing<'a> {
    hub: &'a Hub,
    info: &'a RepoInfo,
    progress: &'a dyn LoadProgress,
    brought: usize,
}

impl Bringing<'_> {
    async fn one(&mut self, file: &str) -> Result<PathBuf, Fault> {
        if !self.info.files().contains(&file) {
            return Err(self.fault(format!("has no file {file}"), self.gguf_files()));
        }
        self.brought += 1;
        let path = self.hub.fetch(&self.info.sha, file, self.progress).await;
        path.map_err(|error| self.hub.fault(error))
    }

    /// The folder, and whether the weights are in it.
    async fn model(&mut self, wanted: Wanted) -> Result<(PathBuf, bool), Fault> {
        let config = "config.json";
        if !self.info.files().contains(&config) {
            return Err(self.fault(format!("has no {config}"), self.gguf_files()));
        }
        let small: Vec<String> = self
            .info
            .files()
            .into_iter()
            .filter(|file| describes(file, wanted.code))
            .map(str::to_owned)
            .collect();
        let mut folder = PathBuf::new();
        for file in &small {
            let path = self.one(file).await?;
            if file == config {
                folder = path.parent().map(Path::to_owned).unwrap_or_default();
            }
        }
        if !wanted.weights {
            return Ok((folder, false));
        }
        let files = self.info.files();
        let shards: BTreeSet<String> = if files.contains(&INDEX) {
            self.shards(&folder.join(INDEX))?
        } else if files.contains(&SINGLE) {
            BTreeSet::from([SINGLE.to_owned()])
        } else {
            return Ok((folder, false));
        };
        for shard in &shards {
            self.one(shard).await?;
        }
        Ok((folder, true))
    }

    /// The files that the list of shards names.
    fn shards(&self, index: &Path) -> Result<BTreeSet<String>, Fault> {
        let read = std::fs::read(index).map_err(|error| error.to_string());
        let value: Result<serde_json::Value, String> =
            read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        let value = value.map_err(|error| {
            self.fault(format!("has a list of shards that cannot be read: {error}"), Vec::new())
        })?;
        let files = value["weight_map"].as_object().into_iter().flat_map(|map| map.values());
        let shards: BTreeSet<String> = files.filter_map(|file| Some(file.as_str()?.to_owned())).collect();
        if shards.is_empty() {
            return Err(self.fault(format!("has a list of shards, {INDEX}, that names none"), Vec::new()));
        }
        Ok(shards)
    }

    fn gguf_files(&self) -> Vec<&str> {
        self.info.files().into_iter().filter(|file| has_ending(file, "gguf")).collect()
    }

    fn fault(&self, cause: String, gguf: Vec<&str>) -> Fault {
        let repo = self.hub.repo();
        let fault = Fault::new(FaultKind::Usage, repo.subject(), cause);
        if gguf.is_empty() {
            return fault.remedy("name a model that Hugging Face transformers can load");
        }
        let shown: Vec<String> = gguf.iter().take(8).map(|file| format!("{}/{file}", repo.id)).collect();
        fault.remedy(format!("name one of its GGUF files: {}", shown.join(", ")))
    }
}

/// Whether a file at the root of a repository describes its model: configuration, tokenizer, templates, and the code that
/// comes with it where that may run.
fn describes(file: &str, code: bool) -> bool {
    let kinds: &[&str] =
        if code { &["json", "txt", "model", "jinja", "py"] } else { &["json", "txt", "model", "jinja"] };
    !file.contains('/') && kinds.iter().any(|ending| has_ending(file, ending))
}

fn has_ending(file: &str, ending: &str) -> bool {
    Path::new(file).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Named::new(&folder.path().display().to_string()), Ok(Named::Here));
        assert_eq!(Named::new("owner/name"), Ok(Named::Hub("owner/name".into())));
        assert_eq!(Named::new("gpt2"), Ok(Named::Hub("gpt2".into())));
        let gguf = Named::Gguf { repo: "o/n".into(), file: "sub/f-Q4.gguf".into() };
        assert_eq!(Named::new("o/n/sub/f-Q4.gguf"), Ok(gguf));
        for wrong in ["./nowhere", "/nowhere/model", "~/model", "a b", "o/n/file.bin", "nowhere.gguf"] {
            let fault = Named::new(wrong).unwrap_err();
            assert!(fault.cause.contains(wrong) && fault.remedy.contains("gguf"), "{fault}");
        }
    }

    #[test]
    fn small_files_are_those_that_describe() {
        for file in
            ["config.json", "tokenizer.json", "chat_template.jinja", "merges.txt", "tokenizer.model", INDEX]
        {
            assert!(describes(file, false), "{file}");
        }
        for file in
            ["model.safetensors", "README.md", "onnx/config.json", "modeling_x.py", "pytorch_model.bin"]
        {
            assert!(!describes(file, false), "{file}");
        }
        assert!(describes("modeling_x.py", true));
    }
}
