//! Fetches the pinned libtorch into the user's cache: whole or not at all, once for all clones, by one call at a time.
//!
//! Refuses to know what it is for.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::table::{Parts, VERSION, parts};
use crate::{place, say, wheels};

/// The file that says a folder is complete, and of what.
const STAMP: &str = ".stamp";

/// The folder `torch` of the fetched libtorch, fetched first where it is not there.
///
/// # Errors
/// The platform has no wheels that fit, or they cannot be had, checked or written.
pub(crate) fn fetched() -> Result<PathBuf> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let Some(parts) = parts(os, arch) else {
        bail!(
            "libtorch is not fetched for {os} on {arch}: install PyTorch {VERSION} (pip install torch=={VERSION}) and set \
             LIBTORCH_USE_PYTORCH=1, or set LIBTORCH to an unpacked libtorch {VERSION}"
        )
    };
    fetch_into(&place::cache()?, &parts, Path::new(wheels::python()))
}

/// [`fetched`] into a given cache folder.
fn fetch_into(cache: &Path, parts: &Parts, python: &Path) -> Result<PathBuf> {
    let folder = cache.join(format!("libtorch-{VERSION}"));
    if is_complete(&folder, parts) {
        return Ok(folder.join("torch"));
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = cache.join(format!("libtorch-{VERSION}.lock"));
    let lock = File::create(&lock).with_context(|| format!("cannot make {}", lock.display()))?;
    if lock.try_lock().is_err() {
        say("another call fetches libtorch; waiting for it");
        lock.lock().context("the lock of the cache cannot be taken")?;
    }
    if !is_complete(&folder, parts) {
        make(cache, &folder, parts, python)?;
    }
    Ok(folder.join("torch"))
}

/// Whether the folder was made from this very table and still has its libraries.
fn is_complete(folder: &Path, parts: &Parts) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == parts.stamp())
        && parts.libraries.iter().all(|library| folder.join("torch/lib").join(library).is_file())
}

/// Makes it beside its place, and moves it there when it is whole.
fn make(cache: &Path, folder: &Path, parts: &Parts, python: &Path) -> Result<()> {
    place::need_room(cache, parts.room, "getting libtorch")?;
    let partial = cache.join(format!("libtorch-{VERSION}.partial"));
    let root = partial.join("root");
    remove(&root)?;
    wheels::bring(python, parts.wheels, parts.platforms, &partial.join("wheels"), &root)?;
    let torch = root.join("torch");
    if parts.stub {
        make_stub(&torch.join("lib/libtorch.so"))?;
    }
    // The wheel lacks this file, by which torch-sys checks the version.
    write(&torch.join("build-version"), VERSION)?;
    write(&root.join(STAMP), &parts.stamp())?;
    if !is_complete(&root, parts) {
        bail!("libtorch {VERSION}: a library is missing in {} after unpacking", torch.display());
    }
    remove(folder)?;
    fs::rename(&root, folder).with_context(|| format!("cannot move libtorch to {}", folder.display()))?;
    remove(&partial)
}

/// A library without contents, for the linker's `-ltorch`.
fn make_stub(path: &Path) -> Result<()> {
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libtorch.so", "-x", "c", "/dev/null", "-o"])
        .arg(path)
        .status()
        .context("there is no C compiler `cc`: apt-get install build-essential")?;
    if !status.success() {
        bail!("`cc` could not make {}", path.display());
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
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
