//! The archive: unpack it anywhere, and the program in it runs.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::fs::File;
use std::path::{Path, PathBuf};
use tar::{Builder, Header};

use super::tools::text;
use super::{Dist, PROGRAM, binary, licences};
use crate::{place, say, shell};

/// Shells that have completions, and the file that each looks for.
pub(super) const SHELLS: [(&str, &str); 3] =
    [("bash", PROGRAM), ("zsh", "_ai-energy-benchmark"), ("fish", "ai-energy-benchmark.fish")];

/// The archive's file.
pub(super) fn path(dist: &Dist) -> PathBuf {
    dist.out.join(format!("{}.tar.gz", dist.stem()))
}

/// The folder that is packed.
fn staged(dist: &Dist) -> PathBuf {
    dist.work.join("stage").join(dist.stem())
}

/// Lays the folder out and packs it.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let folder = staged(dist);
    super::copy(&binary::path(dist), &folder.join(PROGRAM))?;
    for name in ["README.md", "LICENSE", "CHANGELOG.md"] {
        super::copy(&dist.root.join(name), &folder.join(name))?;
    }
    super::copy(&dist.out.join(licences::FILE), &folder.join(licences::FILE))?;
    for file in super::files_below(&dist.root.join("configs"))? {
        super::copy(&dist.root.join("configs").join(&file), &folder.join("configs").join(&file))?;
    }
    let program = folder.join(PROGRAM);
    completions(&program, &folder.join("completions"))?;
    man_pages(&program, &folder.join("man"))?;
    let packed = tar_gz(&folder, Path::new(&dist.stem()), 0o755)?;
    std::fs::write(path(dist), &packed).context("cannot write the archive")?;
    say(&format!("   {} in {} files", place::size(packed.len() as u64), super::files_below(&folder)?.len()));
    Ok(())
}

/// The completion scripts, as the program prints them.
pub(super) fn completions(program: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (shell, file) in SHELLS {
        let printed = std::process::Command::new(program).args(["completions", shell]).output()?;
        anyhow::ensure!(printed.status.success(), "no completions for {shell}");
        std::fs::write(folder.join(file), printed.stdout).context("cannot write completions")?;
    }
    Ok(())
}

/// The manual pages, as the program writes them.
pub(super) fn man_pages(program: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    shell(folder, text(program)?, &["man", "--dir", text(folder)?])
}

/// A folder as a compressed archive below `name`. Times, owners and order are fixed: the same content gives the same bytes.
/// Files that the owner may run get the mode `runnable`, others 0644.
pub(super) fn tar_gz(folder: &Path, name: &Path, runnable: u32) -> Result<Vec<u8>> {
    let packer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = Builder::new(packer);
    let mut folders = std::collections::BTreeSet::new();
    for file in super::files_below(folder)? {
        let below = name.join(&file);
        for parent in below.ancestors().skip(1).filter(|parent| !matches!(parent.to_str(), Some("" | "."))) {
            folders.insert(parent.to_owned());
        }
    }
    for parent in folders {
        let mut header = header(tar::EntryType::Directory, 0, 0o755);
        archive.append_data(&mut header, &parent, std::io::empty())?;
    }
    for file in super::files_below(folder)? {
        let path = folder.join(&file);
        let meta = path.metadata()?;
        let mode = if is_runnable(&meta) { runnable } else { 0o644 };
        let mut header = header(tar::EntryType::Regular, meta.len(), mode);
        archive.append_data(&mut header, name.join(&file), File::open(&path)?)?;
    }
    let packer = archive.into_inner().context("the archive cannot be ended")?;
    packer.finish().context("the archive cannot be compressed")
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(unix)]
fn is_runnable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_runnable(_meta: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_gives_the_same_bytes_whenever_it_was_written() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [one.path(), other.path()] {
            std::fs::create_dir(folder.join("sub")).unwrap();
            std::fs::write(folder.join("sub/file"), "content").unwrap();
            std::fs::write(folder.join("a"), "first").unwrap();
        }
        File::open(other.path().join("a")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let packed = tar_gz(one.path(), Path::new("x"), 0o755).unwrap();
        assert_eq!(packed, tar_gz(other.path(), Path::new("x"), 0o755).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["x", "x/sub", "x/a", "x/sub/file"]);
    }
}
