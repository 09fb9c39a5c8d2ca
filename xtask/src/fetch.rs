//! A folder in the user's cache made from wheels: whole or not at all, once for all clones, by one call at a time.
//!
//! Refuses to know what it is for.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::wheels::{self, Wheel};
use crate::{place, say};

/// The file that says a folder is complete, and of what.
const STAMP: &str = ".stamp";

/// A folder to make.
pub(crate) struct Wanted<'a> {
    /// The folder's name in the cache.
    pub(crate) name: &'a str,
    /// What it is, for people.
    pub(crate) what: &'a str,
    /// What it is made from.
    pub(crate) wheels: &'a [Wheel],
    /// Names pip knows the platform by.
    pub(crate) platforms: &'a [&'a str],
    /// Room needed while it is made, in bytes.
    pub(crate) room: u64,
    /// Changes when the making changes.
    pub(crate) layout: u32,
    /// Files that must be there at the end.
    pub(crate) needed: &'a [&'a str],
    /// What is done to the unpacked files.
    pub(crate) finish: &'a dyn Fn(&Path) -> Result<()>,
}

impl Wanted<'_> {
    /// A text that changes with anything the folder is made from, so that an older one is known as such.
    fn stamp(&self) -> String {
        let mut lines = vec![format!("{}, layout {}", self.name, self.layout)];
        lines.extend(self.wheels.iter().map(|wheel| {
            format!("{}=={} {} {}", wheel.package, wheel.version, wheel.sha256, wheel.wanted.join(" "))
        }));
        lines.join("\n")
    }

    /// Whether the folder was made from this very table and still has what is needed.
    fn is_complete(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == self.stamp())
            && self.needed.iter().all(|file| folder.join(file).is_file())
    }
}

/// The folder, made first where it is not there.
///
/// # Errors
/// The wheels cannot be had, checked or unpacked, or there is no room.
pub(crate) fn folder(wanted: &Wanted<'_>) -> Result<PathBuf> {
    folder_in(&place::cache()?, wanted, Path::new(wheels::python()))
}

/// [`folder`] in a given cache, by pip of a given Python.
fn folder_in(cache: &Path, wanted: &Wanted<'_>, python: &Path) -> Result<PathBuf> {
    let folder = cache.join(wanted.name);
    if wanted.is_complete(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = cache.join(format!("{}.lock", wanted.name));
    let lock = File::create(&lock).with_context(|| format!("cannot make {}", lock.display()))?;
    if lock.try_lock().is_err() {
        say(&format!("another call fetches {}; waiting for it", wanted.what));
        lock.lock().context("the lock of the cache cannot be taken")?;
    }
    if !wanted.is_complete(&folder) {
        make(cache, &folder, wanted, python)?;
    }
    Ok(folder)
}

/// Makes it beside its place, and moves it there when it is whole.
fn make(cache: &Path, folder: &Path, wanted: &Wanted<'_>, python: &Path) -> Result<()> {
    place::need_room(cache, wanted.room, &format!("getting {}", wanted.what))?;
    let partial = cache.join(format!("{}.partial", wanted.name));
    let root = partial.join("root");
    remove(&root)?;
    wheels::bring(python, wanted.wheels, wanted.platforms, &partial.join("wheels"), &root)?;
    (wanted.finish)(&root)?;
    write(&root.join(STAMP), &wanted.stamp())?;
    if let Some(missing) = wanted.needed.iter().find(|file| !root.join(file).is_file()) {
        bail!("{}: {missing} is missing in {} after unpacking", wanted.what, root.display());
    }
    remove(folder)?;
    fs::rename(&root, folder)
        .with_context(|| format!("cannot move {} to {}", wanted.what, folder.display()))?;
    remove(&partial)
}

/// Writes a small file.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
