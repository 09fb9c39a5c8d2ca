//! Brings one file of a repository into the cache: resumable, checked, and downloaded once even where several processes
//! want it.
//!
//! Refuses to know what is in the file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ai_energy_core::LoadProgress;
use futures_util::StreamExt;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::cache::{Cache, failed, is_plain};
use crate::error::HubError;
use crate::http::{Answer, Follow, Http, may_pass, text, unreachable};
use crate::repo::Repo;

/// One file of one commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The repository.
    pub(crate) repo: &'a Repo,
    /// The commit.
    pub(crate) commit: &'a str,
    /// Path in the repository.
    pub(crate) file: &'a str,
}

/// What the hub announces about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Announced {
    /// Tag of the contents, fit to be a file name.
    etag: String,
    /// SHA-256 of the contents, where the tag is one: large files are stored under it.
    sha256: Option<String>,
    /// Length in bytes.
    size: Option<u64>,
}

/// The file's path in the cache, downloaded where it is not there yet.
pub(crate) async fn fetch(
    http: &Http,
    cache: &Cache,
    wanted: Wanted<'_>,
    progress: &dyn LoadProgress,
) -> Result<PathBuf, HubError> {
    if let Some(path) = cache.snapshot(wanted.commit, wanted.file).filter(|path| path.exists()) {
        return Ok(path);
    }
    let mut parts = wanted.repo.page();
    parts.extend(["resolve", wanted.commit]);
    parts.extend(wanted.file.split('/'));
    let url = http.url(&parts);
    let announced = announcement(&http.ask(Method::HEAD, &url, 0, Follow::SameHost).await?, wanted.file)?;
    let blob = cache.blob(&announced.etag);
    if !is_whole(&blob, &announced) {
        let _lock = cache.lock(&announced.etag).await?;
        // Whoever held the lock may have brought it.
        if !is_whole(&blob, &announced) {
            Download { http, url: &url, file: wanted.file, blob: &blob, announced: &announced, progress }
                .run()
                .await?;
        }
    }
    cache.link(&announced.etag, wanted.commit, wanted.file)
}

/// Whether the contents are in the cache; a blob only ever gets its name after it was checked.
fn is_whole(blob: &Path, announced: &Announced) -> bool {
    fs::metadata(blob).is_ok_and(|data| announced.size.is_none_or(|size| size == data.len()))
}

/// Reads the headers. Those that begin with `X-Linked-` are about the contents that a redirect leads to.
fn announcement(answer: &Answer, file: &str) -> Result<Announced, HubError> {
    let headers = answer.response.headers();
    let linked = text(headers, "x-linked-etag");
    let Some(tag) = linked.or_else(|| text(headers, "etag")) else {
        let cause = "the hub announces no checksum (ETag) for it".to_owned();
        return Err(HubError::Corrupt { file: file.to_owned(), cause });
    };
    let tag = tag.trim_start_matches("W/").trim_matches('"').to_owned();
    let direct = !answer.response.status().is_redirection();
    let length = || text(headers, "content-length").filter(|_| direct);
    let size = text(headers, "x-linked-size").or_else(length).and_then(|size| size.parse().ok());
    let is_sha256 = tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A tag of another server's making may hold anything; as a file name it is hashed.
    let etag = if is_plain(&tag) { tag.clone() } else { format!("{:x}", Sha256::digest(tag.as_bytes())) };
    Ok(Announced { etag, sha256: is_sha256.then(|| tag.to_lowercase()), size })
}

/// A download under way.
struct Download<'a> {
    http: &'a Http,
    url: &'a Url,
    file: &'a str,
    blob: &'a Path,
    announced: &'a Announced,
    progress: &'a dyn LoadProgress,
}

