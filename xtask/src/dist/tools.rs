//! The Python tools that packaging uses, in an environment of their own.
//!
//! Exists so that nothing is installed into the developer's Python, and so that an installation can be tried in a fresh one.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

use super::Dist;
use crate::{say, shell, wheels};

const REQUIREMENTS: &str = "packaging/requirements.txt";

/// The environment of the tools.
pub(super) fn python(dist: &Dist) -> PathBuf {
    program(&folder(dist), "python")
}

/// The folder with the tools' programs.
pub(super) fn programs(dist: &Dist) -> PathBuf {
    folder(dist).join(if cfg!(windows) { "Scripts" } else { "bin" })
}

fn folder(dist: &Dist) -> PathBuf {
    dist.work.join("tools")
}

/// A program of an environment.
pub(super) fn program(environment: &Path, name: &str) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(name)
}

/// Makes the environment where it is missing or its list has changed.
pub(super) fn ensure(dist: &Dist) -> Result<()> {
    let list =
        std::fs::read(dist.root.join(REQUIREMENTS)).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let wanted = super::sums::hex(&Sha256::digest(&list));
    let mark = folder(dist).join("requirements.sha256");
    if std::fs::read_to_string(&mark).is_ok_and(|made| made == wanted) {
        say("   the tools are there");
        return Ok(());
    }
    new_environment(dist, &folder(dist))?;
    let python = python(dist);
    let list = dist.root.join(REQUIREMENTS);
    shell(&dist.root, text(&python)?, &["-m", "pip", "install", "--quiet", "--requirement", text(&list)?])?;
    std::fs::write(&mark, wanted).context("cannot mark the tools as made")
}

/// A fresh Python environment in `folder`, whatever was there before.
pub(super) fn new_environment(dist: &Dist, folder: &Path) -> Result<()> {
    let python = wheels::python();
    if !crate::succeeds(python, &["-c", "import venv, ensurepip"]) {
        bail!("{python} cannot make environments: apt-get install python3 python3-venv");
    }
    shell(&dist.root, python, &["-m", "venv", "--clear", text(folder)?])
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
