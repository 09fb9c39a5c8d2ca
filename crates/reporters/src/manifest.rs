//! `manifest.json`: the files of a run's folder with their sizes and SHA-256, so that a copy can be held against what was
//! written.
//!
//! Written last, as a whole, hence a folder without one is of a run that did not come to its end. Lists what the run wrote
//! and nothing else: a results folder may hold other people's files. Refuses to know what is in a file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Written};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{io_fault, write_whole};
use crate::json::pretty;

/// The file's name within the run's folder.
pub const FILE_NAME: &str = "manifest.json";

/// The shape of the file. A newer one is refused.
const SCHEMA_VERSION: u32 = 1;

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path within the folder, with `/` between parts.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

/// What was written, by whom and for which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's shape.
    pub schema_version: u32,
    /// The run's id.
    pub run_id: String,
    /// The program that wrote the files.
    pub program: String,
    /// Its version.
    pub program_version: String,
    /// Its git revision; `None` where the build does not tell.
    #[serde(default)]
    pub program_revision: Option<String>,
    /// Version of the shape of the report's figures.
    pub report_schema_version: u32,
    /// The files by their paths.
    pub files: Vec<Entry>,
}

/// What became of a file since the manifest was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Deviation {
    /// It is gone.
    Missing {
        /// Its path within the folder.
        path: String,
    },
    /// Its content is another one.
    Changed {
        /// Its path within the folder.
        path: String,
        /// In words: how the size or the hash differs.
        how: String,
    },
    /// The manifest does not know it.
    Extra {
        /// Its path within the folder.
        path: String,
    },
}

/// Writes the manifest of `files`, paths of files within `dir`; others, such as files that collect runs elsewhere, and files
/// that are not there are left out.
///
/// # Errors
/// A file cannot be read, or the manifest cannot be written.
pub fn write_manifest(
    dir: &Path,
    run_id: &str,
    revision: Option<&str>,
    files: &[PathBuf],
) -> Result<Written, Fault> {
    let mut names: Vec<String> = files.iter().filter_map(|file| name_within(dir, file)).collect();
    names.retain(|name| name != FILE_NAME && dir.join(name).is_file());
    names.sort();
    names.dedup();
    let files = names.into_iter().map(|name| entry(dir, name)).collect::<Result<_, _>>()?;
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        run_id: run_id.to_owned(),
        program: "ai-energy-benchmark".to_owned(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        program_revision: revision.map(str::to_owned),
        report_schema_version: ai_energy_core::summary::SCHEMA_VERSION,
        files,
    };
    let path = dir.join(FILE_NAME);
    let value = serde_json::to_value(&manifest).unwrap_or_default();
    write_whole(&path, &pretty(&path.display().to_string(), &value)?)?;
    Ok(Written::at(&path))
}

/// Reads a folder's manifest; `None` where there is none.
///
/// # Errors
/// It cannot be read, is damaged, or was written by a newer version.
pub fn read_manifest(dir: &Path) -> Result<Option<Manifest>, Fault> {
    let path = dir.join(FILE_NAME);
    let wrong = |cause: String| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause)
            .remedy("restore the file from a copy, or write it anew with `summarize --write`")
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is no manifest: {error}")))?;
    if manifest.schema_version > SCHEMA_VERSION {
        return Err(wrong(format!("is of version {}, newer than this program", manifest.schema_version)));
    }
    Ok(Some(manifest))
}

/// Holds the folder against its manifest. Folders within it that no entry names, such as those of earlier runs, are not
/// looked into.
///
/// # Errors
/// A file or the folder cannot be read.
pub fn deviations(dir: &Path, manifest: &Manifest) -> Result<Vec<Deviation>, Fault> {
    let mut found = Vec::new();
    for listed in &manifest.files {
        let path = listed.path.clone();
        if !is_within(&path) {
            let how = "the manifest names a place outside the folder".to_owned();
            found.push(Deviation::Changed { path, how });
            continue;
        }
        if !dir.join(&path).is_file() {
            found.push(Deviation::Missing { path });
            continue;
        }
        let now = entry(dir, path.clone())?;
        if now.size != listed.size {
            let how = format!("{} bytes, were {}", now.size, listed.size);
            found.push(Deviation::Changed { path, how });
        } else if now.sha256 != listed.sha256 {
            let how = format!("SHA-256 {:.12}…, was {:.12}…", now.sha256, listed.sha256);
            found.push(Deviation::Changed { path, how });
        }
    }
    let known = |name: &String| name == FILE_NAME || manifest.files.iter().any(|file| file.path == *name);
    let extra = files_of(dir, manifest)?.into_iter().filter(|name| !known(name));
    found.extend(extra.map(|path| Deviation::Extra { path }));
    Ok(found)
}

