//! The cache on disk, in the layout that Python's `huggingface_hub` uses, so that both find each other's files:
//! `datasets--owner--name/` or `models--owner--name/` with `refs/REVISION` (a file that holds a commit), `blobs/ETAG` (the contents) and
//! `snapshots/COMMIT/PATH` (links to blobs). Locks are where Python has them, and of the same kind (`flock`).
//!
//! Beside these it keeps `.ai-energy/COMMIT.json`, what the hub said of that commit, so that offline use chooses the
//! same files. Refuses to know the network. Every call touches a few small files at most.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::HubError;
use crate::info::{RepoInfo, Sibling};
use crate::repo::Kind;

/// The cache of one repository.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
    locks: PathBuf,
}

impl Cache {
    /// The place of a repository in the cache folder.
    pub(crate) fn new(cache: &Path, kind: Kind, id: &str) -> Self {
        let folder = format!("{}--{}", kind.plural(), id.replace('/', "--"));
        Self { locks: cache.join(".locks").join(&folder), root: cache.join(folder) }
    }

    /// The commit that a revision stood for when it was last asked for. A full commit stands for itself.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(inside(revision)?)).ok()?;
        let commit = text.trim().to_owned();
        is_plain(&commit).then_some(commit)
    }

    /// Keeps what the hub said.
    pub(crate) fn keep(&self, revision: &str, info: &RepoInfo) -> Result<(), HubError> {
        if !is_plain(&info.sha) {
            let cause = "the hub's answer has no usable commit".to_owned();
            return Err(HubError::Corrupt { file: "the repository's description".to_owned(), cause });
        }
        if let (false, Some(path)) = (is_commit(revision), inside(revision)) {
            let path = self.root.join("refs").join(path);
            if fs::read_to_string(&path).ok().as_deref() != Some(info.sha.as_str()) {
                replace(&path, info.sha.as_bytes())?;
            }
        }
        let text = serde_json::to_vec(info).map_err(|error| failed(&self.root, &io::Error::other(error)))?;
        replace(&self.info_path(&info.sha), &text)
    }

    /// What is known of a commit: what the hub said, else the files that are here.
    pub(crate) fn info(&self, commit: &str) -> Option<RepoInfo> {
        let kept = fs::read(self.info_path(commit)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        kept.or_else(|| {
            let snapshot = self.root.join("snapshots").join(commit);
            let mut files = Vec::new();
            collect(&snapshot, &snapshot, &mut files);
            files.sort();
            let siblings: Vec<Sibling> = files.into_iter().map(|rfilename| Sibling { rfilename }).collect();
            (!siblings.is_empty()).then(|| RepoInfo { sha: commit.to_owned(), siblings, card: None })
        })
    }

    fn info_path(&self, commit: &str) -> PathBuf {
        self.root.join(".ai-energy").join(format!("{commit}.json"))
    }

    /// Where a file of a commit is or will be; `None` for a path that would leave the cache.
    pub(crate) fn snapshot(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.root.join("snapshots").join(commit).join(inside(file)?))
    }

    /// The folder of a commit.
    pub(crate) fn folder(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Where the contents with this tag are or will be.
    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Waits until no other process downloads the same contents. The lock goes with the file handle.
    pub(crate) async fn lock(&self, etag: &str) -> Result<File, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        let fail = |error: &io::Error| failed(&path, error);
        fs::create_dir_all(&self.locks).map_err(|error| fail(&error))?;
        let mut options = OpenOptions::new();
        let file =
            options.create(true).write(true).truncate(false).open(&path).map_err(|error| fail(&error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        tracing::info!(lock = %path.display(), "another process downloads this file; waiting for it");
                        told = true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // Some network file systems cannot lock; Python's tools go on without, too.
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, "no locks on this file system");
                    return Ok(file);
                }
            }
        }
    }

    /// Makes the contents with this tag appear as a file of a commit.
    pub(crate) fn link(&self, etag: &str, commit: &str, file: &str) -> Result<PathBuf, HubError> {
        let outside = || HubError::Corrupt {
            file: file.to_owned(),
            cause: "its path leaves the repository".to_owned(),
        };
        let pointer = self.snapshot(commit, file).ok_or_else(outside)?;
        if pointer.exists() {
            return Ok(pointer);
        }
        let fail = |error: &io::Error| failed(&pointer, error);
        if let Some(folder) = pointer.parent() {
            fs::create_dir_all(folder).map_err(|error| fail(&error))?;
        }
        // A link whose blob was deleted is in the way.
        match fs::remove_file(&pointer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(&error)),
            _ => {}
        }
        let up = "../".repeat(file.matches('/').count() + 2);
        match point(&format!("{up}blobs/{etag}"), &self.blob(etag), &pointer) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(fail(&error)),
            _ => Ok(pointer),
        }
    }
}

/// Links with a relative path, so that the cache can be moved.
#[cfg(unix)]
fn point(target: &str, _blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

/// Copies where links need rights that users do not have; Python's tools do so, too.
#[cfg(not(unix))]
fn point(_target: &str, blob: &Path, pointer: &Path) -> io::Result<()> {
    fs::copy(blob, pointer).map(|_| ())
}

/// Writes a file whole or not at all, beside it first.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(name);
        fs::write(&beside, bytes)?;
        fs::rename(&beside, path)
    };
    write().map_err(|error: io::Error| failed(path, &error))
}

/// The fault of a cache path.
pub(crate) fn failed(path: &Path, error: &io::Error) -> HubError {
    HubError::Cache { path: path.display().to_string(), cause: error.to_string() }
}

/// A relative path that stays inside its folder.
fn inside(path: &str) -> Option<PathBuf> {
    let fits = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']);
    path.split('/').all(fits).then(|| path.split('/').collect())
}

/// Whether a text can be a file name: commits and tags come from the network.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether a revision is a full commit.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(relative) = path.strip_prefix(root) {
            let parts: Vec<String> =
                relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            files.push(parts.join("/"));
        }
    }
}