impl Download<'_> {
    /// Downloads into `BLOB.incomplete`, going on where an earlier attempt stopped, checks, and gives it its name.
    async fn run(&self) -> Result<(), HubError> {
        let mut name = self.blob.as_os_str().to_owned();
        name.push(".incomplete");
        let part = PathBuf::from(name);
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        }
        let (mut failures, mut restarted) = (0, false);
        loop {
            let before = length(&part);
            let (error, asked) = match self.go_on(&part, before).await {
                Ok(()) => match self.check(&part).await {
                    Ok(()) => return fs::rename(&part, self.blob).map_err(|error| failed(self.blob, &error)),
                    // What was resumed may have been rubbish from before; once more from nothing.
                    Err(error) => {
                        remove(&part)?;
                        if restarted || before == 0 {
                            return Err(error);
                        }
                        restarted = true;
                        continue;
                    }
                },
                Err(failure) => failure,
            };
            failures = if length(&part) > before { 1 } else { failures + 1 };
            if failures >= self.http.attempts() || !may_pass(&error) {
                return Err(error);
            }
            tracing::debug!(?error, file = self.file, have = length(&part), "download broke off; going on");
            self.http.wait(failures, asked).await;
        }
    }

    /// One request for what is missing.
    async fn go_on(&self, part: &Path, have: u64) -> Result<(), (HubError, Option<std::time::Duration>)> {
        let have = match self.announced.size {
            Some(size) if have == size && have > 0 => return Ok(()),
            Some(size) if have > size => 0,
            _ => have,
        };
        let asked = self.http.once(&Method::GET, self.url, have, Follow::All).await;
        if let Err((HubError::Status { status: 416, .. }, _)) = &asked {
            remove(part).map_err(|error| (error, None))?;
        }
        let answer = asked?;
        let start = if answer.response.status() == StatusCode::PARTIAL_CONTENT {
            let stated = text(answer.response.headers(), CONTENT_RANGE.as_str());
            stated.as_deref().and_then(first_byte).unwrap_or(have)
        } else {
            0
        };
        if start != 0 && start != have {
            let cause = format!("asked for the bytes from {have} on, the server sent those from {start} on");
            return Err((HubError::Corrupt { file: self.file.to_owned(), cause }, None));
        }
        self.receive(answer, part, start).await.map_err(|error| (error, None))
    }

    /// Writes what comes behind the first `start` bytes.
    async fn receive(&self, answer: Answer, part: &Path, start: u64) -> Result<(), HubError> {
        let fail = |error: io::Error| failed(part, &error);
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(false).open(part).await.map_err(fail)?;
        file.set_len(start).await.map_err(fail)?;
        tokio::io::AsyncSeekExt::seek(&mut file, io::SeekFrom::End(0)).await.map_err(fail)?;
        let total = self.announced.size.or_else(|| answer.response.content_length().map(|rest| start + rest));
        let mut done = start;
        self.progress.bytes(self.file, done, total);
        let mut chunks = answer.response.bytes_stream();
        let ended = loop {
            match chunks.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(unreachable(&answer.url, &error)),
                Some(Ok(chunk)) => {
                    file.write_all(&chunk).await.map_err(fail)?;
                    done += chunk.len() as u64;
                    self.progress.bytes(self.file, done, total);
                }
            }
        };
        file.flush().await.map_err(fail)?;
        match (ended, total) {
            (Ok(()), Some(total)) if done < total => Err(HubError::Unreachable {
                url: self.url.to_string(),
                cause: format!("the connection ended after {done} of {total} bytes"),
            }),
            (ended, _) => ended,
        }
    }

    /// Compares what came with what was announced.
    async fn check(&self, part: &Path) -> Result<(), HubError> {
        let corrupt = |cause| HubError::Corrupt { file: self.file.to_owned(), cause };
        let have = length(part);
        if let Some(size) = self.announced.size.filter(|size| *size != have) {
            return Err(corrupt(format!("{have} bytes came where {size} were announced")));
        }
        let Some(expected) = self.announced.sha256.clone() else {
            return Ok(());
        };
        let path = part.to_owned();
        let digest = tokio::task::spawn_blocking(move || sha256_of(&path)).await;
        let found = digest.map_err(io::Error::other).flatten().map_err(|error| failed(part, &error))?;
        if found == expected {
            return Ok(());
        }
        Err(corrupt(format!("its SHA-256 is {found} where {expected} was announced")))
    }
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

fn remove(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

/// The first position in `bytes 100-199/200`.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