/// The files that the folder holds, and those in its folders that the manifest knows.
fn files_of(dir: &Path, manifest: &Manifest) -> Result<Vec<String>, Fault> {
    let inner = manifest.files.iter().filter_map(|file| Some(file.path.rsplit_once('/')?.0.to_owned()));
    let mut folders: Vec<String> = inner.filter(|folder| is_within(folder)).collect();
    folders.push(String::new());
    folders.sort();
    folders.dedup();
    let mut names = Vec::new();
    for folder in folders {
        let place = dir.join(&folder);
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let entry = entry.map_err(|error| io_fault(&place, "cannot be listed", &error))?;
            if entry.path().is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                names.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
            }
        }
    }
    names.sort();
    Ok(names)
}

fn entry(dir: &Path, path: String) -> Result<Entry, Fault> {
    let place = dir.join(&path);
    let unreadable = |error: io::Error| io_fault(&place, "cannot be read", &error);
    let mut file = File::open(&place).map_err(unreadable)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0_u8; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(Entry { path, size, sha256: hex(&hash.finalize()) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file's path within the folder with `/` between parts; `None` where it lies elsewhere.
fn name_within(dir: &Path, file: &Path) -> Option<String> {
    let inside = file.strip_prefix(dir).ok()?;
    let parts: Vec<String> =
        inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let name = parts.join("/");
    is_within(&name).then_some(name)
}

/// Whether a path stays in its folder.
pub(crate) fn is_within(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "abc").unwrap();
        fs::create_dir(folder.path().join("segment-2")).unwrap();
        fs::write(folder.path().join("segment-2/b.jsonl"), "{}\n").unwrap();
        folder
    }

    #[test]
    fn hashes_are_those_of_the_standard_and_every_deviation_is_named() {
        let folder = folder();
        let dir = folder.path();
        let files = ["a.json", "segment-2/b.jsonl", "absent"].map(|name| dir.join(name));
        let outside = [PathBuf::from("/elsewhere/c.csv")];
        write_manifest(dir, "run", None, &[&files[..], &outside].concat()).unwrap();
        let manifest = read_manifest(dir).unwrap().unwrap();
        let listed: Vec<_> = manifest.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(listed, [("a.json", 3), ("segment-2/b.jsonl", 3)]);
        // FIPS 180-2, the example `abc`.
        assert!(manifest.files[0].sha256.starts_with("ba7816bf8f01cfea414140de5dae2223b00361a3"));
        assert_eq!(deviations(dir, &manifest).unwrap(), []);

        fs::write(dir.join("a.json"), "abd").unwrap();
        fs::remove_file(dir.join("segment-2/b.jsonl")).unwrap();
        fs::write(dir.join("segment-2/c"), "").unwrap();
        fs::create_dir(dir.join("an-earlier-run")).unwrap();
        fs::write(dir.join("an-earlier-run/x"), "").unwrap();
        let found = deviations(dir, &manifest).unwrap();
        assert!(
            matches!(&found[0], Deviation::Changed { path, how } if path == "a.json" && how.contains("SHA"))
        );
        assert_eq!(found[1], Deviation::Missing { path: "segment-2/b.jsonl".to_owned() });
        assert_eq!(found[2..], [Deviation::Extra { path: "segment-2/c".to_owned() }]);
    }

    #[test]
    fn a_manifest_that_is_damaged_newer_or_points_outside_is_no_reason_to_trust_it() {
        let folder = folder();
        let dir = folder.path();
        assert_eq!(read_manifest(dir).unwrap(), None);
        let path = dir.join(FILE_NAME);
        fs::write(&path, "{").unwrap();
        assert!(read_manifest(dir).unwrap_err().cause.contains("no manifest"));
        write_manifest(dir, "run", Some("abc"), &[dir.join("a.json")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"a.json\"", "\"../a.json\"")).unwrap();
        let found = deviations(dir, &read_manifest(dir).unwrap().unwrap()).unwrap();
        assert!(
            found.iter().any(
                |what| matches!(what, Deviation::Changed { path, how } if path == "../a.json" && how.contains("outside"))
            ),
            "{found:?}"
        );
        fs::write(&path, text.replace("\"schema_version\": 1", "\"schema_version\": 9")).unwrap();
        assert!(read_manifest(dir).unwrap_err().cause.contains("version 9"));
    }
}
